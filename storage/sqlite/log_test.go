package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"jeton/storage"
)

// TestTheLogStaysShort writes many times the length of the log while readers
// never pause, and then with a reader that never ends.
func TestTheLogStaysShort(t *testing.T) {
	const logPages, page = 400, 4096 + 24
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db"), logPages: logPages})
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.Read(t.Context(), part, storage.Key{Kind: "k", ID: "0"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	fillPages(t, s, 3*logPages)
	stop()
	reading.Wait()
	size := func() int64 {
		info, err := os.Stat(s.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if got := size(); got > 5*logPages*page/2 {
		t.Errorf("after %d pages the log has %d bytes", 3*logPages, got)
	}

	c, err := connect(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.exec("BEGIN"); err != nil {
		t.Fatal(err)
	}
	c.number("SELECT count(*) FROM rows")
	fillPages(t, s, 2*logPages) // does not wait for that reader
	if err := c.exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	long := size()
	fillPages(t, s, 2*logPages)
	if got := size(); got > long+2*logPages*page {
		t.Errorf("the log grew from %d to %d after the reader had ended", long, got)
	}
}

// fillPages writes so many pages, a few of them over and over.
func fillPages(t *testing.T, s *Store, pages int) {
	t.Helper()
	const size = 40_000
	for n := 0; n < pages; n += size / 4096 {
		// Other bytes each time: SQLite does not write a page that is the same.
		big := bytes.Repeat([]byte{byte(n), byte(n >> 8)}, size/2)
		mustCommit(t, s, row(fmt.Sprint(n%5), string(big)))
	}
}
