package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"jeton/storage"
)

var readChecks = []check{
	{"read/an absent row has version 0 and no value", absent},
	{"read/rows come in the order of the keys", order},
	{"read/what was written comes back", faithful},
	{"read/partitions share no rows", partitions},
	{"read/every handle sees what was committed before", visible},
	{"read/the rows are of one moment", moment},
	{"read/a bad key is refused", badKeys},
}

func absent(w *world) {
	w.put(alice, put("a", "1"))
	w.wants(alice, "b", "")
	row := w.read(alice, "b")[0]
	if row.Key != key("b") || row.Partition != alice {
		w.Errorf("the absent row is named %s %v", row.Partition, row.Key)
	}
}

func order(w *world) {
	w.put(alice, put("a", "1"), put("b", "2"), put("c", "3"))
	rows := w.read(alice, "c", "x", "a", "b", "a")
	for i, want := range []string{"3", "", "1", "2", "1"} {
		if got := string(rows[i].Value); got != want {
			w.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
}

func faithful(w *world) {
	values := map[string][]byte{
		"empty": {}, "binary": {0, 1, 0xff, 0, '\'', '%'}, "large": bytes.Repeat([]byte{0, 'x', 0xfe, '\n'}, 16<<10),
		"été ☕": []byte("unicode"), "a/b:c{d}*?": []byte("signs"), "invalid \xff utf-8": []byte("bytes"),
		strings.Repeat("l", 600): []byte("long"),
	}
	for id, value := range values {
		w.commit(storage.Change{Partition: alice, Puts: []storage.Put{{Key: key(id), Value: value}}})
	}
	for id, value := range values {
		row := w.read(alice, id)[0]
		if row.Version == 0 || row.Value == nil || !bytes.Equal(row.Value, value) {
			w.Errorf("%.20q came back as %.40q at version %d, want %.40q", id, row.Value, row.Version, value)
		}
	}
	w.commit(storage.Change{Partition: alice, Puts: []storage.Put{{Key: key("nil")}}})
	if row := w.read(alice, "nil")[0]; row.Version == 0 || row.Value == nil || len(row.Value) != 0 {
		w.Errorf("a row put without a value came back as %#v", row)
	}
}

func partitions(w *world) {
	w.put(alice, put("a", "hers"))
	w.wants(bob, "a", "")
	w.put(bob, put("a", "his"))
	w.wants(alice, "a", "hers")
	w.commit(storage.Change{Partition: bob, Deletes: []storage.Key{key("a")}})
	w.wants(alice, "a", "hers")
	w.put(alice, storage.Put{Key: storage.Key{Kind: "other", ID: "a"}, Value: []byte("another kind")})
	w.wants(alice, "a", "hers")
}

func visible(w *world) {
	other := w.open()
	for i := range 50 {
		writer, reader := w.b, other
		if i%2 == 1 {
			writer, reader = other, w.b
		}
		want := strconv.Itoa(i)
		v, err := writer.Commit(w.Context(), storage.Change{Partition: alice, Puts: []storage.Put{put("a", want, entry("i", want))}})
		if err != nil {
			w.Fatalf("Commit: %v", err)
		}
		row := w.readBy(reader, alice, "a")[0]
		if string(row.Value) != want || row.Version != v {
			w.Fatalf("after the commit of %q as version %d another handle reads %q at %d", want, v, row.Value, row.Version)
		}
		page, err := reader.List(w.Context(), storage.Query{Index: "i", Prefix: want, Limit: 1})
		if err != nil || len(page.Rows) != 1 || page.Rows[0].Version != v {
			w.Fatalf("after the commit of version %d another handle lists %+v, %v", v, page.Rows, err)
		}
	}
}

// moment writes the same number to rows of one partition, over and over:
// neither a Read nor a List of the partition may ever see two numbers.
func moment(w *world) {
	reader := w.open()
	ids := []string{"a", "b", "c", "d"}
	w.put(alice, numbered(ids, 0)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; n <= 150; n++ {
			if _, err := w.b.Commit(w.Context(), storage.Change{Partition: alice, Puts: numbered(ids, n)}); err != nil {
				w.Errorf("Commit: %v", err)
				return
			}
		}
	}()
	for {
		same(w, "Read", w.readBy(reader, alice, ids...), len(ids))
		page, err := reader.List(w.Context(), storage.Query{Index: "i", Partition: alice, Limit: 10})
		if err != nil {
			w.Errorf("List: %v", err)
		}
		same(w, "List", page.Rows, len(ids))
		select {
		case <-done:
			return
		default:
		}
	}
}

// numbered puts n into all rows, and swaps their places in the index with
// each n.
func numbered(ids []string, n int) []storage.Put {
	var puts []storage.Put
	for i, id := range ids {
		puts = append(puts, put(id, strconv.Itoa(n), entry("i", fmt.Sprint((i+n)%len(ids)))))
	}
	return puts
}

func same(w *world, what string, rows []storage.Row, want int) {
	if len(rows) != want {
		w.Errorf("%s returned %d rows of %d", what, len(rows), want)
		return
	}
	for _, r := range rows {
		if string(r.Value) != string(rows[0].Value) || r.Version != rows[0].Version {
			w.Errorf("%s mixes two moments: %q at %d beside %q at %d", what, r.Value, r.Version, rows[0].Value, rows[0].Version)
		}
	}
}

// unusable keys have what no key may have.
var unusable = []storage.Key{{}, {Kind: "k"}, {ID: "a"}, {Kind: "k", ID: "a\x00"}, {Kind: "\x00", ID: "a"}, {Kind: "k", ID: "\x00"}}

func badKeys(w *world) {
	w.put(alice, put("a", "1"))
	for _, bad := range unusable {
		if _, err := w.b.Read(w.Context(), alice, key("a"), bad); !errors.Is(err, storage.ErrInvalid) || errors.Is(err, storage.ErrUnavailable) {
			w.Errorf("Read of %q returned %v, want ErrInvalid", bad, err)
		}
		for what, c := range map[string]storage.Change{
			"put":    {Puts: []storage.Put{{Key: bad, Value: []byte("2")}}},
			"delete": {Deletes: []storage.Key{bad}},
			"check":  {Checks: []storage.Check{{Key: bad}}},
		} {
			c.Partition = alice
			c.Puts = append([]storage.Put{put("a", "2")}, c.Puts...)
			if _, err := w.b.Commit(w.Context(), c); !errors.Is(err, storage.ErrInvalid) || errors.Is(err, storage.ErrUnavailable) {
				w.Errorf("%s of %q returned %v, want ErrInvalid", what, bad, err)
			}
		}
	}
	w.wants(alice, "a", "1")
}
