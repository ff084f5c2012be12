package verify

import (
	"slices"
	"strings"
	"time"
)

// Stats is how a verifier fares, for the API's own metrics.
type Stats struct {
	Accepted uint64
	// Stale are those of the accepted that Options.WhenStale let pass.
	Stale   uint64
	Refused map[Reason]uint64
	Keys    Source
	Lists   []List // by URI
}

// Source is something that is fetched from the issuer.
type Source struct {
	// Confirmed is when the issuer last answered well; zero: never.
	Confirmed time.Time
	// Failed counts requests that failed, Failing those since Confirmed.
	Failed  uint64
	Failing int
	// Err is why the last one failed, nil if it did not.
	Err error
}

// Age is how long ago the issuer answered well.
func (s Source) Age() time.Duration { return since(s.Confirmed, time.Now()) }

// List is a status list that tokens have named.
type List struct {
	Source
	URI string
	// Followed is whether it is kept fresh, which ends some minutes after the
	// last token; Waiting is whether a request waits for a change.
	Followed, Waiting bool
	Issued            time.Time // of what is known
	Places            int       // tokens that it has room for
}

// Stats says how the verifier fares.
func (v *Verifier) Stats() Stats {
	s := Stats{Accepted: v.passed.Load(), Stale: v.stales.Load(), Refused: make(map[Reason]uint64), Keys: v.keys.source()}
	for r, n := range v.refuses {
		if n := n.Load(); n > 0 {
			s.Refused[r] = n
		}
	}
	v.lists.mu.RLock()
	defer v.lists.mu.RUnlock()
	for _, l := range v.lists.held {
		s.Lists = append(s.Lists, l.stats())
	}
	slices.SortFunc(s.Lists, func(a, b List) int { return strings.Compare(a.URI, b.URI) })
	return s
}

func (s *keySet) source() Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Source{Failed: s.total, Failing: s.failed, Err: s.err}
	if k := s.now.Load(); k != nil {
		out.Confirmed = k.confirmed
	}
	return out
}

func (l *list) stats() List {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := List{URI: l.uri, Source: Source{Failed: l.total, Failing: l.failed, Err: l.err}, Followed: l.live.Load(), Waiting: l.waiting}
	if e := l.now.Load(); e != nil {
		issued := e.issued
		s.Confirmed, s.Issued, s.Places = e.confirmed, timeOf(&issued), len(e.bits)*8/e.width
	}
	return s
}
