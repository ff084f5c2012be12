package events

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"jeton/storage"
)

// publishAll empties the outbox once.
func publishAll(t *testing.T, s *storage.Store, keep time.Duration) {
	t.Helper()
	p := NewPublisher(s, slog.New(slog.DiscardHandler))
	p.Subscribe("audit", func(context.Context, storage.Event) error { return nil })
	p.Remember(keep)
	if held, err := p.step(t.Context()); err != nil || !held {
		t.Fatal(held, err)
	}
	p.lease.Release(t.Context())
}

func TestHistory(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := openAt(t, t.TempDir(), func() time.Time { return now })
	at := storage.UserPartition("u")
	tell := func(puts ...storage.Put) {
		t.Helper()
		if _, err := s.Commit(t.Context(), storage.Change{Partition: at, Puts: puts}); err != nil {
			t.Fatal(err)
		}
	}
	event := func(kind, actor, client, source string) storage.Put {
		e := New(kind, now)
		e.Subject, e.Actor, e.ClientID, e.Source = "u", actor, client, source
		return Put(e)
	}
	history := func() []storage.HistoryEntry {
		t.Helper()
		snap, err := s.Read(t.Context(), at, storage.HistoryKey)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := storage.Decode[storage.History](snap.Rows[0])
		if err != nil {
			t.Fatal(err)
		}
		return rec.Value.Entries
	}
	user := func(name string) storage.Put {
		return storage.Put{Key: storage.UserKey("u"), Value: storage.Encode(storage.User{Subject: "u", Username: name})}
	}
	tell(user("alice"), event(SessionStarted, "u", "app", "203.0.113.7"), event(PasswordReset, "operator", "", "198.51.100.1"), event(ResponseLost, "u", "app", ""))
	publishAll(t, s, time.Hour)
	if h := history(); len(h) != 2 || h[0].Type != SessionStarted || h[0].Network != "203.0.113.0/24" || h[1].Network != "" || h[0].Count != 1 {
		t.Fatalf("U10 %+v", h)
	}
	// What is alike and comes together is one entry.
	var puts []storage.Put
	for range 60 {
		puts = append(puts, event(SessionEnded, "operator", "app", ""))
	}
	tell(puts...)
	publishAll(t, s, time.Hour)
	if h := history(); len(h) != 3 || h[2].Count != 60 {
		t.Fatalf("%+v", h)
	}
	for i := range 60 {
		now = now.Add(time.Second)
		tell(event(SessionStarted, "u", fmt.Sprintf("app%d", i), ""))
	}
	publishAll(t, s, time.Hour)
	if h := history(); len(h) != mostRemembered || h[0].ClientID != "app10" || h[mostRemembered-1].ClientID != "app59" {
		t.Fatalf("%d, %+v", len(h), h[0])
	}
	// Old ones go, with the next event or by themselves.
	now = now.Add(30 * time.Minute)
	tell(event(SignedIn, "u", "", ""))
	publishAll(t, s, 10*time.Minute)
	if h := history(); len(h) != 1 || h[0].Type != SignedIn {
		t.Fatalf("%+v", h)
	}
	now = now.Add(10 * time.Minute)
	if h := history(); len(h) != 0 {
		t.Fatalf("%+v", h)
	}
	tell(event(SignedIn, "u", "", ""))
	publishAll(t, s, 0)
	if h := history(); len(h) != 0 {
		t.Fatalf("none is kept: %+v", h)
	}
	// Nobody reads the history of who is deleted.
	tell(event(SignedIn, "u", "", ""))
	publishAll(t, s, time.Hour)
	tell(user(""), event(SessionEnded, "operator", "app", ""))
	publishAll(t, s, time.Hour)
	if h := history(); len(h) != 0 {
		t.Fatalf("of a deleted user: %+v", h)
	}
}
