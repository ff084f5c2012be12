package events

import (
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

// Long before rows stay because of it, the log says that the clocks are apart:
// once, and once that they are together again.
func TestClocksThatComeApartAreTold(t *testing.T) {
	for _, off := range []time.Duration{storage.MostApart + time.Second, -storage.MostApart - time.Second} {
		t.Run(off.String(), func(t *testing.T) {
			w := newSwept(t)
			told := func(message string, times int) {
				t.Helper()
				for range 2 {
					if !w.removes(t) {
						t.Error("a row stays because of some seconds")
					}
				}
				if got := strings.Count(w.log.String(), message); got != times {
					t.Errorf("%d times, want %d: %q\n%s", got, times, message, &w.log)
				}
			}
			const apart, together = "this machine's clock is not the store's", "this machine's clock is the store's again"
			w.wall = w.wall.Add(storage.MostApart / 2)
			told(apart, 0)
			w.wall = w.wall.Add(off - storage.MostApart/2)
			told(apart, 1)
			w.wall = w.wall.Add(-off)
			told(apart, 1)
			told(together, 1)
		})
	}
}

// divided is a store on several masters, whose clocks are apart.
type divided struct {
	storage.Backend
	by time.Duration
}

func (d *divided) Durability() storage.Durability { return storage.Durability{ClocksApart: d.by} }

// A master whose clock is far from the others' takes for expired what is not: no
// row is removed until it is right, though the clock that the server compares its
// own with is.
func TestSweeperStopsWhileClocksOfMastersAreApart(t *testing.T) {
	w := newSwept(t)
	d := &divided{Backend: w.store.Backend}
	w.Sweeper.store = storage.New(d)
	for _, by := range []time.Duration{0, mostDrift, mostDrift + time.Second, 0} {
		d.by = by
		if got := w.removes(t); got != (by <= mostDrift) {
			t.Errorf("%v apart: removed %v", by, got)
		}
	}
	if w.lines() != 2 {
		t.Errorf("it is not said once each: %s", &w.log)
	}
}
