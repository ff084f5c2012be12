package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/chosen"
)

// clock is the store's time in tests.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func openAt(t testing.TB, dir string, now func() time.Time) *storage.Store {
	t.Helper()
	b, err := chosen.Open(context.Background(), filepath.Join(dir, "jeton.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return storage.New(b)
}

func open(t testing.TB) (*storage.Store, *clock) {
	c := newClock()
	return openAt(t, t.TempDir(), c.now), c
}

// emit commits an event of a user and returns its id.
func emit(t testing.TB, s *storage.Store, now time.Time, sub string) string {
	t.Helper()
	return emitSome(t, s, now, sub, 1)[0]
}

// emitSome makes n events in one commit.
func emitSome(t testing.TB, s *storage.Store, now time.Time, sub string, n int) (ids []string) {
	t.Helper()
	c := storage.Change{Partition: storage.UserPartition(sub)}
	for range n {
		e := New(SessionStarted, now)
		e.Subject = sub
		ids = append(ids, e.ID)
		c.Puts = append(c.Puts, Put(e))
	}
	if _, err := s.Commit(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return ids
}

// heard is a subscriber that remembers what it was told, unless it refuses.
type heard struct {
	mu     sync.Mutex
	events []storage.Event
	calls  int
	refuse func(storage.Event) bool
}

func (h *heard) take(_ context.Context, e storage.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if h.refuse != nil && h.refuse(e) {
		return errors.New("not now")
	}
	h.events = append(h.events, e)
	return nil
}

func (h *heard) of(sub string) (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Subject == sub {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func all(storage.Event) bool { return true }

func publisher(s *storage.Store, subs map[string]*heard) (*Publisher, *bytes.Buffer) {
	var log bytes.Buffer
	p := NewPublisher(s, slog.New(slog.NewTextHandler(&log, nil)))
	for name, h := range subs {
		p.Subscribe(name, h.take)
	}
	return p, &log
}

// step makes one step, which the publisher must be entitled to.
func step(t testing.TB, p *Publisher) {
	t.Helper()
	if held, err := p.step(t.Context()); err != nil || !held {
		t.Fatalf("step: held %v, error %v", held, err)
	}
}

// left counts the events that are in the store.
func left(t testing.TB, s *storage.Store, indexes ...string) (n int) {
	t.Helper()
	for _, index := range append(indexes, storage.IndexOutbox) {
		err := s.AllByIndex(t.Context(), storage.Query{Index: index}, func(storage.Row) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestEventsReachAllInOrder(t *testing.T) {
	s, c := open(t)
	audit, lists := new(heard), new(heard)
	p, _ := publisher(s, map[string]*heard{"audit": audit, "lists": lists})
	want := make(map[string][]string)
	for n := range 3 * pageSize / 8 {
		sub := fmt.Sprint("user", n%5)
		want[sub] = append(want[sub], emitSome(t, s, c.now(), sub, 8)...)
		if n%3 == 0 {
			c.advance(time.Millisecond)
		}
	}
	step(t, p)
	for sub, ids := range want {
		for name, h := range map[string]*heard{"audit": audit, "lists": lists} {
			if got := h.of(sub); !slices.Equal(got, ids) {
				t.Errorf("%s was told %d events of %s, want these %d in order", name, len(got), sub, len(ids))
			}
		}
	}
	if n := left(t, s); n != 0 {
		t.Errorf("%d events are left in the outbox", n)
	}
	calls := audit.calls
	step(t, p)
	if audit.calls != calls {
		t.Error("events were published again")
	}
}

func TestFailingSubscriberHoldsUpNobody(t *testing.T) {
	s, c := open(t)
	good, bad := new(heard), &heard{refuse: all}
	subs := map[string]*heard{"good": good, "bad": bad}
	p, log := publisher(s, subs)
	want := make(map[string][]string)
	more := func() {
		for n := range 8 {
			sub := fmt.Sprint("user", n%4)
			want[sub] = append(want[sub], emitSome(t, s, c.now(), sub, 5)...)
		}
	}
	for range 5 {
		more()
		step(t, p)
		c.advance(maxDelay)
	}
	if n := len(good.events); n != 200 {
		t.Errorf("the good subscriber was told %d events of 200", n)
	}
	if bad.calls > 5*(mostFailures+1) {
		t.Errorf("the bad subscriber was called %d times", bad.calls)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("the log has %d lines, want one:\n%s", n, log)
	}

	// Another node takes over, and the subscriber comes back.
	c.advance(leaseTime)
	p, log = publisher(s, subs)
	step(t, p)
	bad.refuse = nil
	more()
	step(t, p) // in its pause: the new events have to queue behind the old
	c.advance(2 * maxDelay)
	step(t, p)
	for sub, ids := range want {
		if got := bad.of(sub); !slices.Equal(got, ids) {
			t.Errorf("the bad subscriber was told %d events of %s, want %d in order", len(got), sub, len(ids))
		}
	}
	if n := len(good.events); n != 240 {
		t.Errorf("the good subscriber was told %d events, want each of 240 once", n)
	}
	if n := left(t, s, queueOf("bad"), queueOf("good")); n != 0 {
		t.Errorf("%d events are left", n)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("want one line when it fails and one when it works:\n%s", log)
	}
	before := bad.calls
	emit(t, s, c.now(), "user0")
	step(t, p)
	if bad.calls != before+1 || left(t, s) != 0 {
		t.Error("the subscriber that came back is not told of new events at once")
	}
}

// An event that can never be taken holds up its partition only, and however
// many of those there are, the rest is reached.
func TestPoisonHoldsUpItsPartitionOnly(t *testing.T) {
	s, c := open(t)
	refused := 0
	poison := func(e storage.Event) bool {
		if strings.HasPrefix(e.Subject, "poison") {
			refused++
			return true
		}
		return false
	}
	h := &heard{refuse: poison}
	p, _ := publisher(s, map[string]*heard{"h": h})
	want := make(map[string][]string)
	for n := range 3 * mostFailures { // two events each
		sub := fmt.Sprint("poison", n)
		want[sub] = emitSome(t, s, c.now(), sub, 2)
	}
	want["healthy"] = emitSome(t, s, c.now(), "healthy", 2*pageSize)
	for range 10 {
		refused = 0
		step(t, p)
		c.advance(maxDelay)
		if refused > mostFailures {
			t.Errorf("one step stood %d failures, which may each take %v", refused, deliverTimeout)
		}
	}
	if got := h.of("healthy"); !slices.Equal(got, want["healthy"]) {
		t.Errorf("%d of %d events of a healthy partition arrived", len(got), len(want["healthy"]))
	}
	h.refuse = nil
	for range 10 {
		step(t, p)
		c.advance(maxDelay)
	}
	for sub, ids := range want {
		if got := h.of(sub); !slices.Equal(got, ids) {
			t.Errorf("%s: %v, want %v", sub, got, ids)
		}
	}
}

// stuck is a store that takes no changes of users.
type stuck struct {
	storage.Backend
	is atomic.Bool
}

func (b *stuck) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if b.is.Load() && strings.HasPrefix(string(c.Partition), "u/") {
		return 0, fmt.Errorf("test: %w", storage.ErrUnavailable)
	}
	return b.Backend.Commit(ctx, c)
}

func TestEventsStayWhileTheStoreIsInTrouble(t *testing.T) {
	s, c := open(t)
	backend := &stuck{Backend: s.Backend}
	h := new(heard)
	p, _ := publisher(storage.New(backend), map[string]*heard{"h": h})
	id := emit(t, s, c.now(), "u")
	backend.is.Store(true)
	if _, err := p.step(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the trouble is kept secret: %v", err)
	}
	backend.is.Store(false)
	step(t, p)
	if got := h.of("u"); !slices.Equal(got, []string{id, id}) || left(t, s) != 0 {
		t.Errorf("told of %v, %d left; want the event twice, then gone", got, left(t, s))
	}
}

func TestStoreInTroubleIsLoggedOnce(t *testing.T) {
	s, _ := open(t)
	p, log := publisher(s, nil)
	for _, err := range []error{nil, storage.ErrUnavailable, storage.ErrUnavailable, storage.ErrUnknown, nil, nil} {
		p.report(t.Context(), err)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("want a line for the trouble and one for its end:\n%s", log)
	}
}

func TestUnreadableEventStays(t *testing.T) {
	s, c := open(t)
	_, err := s.Commit(t.Context(), storage.Change{Partition: "u/x", Puts: []storage.Put{{
		Key: storage.Key{Kind: storage.KindEvent, ID: "0"}, Value: []byte("not JSON"),
		Index: []storage.Entry{{Name: storage.IndexOutbox, Sort: "0"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	h := new(heard)
	p, log := publisher(s, map[string]*heard{"h": h})
	emit(t, s, c.now(), "u")
	step(t, p)
	step(t, p)
	if len(h.events) != 1 || left(t, s) != 1 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%d events published, %d left, log: %s", len(h.events), left(t, s), log)
	}
}

func TestRunPublishesUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, nil)
	got := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 2 {
		p := NewPublisher(openAt(t, dir, nil), slog.New(slog.DiscardHandler))
		p.Subscribe("h", func(_ context.Context, e storage.Event) error { got <- e.ID; return nil })
		running.Go(func() { p.Run(ctx) })
	}
	for n := range 3 {
		want := emit(t, s, time.Now(), fmt.Sprint("user", n))
		for id := range got {
			if id == want {
				break
			}
		}
	}
	cancel()
	running.Wait()
	snap, err := s.Read(t.Context(), storage.SystemPartition, storage.Key{Kind: storage.KindLease, ID: "events"})
	if err != nil || snap.Rows[0].Version != 0 {
		t.Errorf("the lease was not given back: %+v, %v", snap.Rows, err)
	}
}
