package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"jeton/storage"
)

var listChecks = []check{
	{"list/in the order of sort, partition, kind and id", sorted},
	{"list/a prefix is taken literally", prefixes},
	{"list/from a sort on", froms},
	{"list/one partition alone", one},
	{"list/pages join without gap or repetition", pages},
	{"list/paging while rows come and go", moving},
	{"list/a foreign cursor is refused", foreign},
}

// sorts holds texts that a store might order otherwise than byte by byte.
var sorts = []string{"", "\x01", " ", "!", "/", "0", "A", "Z", "a", "a\x01", "a!", "a/b", "aa", "b", "~", "é", "☕", "\xf5", "\xff", "\xff\xff"}

func sorted(w *world) {
	var want []string
	for i := range sorts {
		want = append(want, fmt.Sprintf("u/alice/%02d", i), fmt.Sprintf("u/bob/%02d", i))
	}
	for _, p := range []storage.Partition{bob, alice} {
		for i := len(sorts) - 1; i >= 0; i-- {
			w.put(p, put(fmt.Sprintf("%02d", i), "1", entry("i", sorts[i])))
		}
	}
	w.lists(storage.Query{Index: "i"}, want...)
	w.lists(storage.Query{Index: "i", Partition: bob}, filter(want, "u/bob/")...)

	// Equal sorts: partition, then kind, then id.
	for _, k := range []storage.Key{{Kind: "b", ID: "1"}, {Kind: "a", ID: "2"}, {Kind: "a", ID: "10"}} {
		w.put(bob, storage.Put{Key: k, Index: []storage.Entry{entry("tie", "x")}})
		w.put(alice, storage.Put{Key: k, Index: []storage.Entry{entry("tie", "x")}})
	}
	w.lists(storage.Query{Index: "tie"}, "u/alice/10", "u/alice/2", "u/alice/1", "u/bob/10", "u/bob/2", "u/bob/1")
}

func filter(all []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, prefix) })
}

func prefixes(w *world) {
	texts := append(slices.Clone(sorts), "a%", "a_", "a*", "[a", "a\\", "(a")
	slices.Sort(texts)
	for i, text := range texts {
		w.put(alice, put(fmt.Sprintf("%02d", i), "1", entry("i", text), entry("ia", text)))
	}
	for _, prefix := range append(slices.Clone(texts), "c", "a!!", "\xff\xff\xff") {
		var want []string
		for i, text := range texts {
			if strings.HasPrefix(text, prefix) {
				want = append(want, fmt.Sprintf("u/alice/%02d", i))
			}
		}
		w.lists(storage.Query{Index: "i", Prefix: prefix}, want...)
		w.lists(storage.Query{Index: "i", Prefix: prefix, Partition: alice}, want...)
		if got := w.walk(storage.Query{Index: "i", Prefix: prefix, Limit: 2}); !slices.Equal(got, want) {
			w.Errorf("pages of prefix %q gave %v, want %v", prefix, got, want)
		}
	}
}

// froms are what a listing begins with: the sort itself and all after it, of
// those with the prefix.
func froms(w *world) {
	texts := append(slices.Clone(sorts), "a%", "b0", "b1")
	slices.Sort(texts)
	for i, text := range texts {
		w.put(alice, put(fmt.Sprintf("%02d", i), "1", entry("i", text), entry("ia", text)))
	}
	for _, from := range append(slices.Clone(texts), "c", "a!!", "b00", "\xff\xff\xff") {
		for _, prefix := range []string{"", "a", "b", "\xff"} {
			var want []string
			for i, text := range texts {
				if text >= from && strings.HasPrefix(text, prefix) {
					want = append(want, fmt.Sprintf("u/alice/%02d", i))
				}
			}
			w.lists(storage.Query{Index: "i", From: from, Prefix: prefix}, want...)
			w.lists(storage.Query{Index: "i", From: from, Prefix: prefix, Partition: alice}, want...)
			if got := w.walk(storage.Query{Index: "i", From: from, Prefix: prefix, Limit: 2}); !slices.Equal(got, want) {
				w.Errorf("pages from %q of prefix %q gave %v, want %v", from, prefix, got, want)
			}
		}
	}
}

func one(w *world) {
	for i := range 10 {
		for _, p := range []storage.Partition{alice, bob, "u/alice2", "u/a"} {
			w.put(p, put(id("", i), "1", entry("i", id("", i))))
		}
	}
	var want []string
	for i := range 10 {
		want = append(want, "u/alice/"+id("", i))
	}
	w.lists(storage.Query{Index: "i", Partition: alice}, want...)
	w.lists(storage.Query{Index: "i", Partition: alice, Prefix: "003"}, want[3])
	w.lists(storage.Query{Index: "i", Partition: "u/nobody"})
	if got := w.walk(storage.Query{Index: "i", Partition: alice, Limit: 3}); !slices.Equal(got, want) {
		w.Errorf("pages of one partition gave %v, want %v", got, want)
	}
}

// walk reads all pages of a query.
func (w *world) walk(q storage.Query) (all []string) {
	w.Helper()
	for range 10_000 {
		page := w.list(q)
		all = append(all, names(page.Rows)...)
		if page.Next == "" {
			return all
		}
		q.After = page.Next
	}
	w.Fatalf("paging does not come to an end")
	return nil
}

func pages(w *world) {
	var want []string
	for i := range 12 {
		for _, p := range []storage.Partition{alice, bob} {
			w.put(p, put(id("", i), "1", entry("i", []string{"x", "y", "z"}[i%3])))
		}
	}
	want = names(w.list(storage.Query{Index: "i"}).Rows)
	if len(want) != 24 {
		w.Fatalf("one page of all has %d rows, want 24", len(want))
	}
	for _, limit := range []int{1, 2, 5, 7, 23, 24, 25} {
		if got := w.walk(storage.Query{Index: "i", Limit: limit}); !slices.Equal(got, want) {
			w.Errorf("pages of %d gave %v, want %v", limit, got, want)
		}
	}
}

// moving pages through an index while another handle changes it. Rows that
// stay are seen exactly once, whatever happens around them.
func moving(w *world) {
	writer := w.open()
	var stay []string
	for i := range 60 {
		w.put(alice, put(id("stay", i), "0", entry("i", id("", i))))
		stay = append(stay, "u/alice/"+id("stay", i))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 150 {
			c := storage.Change{Partition: alice,
				Puts:    []storage.Put{put(id("stay", n%60), fmt.Sprint(n)), put(id("come", n%7), "1", entry("i", id("", n*37%60)+"+"))},
				Deletes: []storage.Key{key(id("come", (n+3)%7))}}
			if _, err := writer.Commit(w.Context(), c); err != nil {
				w.Errorf("Commit: %v", err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if got := filter(w.walk(storage.Query{Index: "i", Limit: 7}), "u/alice/stay"); !slices.Equal(got, stay) {
			w.Errorf("paging saw %d of %d rows that stayed: %v", len(got), len(stay), got)
			break
		}
	}
	<-done
}

func foreign(w *world) {
	w.put(alice, put("a", "1", entry("i", "1")))
	for _, cursor := range []string{"!", "x", "AAAA", "////", strings.Repeat("A", 5000), "\x00"} {
		if page, err := w.b.List(w.Context(), storage.Query{Index: "i", After: cursor, Limit: 1}); !errors.Is(err, storage.ErrCursor) {
			w.Errorf("cursor %.10q: %v, and gave %v, want ErrCursor", cursor, err, names(page.Rows))
		}
	}
}
