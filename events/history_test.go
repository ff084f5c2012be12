package events

import (
	"slices"
	"testing"
	"time"

	"jeton/storage"
)

func TestHistoryIsBackwardsAndEnds(t *testing.T) {
	s, c := open(t)
	h := History{Store: s, Kept: time.Hour}
	p, _ := publisher(s, nil)
	p.Follow(h.Follow)
	var made []string
	for i := range 5 {
		made = append(made, emit(t, s, c.now(), []string{"alice", "bob"}[i%2]))
		c.advance(time.Minute)
	}
	e := New(ClientChanged, c.now())
	e.ClientID = "app"
	if _, err := s.Commit(t.Context(), storage.Change{Partition: storage.ClientPartition("app"), Puts: []storage.Put{Put(e)}}); err != nil {
		t.Fatal(err)
	}
	made = append(made, e.ID)
	step(t, p)
	list := func(about About, after string, limit int) (ids []string, next string) {
		t.Helper()
		all, next, err := h.List(t.Context(), about, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			ids = append(ids, e.ID)
		}
		return ids, next
	}
	slices.Reverse(made)
	first, next := list(About{}, "", 4)
	rest, end := list(About{}, next, 4)
	if got := append(first, rest...); !slices.Equal(got, made) || next == "" || end != "" {
		t.Errorf("%q, made %q", got, made)
	}
	if got, _ := list(About{Subject: "alice"}, "", 9); !slices.Equal(got, []string{made[1], made[3], made[5]}) {
		t.Errorf("alice: %q", got)
	}
	if got, _ := list(About{ClientID: "app"}, "", 9); !slices.Equal(got, []string{e.ID}) {
		t.Errorf("app: %q", got)
	}
	c.advance(57 * time.Minute) // the first was 62 minutes ago, the last 57
	if got, _ := list(About{}, "", 9); len(got) != 3 {
		t.Errorf("%d events are left of those that are kept for an hour", len(got))
	}
	if puts := (History{Store: s}).Follow(e); puts != nil {
		t.Errorf("kept for no time: %v", puts)
	}
}
