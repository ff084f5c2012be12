package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"jeton/storage"
)

var raceChecks = []check{
	{"race/of 64 compare-and-puts exactly one wins", func(w *world) { race(w, false) }},
	{"race/of 64 who create a row exactly one wins", func(w *world) { race(w, true) }},
	{"race/a conflict of one fails no other", crowd},
	{"race/changes that check each other's rows take turns", skew},
}

const racers = 64

func id(prefix string, i int) string { return fmt.Sprintf("%s%03d", prefix, i) }

// race lets 64 goroutines on two handles write one row, all on the same
// version of it: the contract that keeps a refresh token from having two
// successors.
func race(w *world, create bool) {
	handles := []storage.Backend{w.b, w.open()}
	for round := range 10 {
		row := id("row", 0)
		var version uint64
		if create {
			row = id("row", round)
		} else {
			version = w.put(alice, put(row, "start"))
		}
		var won, lost atomic.Int64
		var winner atomic.Value
		together(func(i int) {
			value := fmt.Sprintf("round %d racer %d", round, i)
			_, err := handles[i%2].Commit(w.Context(), storage.Change{Partition: alice,
				Checks: []storage.Check{{Key: key(row), Version: version}}, Puts: []storage.Put{put(row, value)}})
			switch {
			case err == nil:
				won.Add(1)
				winner.Store(value)
			case errors.Is(err, storage.ErrConflict):
				lost.Add(1)
			default:
				w.Errorf("a racer got %v, want success or ErrConflict", err)
			}
		})
		if won.Load() != 1 || lost.Load() != racers-1 {
			w.Fatalf("round %d: %d won and %d lost, want 1 and %d", round, won.Load(), lost.Load(), racers-1)
		}
		w.wants(alice, row, winner.Load().(string))
	}
}

// together runs f in all racers at once.
func together(f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

// crowd mixes changes that hold with some that do not, all at once, so that a
// backend that commits many together has to tell them apart.
func crowd(w *world) {
	v := w.put(alice, put("stale", "0"))
	w.put(alice, put("stale", "1"))
	for round := range 5 {
		together(func(i int) {
			c := storage.Change{Partition: alice, Puts: []storage.Put{put(id("row", round*racers+i), "1", entry("i", id("", i)))}}
			if i%3 == 0 {
				c.Checks = []storage.Check{{Key: key("stale"), Version: v}}
			}
			_, err := w.b.Commit(w.Context(), c)
			if i%3 == 0 && !errors.Is(err, storage.ErrConflict) || i%3 != 0 && err != nil {
				w.Errorf("racer %d: %v", i, err)
			}
		})
	}
	for i := range 5 * racers {
		want := "1"
		if i%racers%3 == 0 {
			want = ""
		}
		w.wants(alice, id("row", i), want)
	}
}

// skew is write skew: each change writes one of two rows provided that the
// other is still as it was. Both succeeding would be an outcome that no order
// of the two can have.
func skew(w *world) {
	handles := []storage.Backend{w.b, w.open()}
	for round := range 10 {
		rows := [2]string{id("x", round), id("y", round)}
		var won atomic.Int64
		together(func(i int) {
			mine, other := rows[i%2], rows[1-i%2]
			_, err := handles[i/2%2].Commit(w.Context(), storage.Change{Partition: alice,
				Checks: []storage.Check{{Key: key(other), Version: 0}, {Key: key(mine), Version: 0}}, Puts: []storage.Put{put(mine, "1")}})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, storage.ErrConflict) {
				w.Errorf("a racer got %v, want success or ErrConflict", err)
			}
		})
		if won.Load() != 1 {
			w.Fatalf("round %d: %d won, want 1", round, won.Load())
		}
	}
}
