package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Backup writes the store as it is at this moment to a new file, which is a
// store itself. Reads and commits go on meanwhile. What it cannot finish it
// removes.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.usable(); err != nil {
		return err
	}
	return backup(ctx, s.path, path, s.now())
}

// Backup is [Store.Backup] of a file that need not be opened for it, whichever
// processes use it.
func Backup(ctx context.Context, store, path string) error {
	store, err := filepath.Abs(store)
	if err == nil {
		err = look(store, "")
	}
	if err != nil {
		return fmt.Errorf("storage: %w", explain(err))
	}
	return backup(ctx, store, path, time.Now())
}

// backup writes the copy, which says that it is one: it must not be used as the
// store before what it has forgotten is dealt with.
func backup(ctx context.Context, store, path string, now time.Time) error {
	return vacuum(ctx, store, path, func(c *conn) error {
		version, _, err := verify(c, path, len(migrations))
		if err != nil || version < markedSchema {
			return err
		}
		return c.exec("UPDATE meta SET backup = ?", now.UnixNano())
	})
}

// takenError is the place of a backup that something has already. Its words are
// its own: those of [fs.ErrExist] would say the same once more.
type takenError string

func (e takenError) Error() string {
	return fmt.Sprintf("storage: %s exists already: name a new file for the backup", string(e))
}
func (e takenError) Is(target error) bool { return target == fs.ErrExist }

// vacuum copies a store to a new file and hands the copy to finish.
func vacuum(ctx context.Context, store, path string, finish func(*conn) error) (err error) {
	// Absolute, since SQLite takes a name that begins with "file:" for a URI.
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	// O_EXCL: nothing is ever overwritten, least of all the last good backup.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return takenError(path)
	} else if err != nil {
		return fmt.Errorf("storage: the backup: %w", explain(err))
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(path)
			err = fmt.Errorf("storage: the backup: %w", explain(err))
		}
	}()
	// Where a log lies beside the store, who may only read leaves it there: it may
	// belong to another file.
	q := url.Values{"mode": {"rw"}}
	if logged(store) {
		q.Set("mode", "ro")
	}
	c, err := connectURI(store, q, []string{"busy_timeout(5000)", "trusted_schema(0)"})
	if err != nil {
		return err
	}
	defer c.close()
	// VACUUM INTO fills a file that is empty. It is not a write to the store,
	// so this is the one statement that a caller may interrupt.
	if err := c.interruptible(ctx, "VACUUM INTO ?", path); err != nil {
		return err
	}
	if err := onCopy(path, finish); err != nil {
		return err
	}
	// SQLite leaves syncing the copy to us.
	if err := f.Sync(); err != nil {
		return err
	}
	return syncFile(filepath.Dir(path))
}

func onCopy(path string, act func(*conn) error) error {
	c, err := connect(path, "busy_timeout(5000)", "trusted_schema(0)")
	if err != nil {
		return err
	}
	return errors.Join(act(c), c.close())
}
