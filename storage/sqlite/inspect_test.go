package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jeton/storage"
)

// inspected makes a store of three rows, does something to it, and looks it
// over.
func inspected(t *testing.T, damage string) (faults, seen []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jeton.db")
	s := openAt(t, Options{Path: path})
	for _, id := range []string{"1", "2", "3"} {
		mustCommit(t, s, row(id, "v"+id, storage.Entry{Name: "i", Sort: id}, storage.Entry{Name: "j", Sort: id}))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if damage != "" {
		script(t, path, damage)
	}
	before := contents(t, filepath.Dir(path))
	faults, err := Inspect(t.Context(), path, func(r storage.Row) error {
		if seen = append(seen, r.ID+string(r.Value)); string(r.Value) == "bad" {
			return errors.New("a bad value")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if contents(t, filepath.Dir(path)) != before {
		t.Error("the look changed something")
	}
	return faults, seen
}

func TestInspectFindsWhatIsWrong(t *testing.T) {
	faults, seen := inspected(t, "")
	if len(faults) != 0 || !slices.Equal(seen, []string{"1v1", "2v2", "3v3"}) {
		t.Errorf("a sound store: %q, %q", faults, seen)
	}
	for damage, want := range map[string]string{
		"DELETE FROM entries WHERE name = 'j' AND id = '2'":                                 `k "2" is not in the index j`,
		"DELETE FROM rows WHERE id = '2'":                                                   `the index i points at k "2", which is not there`,
		"INSERT INTO entries VALUES ('x', 'y', 'u/alice', 'k', '1')":                        `the indexes have 7 entries, and the rows name 6`,
		"UPDATE rows SET entries = x'ff' WHERE id = '3'":                                    `k "3": a stored list of index entries is damaged`,
		"UPDATE rows SET version = 99 WHERE id = '1'":                                       `k "1" has the version 99, and the last one given is 3`,
		"UPDATE rows SET value = CAST('bad' AS BLOB) WHERE id = '2'":                        `a bad value`,
		"PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE name = 'rows_expires'": `SQLite: `,
	} {
		faults, _ := inspected(t, damage)
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("%s: found %q, want %q", damage, faults, want)
		}
	}
}

// A store in use is looked over as it is at one moment.
func TestInspectBesideAWriter(t *testing.T) {
	s := openNew(t)
	mustCommit(t, s, row("1", "a", storage.Entry{Name: "i", Sort: "1"}))
	var seen []string
	faults, err := Inspect(t.Context(), s.path, func(r storage.Row) error {
		seen = append(seen, r.ID)
		mustCommit(t, s, row("2", "b", storage.Entry{Name: "i", Sort: "2"}))
		return nil
	})
	if err != nil || len(faults) > 0 || !slices.Equal(seen, []string{"1"}) {
		t.Errorf("saw %q, faults %q, %v", seen, faults, err)
	}
}

func TestBackupOfAFileThatIsNotOpen(t *testing.T) {
	s := openNew(t)
	mustCommit(t, s, row("1", "a"))
	to := filepath.Join(t.TempDir(), "b.db")
	if err := Backup(t.Context(), s.path, to); err != nil {
		t.Fatal(err)
	}
	if got := value(t, openAt(t, Options{Path: to, Apart: true}), "1"); got != "a" {
		t.Errorf("the backup has %q", got)
	}
	other := filepath.Join(t.TempDir(), "other.db")
	script(t, other, "CREATE TABLE t (x)")
	if err := Backup(t.Context(), other, filepath.Join(t.TempDir(), "c.db")); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("the backup of another program's file: %v", err)
	}
}
