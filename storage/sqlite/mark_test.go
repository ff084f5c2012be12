package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/storage/mark"
)

// bytesOf is a file, and put makes it that again.
func bytesOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// closedAt makes a store of n changes and returns its path.
func closedAt(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jeton.db")
	more(t, path, n)
	return path
}

func more(t *testing.T, path string, n int) {
	t.Helper()
	s := openAt(t, Options{Path: path})
	for range n {
		mustCommit(t, s, row("a", "1"))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOldCopiesAreRefused puts in place what is not the store that its mark
// tells of. Each is refused with its remedy, and nothing is changed.
func TestOldCopiesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, path string)
		want []string
	}{
		"a copy of the file": {func(t *testing.T, path string) {
			old := bytesOf(t, path)
			more(t, path, 1)
			put(t, path, old)
		}, []string{"has gone back in time", "is at change 3 and had come to change 4", "jeton store restore "}},
		"a backup": {func(t *testing.T, path string) {
			if err := Backup(t.Context(), path, path+".copy"); err != nil {
				t.Fatal(err)
			}
			put(t, path, bytesOf(t, path+".copy"))
		}, []string{"is a backup, of ", " and change 3", "jeton store restore "}},
		"the copy without the mark": {func(t *testing.T, path string) {
			os.Remove(path + ".mark")
		}, []string{"jeton.db.mark, which tells how far the store had come, is missing", "jeton store restore "}},
		"no store": {func(t *testing.T, path string) {
			os.Remove(path)
		}, []string{"is gone, which had come to change 3", "remove "}},
		"another store": {func(t *testing.T, path string) {
			put(t, path, bytesOf(t, closedAt(t, 9)))
		}, []string{"(at change 9) is not the store that", "(at change 3)", "jeton store restore "}},
		"a store of before there were marks": {func(t *testing.T, path string) {
			os.Remove(path)
			script(t, path, "PRAGMA application_id = 1248162926; "+migrations[0]+"; PRAGMA user_version = 1")
		}, []string{"is not the store that", "jeton store restore "}},
		"a damaged mark": {func(t *testing.T, path string) {
			put(t, path+".mark", []byte(strings.Repeat("x", 2000)))
		}, []string{"is damaged", "jeton store restore "}},
	} {
		t.Run(name, func(t *testing.T) {
			path := closedAt(t, 3)
			c.do(t, path)
			before := contents(t, filepath.Dir(path))
			_, err := Open(t.Context(), Options{Path: path})
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Open returned %v, want %q", err, want)
				}
			}
			if contents(t, filepath.Dir(path)) != before {
				t.Error("something was changed")
			}
		})
	}
}

// A store that went on after its mark was raised last is sound: a process that
// is killed leaves its mark behind.
func TestAMarkThatIsBehindIsFine(t *testing.T) {
	path := closedAt(t, 3)
	behind := bytesOf(t, path+".mark")
	more(t, path, 5)
	put(t, path+".mark", behind)
	more(t, path, 1)
	if m, err := mark.Read(path + ".mark"); err != nil || m.Change != 9 {
		t.Errorf("the mark is at %d, %v, want 9", m.Change, err)
	}
}

// While a store is open its mark follows by itself, and never runs ahead.
func TestTheMarkFollows(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "kept.mark")
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), Mark: elsewhere})
	for range 7 {
		mustCommit(t, s, row("a", "1"))
	}
	for end := time.Now().Add(time.Minute); ; {
		m, err := mark.Read(elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		if m.Change == 7 {
			break
		}
		if m.Change > 7 || time.Now().After(end) {
			t.Fatalf("the mark is at %d, want 7", m.Change)
		}
		time.Sleep(time.Millisecond)
	}
}

// A store is not replaced under those who use it, and not opened while it is.
func TestReplaceKeepsOthersOut(t *testing.T) {
	path := closedAt(t, 3)
	backup := filepath.Join(t.TempDir(), "b.db")
	if err := Backup(t.Context(), path, backup); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, Options{Path: path})
	if _, err := Replace(path, ""); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("Replace under a user returned %v", err)
	}
	s.Close()
	before := bytesOf(t, path)
	r, err := Replace(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Copy(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "being restored") {
		t.Errorf("Open during a replacement returned %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if string(bytesOf(t, path)) != string(before) {
		t.Error("a replacement that was given up changed the store")
	}
	if _, err := os.Stat(r.Path); err == nil {
		t.Error("a replacement that was given up stays")
	}
	more(t, path, 1)
}

// What took the place of a store counts from then on; what it took the place of
// is refused, also when it is newer.
func TestReplace(t *testing.T) {
	path := closedAt(t, 3)
	backup := filepath.Join(t.TempDir(), "b.db")
	if err := Backup(t.Context(), path, backup); err != nil {
		t.Fatal(err)
	}
	more(t, path, 5)
	r, err := Replace(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Copy(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if i, err := r.InPlace(); err != nil || i.Change != 8 {
		t.Errorf("the store in place is at %d, %v, want 8", i.Change, err)
	}
	s := openAt(t, Options{Path: r.Path, Apart: true})
	mustCommit(t, s, row("b", "made ready"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := r.Finish(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	if err != nil || kept != path+".replaced-20261122T090000Z" {
		t.Fatalf("the old store is at %q, %v", kept, err)
	}
	r.Close()
	s = openAt(t, Options{Path: path})
	if got := value(t, s, "b"); got != "made ready" {
		t.Errorf("the new store has %q", got)
	}
	s.Close()
	was, err := Describe(kept)
	if err != nil || was.Change != 8 {
		t.Fatalf("the replaced store is at %d, %v", was.Change, err)
	}
	is, err := Describe(path)
	if err != nil {
		t.Fatal(err)
	}
	from, err := Describe(backup)
	if err != nil || from.Backup.IsZero() || !is.Backup.IsZero() {
		t.Errorf("the backup is %+v, the store %+v: %v", from, is, err)
	}
	if !was.Continues(from) || !is.Continues(from) || is.Continues(was) || was.Continues(is) {
		t.Errorf("of the backup %+v came %+v and %+v", from, was, is)
	}
	put(t, path, bytesOf(t, kept))
	if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "is not the store that") {
		t.Errorf("the replaced store was opened in its old place: %v", err)
	}
}

// TestUpgrade brings a store of the first schema up to date, with a copy of
// what it was.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	script(t, path, `PRAGMA journal_mode = WAL; PRAGMA application_id = 1248162926; `+migrations[0]+`; PRAGMA user_version = 1;
		INSERT INTO rows VALUES (1, 'u/alice', 'k', 'a', 1, 9223372036854775807, NULL, CAST('kept' AS BLOB)); UPDATE meta SET sequence = 41`)
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	s := openAt(t, Options{Path: path, Now: func() time.Time { return at }})
	if got := value(t, s, "a"); got != "kept" {
		t.Errorf("the row is %q", got)
	}
	mustCommit(t, s, row("b", "new"))
	s.Close()
	now, err := Describe(path)
	if err != nil || now.Schema != len(migrations) || now.Change != 42 {
		t.Errorf("the store is %+v, %v", now, err)
	}
	copied := path + ".schema-1-20261122T090000Z"
	was, err := Describe(copied)
	if err != nil || was.Schema != 1 || was.Change != 41 {
		t.Errorf("the copy is %+v, %v", was, err)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v", info.Mode(), err)
	}
}

// Where no copy can be made nothing is changed.
func TestUpgradeWithoutACopyIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	script(t, path, `PRAGMA application_id = 1248162926; `+migrations[0]+`; PRAGMA user_version = 1`)
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	put(t, path+".schema-1-20261122T090000Z", nil)
	_, err := Open(t.Context(), Options{Path: path, Now: func() time.Time { return at }})
	if err == nil || !strings.Contains(err.Error(), "it is not brought up to date without a copy") {
		t.Errorf("Open returned %v", err)
	}
	if now, err := Describe(path); err != nil || now.Schema != 1 {
		t.Errorf("the store is %+v, %v", now, err)
	}
}
