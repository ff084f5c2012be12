package keys

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
)

// atOnce runs n acts at the same moment and counts how each came out.
func atOnce(t *testing.T, n int, act func(i int) error) map[error]int {
	t.Helper()
	var all sync.WaitGroup
	start, errs := make(chan struct{}), make([]error, n)
	for i := range n {
		all.Go(func() { <-start; errs[i] = act(i) })
	}
	close(start)
	all.Wait()
	count := make(map[error]int)
	for _, err := range errs {
		switch {
		case errors.Is(err, ErrChanged):
			err = ErrChanged
		case errors.Is(err, ErrUnknownKey):
			err = ErrUnknownKey
		case err != nil:
			t.Error(err)
		}
		count[err]++
	}
	return count
}

// Of many that have looked at the same ring, on two nodes, one rotates: each of the
// others would replace the key of the one before.
func TestOfManyWhoSawTheSameRingOneRotates(t *testing.T) {
	a, c := newRing(t, Config{})
	nodes := []*Ring{a, openRing(t, a.store, c, Config{})}
	c.pass(time.Hour) // the next key is known by now, and takes over at once
	for _, now := range []bool{false, true} {
		before := a.snap.Load()
		seen := Line(a.List(c.Now()), UseSig)
		next := before.waiting(UseSig).ID
		got := atOnce(t, 32, func(i int) error {
			k, err := nodes[i%2].RotateSeen(t.Context(), UseSig, now, seen)
			if err == nil && k.KeyID != next {
				t.Errorf("it returned %s, not %s", k.KeyID, next)
			}
			return err
		})
		if got[nil] != 1 || got[ErrChanged] != 31 {
			t.Errorf("now %v: %v", now, got)
		}
		after, err := a.load(t.Context())
		if err != nil || after.current(c.Now(), UseSig).ID != next || len(after.all) != len(before.all)+1 {
			t.Errorf("now %v: %d keys, before %d; %v", now, len(after.all), len(before.all), err)
		}
		c.pass(time.Hour)
	}
}

// A line tells apart all that a rotation hangs on.
func TestLineIsAnotherOnceAKeyTakesOverOrGoes(t *testing.T) {
	r, c := newRing(t, Config{})
	lines := map[string]bool{}
	another := func(what string) {
		t.Helper()
		line := Line(r.List(c.Now()), UseSig)
		if line == "" || lines[line] {
			t.Errorf("%s: the line is that of before: %q", what, line)
		}
		lines[line] = true
	}
	another("at first")
	mustRotate(t, r, UseSig, false)
	another("a rotation is planned")
	c.pass(time.Hour)
	another("the key has taken over")
	if _, _, err := r.Remove(t.Context(), r.snap.Load().waiting(UseSig).ID); err != nil {
		t.Fatal(err)
	}
	another("the next one is another")
	mustRotate(t, r, UseStatus, true)
	mustRotate(t, r, UseRefresh, true)
	if line := Line(r.List(c.Now()), UseSig); !lines[line] {
		t.Error("what happens to keys of other uses is in it")
	}
}

func TestOfManyWhoSawTheSameKeyOneRemovesIt(t *testing.T) {
	a, c := newRing(t, Config{})
	nodes := []*Ring{a, openRing(t, a.store, c, Config{})}
	old := a.snap.Load().current(c.Now(), UseSig).ID
	mustRotate(t, a, UseSig, true)
	if _, _, err := a.RemoveSeen(t.Context(), old, Current); !errors.Is(err, ErrChanged) || a.snap.Load().keys[old] == nil {
		t.Fatalf("it signed when it was looked at, and does not any more: %v", err)
	}
	got := atOnce(t, 16, func(i int) error {
		_, _, err := nodes[i%2].RemoveSeen(t.Context(), old, Retired)
		return err
	})
	if got[nil] != 1 || got[ErrUnknownKey] != 15 {
		t.Errorf("%v", got)
	}
}

// silent is a store that does not say what became of a commit, once.
type silent struct {
	storage.Backend
	next atomic.Bool
}

func (s *silent) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	v, err := s.Backend.Commit(ctx, c)
	if err == nil && s.next.CompareAndSwap(true, false) {
		return 0, storage.ErrUnknown
	}
	return v, err
}

// A change of our own that came through unheard is no one else's.
func TestUnheardChangeOfTheRingIsOurs(t *testing.T) {
	c := newClock()
	s := &silent{Backend: openBackend(t, c)}
	r := openRing(t, storage.New(s), c, Config{})
	for _, now := range []bool{false, true} { // planned, then brought forward
		next := r.snap.Load().waiting(UseSig)
		if now {
			next = r.snap.Load().scheduled(c.Now(), UseSig)
		}
		s.next.Store(true)
		if k, err := r.RotateSeen(t.Context(), UseSig, now, Line(r.List(c.Now()), UseSig)); err != nil || k.KeyID != next.ID || s.next.Load() {
			t.Fatalf("now %v: %+v, %v", now, k, err)
		}
	}
	waiting := r.snap.Load().waiting(UseSig).ID
	s.next.Store(true)
	if k, _, err := r.RemoveSeen(t.Context(), waiting, Next); err != nil || k.KeyID != waiting || s.next.Load() {
		t.Errorf("%+v, %v", k, err)
	}
}
