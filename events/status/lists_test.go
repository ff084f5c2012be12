package status

import (
	"testing"
	"time"

	"jeton/storage"
)

func readList(t testing.TB, s *storage.Store, number uint32) storage.StatusList {
	t.Helper()
	partition, key := ListKey(number)
	snap, err := s.Read(t.Context(), partition, key)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := storage.Decode[storage.StatusList](snap.Rows[0])
	if err != nil {
		t.Fatal(err)
	}
	return rec.Value
}

func count(t testing.TB, s *storage.Store, index string) int {
	t.Helper()
	n := 0
	err := s.AllByIndex(t.Context(), storage.Query{Index: index}, func(storage.Row) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func next(t testing.TB, a *Allocator, now time.Time, life time.Duration) Place {
	t.Helper()
	p, err := a.Next(t.Context(), now, now.Add(life))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestL16_TokensEndBeforeTheirList(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	last := make(map[uint32]time.Time)
	for range 300 { // ten days
		for _, life := range []time.Duration{time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour, 60 * storage.Day} {
			p := next(t, a, c.now(), life)
			exp := c.now().Add(life)
			if l := readList(t, s, p.List); exp.After(l.Ends) {
				t.Fatalf("a token that lives to %v is in list %d that ends at %v", exp, p.List, l.Ends)
			}
			last[p.List] = later(last[p.List], exp)
		}
		c.advance(48 * time.Minute)
	}
	var lists []storage.StatusList
	for number := range last {
		if l := readList(t, s, number); l.Number != 0 {
			lists = append(lists, l)
		}
	}
	short := 0
	for _, l := range lists {
		if l.Ends.Sub(l.Opened) > 3*storage.Day {
			continue
		}
		short++
		if l.Opened.Before(c.now().Add(-3 * storage.Day)) {
			t.Errorf("list %d of short tokens has not retired: %v to %v", l.Number, l.Opened, l.Ends)
		}
	}
	if short == 0 || short == len(last) {
		t.Errorf("%d lists of short tokens among %d", short, len(last))
	}
	if n := count(t, s, IndexLists); n != len(lists) {
		t.Errorf("the index holds %d lists, %d live", n, len(lists))
	}
}

func TestL16_ListsRetire(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	p := next(t, a, c.now(), time.Hour)
	ends := readList(t, s, p.List).Ends
	if want := c.now().Add(25 * time.Hour); !ends.Equal(want) {
		t.Errorf("the list ends at %v, want %v: a day of leases and an hour for the last token", ends, want)
	}
	if l := readList(t, s, p.List); Size(l)%8 != 0 {
		t.Errorf("the list has %d places, want whole bytes", Size(l))
	}

	c.advance(24*time.Hour - time.Second)
	if q := next(t, a, c.now(), time.Hour); q.List != p.List {
		t.Errorf("list %d instead of %d, which is open still", q.List, p.List)
	}
	c.advance(2 * time.Second)
	if q := next(t, a, c.now(), time.Hour); q.List == p.List {
		t.Errorf("list %d has no room until %v", p.List, c.now().Add(time.Hour))
	}
	c.advance(ends.Sub(c.now()) + Grace - time.Second)
	if readList(t, s, p.List).Number != p.List {
		t.Error("the list is gone while clocks that run behind accept its tokens")
	}
	c.advance(2 * time.Second)
	if l := readList(t, s, p.List); l.Number != 0 {
		t.Errorf("the list is still there: %+v", l.Number)
	}
}

func TestExpiryBeyondOpenListsOpensALaterOne(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	short := next(t, a, c.now(), time.Hour)
	long := next(t, a, c.now(), 30*storage.Day)
	if short.List == long.List {
		t.Fatalf("both in list %d", short.List)
	}
	if l := readList(t, s, long.List); l.Ends.Before(c.now().Add(30 * storage.Day)) {
		t.Errorf("list %d ends at %v", l.Number, l.Ends)
	}
	// A clock of this node that runs ahead of the store's must not matter.
	ahead, err := a.Next(t.Context(), c.now().Add(40*time.Hour), c.now().Add(41*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if l := readList(t, s, ahead.List); l.Ends.Before(c.now().Add(41 * time.Hour)) {
		t.Errorf("list %d ends at %v, before its token", l.Number, l.Ends)
	}
	// A second node finds the lists that are open.
	b := allocator(t, s, Config{})
	if p := next(t, b, c.now(), time.Hour); p.List != short.List {
		t.Errorf("another node opened list %d, want %d", p.List, short.List)
	}
	if p := next(t, b, c.now(), 30*storage.Day); p.List != long.List {
		t.Errorf("another node opened list %d, want %d", p.List, long.List)
	}
	if _, err := a.Next(t.Context(), c.now(), c.now().Add(200*365*storage.Day)); err == nil {
		t.Error("a token that lives for 200 years got a place")
	}
}

func TestFullListIsFollowedByAnother(t *testing.T) {
	s, c := open(t, t.TempDir())
	const places = 8 * BlockSize
	a := allocator(t, s, Config{Places: places})
	per := make(map[uint32]int)
	var all seen
	for range 3 * places {
		p := next(t, a, c.now(), time.Hour)
		all.add(t, p, "token")
		per[p.List]++
		if p.Index >= places {
			t.Fatalf("%v is outside its list of %d", p, places)
		}
	}
	a.Close() // no lease goes on while the lists are counted
	full := 0
	for number, n := range per {
		if n == places {
			full++
		}
		if l := readList(t, s, number); l.Number != number {
			t.Errorf("list %d is gone", number)
		}
	}
	if full < 2 {
		t.Errorf("places per list: %v, want two full ones at least", per)
	}
	if all, free := count(t, s, IndexLists), count(t, s, IndexOpenLists); all < 3 || free > all-full {
		t.Errorf("%d lists, %d of them open, %d full", all, free, full)
	}
}

// Lists that fill within a second and nodes that open them at the same time
// want the same number; it must not go to two lists.
func TestNumbersAreNotReused(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	nodes := []lists{
		{store: openAt(t, dir, c.now), bytes: 1, open: time.Hour},
		{store: openAt(t, dir, c.now), bytes: 1, open: time.Hour},
	}
	type result struct {
		blocks []block
		err    error
	}
	results := make(chan result)
	for _, l := range nodes {
		go func() {
			for range 20 {
				blocks, err := l.lease(t.Context(), 8, time.Hour, c.now())
				results <- result{blocks, err}
			}
		}()
	}
	got := make(map[block]bool)
	for range 40 {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		for _, b := range r.blocks {
			if got[b] {
				t.Errorf("block %v was leased twice", b)
			}
			got[b] = true
		}
	}
	if len(got) != 40*8 {
		t.Errorf("%d blocks, want %d", len(got), 40*8)
	}
}
