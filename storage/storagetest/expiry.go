package storagetest

import (
	"time"

	"jeton/storage"
)

const hour = time.Hour

var expiryChecks = []check{
	{"expiry/a row counts as absent from that moment on", expires},
	{"expiry/a check sees version 0", expiredCheck},
	{"expiry/a row made again inherits nothing", reborn},
	{"expiry/a put moves or removes it", moved},
	{"expiry/Sweep removes what has expired and nothing else", sweeps},
	{"expiry/Now is the store's time", now},
}

// mortal is a row that lives an hour.
func (w *world) mortal(id string) storage.Put {
	p := put(id, "1", entry("i", id))
	p.Expires = w.clock.now().Add(hour)
	return p
}

func expires(w *world) {
	w.put(alice, w.mortal("a"), put("b", "1", entry("i", "b")))
	w.clock.advance(hour - time.Millisecond)
	w.wants(alice, "a", "1")
	w.lists(storage.Query{Index: "i"}, "u/alice/a", "u/alice/b")
	w.clock.advance(time.Millisecond)
	w.wants(alice, "a", "")
	w.lists(storage.Query{Index: "i"}, "u/alice/b")
	w.lists(storage.Query{Index: "i", Partition: alice, Limit: 1}, "u/alice/b")
	w.clock.advance(100 * 365 * 24 * hour)
	w.wants(alice, "b", "1")
}

func expiredCheck(w *world) {
	v := w.put(alice, w.mortal("a"))
	w.clock.advance(hour)
	w.conflict(storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("a"), Version: v}}, Puts: []storage.Put{put("b", "1")}})
	w.wants(alice, "b", "")
	w.commit(storage.Change{Partition: alice, Checks: []storage.Check{{Key: key("a"), Version: 0}}, Puts: []storage.Put{put("b", "1")}})
}

func reborn(w *world) {
	for _, swept := range []bool{false, true} {
		row := map[bool]string{false: "a", true: "b"}[swept]
		old := w.put(alice, w.mortal(row))
		w.clock.advance(hour)
		if swept {
			w.sweep(10)
		}
		create := storage.Change{Partition: alice, Checks: []storage.Check{{Key: key(row), Version: 0}}, Puts: []storage.Put{put(row, "2")}}
		if v := w.commit(create); v == old {
			w.Errorf("version %d was used before", v)
		}
		w.conflict(create)
		w.wants(alice, row, "2")
		w.lists(storage.Query{Index: "i"}) // nil keeps the entries it has: none
		w.clock.advance(10 * hour)
		w.wants(alice, row, "2")
	}
	w.put(alice, w.mortal("c"))
	w.clock.advance(hour)
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("c")}})
	w.wants(alice, "c", "")
}

func moved(w *world) {
	w.put(alice, w.mortal("later"), w.mortal("never"), w.mortal("sooner"), put("now", "1", entry("i", "now")))
	later, sooner, past := put("later", "2"), put("sooner", "2"), put("now", "2")
	later.Expires = w.clock.now().Add(2 * hour)
	sooner.Expires = w.clock.now().Add(hour / 2)
	past.Expires = w.clock.now()
	w.put(alice, later, sooner, past, put("never", "2"))
	w.wants(alice, "now", "")
	w.clock.advance(hour / 2)
	w.wants(alice, "sooner", "")
	w.clock.advance(hour)
	w.wants(alice, "later", "2")
	w.lists(storage.Query{Index: "i"}, "u/alice/later", "u/alice/never")
	w.clock.advance(hour)
	w.lists(storage.Query{Index: "i"}, "u/alice/never")
}

func (w *world) sweep(limit int) int {
	w.Helper()
	n, err := w.b.Sweep(w.Context(), limit)
	if err != nil {
		w.Fatalf("Sweep: %v", err)
	}
	if n > limit {
		w.Errorf("Sweep of %d removed %d", limit, n)
	}
	return n
}

// sweeps leaves it to the backend to have removed some rows by itself: it may
// report fewer than have expired, never more.
func sweeps(w *world) {
	const rows = 150
	var all, longer []storage.Put
	for i := range rows {
		all = append(all, w.mortal(id("dead", i)), w.mortal(id("dies", i)), put(id("stays", i), "1", entry("i", id("stays", i))))
		p := put(id("dies", i), "1")
		p.Expires = w.clock.now().Add(2 * hour)
		longer = append(longer, p)
	}
	w.put(alice, all...)
	if n := w.sweep(1000); n != 0 {
		w.Errorf("Sweep removed %d rows of which none had expired", n)
	}
	w.put(alice, longer...)
	w.clock.advance(hour)
	if n := w.sweep(0); n != 0 {
		w.Errorf("Sweep of 0 removed %d", n)
	}
	total := w.sweep(40)
	for {
		n := w.sweep(1000)
		if n == 0 {
			break
		}
		total += n
	}
	if total > rows {
		w.Errorf("Sweep removed %d rows of which %d had expired", total, rows)
	}
	for i := range rows {
		w.wants(alice, id("dead", i), "")
		w.wants(alice, id("dies", i), "1")
		w.wants(alice, id("stays", i), "1")
	}
	if got := len(w.list(storage.Query{Index: "i"}).Rows); got != 2*rows {
		w.Errorf("the index has %d rows, want %d", got, 2*rows)
	}
}

func now(w *world) {
	for range 3 {
		at, err := w.b.Now(w.Context())
		if err != nil || !at.Equal(w.clock.now()) || at.Location() != time.UTC {
			w.Errorf("Now is %v, %v, want %v", at, err, w.clock.now())
		}
		snap, err := w.b.Read(w.Context(), alice, key("a"))
		if err != nil || !snap.Now.Equal(w.clock.now()) {
			w.Errorf("Read was at %v, %v, want %v", snap.Now, err, w.clock.now())
		}
		w.clock.advance(90 * time.Minute)
	}
}
