package race_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/race"
	"jeton/storage"
	"jeton/storage/sqlite"
)

// run races on a file by three connections, which are wrapped.
func run(t *testing.T, seed uint64, length time.Duration, wrap func(storage.Backend) storage.Backend) (race.Report, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "race.db")
	var stores []storage.Backend
	for range 3 {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: file})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores = append(stores, wrap(s))
	}
	report, err := race.Run(t.Context(), race.Config{Stores: stores, Seed: seed, For: length})
	if err != nil {
		t.Fatal(err)
	}
	return report, file
}

// TestASoundStore: nothing is found, and nothing is left.
func TestASoundStore(t *testing.T) {
	t.Parallel()
	report, file := run(t, 1, 4*time.Second, func(b storage.Backend) storage.Backend { return b })
	t.Logf("%+v", report)
	for _, f := range report.Faults {
		t.Error(f)
	}
	if report.Operations < 30 || report.Sessions < 10 || report.Unanswered > 0 {
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

// wrong is a store that does not do what it says.
type wrong struct {
	storage.Backend
	commit func(b storage.Backend, ctx context.Context, c storage.Change) (uint64, error)
}

func (w wrong) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	return w.commit(w.Backend, ctx, c)
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
			for seed, end := uint64(1), time.Now().Add(time.Minute); time.Now().Before(end); seed++ {
				report, _ := run(t, seed, 3*time.Second, func(b storage.Backend) storage.Backend { return wrong{b, commit} })
				if len(report.Faults) > 0 {
					t.Logf("found with seed %d: %d faults in %d operations", seed, len(report.Faults), report.Operations)
					return
				}
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
