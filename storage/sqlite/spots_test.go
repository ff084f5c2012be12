package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"jeton/storage"
)

// TestPutInPlaceHoldsToTheChecks changes a row that was read, by the short way,
// and every time that way must not be taken although the row was read.
func TestPutInPlaceHoldsToTheChecks(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), Now: func() time.Time { return now }})
	own, other := storage.Key{Kind: "k", ID: "own"}, storage.Key{Kind: "k", ID: "other"}
	end := now.Add(time.Hour)
	write := func(k storage.Key, expires time.Time) {
		t.Helper()
		mustCommit(t, s, storage.Change{Partition: part, Puts: []storage.Put{{Key: k, Value: []byte("0"), Expires: expires}}})
	}
	rotate := func(checks ...storage.Check) error {
		_, err := s.Commit(t.Context(), storage.Change{Partition: part, Checks: checks,
			Puts: []storage.Put{{Key: own, Value: []byte("1"), Expires: end}}})
		return err
	}
	read := func() (ownCheck, otherCheck storage.Check) {
		t.Helper()
		snap, err := s.Read(t.Context(), part, own, other)
		if err != nil {
			t.Fatal(err)
		}
		return storage.Check{Key: own, Version: snap.Rows[0].Version}, storage.Check{Key: other, Version: snap.Rows[1].Version}
	}
	for name, meanwhile := range map[string]func(){
		"own row written":   func() { write(own, end) },
		"other row written": func() { write(other, end) },
		"own row replaced": func() {
			mustCommit(t, s, storage.Change{Partition: part, Deletes: []storage.Key{own}})
			write(own, end)
		},
		"other row deleted": func() { mustCommit(t, s, storage.Change{Partition: part, Deletes: []storage.Key{other}}) },
		"own row takes its place": func() {
			mustCommit(t, s, storage.Change{Partition: part, Deletes: []storage.Key{own, other}})
			write(other, end)
			write(own, end)
		},
		"both expired": func() { now = end; end = end.Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			write(own, end)
			write(other, end)
			a, b := read()
			// The short way must be one, or this proves nothing.
			before := len(s.writer.conn.stmts)
			if err := rotate(b, a); err != nil || before == 0 {
				t.Fatalf("a change that nothing speaks against: %v", err)
			}
			if _, ok := s.writer.conn.stmts[updateSpot+besidesOther]; !ok {
				t.Fatal("the change did not take the short way")
			}
			a, b = read()
			meanwhile()
			if err := rotate(a, b); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("with both checks: %v, want a conflict", err)
			}
		})
	}
}
