package storagetest

import (
	"errors"
	"slices"
	"time"

	"jeton/storage"
)

// world is the store that a check works on.
type world struct {
	T
	clock    *clock
	patience time.Duration
	// b is the first handle; open opens another, which is closed at the end.
	b       storage.Backend
	open    func() storage.Backend
	handles []storage.Backend
}

// The partitions and keys that checks use when any will do.
const (
	alice storage.Partition = "u/alice"
	bob   storage.Partition = "u/bob"
)

func key(id string) storage.Key { return storage.Key{Kind: "k", ID: id} }

func put(id, value string, index ...storage.Entry) storage.Put {
	return storage.Put{Key: key(id), Value: []byte(value), Index: index}
}

func entry(name, sort string) storage.Entry { return storage.Entry{Name: name, Sort: sort} }

// commit applies a change that has to succeed.
func (w *world) commit(c storage.Change) uint64 {
	w.Helper()
	v, err := w.b.Commit(w.Context(), c)
	if err != nil {
		w.Fatalf("Commit: %v", err)
	}
	return v
}

func (w *world) put(p storage.Partition, puts ...storage.Put) uint64 {
	w.Helper()
	return w.commit(storage.Change{Partition: p, Puts: puts})
}

// conflict applies a change that has to be refused.
func (w *world) conflict(c storage.Change) {
	w.Helper()
	if _, err := w.b.Commit(w.Context(), c); !errors.Is(err, storage.ErrConflict) {
		w.Errorf("Commit returned %v, want ErrConflict", err)
	}
}

func (w *world) read(p storage.Partition, ids ...string) []storage.Row {
	w.Helper()
	return w.readBy(w.b, p, ids...)
}

func (w *world) readBy(b storage.Backend, p storage.Partition, ids ...string) []storage.Row {
	w.Helper()
	keys := make([]storage.Key, len(ids))
	for i, id := range ids {
		keys[i] = key(id)
	}
	snap, err := b.Read(w.Context(), p, keys...)
	if err != nil {
		w.Fatalf("Read: %v", err)
	}
	if len(snap.Rows) != len(ids) {
		w.Fatalf("Read of %d keys returned %d rows", len(ids), len(snap.Rows))
	}
	return snap.Rows
}

// wants checks the value of a row; "" is an absent one.
func (w *world) wants(p storage.Partition, id, value string) {
	w.Helper()
	row := w.read(p, id)[0]
	if value == "" && (row.Version != 0 || row.Value != nil) {
		w.Errorf("%s %s is there with %q at version %d, want it absent", p, id, row.Value, row.Version)
	}
	if value != "" && (row.Version == 0 || string(row.Value) != value) {
		w.Errorf("%s %s is %q at version %d, want %q", p, id, row.Value, row.Version, value)
	}
}

// list returns a page that has to come.
func (w *world) list(q storage.Query) storage.Page {
	w.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	page, err := w.b.List(w.Context(), q)
	if err != nil {
		w.Fatalf("List: %v", err)
	}
	if len(page.Rows) > q.Limit {
		w.Errorf("List with limit %d returned %d rows", q.Limit, len(page.Rows))
	}
	return page
}

// lists checks the rows of a query, each written as "partition/id".
func (w *world) lists(q storage.Query, want ...string) {
	w.Helper()
	if got := names(w.list(q).Rows); !slices.Equal(got, want) {
		w.Errorf("List %+v returned %v, want %v", q, got, want)
	}
}

func names(rows []storage.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, string(r.Partition)+"/"+r.ID)
	}
	return out
}
