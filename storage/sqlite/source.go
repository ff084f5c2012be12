package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"jeton/storage"
)

// Source reads a file as a whole, whoever uses it.
type Source struct {
	path string
	id   string
	held *os.File

	mu sync.Mutex
	c  *conn
}

var _ storage.Source = (*Source)(nil)

// OpenSource opens a store to be read as a whole.
func OpenSource(path string) (*Source, error) {
	s, err := openSource(path)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", explain(err))
	}
	return s, nil
}

func openSource(path string) (*Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	m, err := glance(path)
	switch {
	case err != nil:
		return nil, err
	case m.schema == 0:
		return nil, fmt.Errorf("%s holds nothing: name another file", path)
	case m.schema < len(migrations):
		return nil, fmt.Errorf("%s is of an older version of jeton: start this version on it once, which brings it up to date", path)
	case m.backup != 0:
		return nil, fmt.Errorf("%s is a backup and does not know what was revoked after it: restore it first with jeton store restore", path)
	}
	// Not quietly: a server may begin to write while this reads.
	c, err := connect(path, reading...)
	if err != nil {
		return nil, err
	}
	return &Source{path: path, c: c, id: m.instance}, nil
}

// ID names the store.
func (s *Source) ID() string { return s.id }

// Hold keeps everybody else from opening the store. It fails while the store is
// in use.
func (s *Source) Hold() (err error) {
	s.held, err = lockUse(s.path, unix.LOCK_EX, errUsed)
	return err
}

// Retire gives the file another name, so that nobody goes on with a store that
// has moved, and ends reading it. It must be held.
func (s *Source) Retire(now time.Time) (kept string, err error) {
	kept = fmt.Sprintf("%s.moved-%s", s.path, now.UTC().Format("20060102T150405Z"))
	if err := s.retire(kept); err != nil {
		return "", fmt.Errorf("storage: %w", explain(err))
	}
	return kept, nil
}

func (s *Source) retire(kept string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.c
	s.c = nil
	if err := c.close(); err != nil {
		return err
	}
	if err := consolidate(s.path); err != nil { // so that there is one name to change
		return err
	}
	if err := os.Rename(s.path, kept); err != nil {
		return err
	}
	return syncFile(filepath.Dir(s.path))
}

// Consolidate brings all of a store into its one file, out of the log beside it. It
// fails while another program reads the file.
func Consolidate(path string) error {
	if err := consolidate(path); err != nil {
		return fmt.Errorf("storage: %w", explain(err))
	}
	return nil
}

func consolidate(path string) error {
	c, err := connect(path, "busy_timeout(5000)")
	if err != nil {
		return err
	}
	busy := int64(-1)
	err = c.query(func(r *result) error {
		busy = r.int(0)
		return nil
	}, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	if busy != 0 {
		return fmt.Errorf("another program reads %s, so its log cannot be brought into it: end that (lsof %s says which), and run this again", path, path)
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return fmt.Errorf("another program writes to %s: end that (lsof %s says which), and run this again", path, path)
	}
	return nil
}

// Close ends reading and holding.
func (s *Source) Close() error {
	var err error
	if s.c != nil {
		err = s.c.close()
	}
	if s.held != nil {
		err = errors.Join(err, s.held.Close())
	}
	return err
}

// Heads implements [storage.Source].
func (s *Source) Heads(ctx context.Context, visit func([]storage.Head) error) error {
	for last := int64(math.MinInt64); ; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		page, n, err := s.heads(last)
		if err != nil {
			return fmt.Errorf("storage: %w", explain(err))
		}
		if len(page) == 0 {
			return nil
		}
		if err := visit(page); err != nil {
			return err
		}
		last = n
	}
}

func (s *Source) heads(after int64) (page []storage.Head, last int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.c.query(func(r *result) error {
		last = r.int(0)
		page = append(page, storage.Head{
			Partition: storage.Partition(r.text(1)), Key: storage.Key{Kind: r.text(2), ID: r.text(3)},
			Version: uint64(r.int(4)), Expires: fromNanos(r.int(5)),
		})
		return nil
	}, `SELECT n, partition, kind, id, version, expires FROM rows WHERE n > ? ORDER BY n LIMIT 1000`, after)
	return page, last, err
}

// Wholes implements [storage.Source].
func (s *Source) Wholes(_ context.Context, p storage.Partition, keys ...storage.Key) ([]storage.Whole, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.wholes(p, keys)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", explain(err))
	}
	return rows, nil
}

func (s *Source) wholes(p storage.Partition, keys []storage.Key) ([]storage.Whole, error) {
	if err := s.c.exec("BEGIN"); err != nil {
		return nil, err
	}
	defer s.c.exec("COMMIT")
	rows := make([]storage.Whole, len(keys))
	for i, k := range keys {
		rows[i].Row = storage.Row{Partition: p, Key: k}
		var packed []byte
		err := s.c.query(func(r *result) error {
			found := rowOf(r)
			rows[i].Row, packed = found.row, found.packed
			return nil
		}, `SELECT n, partition, kind, id, version, expires, entries, value FROM rows WHERE partition = ? AND kind = ? AND id = ?`,
			string(p), k.Kind, k.ID)
		if err == nil {
			err = eachEntry(packed, func(e storage.Entry) error {
				rows[i].Entries = append(rows[i].Entries, e)
				return nil
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// MovedAs is the file as which the store at path was put aside when it moved, empty
// if there is none, or if the mark tells of a later one. mark is its name, empty for
// the usual one.
func MovedAs(path, mark string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	names, err := filepath.Glob(path + ".moved-*Z")
	if err != nil || len(names) == 0 {
		return ""
	}
	last := slices.Max(names) // they end with when that was
	m, err := glance(last)
	was := readMark(cmp.Or(mark, path+".mark"))
	if err != nil || was.err != nil || m.instance != was.Store || m.sequence < was.Change {
		return ""
	}
	return last
}

// movedFrom says where the store at path has gone, nil if it has not moved.
func movedFrom(path, mark string) error {
	if kept := MovedAs(path, mark); kept != "" {
		return fmt.Errorf("the store %s was moved by jeton store copy, and is kept as %s: name the new one with --store; to go on here after all, end the servers there and give that file its name back", path, kept)
	}
	return nil
}

// Elsewhere says why there is no store at path though there was one, or will be:
// it has moved, or is being filled. nil is that there is one, or nothing known.
func Elsewhere(path, mark string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := begun(path); err != nil {
		return err
	}
	return movedFrom(path, mark)
}

// Filling is the name of the file in which a store is made ready that will stand
// at path.
func Filling(path string) string { return path + ".filling" }

// Vacant says why no store can be made ready for path, or nil.
func Vacant(path string) error {
	for _, name := range []string{path, path + ".mark"} {
		if _, err := os.Stat(name); err == nil {
			return fmt.Errorf("storage: there is or was a store at %s (%s exists): name another file, or move that store away with all files that begin with its name", path, name)
		} else if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("storage: %w", explain(err))
		}
	}
	return nil
}

// Install puts the file that was made ready in its place. Nobody may have it open.
func Install(path string) error {
	filling := Filling(path)
	err := syncFile(filling)
	if err == nil {
		err = os.Link(filling, path) // unlike a rename it overwrites nothing
	}
	if err == nil {
		err = syncFile(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("storage: %w", explain(err))
	}
	for _, part := range []string{"", ".lock", ".lock-next", ".lock-use"} {
		_ = os.Remove(filling + part) // what is left of it takes room and no more
	}
	return nil
}
