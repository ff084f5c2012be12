package race

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"jeton/storage"
)

// traces are the rows that a race has written, and may have left.
type traces struct {
	mu   sync.Mutex
	rows map[storage.Partition]map[storage.Key]bool
}

func newTraces() *traces { return &traces{rows: make(map[storage.Partition]map[storage.Key]bool)} }

// traced is a backend whose rows are noted.
type traced struct {
	storage.Backend
	*traces
}

func (t *traces) around(b storage.Backend) storage.Backend { return traced{b, t} }

func (t traced) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	t.note(c)
	return t.Backend.Commit(ctx, c)
}

func (t *traces) note(c storage.Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := t.rows[c.Partition]
	if rows == nil {
		rows = make(map[storage.Key]bool)
		t.rows[c.Partition] = rows
	}
	for _, p := range c.Puts {
		rows[p.Key] = true
	}
}

// ErrLeft says that a race has left something behind.
var ErrLeft = errors.New("what the race has written could not be removed")

// together is how many rows one commit removes.
const together = 50

// remove removes them all, with their places in indexes.
func (t *traces) remove(ctx context.Context, from storage.Backend) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for partition, rows := range t.rows {
		var keys []storage.Key
		for k := range rows {
			keys = append(keys, k)
		}
		for some := range slices.Chunk(keys, together) {
			if _, err := from.Commit(ctx, storage.Change{Partition: partition, Deletes: some}); err != nil {
				return fmt.Errorf("%w: %w", ErrLeft, err)
			}
		}
	}
	return nil
}
