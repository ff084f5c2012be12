package keys

import (
	"context"
	"time"
)

// StartOver replaces all keys of the ring by new ones, which sign at once. It
// is for a store that was put back from a backup which does not know what
// became of its keys since: one of them may have been removed because others
// have it. What the old keys signed is unknown from here on, and at verifiers
// once they have fetched the key set anew. With keepRefresh the keys of refresh
// tokens stay, so that sessions can go on.
func (r *Ring) StartOver(ctx context.Context, keepRefresh bool) error {
	var before map[string]*key
	_, err := r.change(ctx, func(s *snapshot, e *edit) {
		if before == nil {
			before = s.keys
		}
		for _, k := range s.all {
			if before[k.ID] == nil { // our own write, of which nobody told us
				return
			}
		}
		for _, use := range []string{UseSig, UseStatus} {
			alg := r.config.Alg
			if k := s.current(s.now, use); k != nil {
				alg = k.Alg // whoever runs this need not know how the server is set
			}
			r.add(e, use, alg, s.now)
			r.add(e, use, alg, time.Time{})
		}
		if !keepRefresh {
			r.add(e, UseRefresh, algHS256, s.now)
		}
		for _, k := range s.all {
			if k.Use != UseRefresh || !keepRefresh {
				e.deletes = append(e.deletes, k.ID)
			}
		}
	})
	return err
}
