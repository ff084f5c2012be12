package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

// TestNothingIsLeftInTheLog: the one file that is installed, or put aside, has all
// that its log had, or keeps its place.
func TestNothingIsLeftInTheLog(t *testing.T) {
	t.Parallel() // it waits
	path := filepath.Join(t.TempDir(), "jeton.db")
	s := openAt(t, Options{Path: path})
	put := func(id string) {
		t.Helper()
		_, err := s.Commit(t.Context(), storage.Change{Partition: part, Puts: []storage.Put{{Key: storage.Key{Kind: "k", ID: id}, Value: []byte(id)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	reader, err := connect(path, reading...)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.close()
	begin := func() {
		t.Helper()
		if err := reader.exec("BEGIN"); err != nil {
			t.Fatal(err)
		}
		if err := reader.query(func(*result) error { return nil }, "SELECT count(*) FROM rows"); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	put("2")
	source, err := OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	s.Close()
	if kept, err := source.Retire(time.Now()); err == nil || !strings.Contains(err.Error(), "lsof "+path) {
		t.Errorf("put aside as %s under a reader: %v", kept, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file has lost its place: %v", err)
	}
	if err := reader.exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := Consolidate(path); err != nil { // the reader may have the file open, but reads nothing
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "alone.db")
	if err := os.Link(path, alone); err != nil {
		t.Fatal(err)
	}
	if got := value(t, openAt(t, Options{Path: alone, Apart: true}), "2"); got != "2" {
		t.Errorf("the file alone has %q", got)
	}
}
