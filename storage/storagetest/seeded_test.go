package storagetest

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/sqlite"
)

// recorder takes what a check reports.
type recorder struct {
	ctx context.Context

	mu      sync.Mutex
	reports []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// TestSeededBugsAreCaught lets the checks loose on broken backends. A suite
// that passes those proves nothing about the others.
func TestSeededBugsAreCaught(t *testing.T) {
	for _, bug := range bugs {
		for _, name := range bug.seen {
			t.Run(bug.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				// A bug of timing does not show each time on a busy machine.
				var reports []string
				for tries := 0; tries < 30 && len(reports) == 0; tries++ {
					s := newShared()
					reports = record(t, find(t, name), time.Second, func(b storage.Backend) storage.Backend {
						bad := &broken{Backend: b, shared: s}
						bug.seed(bad)
						return bad
					})
				}
				if len(reports) == 0 {
					t.Errorf("the check %q passes a backend in which %s", name, bug.name)
				}
			})
		}
	}
}

// TestTheRecorderHearsNothingOfAGoodBackend is the counterpart: the bugs are
// seen for what they are, not because the recorder breaks the checks.
func TestTheRecorderHearsNothingOfAGoodBackend(t *testing.T) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, report := range record(t, c, patience, func(b storage.Backend) storage.Backend { return b }) {
				t.Error(report)
			}
		})
	}
}

// TestEveryCheckIsSeenToFail keeps the list of bugs as long as the suite: a
// check that no bug can fail is none.
func TestEveryCheckIsSeenToFail(t *testing.T) {
	seen := make(map[string]bool)
	for _, bug := range bugs {
		for _, name := range bug.seen {
			seen[name] = true
		}
	}
	for _, c := range checks() {
		if !seen[c.name] {
			t.Errorf("no seeded bug fails the check %q", c.name)
		}
	}
}

func find(t *testing.T, name string) check {
	t.Helper()
	for _, c := range checks() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no check is called %q", name)
	return check{}
}

// record runs one check and returns what it reported.
func record(t *testing.T, c check, patience time.Duration, wrap func(storage.Backend) storage.Backend) []string {
	t.Helper()
	r := &recorder{ctx: t.Context()}
	h := Harness{Open: func(ctx context.Context, address string, now func() time.Time) (storage.Backend, error) {
		b, err := sqlite.Open(ctx, sqlite.Options{Path: address, Now: now})
		if err != nil {
			return nil, err
		}
		return wrap(b), nil
	}}
	done := make(chan struct{})
	go func() { // Fatalf ends it
		defer close(done)
		inspect(r, c, h, filepath.Join(t.TempDir(), "jeton.db"), patience)
	}()
	<-done
	return r.reports
}
