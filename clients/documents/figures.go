package documents

import "sync/atomic"

// Outcomes are what becomes of the wish to read a document.
var outcomes = [...]string{"ok", "address", "unreachable", "status", "type", "size", "content", "blocked", "throttled"}

// figures counts them, for metrics.
type figures [len(outcomes)]atomic.Uint64

func (f *figures) count(outcome string) {
	for i, name := range outcomes {
		if name == outcome {
			f[i].Add(1)
		}
	}
}

// Figures are how often each outcome came, since the process began.
func (r *Reader) Figures() map[string]uint64 {
	all := make(map[string]uint64, len(outcomes))
	for i, name := range outcomes {
		all[name] = r.figures[i].Load()
	}
	return all
}
