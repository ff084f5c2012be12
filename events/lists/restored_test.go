package lists

import (
	"errors"
	"testing"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// restored writes down that the store was put back from a copy of ago.
func (w *world) restored(ago time.Duration) storage.Restored {
	now := w.clock.Now()
	r := storage.Restored{
		At: now, From: uint32(now.Add(-ago).Unix()), Through: uint32(now.Unix()) + status.MostAhead, Until: now.Add(storage.Day + status.Grace),
	}
	w.commit(storage.SystemPartition, storage.Put{Key: storage.SystemKey, Value: storage.Encode(storage.System{Epoch: 1, Restored: &r})})
	return r
}

// After a restore the lists of before say that all is revoked, whether the
// store has heard of them or not, and nobody gets a place in one of them.
func TestListsOfBeforeARestoreAreRevoked(t *testing.T) {
	w := newWorld(t)
	known, _ := w.token()
	if w.latest(known.List).has(t, known.Index) {
		t.Fatal("a new token is revoked")
	}
	w.clock.pass(time.Hour)
	r := w.restored(30 * time.Minute)
	w.Publisher = newPublisher(w.cfg) // nothing runs while a store is restored
	for _, index := range []uint32{0, known.Index, 1<<16 - 1} {
		if !w.latest(known.List).has(t, index) {
			t.Errorf("place %d of a list of before is not revoked", index)
		}
	}
	for _, number := range []uint32{r.From, r.Through} {
		e := w.latest(number)
		for _, index := range []uint32{0, status.Places - 1} {
			if !e.has(t, index) {
				t.Errorf("place %d of a list that was forgotten is not revoked", index)
			}
		}
	}
	for _, number := range []uint32{r.From - 1, r.Through + 1} {
		if _, _, err := w.Latest(t.Context(), number); !errors.Is(err, ErrUnknown) {
			t.Errorf("list %d, which never was, returned %v", number, err)
		}
	}

	fresh := status.New(w.store, status.Config{Places: 1 << 16})
	defer fresh.Close()
	now := w.clock.Now()
	p, err := fresh.Next(t.Context(), now, now.Add(30*time.Minute))
	must(t, err)
	if p.List <= r.Through {
		t.Errorf("a place in list %d was given, of which all up to %d are over", p.List, r.Through)
	}
	if w.latest(p.List).has(t, p.Index) {
		t.Error("a token of after the restore is revoked")
	}

	w.clock.pass(storage.Day + status.Grace)
	w.Publisher = newPublisher(w.cfg)
	if _, _, err := w.Latest(t.Context(), r.From); !errors.Is(err, ErrUnknown) {
		t.Errorf("a list whose tokens have all expired returned %v", err)
	}
}
