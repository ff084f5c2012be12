package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/storage/mark"
)

// image is what a loss of power would leave of an open store, at a new place.
func image(t *testing.T, s *Store) string {
	t.Helper()
	lock, err := openLock(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	if err := lock.acquire(nil); err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	path := filepath.Join(t.TempDir(), "jeton.db")
	for _, end := range []string{".mark", "", "-wal"} { // the mark may rise meanwhile
		put(t, path+end, bytesOf(t, s.path+end))
	}
	return path
}

// endWithALog ends a store after one more change as a kill does.
func endWithALog(t *testing.T, path string) (killed string) {
	t.Helper()
	s := openAt(t, Options{Path: path})
	mustCommit(t, s, row("later", "1"))
	if err := s.raiseMark(t.Context()); err != nil {
		t.Fatal(err)
	}
	return image(t, s)
}

// TestAFileUnderAnotherLogIsRefused puts a file under the log of a newer one,
// which has the newest number of changes. Taken for the store it would have
// forgotten what is not in that log.
func TestAFileUnderAnotherLogIsRefused(t *testing.T) {
	for name, old := range map[string]func(t *testing.T, path string) (copied []byte, killed string){
		"a copy of before an ordered end": func(t *testing.T, path string) ([]byte, string) {
			copied := bytesOf(t, path)
			more(t, path, 1)
			return copied, endWithALog(t, path)
		},
		"a copy of before a checkpoint": func(t *testing.T, path string) ([]byte, string) {
			s := openAt(t, Options{Path: path, logPages: 64})
			copied := bytesOf(t, path)
			fillPages(t, s, 200)
			return copied, image(t, s)
		},
		"a backup": func(t *testing.T, path string) ([]byte, string) {
			killed := endWithALog(t, path)
			if err := Backup(t.Context(), killed, path+".copy"); err != nil {
				t.Fatal(err)
			}
			return bytesOf(t, path+".copy"), killed
		},
		"the store of before a restore": func(t *testing.T, path string) ([]byte, string) {
			more(t, path, 50)
			copied := bytesOf(t, path)
			restored(t, path, path)
			return copied, endWithALog(t, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := closedAt(t, 3)
			copied, killed := old(t, path)
			put(t, killed, copied)
			before := contents(t, filepath.Dir(killed))
			_, err := Open(t.Context(), Options{Path: killed})
			for _, want := range []string{"lies under a log that is not its own", killed + "-wal and " + killed + "-shm away", "jeton store restore " + killed} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Open returned %v, want %q", err, want)
				}
			}
			if contents(t, filepath.Dir(killed)) != before {
				t.Error("something was changed")
			}
			if _, err := restoredFrom(t, killed, killed); err == nil || !strings.Contains(err.Error(), "lies under a log that is not its own") {
				t.Errorf("a restore of it returned %v", err)
			}
			Backup(t.Context(), killed, killed+".copy") // of a mixture, and may fail
			if string(bytesOf(t, killed)) != string(copied) {
				t.Error("the other log was copied into the file")
			}
			for _, end := range []string{"-wal", "-shm"} {
				os.Remove(killed + end)
			}
			if _, err := Open(t.Context(), Options{Path: killed}); err == nil || strings.Contains(err.Error(), "log") {
				t.Errorf("without the log Open returned %v", err)
			}
			if _, err := restoredFrom(t, killed, killed); err != nil {
				t.Errorf("without the log a restore returned %v", err)
			}
		})
	}
}

func restored(t *testing.T, store, from string) {
	t.Helper()
	if _, err := restoredFrom(t, store, from); err != nil {
		t.Fatal(err)
	}
}

// restoredFrom puts a copy of a file in the place of a store.
func restoredFrom(t *testing.T, store, from string) (kept string, err error) {
	t.Helper()
	r, err := Replace(store, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Copy(t.Context(), from); err != nil {
		return "", err
	}
	openAt(t, Options{Path: r.Path, Apart: true}).Close()
	return r.Finish(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
}

// A store that lost power at any moment is taken as it is, with two processes on
// it and checkpoints all the time; and so is a copy that is as new as its log.
func TestWhatALossOfPowerLeavesIsTaken(t *testing.T) {
	path := closedAt(t, 3)
	a, b := openAt(t, Options{Path: path, logPages: 48}), openAt(t, Options{Path: path, logPages: 48})
	settled := uint64(0)
	for i := range 120 {
		s := a
		if i%3 == 1 {
			s = b
		}
		mustCommit(t, s, row("big", strings.Repeat(fmt.Sprint(i%10), 20_000)))
		mustCommit(t, s, row("a", fmt.Sprint(i)))
		if i%5 != 0 {
			continue
		}
		if i%2 == 0 {
			if err := s.raiseMark(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		killed := image(t, s)
		m, err := mark.Read(killed + ".mark")
		if err != nil || m.Settled < settled {
			t.Fatalf("after %d the mark is %+v, %v", settled, m, err)
		}
		settled = m.Settled
		again := openAt(t, Options{Path: killed})
		if got := value(t, again, "a"); got != fmt.Sprint(i) {
			t.Errorf("the store has %q, want %d", got, i)
		}
		again.Close()
	}
	if settled < 100 {
		t.Errorf("the mark knows only that the file has change %d by itself", settled)
	}
}

// A mark that cannot be written at a checkpoint is brought up when it can.
func TestASettledChangeIsMarkedLater(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "marks", "m")
	if err := os.Mkdir(filepath.Dir(kept), 0o700); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, Options{Path: filepath.Join(dir, "jeton.db"), Mark: kept, logPages: 64})
	if err := os.Rename(filepath.Dir(kept), filepath.Dir(kept)+".away"); err != nil {
		t.Fatal(err)
	}
	fillPages(t, s, 200)
	if err := os.Rename(filepath.Dir(kept)+".away", filepath.Dir(kept)); err != nil {
		t.Fatal(err)
	}
	if err := s.raiseMark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := mark.Read(kept); err != nil || m.Settled == 0 || m.Settled > m.Change {
		t.Errorf("the mark is %+v, %v", m, err)
	}
}

// Two lines that parted at a restore do not know of each other's changes,
// whichever has more of them.
func TestLinesThatParted(t *testing.T) {
	path := closedAt(t, 3)
	backup := func(name string) Info {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := Backup(t.Context(), path, file); err != nil {
			t.Fatal(err)
		}
		i, err := Describe(file)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	early := filepath.Join(t.TempDir(), "early.db")
	if err := Backup(t.Context(), path, early); err != nil {
		t.Fatal(err)
	}
	first := backup("first.db") // change 3, as early
	more(t, path, 2)
	other := backup("other.db") // change 5 of the line that is given up
	restored(t, path, early)
	more(t, path, 20)
	second := backup("second.db")
	for range 2 { // the line goes on over restores of its own
		restored(t, path, path)
		more(t, path, 1)
	}
	is, err := Describe(path)
	if err != nil {
		t.Fatal(err)
	}
	if !is.Continues(first) || !is.Continues(second) || !is.Continues(is) {
		t.Errorf("%+v came of %+v and %+v", is, first, second)
	}
	if is.Continues(other) {
		t.Errorf("%+v parted from %+v before", is, other)
	}
	// Early versions did not note where.
	is.lineage = first.instance + " " + is.instance
	if is.Continues(first) || !is.Continues(is) {
		t.Errorf("%+v is taken for what came of %+v", is, first)
	}
}
