package sqlite

import (
	"io/fs"
	"os"
	"sync"
	"time"
)

// changes tells waiters that something was committed.
type changes struct {
	mu      sync.Mutex
	waiting chan struct{} // nil while nobody waits

	// looker is a connection only for looking whether others have committed.
	looker *conn
}

func (c *changes) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = make(chan struct{})
	}
	return c.waiting
}

func (c *changes) signal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil {
		close(c.waiting)
		c.waiting = nil
	}
}

// Changed implements [storage.Backend]. Commits of this process close the
// channel at once, those of others when [Store.watch] sees them.
func (s *Store) Changed() <-chan struct{} { return s.changes.wait() }

// watch looks ten times a second whether another process has committed. The
// number that SQLite compares is in shared memory, so a look costs
// microseconds. It also changes with commits of our own: a signal too many.
//
// It also looks whether the name still leads to the file that is open. If not,
// commits would go on succeeding into a file that nobody finds again.
func (s *Store) watch(opened fs.FileInfo) {
	defer s.work.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	// The first look comes after Open has returned, so a commit between the
	// two must count: hence no number is known yet.
	seen := int64(-1)
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		info, err := os.Stat(s.path)
		s.moved.Store(err != nil || !os.SameFile(info, opened))
		n, err := s.changes.looker.number("PRAGMA data_version")
		// A look that failed may have missed a change.
		if err != nil || n != seen {
			s.changes.signal()
		}
		seen = n
	}
}
