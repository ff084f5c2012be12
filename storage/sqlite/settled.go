package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// Every commit writes the page that has the number of changes, so a log has the
// newest number whatever file it lies beside. An old copy of the file that was
// put under the log of the newer one would say that it is up to date, without
// the pages that were copied from earlier logs into the file that is gone. So the
// mark also has a number that the file must hold by itself.

// settle takes a checkpoint, and where all of the log is in the file after it
// notes up to which change the file holds everything. The caller holds the lock:
// while others commit, SQLite leaves out the sync of the file. What fails leaves
// the number as it was, which is never too high.
func (w *writer) settle(c *conn, kind string) {
	change, err := c.number("SELECT sequence FROM meta")
	if err != nil {
		return
	}
	pages, copied := int64(-1), int64(-1)
	err = c.query(func(r *result) error {
		pages, copied = r.int(1), r.int(2)
		return nil
	}, "PRAGMA wal_checkpoint("+kind+")")
	if err == nil && pages >= 0 && pages == copied {
		w.settled.Store(uint64(change))
	}
}

// checkAlone refuses a file that lies under a log which is not its own. It has
// to come before the file is opened to be written: the last to close it copies
// the log into it. The mark has to have been read before.
func (was markRead) checkAlone(path string) error {
	if !logged(path) {
		return nil // without a log the file says itself what it is
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil
	}
	m, err := alone(path)
	if err == nil && !was.holds(m) {
		// A checkpoint may have been writing just this page. Not twice.
		m, err = alone(path)
	}
	// What cannot be read, as after a checkpoint that was cut off, may be whole
	// with its log.
	if err != nil || was.holds(m) {
		return nil
	}
	return fmt.Errorf("%s (by itself at change %d) lies under a log that is not its own, so it is an old copy, a backup or another store: put back the file that %s-wal belongs to; or move %s-wal and %s-shm away, and deal with what the copy has forgotten: jeton store restore %s",
		path, m.sequence, path, path, path, path)
}

// holds reports whether a file that says this by itself can be that of the mark.
func (was markRead) holds(m meta) bool {
	switch {
	case m.backup != 0:
		return false // nobody writes to a backup
	case was.err != nil || was.Settled == 0:
		return true
	case m.instance == was.Store:
		return m.sequence >= was.Settled
	}
	return m.expects != "" && m.expects == was.Store // restored, and not marked yet
}

// alone reads what a file says of itself without its log.
func alone(path string) (meta, error) {
	c, err := connectURI(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}, reading)
	if err != nil {
		return meta{}, err
	}
	defer c.close()
	version, _, err := verify(c, path, len(migrations))
	if err != nil {
		return meta{}, err
	}
	return readMeta(c, version)
}

// logged reports whether a file has a log beside it.
func logged(path string) bool {
	_, err := os.Stat(path + "-wal")
	return !errors.Is(err, fs.ErrNotExist)
}
