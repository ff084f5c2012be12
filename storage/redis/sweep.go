package redis

import (
	"context"
)

// sweepBatch is how many rows one script removes: few, so that the commits that
// wait for it hardly notice.
const sweepBatch = 64

// Sweep implements [storage.Backend].
func (s *Store) Sweep(ctx context.Context, limit int) (removed int, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	for i := range s.groups {
		for {
			want := min(limit-removed, sweepBatch)
			if want <= 0 {
				return removed, nil
			}
			n, seen, err := s.sweep(ctx, s.groups[i], want)
			removed += n
			if err != nil {
				return removed, err
			}
			if seen < want {
				break
			}
		}
	}
	return removed, nil
}

func (s *Store) sweep(ctx context.Context, g group, most int) (removed, seen int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	r, err := s.run(ctx, call{script: sweepScript, keys: []string{g.marker, g.queue()},
		args: []any{s.given(), most, g.rows(), g.indexes(), g.partitions()}})
	if err != nil {
		return 0, 0, unavailable(err)
	}
	if text(r.value, 0) != "ok" {
		return 0, 0, s.strange(r.value)
	}
	return int(number(r.value, 1)), int(number(r.value, 2)), nil
}
