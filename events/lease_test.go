package events

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/chosen"
)

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
	b.lease.Release(t.Context())
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

func TestOneNodeTakesTheLease(t *testing.T) {
	s, c := open(t)
	for range 10 {
		var wg sync.WaitGroup
		var holders atomic.Int32
		for range 8 {
			wg.Go(func() {
				l := NewLease(s, "events")
				if held, err := l.Hold(t.Context()); err != nil {
					t.Error(err)
				} else if held {
					holders.Add(1)
				}
			})
		}
		wg.Wait()
		if n := holders.Load(); n != 1 {
			t.Fatalf("%d nodes hold the lease", n)
		}
		c.advance(leaseTime)
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

// TestMain lets the test binary be another node that publishes until it is
// killed, and says what.
func TestMain(m *testing.M) {
	dir := os.Getenv("EVENTS_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := chosen.Open(context.Background(), filepath.Join(dir, "jeton.db"), nil)
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
	if _, tells := processBegan("self"); !tells {
		now = time.Now().Add(leaseTime + time.Second)
	}
	step(t, p) // where the system tells that the holder is dead, at once
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
