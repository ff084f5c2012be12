package storagetest

import (
	"context"
	"errors"
	"sync"

	"jeton/storage"
)

var commitChecks = []check{
	{"commit/the puts carry the version it returns", versions},
	{"commit/no version is ever used again", fresh},
	{"commit/a row deleted and made again is another row", recreated},
	{"commit/a check holds for exactly one version", exact},
	{"commit/checks guard rows that are not written", guards},
	{"commit/a refused change leaves no trace", refused},
	{"commit/a delete removes, also what is not there", deletes},
	{"commit/a cancelled wait never writes a half", cancelled},
	{"commit/a context that has ended writes nothing", ended},
}

func versions(w *world) {
	v := w.put(alice, put("a", "1"), put("b", "1"))
	for _, row := range w.read(alice, "a", "b") {
		if v == 0 || row.Version != v {
			w.Errorf("%s has version %d, Commit returned %d", row.ID, row.Version, v)
		}
	}
	next := w.put(alice, put("b", "1"))
	if rows := w.read(alice, "a", "b"); next == v || rows[0].Version != v || rows[1].Version != next {
		w.Errorf("after a put of b alone as version %d: a is at %d, b at %d, both were at %d", next, rows[0].Version, rows[1].Version, v)
	}
}

func fresh(w *world) {
	seen := make(map[uint64]bool)
	note := func(v uint64) {
		if v == 0 || seen[v] {
			w.Errorf("version %d was used before", v)
		}
		seen[v] = true
	}
	for range 10 {
		note(w.put(alice, put("a", "same")))
		w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a")}})
		w.conflict(storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("a"), Version: 1}}, Puts: []storage.Put{put("a", "no")}})
		note(w.put(alice, put("a", "same")))
		w.b = w.open() // nor by a handle that has not seen the others
	}
}

// recreated is the ABA problem: whoever read the first row must not mistake
// the second for it.
func recreated(w *world) {
	v := w.put(alice, put("a", "same"))
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a")}})
	w.put(alice, put("a", "same"))
	w.conflict(storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("a"), Version: v}}, Puts: []storage.Put{put("a", "mistaken")}})
	w.wants(alice, "a", "same")
}

func exact(w *world) {
	guarded := func(v uint64, value string) storage.Change {
		return storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("a"), Version: v}}, Puts: []storage.Put{put("a", value)}}
	}
	w.conflict(guarded(1, "absent"))
	w.conflict(guarded(1<<63+5, "absent"))
	first := w.commit(guarded(0, "first"))
	w.conflict(guarded(0, "again"))
	second := w.commit(guarded(first, "second"))
	for _, v := range []uint64{0, first, second + 1, second - 1, 1 << 63} {
		if v != second {
			w.conflict(guarded(v, "wrong"))
		}
	}
	w.wants(alice, "a", "second")
	w.commit(guarded(second, "third"))
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a")}})
	w.conflict(guarded(second, "dead"))
	w.commit(guarded(0, "fourth"))
	w.wants(alice, "a", "fourth")
}

func guards(w *world) {
	user := w.put(alice, put("user", "enabled"))
	mint := storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("user"), Version: user}}, Puts: []storage.Put{put("session", "1")}}
	w.commit(mint)
	w.put(alice, put("user", "disabled"))
	mint.Puts[0] = put("session", "2")
	w.conflict(mint)
	w.wants(alice, "session", "1")
	w.conflict(storage.Change{Partition: alice, Checks: mint.Checks}) // also when it writes nothing
	w.commit(storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("user"), Version: w.read(alice, "user")[0].Version}}})
	w.commit(storage.Change{Partition: alice})
	w.wants(alice, "session", "1")
}

func refused(w *world) {
	v := w.put(alice, put("a", "1", entry("i", "a")), put("b", "1", entry("i", "b")))
	for _, at := range []int{0, 1, 2} { // the check that fails is first, between, last
		checks := []storage.Check{{Key: key("a"), Version: v}, {Key: key("b"), Version: v}, {Key: key("c"), Version: 0}}
		checks[at].Version = 1 << 40
		w.conflict(storage.Change{Partition: alice, Checks: checks, Deletes: []storage.Key{key("b")},
			Puts: []storage.Put{put("a", "2", entry("i", "z")), put("c", "2", entry("i", "c"))}})
	}
	for i, row := range w.read(alice, "a", "b", "c") {
		if want := []uint64{v, v, 0}[i]; row.Version != want {
			w.Errorf("%s is at version %d, want %d", row.ID, row.Version, want)
		}
	}
	w.lists(storage.Query{Index: "i"}, "u/alice/a", "u/alice/b")
}

func deletes(w *world) {
	w.put(alice, put("a", "1"), put("b", "1"))
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a"), key("never")}, Puts: []storage.Put{put("b", "2")}})
	w.wants(alice, "a", "")
	w.wants(alice, "b", "2")
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a")}})
}

// cancelled gives up commits at every moment of their life. One that says
// that nothing was written must be right for ever.
func cancelled(w *world) {
	const n = 200
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		ctx, cancel := context.WithCancel(w.Context())
		begun := make(chan struct{})
		all.Go(func() {
			close(begun)
			_, errs[i] = w.b.Commit(ctx, storage.Change{Partition: alice, Puts: []storage.Put{put(id("a", i), "1"), put(id("b", i), "1")}})
		})
		<-begun
		if i%5 == 0 { // else at once, hence before, within and after the write
			w.put(bob, put("other", id("x", i)))
		}
		cancel()
	}
	all.Wait()
	w.put(alice, put("last", "1")) // whatever was still on its way is done now
	for i, err := range errs {
		rows := w.read(alice, id("a", i), id("b", i))
		a, b := rows[0].Version != 0, rows[1].Version != 0
		switch {
		case a != b:
			w.Errorf("commit %d (%v) wrote a half", i, err)
		case err == nil && !a:
			w.Errorf("commit %d succeeded and wrote nothing", i)
		case errors.Is(err, storage.ErrUnavailable) && a:
			w.Errorf("commit %d wrote, and said that it did not: %v", i, err)
		case err != nil && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknown):
			w.Errorf("commit %d: %v, want nil, ErrUnavailable or ErrUnknown", i, err)
		}
	}
}

func ended(w *world) {
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	if _, err := w.b.Commit(ctx, storage.Change{Partition: alice, Puts: []storage.Put{put("a", "1")}}); !errors.Is(err, storage.ErrUnavailable) {
		w.Errorf("Commit returned %v, want ErrUnavailable", err)
	}
	if _, err := w.b.Read(ctx, alice, key("a")); !errors.Is(err, storage.ErrUnavailable) {
		w.Errorf("Read returned %v, want ErrUnavailable", err)
	}
	w.put(alice, put("b", "1"))
	w.wants(alice, "a", "")
}
