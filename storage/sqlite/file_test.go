package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"jeton/storage"
)

const part storage.Partition = "u/alice"

func openAt(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openNew(t *testing.T) *Store {
	t.Helper()
	return openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db")})
}

func row(id, value string, index ...storage.Entry) storage.Change {
	return storage.Change{Partition: part, Puts: []storage.Put{{Key: storage.Key{Kind: "k", ID: id}, Value: []byte(value), Index: index}}}
}

func mustCommit(t *testing.T, s *Store, c storage.Change) {
	t.Helper()
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func value(t *testing.T, s *Store, id string) string {
	t.Helper()
	snap, err := s.Read(t.Context(), part, storage.Key{Kind: "k", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return string(snap.Rows[0].Value)
}

// script runs SQL on a file behind the store's back.
func script(t *testing.T, path, sql string) {
	t.Helper()
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		f.Close()
	}
	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.once(sql), c.close()); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsNotOursIsLeftAlone opens what must be refused with one sentence,
// and finds every byte and every file as it was.
func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"a newer store": {func(t *testing.T, path string) {
			s := openAt(t, Options{Path: path})
			mustCommit(t, s, row("a", "1"))
			s.Close()
			for _, end := range []string{".lock", ".lock-next", ".lock-use", ".mark"} {
				os.Remove(path + end)
			}
			script(t, path, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)+1))
		}, "newer version of jeton"},
		"another program's database": {func(t *testing.T, path string) {
			script(t, path, "CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
		}, "another program"},
		"another program's database in WAL mode": {func(t *testing.T, path string) {
			script(t, path, "PRAGMA journal_mode = WAL; PRAGMA application_id = 1; CREATE TABLE notes (text)")
		}, "another program"},
		"not a database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("dear diary "), 500), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "no SQLite database"},
		"a directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "jeton.db")
			c.make(t, path)
			before := contents(t, dir)
			_, err := Open(t.Context(), Options{Path: path})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open returned %v, want one sentence with %q", err, c.want)
			}
			if after := contents(t, dir); after != before {
				t.Errorf("the directory changed from\n%.300q\nto\n%.300q", before, after)
			}
		})
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(filepath.Join(dir, f.Name()))
		fmt.Fprintf(&all, "%s: %s\n", f.Name(), text)
	}
	return all.String()
}

func TestADirectoryThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: filepath.Join(dir, "file", "jeton.db")}); err == nil {
		t.Error("a file was taken for a directory")
	}
	if _, err := Open(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "name of a file") {
		t.Errorf("Open without a path returned %v", err)
	}
	if os.Getuid() == 0 {
		return // root is kept from nothing
	}
	path := filepath.Join(dir, "jeton.db")
	openAt(t, Options{Path: path}).Close()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "make it writable") {
		t.Errorf("on a read-only file Open returned %v", err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	if _, err := Open(t.Context(), Options{Path: filepath.Join(dir, "new.db")}); err == nil || !strings.Contains(err.Error(), "let this user read and write") {
		t.Errorf("in a read-only directory Open returned %v", err)
	}
}

func TestFileModes(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022))
	dir := filepath.Join(t.TempDir(), "made", "here")
	s := openAt(t, Options{Path: filepath.Join(dir, "jeton.db")})
	mustCommit(t, s, row("a", "1"))
	if err := s.Backup(t.Context(), filepath.Join(dir, "backup.db")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v, want 0700", d, info.Mode(), err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 8 {
		t.Errorf("there are %d files, want the database, -wal, -shm, three locks, the mark and the backup: %v", len(files), files)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v, want 0600", f.Name(), info.Mode(), err)
		}
	}
}

func TestManyOpenANewStoreAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Commit(t.Context(), row("a", "1")); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	s := openAt(t, Options{Path: path})
	mustCommit(t, s, row("a", "kept"))
	s.Close()

	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	steps := append(migrations[:len(migrations):len(migrations)], "CREATE TABLE added (x); INSERT INTO added VALUES (7)", "CREATE TABLE half (x); nonsense")
	if err := migrate(c, len(migrations), steps); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema %d", len(steps))) {
		t.Errorf("a broken step returned %v", err)
	}
	version, fresh, err := verify(c, path, len(steps))
	if err != nil || fresh || version != len(steps)-1 {
		t.Errorf("the schema is %d, %v, want %d", version, err, len(steps)-1)
	}
	if n, err := c.number("SELECT x FROM added"); n != 7 || err != nil {
		t.Errorf("the good step left %d, %v", n, err)
	}
	if n, err := c.number("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"); n != 0 || err != nil {
		t.Errorf("the broken step left a half: %v", err)
	}
	if n, err := c.number("SELECT count(*) FROM rows WHERE value = CAST('kept' AS BLOB)"); n != 1 || err != nil {
		t.Errorf("the row is gone: %d, %v", n, err)
	}
}

func TestBackup(t *testing.T) {
	s := openNew(t)
	for i := range 50 {
		mustCommit(t, s, row(fmt.Sprint(i), "1", storage.Entry{Name: "i", Sort: fmt.Sprintf("%03d", i)}))
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() { // the backup is of one moment, whatever goes on
		for i := 0; ctx.Err() == nil; i++ {
			c := row("a", fmt.Sprint(i))
			c.Puts = append(c.Puts, row("b", fmt.Sprint(i)).Puts...)
			if _, err := s.Commit(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
	})
	path := filepath.Join(t.TempDir(), "back?up%20#.db")
	err := s.Backup(t.Context(), path)
	stop()
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, filepath.Dir(path))
	if err := s.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) || strings.Count(err.Error(), "exists") != 1 {
		t.Errorf("a second backup to the same file returned %v", err)
	}
	if contents(t, filepath.Dir(path)) != before {
		t.Error("the refused backup changed the file")
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "none", "b.db")); err == nil {
		t.Error("a backup into no directory succeeded")
	}
	gone := filepath.Join(t.TempDir(), "b.db")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ended, gone); err == nil {
		t.Error("a backup that was called off succeeded")
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("a backup that was called off left a file")
	}

	if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "is a backup, of ") {
		t.Errorf("the backup was opened as a store in use: %v", err)
	}
	copied := openAt(t, Options{Path: path, Apart: true})
	page, err := copied.List(t.Context(), storage.Query{Index: "i", Limit: 100})
	if err != nil || len(page.Rows) != 50 {
		t.Errorf("the backup lists %d rows, %v, want 50", len(page.Rows), err)
	}
	if a, b := value(t, copied, "a"), value(t, copied, "b"); a != b {
		t.Errorf("the backup mixes two moments: %q and %q", a, b)
	}
	mustCommit(t, copied, row("a", "new"))
}

func TestAFileRemovedInUse(t *testing.T) {
	s := openNew(t)
	mustCommit(t, s, row("a", "1"))
	if err := os.Rename(s.path, s.path+".away"); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil { // ends when the watch has seen it
		_, err = s.Commit(t.Context(), row("a", "2"))
	}
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "removed or replaced") {
		t.Errorf("Commit returned %v", err)
	}
	if _, err := s.Read(t.Context(), part, storage.Key{Kind: "k", ID: "a"}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Read returned %v", err)
	}
	if err := os.Rename(s.path+".away", s.path); err != nil {
		t.Fatal(err)
	}
	for err != nil {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Fatal(err)
		}
		_, err = s.Commit(t.Context(), row("a", "3"))
	}
}

func TestLastWrite(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), Now: func() time.Time { return at }})
	if last, err := s.LastWrite(t.Context()); err != nil || !last.IsZero() {
		t.Errorf("the last write of a new store was %v, %v", last, err)
	}
	mustCommit(t, s, row("a", "1"))
	wrote := at
	at = at.Add(time.Hour)
	mustCommit(t, s, storage.Change{Partition: part}) // writes nothing
	if _, err := s.Sweep(t.Context(), 10); err != nil {
		t.Error(err)
	}
	if last, err := s.LastWrite(t.Context()); err != nil || !last.Equal(wrote) {
		t.Errorf("the last write was %v, %v, want %v", last, err, wrote)
	}
}
