package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	lib "modernc.org/sqlite/lib"

	"jeton/storage"
)

// writer is what only the goroutine of [Store.write] uses.
type writer struct {
	path     string
	mark     string
	log      *slog.Logger
	lock     *fileLock
	maxPages int
	logPages int64
	conn     *conn // nil after it failed
	// checkpointAt is the length of the log, in pages, from which the next
	// checkpoint is tried.
	checkpointAt int64
	// unlooked is about how many pages were written since its length was looked
	// at.
	unlooked int
	// settled is the number of a change that the file holds by itself, see
	// [writer.settle].
	settled atomic.Uint64
}

// lookAfter is how many pages are written between two looks at the log: a small
// part of [checkpointPages], also if each drags others along.
const lookAfter = 128

// checkpointPages is how long the write-ahead log grows before its pages are
// copied to their places: 16 MB.
const checkpointPages = 4000

// prepare makes the file if there is none, checks it again now that nobody
// else can be making it, and migrates it. The caller holds the lock.
func (w *writer) prepare(ctx context.Context, now time.Time) error {
	if w.mark != "" {
		if err := readMark(w.mark).checkAlone(w.path); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	// An existing file is left to SQLite: to open and close it here would drop
	// the POSIX locks of another Store of this process.
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	c, err := connect(w.path, "busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer c.close()
	if err := w.upgrade(ctx, c, migrations, now); err != nil {
		return err
	}
	// SQLite opens a file that it may only read all the same, and even begins
	// to write: the first statement that does is what fails.
	if err := c.once("BEGIN IMMEDIATE; UPDATE meta SET sequence = sequence; ROLLBACK"); err != nil {
		return err
	}
	if w.mark != "" {
		if err := w.prepareMark(c); err != nil {
			return err
		}
	}
	return w.connect()
}

// connect opens the connection that writes. Checkpoints are taken by
// [writer.checkpoint], when no reader has to be waited for.
func (w *writer) connect() error {
	pragmas := []string{
		"busy_timeout(1000)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)",
		"journal_size_limit(67108864)", "cache_size(-16000)", "temp_store(MEMORY)", "trusted_schema(0)",
	}
	if w.maxPages > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", w.maxPages))
	}
	c, err := connect(w.path, pragmas...)
	if err != nil {
		return err
	}
	w.conn, w.checkpointAt = c, w.logPages
	return nil
}

// drop closes a connection of which, after an error, nothing is known.
func (w *writer) drop() {
	if w.conn != nil {
		w.conn.close()
		w.conn = nil
	}
}

func (w *writer) close() (err error) {
	if w.conn != nil {
		err = w.conn.close() // the last one of all also checkpoints
		w.conn = nil
	}
	w.lock.close()
	return err
}

// write is the one goroutine that writes.
func (s *Store) write() {
	defer s.work.Done()
	for {
		select {
		case <-s.stop:
			return
		case <-s.queue.wake:
		}
		for !s.queue.empty() {
			if s.turn() == errStopped {
				return
			}
		}
	}
}

// turn waits for the lock and commits one batch. Jobs are taken only when
// nothing is left to wait for, so that they can be withdrawn until then.
func (s *Store) turn() error {
	w := s.writer
	if err := w.lock.acquire(s.stop); err == errStopped {
		return err
	} else if err != nil {
		s.refuse(err)
		return err
	}
	defer w.lock.release()
	if err := w.begin(); code(err) == lib.SQLITE_BUSY {
		return err // a foreign program writes: the callers' time decides
	} else if err != nil {
		w.drop()
		s.refuse(err)
		return err
	}
	s.commit(s.queue.take())
	w.checkpoint()
	return nil
}

func (w *writer) begin() error {
	if w.conn == nil {
		if err := w.connect(); err != nil {
			return err
		}
	}
	return w.conn.exec("BEGIN IMMEDIATE")
}

// refuse answers those who wait when no transaction could be begun.
func (s *Store) refuse(err error) {
	err = unavailable(err)
	s.queue.answer(s.queue.take(), func(int) error { return err })
}

// commit applies each job on its own, writes what they changed with one
// fsync, and answers.
func (s *Store) commit(jobs []*job) {
	b := batch{c: s.writer.conn, spots: &s.spots, now: s.now()}
	refused := make([]error, len(jobs))
	err := b.begin()
	for i := 0; err == nil && i < len(jobs); i++ {
		if e := jobs[i].apply(&b); errors.Is(e, storage.ErrConflict) {
			refused[i] = e
		} else {
			err = e
		}
	}
	if err == nil {
		err = b.end()
	}
	if err == nil {
		if err = s.writer.conn.exec("COMMIT"); err != nil {
			err = outcome(err)
		}
	} else {
		err = unavailable(err)
	}
	if err != nil {
		// Also the conflicts: they may be with a change that is now undone.
		// Closing the connection rolls back.
		s.writer.drop()
		s.queue.answer(jobs, func(int) error { return err })
		return
	}
	if b.wrote > 0 {
		s.writer.unlooked += b.wrote
		s.changes.signal()
	}
	s.queue.answer(jobs, func(i int) error { return refused[i] })
}

// outcome says what a failed COMMIT means. A full disk is noticed before the
// frame that commits is complete. After any other failure, a failed fsync
// above all, that frame may be on the disk, and a crash would bring it back.
func outcome(err error) error {
	switch code(err) {
	case lib.SQLITE_FULL, lib.SQLITE_BUSY, lib.SQLITE_READONLY:
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnknown, explain(err))
}

// checkpoint copies the log to the file once it is long, and starts it anew.
// A plain checkpoint, as SQLite takes on its own, stops at the oldest reader
// and so never finishes while there are always some; this one waits for the
// readers of this moment, whom the lock keeps from being overtaken by writes.
// A reader that stays (a backup) is not waited for: the next try comes when
// the log has grown by as much again.
func (w *writer) checkpoint() {
	if w.conn == nil || w.unlooked < min(lookAfter, int(w.logPages)/8) {
		return
	}
	w.unlooked = 0
	pages, err := w.conn.column(1, "PRAGMA wal_checkpoint(NOOP)")
	if err != nil || pages < w.checkpointAt {
		if pages < w.logPages {
			w.checkpointAt = w.logPages
		}
		return
	}
	w.checkpointAt = pages + w.logPages
	w.conn.exec("PRAGMA busy_timeout(50)")
	w.settle(w.conn, "RESTART") // what fails here is tried again
	w.conn.exec("PRAGMA busy_timeout(1000)")
	if w.mark != "" {
		// Before the next commit begins the log anew. Where that fails,
		// [Store.follow] tries again, and tells.
		raise(w.conn, w.mark, w.settled.Load())
	}
}
