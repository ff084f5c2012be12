package events

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

// swept is a sweeper whose three clocks a test can set.
type swept struct {
	*Sweeper
	store   *storage.Store
	clock   *clock
	wall    time.Time
	elapsed time.Duration
	log     bytes.Buffer
}

func newSwept(t *testing.T) *swept {
	s, c := open(t)
	w := &swept{store: s, clock: c, wall: c.now()}
	w.Sweeper = NewSweeper(s, slog.New(slog.NewTextHandler(&w.log, nil)))
	w.Sweeper.wall = func() time.Time { return w.wall }
	w.Sweeper.elapsed = func() time.Duration { return w.elapsed }
	return w
}

// pass lets time go by on all clocks.
func (w *swept) pass(d time.Duration) {
	w.clock.advance(d)
	w.wall = w.wall.Add(d)
	w.elapsed += d
}

// removes reports whether the sweeper removes a row that has just expired.
func (w *swept) removes(t *testing.T) bool {
	t.Helper()
	key := storage.Key{Kind: storage.KindUsedJTI, ID: fmt.Sprint("row", w.elapsed)}
	_, err := w.store.Commit(t.Context(), storage.Change{Partition: "c/x", Puts: []storage.Put{{
		Key: key, Value: []byte("{}"), Expires: w.clock.now().Add(time.Second),
		Index: []storage.Entry{{Name: "used", Sort: key.ID}}, // without one, Redis removes it by itself
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Second)
	if err := w.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What the sweeper left is what another sweep finds.
	n, err := w.store.Sweep(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return n == 0
}

// lines counts what was said about the rows.
func (w *swept) lines() int { return strings.Count(w.log.String(), "expired rows") }

func TestSweeperRemovesExpiredRows(t *testing.T) {
	w := newSwept(t)
	for range 5 {
		if !w.removes(t) {
			t.Fatal("an expired row stays")
		}
		w.pass(sweepEvery)
	}
	var puts []storage.Put
	for n := range 2*sweepRows + 1 {
		puts = append(puts, storage.Put{Key: storage.Key{Kind: "jti", ID: fmt.Sprint(n)}, Value: []byte("{}"), Expires: w.clock.now().Add(1)})
	}
	if _, err := w.store.Commit(t.Context(), storage.Change{Partition: "c/x", Puts: puts}); err != nil {
		t.Fatal(err)
	}
	if !w.removes(t) {
		t.Error("more rows than fit one step stay")
	}
	if w.lines() != 0 {
		t.Errorf("log: %s", &w.log)
	}
}

func TestSweeperStopsWhileStoreAndWallClockDisagree(t *testing.T) {
	for _, off := range []time.Duration{mostDrift + time.Second, -mostDrift - time.Second, 10 * 365 * storage.Day} {
		t.Run(off.String(), func(t *testing.T) {
			w := newSwept(t)
			w.wall = w.wall.Add(off)
			for range 3 {
				if w.removes(t) {
					t.Fatal("it swept")
				}
				w.pass(2 * mistrust)
			}
			if w.lines() != 1 {
				t.Errorf("want one line:\n%s", &w.log)
			}
			w.wall = w.wall.Add(-off)
			if !w.removes(t) || w.lines() != 2 {
				t.Errorf("it does not sweep with clocks that agree, or does not say so:\n%s", &w.log)
			}
		})
	}
}

// With SQLite, the store's time is the wall clock, so both jump together.
func TestSweeperStopsAfterAJump(t *testing.T) {
	for _, by := range []time.Duration{2 * mostDrift, 10 * 365 * storage.Day, -storage.Day} {
		t.Run(by.String(), func(t *testing.T) {
			w := newSwept(t)
			set := func(by time.Duration) {
				w.clock.advance(by)
				w.wall = w.wall.Add(by)
			}
			if !w.removes(t) {
				t.Fatal("it does not sweep")
			}
			set(by)
			for range 20 {
				if w.removes(t) {
					t.Fatal("it swept after a jump")
				}
				w.pass(sweepEvery)
			}
			set(-by)
			if !w.removes(t) {
				t.Error("it does not sweep though the clock is right again")
			}
			if w.lines() != 2 {
				t.Errorf("want one line for the jump and one for its end:\n%s", &w.log)
			}
			set(by) // and this time, it stays
			for range int(mistrust/sweepEvery) - 5 {
				if w.removes(t) {
					t.Fatal("it swept after a jump")
				}
				w.pass(sweepEvery - 2*time.Second)
			}
			w.pass(5 * sweepEvery)
			if !w.removes(t) {
				t.Error("it does not sweep though the clock has run evenly since")
			}
		})
	}
}

func TestSweeperFollowsSlewedClock(t *testing.T) {
	w := newSwept(t)
	for range 50 {
		w.pass(sweepEvery)
		w.clock.advance(5 * time.Second)
		w.wall = w.wall.Add(5 * time.Second)
		if !w.removes(t) {
			t.Fatal("a clock that is being corrected counts as jumping")
		}
	}
}

func TestSweeperRunEndsAndLogsTroubleOnce(t *testing.T) {
	w := newSwept(t)
	w.store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	w.Sweeper.log = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		defer cancel() // the first line
		return w.log.Write(b)
	}), nil))
	go func() { w.Run(ctx); close(done) }()
	<-done
	if w.lines() != 1 || !strings.Contains(w.log.String(), "trouble") {
		t.Errorf("log: %s", &w.log)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
