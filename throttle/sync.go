package throttle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"jeton/storage"
)

// How nodes agree. The store's count is the sum of what all have counted. A node
// keeps beside each counter how much of it the store has not heard of; once
// a second it reads the rows that changed, adds its own part to what it
// finds, and writes rows in which it had a part. All writes check the head, so
// there is one order of them; who comes second tries again a second later.
//
// Below [rule.keep] a counter stays here, so that a name mistyped once costs no
// write: a node more is worth a few guesses more. A row holds the fullest 512;
// what was dropped from it lives on here.
//
// A write whose outcome is unknown is looked for by the nonce of the head. If
// another node has written since, it is taken for lost, and a second of
// failures counts twice if it was not.

// flusher is the state of that. Only one goroutine at a time touches it: that
// of Open, then run.
type flusher struct {
	seen    [chunks]uint32 // head.seq as it was merged
	changed <-chan struct{}
	idle    int // steps without a look
	pending *batch
	last    error // of the last sync
}

// batch is what a commit takes from the tables, to be given back if it fails.
type batch struct {
	nonce  [16]byte
	counts []taken
	known  []int // chunks
}

type taken struct {
	key   uint64
	delta int16
	reset state
}

const (
	syncTimeout = 5 * time.Second
	// lookAnyway is after how many steps without a sign of change the store is
	// read nevertheless, since its clock may have moved against ours.
	lookAnyway = 30
)

func (t *Throttle) run() {
	defer close(t.stopped)
	tick := time.NewTicker(t.cfg.Flush)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.step(context.Background())
		case <-t.stop:
			// Another node may be faster twice, hardly three times.
			for range 3 {
				if t.step(context.Background()); !errors.Is(t.flusher.last, storage.ErrConflict) {
					return
				}
			}
			return
		}
	}
}

// step syncs and says once when the store goes away, and once when it is back.
func (t *Throttle) step(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	before := t.flusher.last
	t.flusher.last = t.sync(ctx)
	failed := func(err error) bool { return err != nil && !errors.Is(err, storage.ErrConflict) }
	switch {
	case failed(t.flusher.last) && !failed(before):
		t.cfg.Log.Warn("failed sign-ins are counted by this process alone until the store takes them again: see to the store", "error", t.flusher.last)
	case !failed(t.flusher.last) && failed(before):
		t.cfg.Log.Info("failed sign-ins are counted in the store again")
	}
}

// sync brings the tables and the store up to date with each other.
func (t *Throttle) sync(ctx context.Context) error {
	f := &t.flusher
	if f.quiet() && !t.unsaved() {
		return nil
	}
	f.changed, f.idle = t.cfg.Store.Changed(), 0
	snap, err := t.cfg.Store.Read(ctx, partition, headKey)
	if err != nil {
		f.changed = nil
		return err
	}
	h, err := decodeHead(snap.Rows[0].Value)
	if err != nil {
		return fmt.Errorf("throttle: the row %q: %w", headKey.ID, err)
	}
	t.settle(h)
	b := t.take(snap.Now)
	err = t.exchange(ctx, &h, snap.Rows[0], b)
	switch {
	case err == nil:
	case errors.Is(err, storage.ErrUnknown):
		f.pending = b
	default:
		t.giveBack(b)
	}
	if err != nil {
		f.changed = nil // look again at the next step
	}
	return err
}

// quiet reports whether nothing has changed in the store.
func (f *flusher) quiet() bool {
	if f.changed == nil || f.idle >= lookAnyway {
		return false
	}
	select {
	case <-f.changed:
		return false
	default:
		f.idle++
		return true
	}
}

func (t *Throttle) unsaved() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.counts.dirty) > 0 || slices.Contains(t.known.dirty[:], true)
}

// settle decides what became of a write with an unknown outcome.
func (t *Throttle) settle(h head) {
	f := &t.flusher
	if f.pending == nil {
		return
	}
	if f.pending.nonce != h.nonce {
		t.giveBack(f.pending)
	}
	f.pending = nil
}

// take notes the store's clock, and which counters it should hear of. What they
// hold is taken when it is merged.
func (t *Throttle) take(storeNow time.Time) *batch {
	b := &batch{}
	rand.Read(b.nonce[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.offset = storeNow.UnixMilli() - now
	for _, at := range t.counts.dirty {
		c := &t.counts.cells[at]
		c.state &^= dirty
		if t.matters(c, now) {
			b.counts = append(b.counts, taken{key: c.key})
		}
	}
	t.counts.dirty = t.counts.dirty[:0]
	for i, changed := range t.known.dirty {
		if changed {
			b.known = append(b.known, i)
			t.known.dirty[i] = false
		}
	}
	return b
}

// matters reports whether the store should hear of a counter. An attempt that
// was counted and taken back between two steps is no news.
func (t *Throttle) matters(c *counter, now int64) bool {
	r := &t.rules[c.kind]
	n := r.count(c, now)
	switch {
	case c.state&stored == 0:
		return n >= r.keep
	case c.delta != 0 || c.state&reset != 0:
		return true
	case n == 0:
		c.state &^= stored // and is forgotten there too
	}
	return false
}

func (t *Throttle) giveBack(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range b.counts {
		if c := t.counts.find(k.key); c != nil {
			c.delta = int16(min(int(c.delta)+int(k.delta), math.MaxInt16))
			c.state |= k.reset
			t.counts.touch(c)
		}
	}
	for _, i := range b.known {
		t.known.dirty[i] = true
	}
}
