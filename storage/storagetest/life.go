package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"jeton/storage"
)

var lifeChecks = []check{
	{"changed/a write of one's own is told", func(w *world) { told(w, w.b) }},
	{"changed/a write of another handle is told", func(w *world) { told(w, w.open()) }},
	{"changed/many who wait are all told", crowdTold},
	{"close/what was committed is there when opened again", reopened},
	{"close/commits under way finish or write nothing", closing},
	{"close/a closed store is unavailable", closed},
}

func told(w *world, writer storage.Backend) {
	for i := range 3 {
		changed := w.b.Changed()
		if _, err := writer.Commit(w.Context(), storage.Change{Partition: alice, Puts: []storage.Put{put("a", id("", i))}}); err != nil {
			w.Fatalf("Commit: %v", err)
		}
		select {
		case <-changed:
		case <-time.After(w.patience):
			w.Fatalf("nobody told of commit %d", i)
		}
	}
}

func crowdTold(w *world) {
	other := w.open()
	var all sync.WaitGroup
	for i := range racers {
		changed := []storage.Backend{w.b, other}[i%2].Changed()
		all.Go(func() {
			select {
			case <-changed:
			case <-time.After(w.patience):
				w.Errorf("waiter %d was not told", i)
			}
		})
	}
	w.put(alice, put("a", "1"))
	all.Wait()
}

func reopened(w *world) {
	v := w.put(alice, put("a", "1", entry("i", "a")), w.mortal("b"))
	w.reopen()
	for _, row := range w.read(alice, "a", "b") {
		if row.Version != v || string(row.Value) != "1" {
			w.Errorf("%s is %q at version %d, want version %d", row.ID, row.Value, row.Version, v)
		}
	}
	w.lists(storage.Query{Index: "i"}, "u/alice/a", "u/alice/b")
	if next := w.put(alice, put("a", "2")); next == v {
		w.Errorf("version %d was used before", v)
	}
}

// reopen closes the only handle and opens the store again.
func (w *world) reopen() {
	w.Helper()
	if err := w.b.Close(); err != nil {
		w.Errorf("close: %v", err)
	}
	w.handles = nil
	w.b = w.open()
}

// closing closes a store while all racers write as fast as they can. What they
// were told before, and when it ended, must be what is there.
func closing(w *world) {
	acked, errs := make([]int, racers), make([]error, racers)
	var begun, all sync.WaitGroup
	begun.Add(racers)
	for i := range racers {
		all.Go(func() {
			for errs[i] == nil {
				_, errs[i] = w.b.Commit(w.Context(), storage.Change{Partition: alice, Puts: []storage.Put{put(fmt.Sprint(i, acked[i]), "1")}})
				if acked[i] == 0 {
					begun.Done()
				}
				if errs[i] == nil {
					acked[i]++
				}
			}
		})
	}
	begun.Wait()
	if err := w.b.Close(); err != nil {
		w.Errorf("close: %v", err)
	}
	all.Wait()
	w.handles = nil
	w.b = w.open()
	for i, err := range errs {
		if !errors.Is(err, storage.ErrUnavailable) {
			w.Errorf("racer %d ended with %v, want ErrUnavailable", i, err)
		}
		for n := range acked[i] {
			w.wants(alice, fmt.Sprint(i, n), "1")
		}
		w.wants(alice, fmt.Sprint(i, acked[i]), "")
	}
}

func closed(w *world) {
	b := w.open()
	if err := b.Close(); err != nil {
		w.Errorf("close: %v", err)
	}
	w.handles = w.handles[:1]
	_, read := b.Read(w.Context(), alice, key("a"))
	_, commit := b.Commit(w.Context(), storage.Change{Partition: alice, Puts: []storage.Put{put("a", "1")}})
	_, list := b.List(w.Context(), storage.Query{Index: "i", Limit: 1})
	_, now := b.Now(w.Context())
	_, sweep := b.Sweep(w.Context(), 1)
	for i, err := range []error{read, commit, list, now, sweep} {
		if !errors.Is(err, storage.ErrUnavailable) {
			w.Errorf("call %d on a closed store returned %v, want ErrUnavailable", i, err)
		}
	}
	w.wants(alice, "a", "")
}
