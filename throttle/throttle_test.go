package throttle

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/chosen"
)

// clock is the time of a test, for nodes and store alike.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func openStore(t testing.TB, path string, c *clock) *storage.Store {
	t.Helper()
	b, err := chosen.Open(t.Context(), path, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return storage.New(b)
}

// open is a node that syncs when the test says so.
func open(t testing.TB, path string, c *clock, change ...func(*Config)) *Throttle {
	t.Helper()
	cfg := Config{Store: openStore(t, path, c), Now: c.Now, Flush: time.Hour, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	th, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { th.Close() })
	return th
}

func alone(t testing.TB) (*Throttle, *clock) {
	c := newClock()
	return open(t, filepath.Join(t.TempDir(), "jeton.db"), c), c
}

// v4 and v6 are addresses by number, v6 one in each /64.
func v4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }

func v6(network, subnet, host int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::%x", network, subnet, host))
}

func by(user string, source netip.Addr) Attempt { return Attempt{User: user, Source: source} }

// fail tries and fails; it reports whether the outcome of a hash counted.
func fail(t testing.TB, th *Throttle, a Attempt) bool {
	t.Helper()
	k, err := th.Try(a)
	if err != nil {
		throttled(t, err)
		return false
	}
	return k.Failure() == nil || k.known
}

func failures(t testing.TB, th *Throttle, a Attempt, times int) (hashed int) {
	t.Helper()
	for range times {
		if fail(t, th, a) {
			hashed++
		}
	}
	return hashed
}

// signIn must not be refused.
func signIn(t testing.TB, th *Throttle, a Attempt) {
	t.Helper()
	k, err := th.Try(a)
	if err != nil {
		t.Fatalf("%+v was refused: %v", a, err)
	}
	if err := k.Success(); err != nil {
		t.Fatalf("%+v was right, and refused: %v", a, err)
	}
}

// refused must be, with the right secret too.
func refused(t testing.TB, th *Throttle, a Attempt, rule string) *Throttled {
	t.Helper()
	k, err := th.Try(a)
	if err == nil {
		err = k.slow
		if k.Cancel(); k.slow == nil || k.known {
			t.Fatalf("%+v was not refused", a)
		}
	}
	e := throttled(t, err)
	if e.Rule != rule {
		t.Fatalf("%+v was refused by %q, not %q", a, e.Rule, rule)
	}
	return e
}

func throttled(t testing.TB, err error) *Throttled {
	t.Helper()
	var e *Throttled
	if !errors.As(err, &e) {
		t.Fatalf("%T is no Throttled: %v", err, err)
	}
	if e.RetryAfter < time.Second || e.RetryAfter%time.Second != 0 {
		t.Fatalf("Retry-After is %s", e.RetryAfter)
	}
	return e
}

// flush syncs now; that others have written shows by itself within 200 ms only.
func flush(t testing.TB, nodes ...*Throttle) {
	t.Helper()
	for _, th := range nodes {
		th.flusher.changed = nil
		if th.step(t.Context()); th.flusher.last != nil {
			t.Fatal(th.flusher.last)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	bad := Config{
		Limits:   Limits{Pair: Limit{Most: 101, Leak: time.Hour, First: time.Second, Longest: time.Minute}, Source: Limit{Most: 1, Leak: -1}},
		Counters: 7, Known: 1 << 30, KnownFor: time.Hour, Flush: time.Nanosecond,
	}
	_, err := Open(t.Context(), bad)
	if err == nil {
		t.Fatal("was taken")
	}
	if got := len(err.(interface{ Unwrap() []error }).Unwrap()); got != 8 {
		t.Errorf("%d faults instead of 8:\n%v", got, err)
	}
	th, _ := alone(t)
	if th.cfg.Limits != defaults {
		t.Errorf("the zero Limits are %+v", th.cfg.Limits)
	}
}
