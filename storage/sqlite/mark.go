package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"jeton/storage/mark"
)

// meta is what a file says of itself, all zero before [markedSchema].
type meta struct {
	schema                     int
	instance, lineage, expects string
	sequence                   uint64
	written, backup            int64
}

func readMeta(c *conn, schema int) (meta, error) {
	m := meta{schema: schema}
	if schema == 0 {
		return m, nil
	}
	query := "SELECT sequence, written, instance, lineage, expects, backup FROM meta"
	if schema < markedSchema {
		query = "SELECT sequence, written, '', '', '', 0 FROM meta"
	}
	err := c.query(func(r *result) error {
		m.sequence, m.written, m.backup = uint64(r.int(0)), r.int(1), r.int(5)
		m.instance, m.lineage, m.expects = r.text(2), r.text(3), r.text(4)
		return nil
	}, query)
	return m, err
}

// markEvery is how often the mark follows the store: what was committed in the
// last second before a process was killed is all that a mark does not know. An
// ordered end leaves it exact. A commit would otherwise cost a second fsync.
const markEvery = time.Second

// markRead is a mark as it was found, or why it was not.
type markRead struct {
	path string
	mark.Mark
	err error
}

func readMark(path string) markRead {
	m, err := mark.Read(path)
	return markRead{path, m, err}
}

// check refuses a store that has gone back in time, one that took the place of
// another, and a backup. The mark has to have been read before the store was, or
// nobody may write meanwhile.
func (was markRead) check(m meta, path string) error {
	remedy := fmt.Sprintf("deal with what it has forgotten: jeton store restore %s", path)
	if m.backup != 0 {
		return fmt.Errorf("%s is a backup, of %s and change %d, and does not know what was revoked after that: %s",
			path, fromNanos(m.backup).Format(time.RFC3339), m.sequence, remedy)
	}
	switch {
	case errors.Is(was.err, fs.ErrNotExist) && (m.schema == 0 || m.expects == ""):
		return nil
	case errors.Is(was.err, fs.ErrNotExist):
		return fmt.Errorf("%s, which tells how far the store had come, is missing: put it back from where the store was; if %s is an old copy, %s", was.path, path, remedy)
	case errors.Is(was.err, mark.ErrDamaged):
		return fmt.Errorf("%s, which tells how far the store had come, is damaged, so %s may be an old copy: %s", was.path, path, remedy)
	case was.err != nil:
		return was.err
	case m.schema == 0 && movedFrom(path, was.path) != nil:
		return movedFrom(path, was.path)
	case m.schema == 0:
		return fmt.Errorf("the store %s is gone, which had come to change %d: put it back, or a backup of it with jeton store restore; to begin a new one remove %s", path, was.Change, was.path)
	case was.Store == m.instance && m.sequence < was.Change:
		return fmt.Errorf("the store has gone back in time: it is at change %d and had come to change %d before, so an old copy was put in its place: put the newer one back, or %s", m.sequence, was.Change, remedy)
	case was.Store == m.instance, was.Store == m.expects && m.expects != "":
		return nil
	}
	return fmt.Errorf("%s (at change %d) is not the store that %s tells of (at change %d), but another one or an old copy: put the right one back, or %s", path, m.sequence, was.path, was.Change, remedy)
}

// prepareMark gives an opened store its mark. The caller holds the lock.
func (w *writer) prepareMark(c *conn) error {
	m, err := readMeta(c, len(migrations))
	if err == nil {
		err = readMark(w.mark).check(m, w.path)
	}
	if err != nil {
		return err
	}
	// Whatever an end without a mark has copied into the file counts from here
	// on, before the next commit can begin a log anew.
	w.settle(c, "PASSIVE")
	if err := raise(c, w.mark, w.settled.Load()); err != nil {
		return fmt.Errorf("the mark of the store cannot be written: %w", err)
	}
	if m.expects == m.instance {
		return nil
	}
	// From here on the store is not taken without its mark.
	return c.once("UPDATE meta SET expects = instance")
}

// raiseMark brings the mark up to what has been committed.
func (s *Store) raiseMark(ctx context.Context) error {
	return s.reader(ctx, func(c *conn) error { return raise(c, s.markPath, s.writer.settled.Load()) })
}

func raise(c *conn, path string, settled uint64) error {
	return mark.Raise(path, func() (mark.Mark, error) {
		m, err := readMeta(c, len(migrations))
		return mark.Mark{Store: m.instance, Change: m.sequence, Settled: settled}, err
	})
}

// lastMark leaves an exact mark behind, when no commit of this process can come
// any more.
func (s *Store) lastMark() error {
	if err := raise(s.changes.looker, s.markPath, s.writer.settled.Load()); err != nil {
		return fmt.Errorf("storage: the mark of the store is a little behind: %w", explain(err))
	}
	return nil
}

// follow raises the mark while the store is open.
func (s *Store) follow() {
	defer s.work.Done()
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	trouble := false
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		err := s.raiseMark(context.Background())
		switch {
		case s.usable() != nil:
		case err != nil && !trouble:
			s.log.Error("the mark of the store cannot be written: an old copy of the store would not be told from it; make room, or let this user write it",
				"mark", s.markPath, "error", err)
		case err == nil && trouble:
			s.log.Info("the mark of the store is written again")
		}
		trouble = err != nil
	}
}
