// Package sqlite keeps the records of Jeton in one SQLite file, for one
// machine and any number of processes on it. It is a [storage.Backend] and
// knows no more than that.
//
// Reads run beside each other on a pool of connections. All writes of a
// process go through one goroutine, which commits together what has queued
// while the commit before was on its way to the disk: many callers share one
// fsync, and a single one waits for nobody. A file lock around each such batch
// gives processes their turn.
//
// Durability is that of the disk: WAL with synchronous=FULL, so a commit is
// answered after its fsync. WAL needs shared memory, hence a local file
// system, not NFS.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"jeton/storage"
)

// Options say where the store is. The zero value of all but Path works.
type Options struct {
	// Path is the file; it is made, with its directory, if it does not exist.
	Path string
	// Now is the store's clock. nil is time.Now.
	Now func() time.Time
	// Wait is the longest that a call waits for its turn before it fails with
	// storage.ErrUnavailable. Zero is 5 s.
	Wait time.Duration
	// Mark is the file that tells how far the store has come, kept where it
	// does not go back in time with the store. Empty is Path with ".mark".
	Mark string
	// Apart opens a file that is no store in use, without a mark: what is made
	// ready to become one.
	Apart bool
	// Log tells of what is done without being asked. nil is no log.
	Log *slog.Logger

	// maxPages limits the size of the file, to test what a full disk does;
	// logPages stands in for [checkpointPages].
	maxPages, logPages int
}

// Store is a SQLite file, opened.
type Store struct {
	path     string
	markPath string // empty when opened apart
	now      func() time.Time
	wait     time.Duration
	log      *slog.Logger
	inUse    *os.File // its lock says that the store is

	queue   queue
	writer  *writer
	readers chan *conn    // open, and used by nobody
	places  chan struct{} // one for each that may be opened yet
	changes changes
	spots   spots

	stop chan struct{} // ends the background work
	work sync.WaitGroup

	closing  chan struct{} // refuses new calls
	moved    atomic.Bool   // so does this, see [Store.watch]
	closed   sync.Once
	closeErr error
}

var _ storage.Backend = (*Store)(nil)

// Open opens or makes the store. What it refuses (the file of another program,
// of a newer version, one that cannot be read) it leaves as it was.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", explain(err))
	}
	return s, nil
}

// begun refuses to begin a store where a copy is about to put one.
func begun(path string) error {
	_, err := os.Stat(path)
	_, filling := os.Stat(Filling(path))
	if errors.Is(err, os.ErrNotExist) && filling == nil {
		return fmt.Errorf("%s is being filled by jeton store copy, and is not whole: finish that with --finish; to give it up remove %s*", path, Filling(path))
	}
	return nil
}

func open(ctx context.Context, o Options) (*Store, error) {
	if o.Path == "" {
		return nil, errors.New("the store needs the name of a file, such as sqlite:jeton-data/jeton.db")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	if err := begun(path); err != nil {
		return nil, err
	}
	s := &Store{
		path: path, now: o.Now, wait: o.Wait, log: o.Log,
		readers: make(chan *conn, max(4, 2*runtime.GOMAXPROCS(0))),
		stop:    make(chan struct{}), closing: make(chan struct{}),
	}
	s.queue.wake = make(chan struct{}, 1)
	if s.now == nil {
		s.now = time.Now
	}
	if s.wait == 0 {
		s.wait = 5 * time.Second
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if !o.Apart {
		s.markPath = cmp.Or(o.Mark, path+".mark")
	}
	s.places = make(chan struct{}, cap(s.readers))
	for range cap(s.places) {
		s.places <- struct{}{}
	}
	if err := s.prepare(ctx, o); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(err, s.changes.looker.close(), s.writer.close(), s.inUse.Close())
	}
	s.work.Add(2)
	go s.write()
	go s.watch(info)
	if s.markPath != "" {
		s.work.Add(1)
		go s.follow()
	}
	return s, nil
}

// prepare makes the file, or brings it to the schema of this version, while no
// other process writes.
func (s *Store) prepare(ctx context.Context, o Options) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	// Before the first file of ours appears beside what may not be ours.
	if err := look(s.path, s.markPath); err != nil {
		return err
	}
	used, err := use(s.path)
	if err != nil {
		return err
	}
	defer func() {
		if s.inUse == nil {
			used.Close()
		}
	}()
	lock, err := openLock(s.path)
	if err != nil {
		return err
	}
	w := &writer{path: s.path, mark: s.markPath, log: s.log, lock: lock, maxPages: o.maxPages, logPages: int64(cmp.Or(o.logPages, checkpointPages))}
	late, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if err := lock.acquire(late.Done()); err == errStopped {
		lock.close()
		return fmt.Errorf("%w: another process has held %s.lock for %v: end it and try again", storage.ErrUnavailable, s.path, s.wait)
	} else if err != nil {
		lock.close()
		return err
	}
	defer lock.release()
	if err := w.prepare(ctx, s.now()); err != nil {
		w.close()
		return err
	}
	if s.changes.looker, err = connect(s.path, reading...); err != nil {
		w.close()
		return err
	}
	s.writer, s.inUse = w, used
	return nil
}

// look refuses a file that is not ours, or not what its mark tells of, without
// leaving a trace beside it. An empty mark is none.
func look(path, mark string) error {
	was := readMark(mark)
	var refused error
	if mark != "" {
		refused = was.checkAlone(path)
	}
	if refused == nil {
		m, err := glance(path)
		if err != nil || mark == "" {
			return err
		}
		refused = was.check(m, path)
	}
	if refused != nil && readMark(mark).Mark == was.Mark {
		return refused
	}
	return nil // or another process is at work, and the look under the lock decides
}

// glance reads what a file says of itself.
func glance(path string) (meta, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return meta{}, nil
	} else if err != nil {
		return meta{}, err
	}
	if !info.Mode().IsRegular() {
		return meta{}, fmt.Errorf("%s is not a file: name one with --store", path)
	}
	c, err := connectQuietly(path)
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

// connectQuietly opens a file to read it and makes none beside it.
func connectQuietly(path string) (*conn, error) {
	q := url.Values{"mode": {"ro"}}
	if !logged(path) {
		// Even to read, SQLite would make the log of a database that is in WAL
		// mode, unless told that nobody writes. Without a log nobody does; if
		// that changes at this moment, the look under the lock decides.
		q.Set("immutable", "1")
	}
	return connectURI(path, q, reading)
}

// Now is the clock of the process: all that use the file are on one machine.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.usable(); err != nil {
		return time.Time{}, err
	}
	return s.now().UTC(), nil
}

// Durability implements [storage.Backend]: what was answered or read is on the
// disk.
func (s *Store) Durability() storage.Durability { return storage.Durability{} }

var errMoved = fmt.Errorf("%w: its file has been removed or replaced while in use: put it back, or restart on the new one", storage.ErrUnavailable)

// usable says why no call may begin, or nil.
func (s *Store) usable() error {
	select {
	case <-s.closing:
		return storage.ErrClosed
	default:
	}
	if s.moved.Load() {
		return errMoved
	}
	return nil
}

// Close lets the commits under way finish, or be withdrawn when their time is
// up, and ends the background work.
func (s *Store) Close() error {
	s.closed.Do(func() {
		close(s.closing)
		s.queue.drain()
		close(s.stop)
		s.work.Wait()
		if s.markPath != "" && !s.moved.Load() {
			s.closeErr = s.lastMark()
		}
		for range cap(s.readers) {
			select {
			case c := <-s.readers:
				s.closeErr = errors.Join(s.closeErr, c.close())
			case <-s.places:
			}
		}
		s.closeErr = errors.Join(s.closeErr, s.changes.looker.close(), s.writer.close(), s.inUse.Close())
		s.changes.signal()
	})
	return s.closeErr
}
