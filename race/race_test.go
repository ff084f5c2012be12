package race_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/race"
	"jeton/storage"
	"jeton/storage/sqlite"
)

// run races on a file by three connections, which commit as it is said.
func run(t *testing.T, seed uint64, length time.Duration, commit func(storage.Backend, context.Context, storage.Change) (uint64, error)) (race.Report, string) {
	t.Helper()
	meeting := &gate{first: map[storage.Key]chan struct{}{}}
	file := filepath.Join(t.TempDir(), "race.db")
	var stores []storage.Backend
	for range 3 {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: file})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores = append(stores, gated{s, commit, meeting})
	}
	report, err := race.Run(t.Context(), race.Config{Stores: stores, Seed: seed, For: length, Least: 40})
	if err != nil {
		t.Fatal(err)
	}
	return report, file
}

// TestASoundStore: nothing is found, and nothing is left.
func TestASoundStore(t *testing.T) {
	t.Parallel()
	report, file := run(t, 1, 6*time.Second, storage.Backend.Commit)
	t.Logf("%+v", report)
	for _, f := range report.Faults {
		t.Error(f)
	}
	if report.Operations < 40 || report.Sessions < 3 || report.Unanswered > 0 {
		t.Errorf("nothing was tried: %+v", report)
	}
	left := 0
	_, err := sqlite.Inspect(context.Background(), file, func(storage.Row) error {
		left++
		return nil
	})
	if err != nil || left > 0 {
		t.Errorf("%d rows are left: %v", left, err)
	}
}

// TestASlowMachineRacesForLonger: what was too short to say anything goes on.
func TestASlowMachineRacesForLonger(t *testing.T) {
	t.Parallel()
	report, _ := run(t, 1, time.Millisecond, storage.Backend.Commit)
	if report.Operations-report.Unanswered < 40 {
		t.Errorf("%+v", report)
	}
}

// gated is a store that commits in its own way.
type gated struct {
	storage.Backend
	commit func(b storage.Backend, ctx context.Context, c storage.Change) (uint64, error)
	gate   *gate
}

func (w gated) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if put := session(c); put != nil && slices.ContainsFunc(c.Checks, func(read storage.Check) bool { return read.Key == put.Key && read.Version > 0 }) {
		w.gate.pass(ctx, put.Key)
	}
	return w.commit(w.Backend, ctx, c)
}

// gate lets writes of one session through in twos: what has read before another
// has written is what these stores get wrong, and chance alone brings that about
// the less often the slower the machine is.
type gate struct {
	mu    sync.Mutex
	first map[storage.Key]chan struct{}
}

func (g *gate) pass(ctx context.Context, key storage.Key) {
	g.mu.Lock()
	waits, second := g.first[key]
	if second {
		delete(g.first, key)
		close(waits)
		g.mu.Unlock()
		return
	}
	waits = make(chan struct{})
	g.first[key] = waits
	g.mu.Unlock()
	select {
	case <-waits:
		return
	case <-time.After(100 * time.Millisecond): // nobody else wants this session
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.first[key] == waits {
		delete(g.first, key)
	}
}

// TestWrongStoresAreFound races on stores that each break the contract in one way.
func TestWrongStoresAreFound(t *testing.T) {
	for name, commit := range map[string]func(b storage.Backend, ctx context.Context, c storage.Change) (uint64, error){
		"it compares nothing": func(b storage.Backend, ctx context.Context, c storage.Change) (uint64, error) {
			if session(c) != nil {
				c.Checks = nil
			}
			return b.Commit(ctx, c)
		},
		"an equal record counts as success": func(b storage.Backend, ctx context.Context, c storage.Change) (uint64, error) {
			version, err := b.Commit(ctx, c)
			put := session(c)
			if put == nil || !errors.Is(err, storage.ErrConflict) {
				return version, err
			}
			snap, readErr := b.Read(ctx, c.Partition, put.Key)
			if readErr != nil {
				return version, err
			}
			there, readErr := storage.Decode[storage.Session](snap.Rows[0])
			wanted, wantErr := storage.Decode[storage.Session](storage.Row{Key: put.Key, Value: put.Value, Version: 1})
			if readErr == nil && wantErr == nil && there.Value.Generation == wanted.Value.Generation && there.Value.Ended == nil {
				return snap.Rows[0].Version, nil
			}
			return version, err
		},
		"it forgets what it has acknowledged": func(b storage.Backend, ctx context.Context, c storage.Change) (uint64, error) {
			if put := session(c); put != nil && strings.Contains(string(put.Value), `"ended":`) {
				return 1, nil
			}
			return b.Commit(ctx, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Asked until it is found, however slow the machine is; longer each
			// time, since the first seconds are logins.
			for seed, asked := uint64(1), 0; asked < 5000; seed++ {
				report, _ := run(t, seed, time.Duration(2+seed)*time.Second, commit)
				if len(report.Faults) > 0 {
					t.Logf("found with seed %d: %d faults in %d operations", seed, len(report.Faults), report.Operations)
					return
				}
				asked += report.Operations
			}
			t.Error("nothing was found")
		})
	}
}

// session is the write of a session in a change.
func session(c storage.Change) *storage.Put {
	for i := range c.Puts {
		if c.Puts[i].Key.Kind == storage.KindSession {
			return &c.Puts[i]
		}
	}
	return nil
}
