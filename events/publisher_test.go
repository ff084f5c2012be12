package events

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/sqlite"
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
	b, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "jeton.db"), Now: now})
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
	poison := func(e storage.Event) bool { return strings.HasPrefix(e.Subject, "poison") }
	h := &heard{refuse: poison}
	p, _ := publisher(s, map[string]*heard{"h": h})
	want := make(map[string][]string)
	for n := range 3 * mostFailures { // two events each
		sub := fmt.Sprint("poison", n)
		want[sub] = emitSome(t, s, c.now(), sub, 2)
	}
	want["healthy"] = emitSome(t, s, c.now(), "healthy", 2*pageSize)
	for range 10 {
		step(t, p)
		c.advance(maxDelay)
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

func TestLeaseIsTakenOverWhenItLapses(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openAt(t, dir, c.now)
	h := new(heard)
	a, _ := publisher(s, map[string]*heard{"h": h})
	b, _ := publisher(openAt(t, dir, c.now), map[string]*heard{"h": h})
	emit(t, s, c.now(), "u")
	step(t, a)
	first := emit(t, s, c.now(), "u") // and a stands still
	for range 4 {
		c.advance(leaseTime/4 - time.Millisecond)
		if held, err := b.step(t.Context()); held || err != nil {
			t.Fatalf("two publishers at once (error %v)", err)
		}
	}
	c.advance(4 * time.Millisecond)
	step(t, b)
	if got := h.of("u"); len(got) != 2 || got[1] != first {
		t.Errorf("after the takeover: %v, want %v last", got, first)
	}
	emit(t, s, c.now(), "u")
	if held, err := a.step(t.Context()); held || err != nil {
		t.Errorf("the old holder goes on (error %v)", err)
	}
	b.lease.release(t.Context())
	step(t, a)
	if n := len(h.events); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
	// Work renews the lease.
	for range 10 {
		c.advance(leaseTime / 2)
		emit(t, s, c.now(), "u")
		step(t, a)
		emit(t, s, c.now(), "u")
		if held, _ := b.step(t.Context()); held {
			t.Fatal("a lease in use was taken over")
		}
	}
}

// A publisher that was asleep while another took over repeats what it had
// begun; that is all the harm it does.
func TestSleepingPublisherBringsNothingBack(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openAt(t, dir, c.now)
	awake := new(heard)
	b, _ := publisher(openAt(t, dir, c.now), map[string]*heard{"x": awake, "y": awake})
	asleep := &heard{}
	asleep.refuse = func(e storage.Event) bool {
		asleep.refuse = all
		c.advance(2 * leaseTime)
		step(t, b)
		return true
	}
	a, _ := publisher(s, map[string]*heard{"x": asleep, "y": asleep})
	for range 10 {
		emit(t, s, c.now(), "u")
	}
	if held, err := a.step(t.Context()); err != nil {
		t.Fatal(held, err)
	}
	if len(awake.events) != 20 {
		t.Errorf("the new holder published %d of 20", len(awake.events))
	}
	if n := left(t, s, queueOf("x"), queueOf("y")); n != 0 {
		t.Errorf("%d events came back", n)
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

// TestMain lets the test binary be another node that publishes until it is
// killed, and says what.
func TestMain(m *testing.M) {
	dir := os.Getenv("EVENTS_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "jeton.db")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p := NewPublisher(storage.New(b), slog.Default())
	p.Subscribe("h", func(_ context.Context, e storage.Event) error {
		_, err := fmt.Println(e.ID)
		return err
	})
	p.Run(context.Background())
}

func TestNothingIsLostWhenAPublisherIsKilled(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	s := openAt(t, dir, func() time.Time { return now })
	want := make(map[string]bool)
	for n := range 3 * pageSize / 8 {
		for _, id := range emitSome(t, s, now, fmt.Sprint("user", n%7), 8) {
			want[id] = true
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EVENTS_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		told[lines.Text()] = true
		if len(told) == pageSize+10 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	n := left(t, s)
	if n == 0 || len(told) < pageSize+10 {
		t.Fatalf("the kill came too late: %d told, %d left", len(told), n)
	}
	h := new(heard)
	p, _ := publisher(s, map[string]*heard{"h": h})
	if held, err := p.step(t.Context()); held || err != nil {
		t.Errorf("held %v, error %v: want the lease of the dead to last", held, err)
	}
	now = time.Now().Add(leaseTime + time.Second)
	step(t, p)
	for _, e := range h.events {
		told[e.ID] = true
	}
	for id := range want {
		if !told[id] {
			t.Errorf("event %s is lost", id)
		}
	}
	if len(h.events) != n {
		t.Errorf("%d events were published again, %d were left", len(h.events), n)
	}
}
