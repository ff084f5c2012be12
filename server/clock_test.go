package server_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
)

// skewed is a store whose clock is not that of the server.
type skewed struct {
	storage.Backend
	by *atomic.Int64
}

func (s skewed) Now(ctx context.Context) (time.Time, error) {
	now, err := s.Backend.Now(ctx)
	return now.Add(time.Duration(s.by.Load())), err
}

func (s skewed) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	snap, err := s.Backend.Read(ctx, p, keys...)
	snap.Now = snap.Now.Add(time.Duration(s.by.Load()))
	return snap, err
}

// A clock that is wrong is seen by whoever looks at the server, and is no reason
// to send requests elsewhere.
func TestAClockThatIsWrongIsSeen(t *testing.T) {
	var by atomic.Int64
	n := start(t, options{wrap: func(b storage.Backend) storage.Backend { return skewed{b, &by} }})
	figure := func() string {
		w := httptest.NewRecorder()
		n.server.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		_, after, _ := strings.Cut(w.Body.String(), "\njeton_store_clock_ahead_seconds ")
		line, _, _ := strings.Cut(after, "\n")
		return line
	}
	for _, c := range []struct {
		by     time.Duration
		figure string
		ready  any
	}{
		{0, "0", nil},
		{4 * time.Second, "4", nil}, // less than matters
		{5 * time.Minute, "300", 300.0},
		{-5 * time.Minute, "-300", -300.0},
	} {
		by.Store(int64(c.by))
		if got := figure(); got != c.figure {
			t.Errorf("%v: the metric is %q", c.by, got)
		}
		if a := n.do("GET", "/readyz", "", "").ok(t, 200); a.json["store_clock_ahead_seconds"] != c.ready {
			t.Errorf("%v: readyz: %s", c.by, a.body)
		}
	}
}

// divided is a store whose masters' clocks are apart.
type divided struct {
	storage.Backend
	by time.Duration
}

func (d divided) Durability() storage.Durability { return storage.Durability{ClocksApart: d.by} }

// So are clocks of the masters of a cluster that are apart from each other.
func TestClocksOfMastersThatAreApartAreSeen(t *testing.T) {
	for by, want := range map[time.Duration]any{4 * time.Second: nil, 90 * time.Second: 90.0} {
		n := start(t, options{wrap: func(b storage.Backend) storage.Backend { return divided{b, by} }})
		if a := n.do("GET", "/readyz", "", "").ok(t, 200); a.json["store_clocks_apart_seconds"] != want {
			t.Errorf("%v: readyz: %s", by, a.body)
		}
		w := httptest.NewRecorder()
		n.server.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if line := fmt.Sprintf("\njeton_store_clocks_apart_seconds %v\n", by.Seconds()); !strings.Contains(w.Body.String(), line) {
			t.Errorf("%v: the metrics lack %q", by, line)
		}
	}
}
