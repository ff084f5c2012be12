package storagetest

import (
	"errors"

	"jeton/storage"
)

var indexChecks = []check{
	{"index/nil keeps the entries of a row", kept},
	{"index/entries are replaced as a whole", replaced},
	{"index/an empty list removes them", emptied},
	{"index/a deleted row is in no index", unlisted},
	{"index/a row may stand at several places", several},
	{"index/a listed row is the whole row", whole},
}

func kept(w *world) {
	w.put(alice, put("a", "1", entry("i", "1"), entry("j", "1")))
	v := w.put(alice, put("a", "2"))
	for _, index := range []string{"i", "j"} {
		w.lists(storage.Query{Index: index}, "u/alice/a")
		if page := w.list(storage.Query{Index: index}); len(page.Rows) == 1 && page.Rows[0].Version != v {
			w.Errorf("index %s shows version %d, want %d", index, page.Rows[0].Version, v)
		}
	}
}

func replaced(w *world) {
	w.put(alice, put("a", "1", entry("i", "1"), entry("j", "1")), put("b", "1", entry("i", "2")))
	w.put(alice, put("a", "2", entry("i", "3"), entry("k", "1")))
	w.lists(storage.Query{Index: "i"}, "u/alice/b", "u/alice/a")
	w.lists(storage.Query{Index: "i", Prefix: "1"})
	w.lists(storage.Query{Index: "j"})
	w.lists(storage.Query{Index: "j", Partition: alice})
	w.lists(storage.Query{Index: "k"}, "u/alice/a")
	w.put(alice, put("a", "3", entry("k", "1"), entry("i", "3"))) // the same in another order
	w.lists(storage.Query{Index: "i"}, "u/alice/b", "u/alice/a")
	w.lists(storage.Query{Index: "k"}, "u/alice/a")
}

func emptied(w *world) {
	w.put(alice, put("a", "1", entry("i", "1"), entry("j", "1")))
	w.put(alice, storage.Put{Key: key("a"), Value: []byte("2"), Index: []storage.Entry{}})
	w.lists(storage.Query{Index: "i"})
	w.lists(storage.Query{Index: "j", Partition: alice})
	w.wants(alice, "a", "2")
	w.put(alice, put("a", "3"))
	w.lists(storage.Query{Index: "i"})
}

func unlisted(w *world) {
	w.put(alice, put("a", "1", entry("i", "1"), entry("j", "1")), put("b", "1", entry("i", "2")))
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a")}})
	w.lists(storage.Query{Index: "i"}, "u/alice/b")
	w.lists(storage.Query{Index: "j", Partition: alice})
	// A row of the same name inherits nothing.
	w.put(alice, put("a", "2"))
	w.lists(storage.Query{Index: "i"}, "u/alice/b")
	w.lists(storage.Query{Index: "j"})
}

func several(w *world) {
	w.put(alice, put("a", "1", entry("i", "1"), entry("i", "3"), entry("i", "1"), entry("j", "")), put("b", "1", entry("i", "2")))
	w.lists(storage.Query{Index: "i"}, "u/alice/a", "u/alice/b", "u/alice/a")
	w.lists(storage.Query{Index: "j"}, "u/alice/a")
	w.lists(storage.Query{Index: ""})
	w.commit(storage.Change{Partition: alice, Deletes: []storage.Key{key("a")}})
	w.lists(storage.Query{Index: "i"}, "u/alice/b")
	if _, err := w.b.List(w.Context(), storage.Query{Index: "i"}); err == nil || errors.Is(err, storage.ErrConflict) {
		w.Errorf("List without a limit returned %v, want a refusal", err)
	}
}

func whole(w *world) {
	p := put("a", "1", entry("i", "1"))
	p.Expires = w.clock.now().Add(1000 * hour)
	v := w.put(alice, p)
	page := w.list(storage.Query{Index: "i"})
	if len(page.Rows) != 1 {
		w.Fatalf("List returned %d rows, want 1", len(page.Rows))
	}
	r := page.Rows[0]
	if r.Partition != alice || r.Key != key("a") || string(r.Value) != "1" || r.Version != v || !r.Expires.Equal(p.Expires) {
		w.Errorf("List returned %+v", r)
	}
	if !page.Now.Equal(w.clock.now()) {
		w.Errorf("List was at %v, the store's time is %v", page.Now, w.clock.now())
	}
}
