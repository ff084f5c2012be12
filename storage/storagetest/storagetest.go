// Package storagetest is the contract of [storage.Backend] as one suite of
// tests. A backend's own test is a [Harness], a call of [Main] from TestMain
// and a call of [Run]; what only it promises (files, servers, failover) it
// tests beside that.
//
// Each check works through handles on a store that begins empty, of which it
// may open several, as processes would. The checks report to a [T] rather than
// to *testing.T, so that this package's own test can let them loose on
// backends with seeded bugs and see that none gets through.
package storagetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"jeton/storage"
)

// Harness makes stores of one backend.
type Harness struct {
	// New makes room for an empty store and returns its address, which is a
	// string because other processes open it too.
	New func(t testing.TB) (address string)
	// Open opens one more handle on the store. now is the store's time; nil
	// is the real one.
	Open func(ctx context.Context, address string, now func() time.Time) (storage.Backend, error)
}

// T is what a check reports to.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	// Fatalf ends the goroutine of the check, so only that one may call it.
	Fatalf(format string, args ...any)
}

// check is one sentence of the contract.
type check struct {
	name string
	run  func(*world)
}

// checks are all that runs within one process.
func checks() []check {
	var all []check
	for _, group := range [][]check{readChecks, commitChecks, raceChecks, indexChecks, listChecks, expiryChecks, lifeChecks} {
		all = append(all, group...)
	}
	return all
}

// Run runs the suite. TestMain must call [Main] for the part of it that needs
// several processes.
func Run(t *testing.T, h Harness) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inspect(t, c, h, h.New(t), patience)
		})
	}
	t.Run("processes", func(t *testing.T) { processes(t, h) })
}

// patience ends a wait that would be for ever. It is no measure of speed.
const patience = 30 * time.Second

// inspect runs one check on an empty store.
func inspect(t T, c check, h Harness, address string, patience time.Duration) {
	w := &world{T: t, clock: newClock(), patience: patience}
	w.open = func() storage.Backend {
		t.Helper()
		b, err := h.Open(t.Context(), address, w.clock.now)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		w.handles = append(w.handles, b)
		return b
	}
	defer func() {
		for _, b := range w.handles {
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	}()
	w.b = w.open()
	c.run(w)
}

// clock is a store time that stands still until a check moves it. It has
// whole milliseconds, which every store can keep.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now().UTC().Truncate(time.Millisecond)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
