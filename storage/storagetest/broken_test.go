package storagetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"jeton/storage"
)

// broken is a good backend with one bug in it: the functions that are set
// stand in the way of its methods.
type broken struct {
	storage.Backend
	*shared
	closed sync.Once
	shut   chan struct{} // closed when Close begins, if a bug asks for it

	read   func(ctx context.Context, p storage.Partition, keys []storage.Key) (storage.Snapshot, error)
	commit func(ctx context.Context, c storage.Change) (uint64, error)
	// edit changes a change on its way.
	edit    func(c *storage.Change)
	list    func(ctx context.Context, q storage.Query) (storage.Page, error)
	sweep   func(ctx context.Context, limit int) (int, error)
	now     func() (time.Time, error)
	changed func() <-chan struct{}
	close   func() error
}

// shared is what all handles on one broken store have in common.
type shared struct {
	mu      sync.Mutex
	puts    map[storage.Key]storage.Put // the last put of each row
	history map[storage.Key][]uint64    // its versions since it was made

	compared chan struct{} // where two meet who have compared and not yet written
}

func newShared() *shared {
	return &shared{puts: make(map[storage.Key]storage.Put), history: make(map[storage.Key][]uint64), compared: make(chan struct{})}
}

func (b *broken) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	if b.read != nil {
		return b.read(ctx, p, keys)
	}
	return b.Backend.Read(ctx, p, keys...)
}

func (b *broken) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	c.Puts = slices.Clone(c.Puts)
	if b.edit != nil {
		b.mu.Lock()
		b.edit(&c)
		b.mu.Unlock()
	}
	if b.commit != nil {
		return b.commit(ctx, c)
	}
	return b.Backend.Commit(ctx, c)
}

func (b *broken) List(ctx context.Context, q storage.Query) (storage.Page, error) {
	if b.list != nil {
		return b.list(ctx, q)
	}
	return b.Backend.List(ctx, q)
}

func (b *broken) Sweep(ctx context.Context, limit int) (int, error) {
	if b.sweep != nil {
		return b.sweep(ctx, limit)
	}
	return b.Backend.Sweep(ctx, limit)
}

func (b *broken) Now(ctx context.Context) (time.Time, error) {
	if b.now != nil {
		return b.now()
	}
	return b.Backend.Now(ctx)
}

func (b *broken) Changed() <-chan struct{} {
	if b.changed != nil {
		return b.changed()
	}
	return b.Backend.Changed()
}

func (b *broken) Close() error {
	if b.shut != nil {
		b.closed.Do(func() { close(b.shut) })
	}
	if b.close != nil {
		return b.close()
	}
	return b.Backend.Close()
}

// unchecked writes without checks.
func (b *broken) unchecked(ctx context.Context, c storage.Change) (uint64, error) {
	c.Checks = nil
	return b.Backend.Commit(ctx, c)
}

// checkThenPut reads, compares, and writes afterwards: together with another who
// has compared too, if one comes, so that the bug shows on a busy machine as well.
func (b *broken) checkThenPut(ctx context.Context, c storage.Change) (uint64, error) {
	for _, check := range c.Checks {
		snap, err := b.Backend.Read(ctx, c.Partition, check.Key)
		if err != nil {
			return 0, err
		}
		if snap.Rows[0].Version != check.Version {
			return 0, storage.ErrConflict
		}
	}
	select {
	case b.shared.compared <- struct{}{}:
	case <-b.shared.compared:
	case <-time.After(20 * time.Millisecond):
	}
	return b.unchecked(ctx, c)
}

// conflictWrites writes what it refuses.
func (b *broken) conflictWrites(ctx context.Context, c storage.Change) (uint64, error) {
	v, err := b.Backend.Commit(ctx, c)
	if errors.Is(err, storage.ErrConflict) {
		b.unchecked(ctx, c)
	}
	return v, err
}

// halves writes the first put and then the others.
func (b *broken) halves(ctx context.Context, c storage.Change) (uint64, error) {
	if len(c.Puts) < 2 {
		return b.Backend.Commit(ctx, c)
	}
	rest := storage.Change{Partition: c.Partition, Puts: c.Puts[1:], Deletes: c.Deletes}
	c.Puts, c.Deletes = c.Puts[:1], nil
	if v, err := b.Backend.Commit(ctx, c); err != nil {
		return v, err
	}
	return b.Backend.Commit(ctx, rest)
}

// contagion fails whoever comes while another is refused.
func (b *broken) contagion(ctx context.Context, c storage.Change) (uint64, error) {
	v, err := b.Backend.Commit(ctx, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(err, storage.ErrConflict) {
		b.history[storage.Key{}] = []uint64{1}
	} else if len(b.history[storage.Key{}]) > 0 {
		b.history[storage.Key{}] = nil
		return 0, storage.ErrConflict
	}
	return v, err
}

// giveUp stops waiting and calls that unavailable; the write goes on.
func (b *broken) giveUp(ctx context.Context, c storage.Change) (uint64, error) {
	var v uint64
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		v, err = b.Backend.Commit(context.WithoutCancel(ctx), c)
	}()
	select {
	case <-done:
		return v, err
	case <-ctx.Done():
		return 0, storage.ErrUnavailable
	}
}

// writeLater answers before it writes.
func (b *broken) writeLater(ctx context.Context, c storage.Change) (uint64, error) {
	go b.Backend.Commit(context.WithoutCancel(ctx), c)
	return 1, nil
}

// afterClose writes, and says that it did not if the store is being closed.
func (b *broken) afterClose(ctx context.Context, c storage.Change) (uint64, error) {
	v, err := b.Backend.Commit(ctx, c)
	select {
	case <-b.shut:
		return 0, storage.ErrUnavailable
	default:
		return v, err
	}
}

// oneByOne reads each row at a moment of its own.
func (b *broken) oneByOne(ctx context.Context, p storage.Partition, keys []storage.Key) (all storage.Snapshot, err error) {
	for _, k := range keys {
		snap, err := b.Backend.Read(ctx, p, k)
		if err != nil {
			return snap, err
		}
		all.Now, all.Rows = snap.Now, append(all.Rows, snap.Rows...)
	}
	return all, nil
}

// cached answers a read that it has answered before.
func (b *broken) cached() func(context.Context, storage.Partition, []storage.Key) (storage.Snapshot, error) {
	old := make(map[storage.Key]storage.Snapshot)
	return func(ctx context.Context, p storage.Partition, keys []storage.Key) (storage.Snapshot, error) {
		if snap, ok := old[keys[0]]; ok && len(keys) == 1 {
			return snap, nil
		}
		snap, err := b.Backend.Read(ctx, p, keys...)
		old[keys[0]] = snap
		return snap, err
	}
}

// localVersions makes versions count the writes of a row since it was made.
func (b *broken) localVersions() {
	b.commit = func(ctx context.Context, c storage.Change) (uint64, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, check := range c.Checks {
			if h := b.history[check.Key]; check.Version > 0 && check.Version <= uint64(len(h)) {
				c.Checks[i].Version = h[check.Version-1]
			}
		}
		v, err := b.Backend.Commit(ctx, c)
		if err != nil {
			return v, err
		}
		for _, k := range c.Deletes {
			delete(b.history, k)
		}
		for _, p := range c.Puts {
			b.history[p.Key] = append(b.history[p.Key], v)
			v = uint64(len(b.history[p.Key]))
		}
		return v, nil
	}
}

// tombstones marks deleted rows instead of removing them, which reads know
// and listings do not.
func (b *broken) tombstones() {
	const dead = "\x00dead"
	b.edit = func(c *storage.Change) {
		for _, k := range c.Deletes {
			c.Puts = append(c.Puts, storage.Put{Key: k, Value: []byte(dead)})
		}
		c.Deletes = nil
	}
	b.read = func(ctx context.Context, p storage.Partition, keys []storage.Key) (storage.Snapshot, error) {
		snap, err := b.Backend.Read(ctx, p, keys...)
		for i, r := range snap.Rows {
			if string(r.Value) == dead {
				snap.Rows[i] = storage.Row{Partition: p, Key: r.Key}
			}
		}
		return snap, err
	}
}
