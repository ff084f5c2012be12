package sqlite

import (
	"context"

	"jeton/storage"
)

// sweepBatch is how many rows one job removes: few, so that the commits that
// share its transaction hardly notice.
const sweepBatch = 64

// Sweep implements [storage.Backend]. It works in small portions, between
// which other writes have their turn, and stops when ctx ends.
func (s *Store) Sweep(ctx context.Context, limit int) (removed int, err error) {
	for removed < limit {
		want, n := min(limit-removed, sweepBatch), 0
		err := s.submit(ctx, func(b *batch) (err error) {
			n, err = b.sweep(want)
			return err
		})
		if err != nil {
			return removed, err
		}
		if removed += n; n < want {
			break
		}
	}
	return removed, nil
}

const selectExpired = `SELECT n, entries, partition, kind, id FROM rows INDEXED BY rows_expires
	WHERE expires < 9223372036854775807 AND expires <= ? ORDER BY expires LIMIT ?`

// sweep removes expired rows, the longest expired first.
func (b *batch) sweep(limit int) (int, error) {
	type expired struct {
		p storage.Partition
		k storage.Key
		f found
	}
	var rows []expired
	err := b.c.query(func(r *result) error {
		e := expired{p: storage.Partition(r.text(2)), k: storage.Key{Kind: r.text(3), ID: r.text(4)}}
		e.f.n, e.f.entries = r.int(0), r.blob(1)
		rows = append(rows, e)
		return nil
	}, selectExpired, b.now.UnixNano(), int64(limit))
	if err != nil {
		return 0, err
	}
	for _, e := range rows {
		if err := b.remove(e.p, e.k, e.f); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}
