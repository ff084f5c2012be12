package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrDamaged: a record is there and does not decode. Others are none the worse
// for it: who goes over many passes it over, see [Store.Skip].
var ErrDamaged = errors.New("storage: a record of the store cannot be read")

// damaged is what is known of such records in this process.
type damaged struct {
	skipped atomic.Uint64

	mu   sync.Mutex
	told map[damagedRow]bool
}

// damagedRow is one write of a row: a record that was mended, and is damaged
// again, is told again.
type damagedRow struct {
	partition Partition
	key       Key
	version   uint64
}

// mostTold bounds how many records are told of, and remembered.
const mostTold = 1000

// Skip reports whether err says of a row that it cannot be read. Listings, sweeps
// and batches then go on without it. It is counted each time and logged once, in
// words that say what to do.
func (s *Store) Skip(ctx context.Context, row Row, err error) bool {
	if !errors.Is(err, ErrDamaged) {
		return false
	}
	s.damaged.skipped.Add(1)
	if s.Log != nil && s.damaged.first(damagedRow{row.Partition, row.Key, row.Version}) {
		s.Log.ErrorContext(ctx, "a record of the store is passed over: jeton store check names all that cannot be read; restore a backup, or run the version that wrote them",
			"error", err)
	}
	return true
}

// Skipped is how often records were passed over.
func (s *Store) Skipped() uint64 { return s.damaged.skipped.Load() }

func (d *damaged) first(row damagedRow) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told[row] || len(d.told) >= mostTold {
		return false
	}
	if d.told == nil {
		d.told = make(map[damagedRow]bool)
	}
	d.told[row] = true
	return true
}
