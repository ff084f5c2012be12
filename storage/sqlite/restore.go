package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"jeton/storage/mark"
)

// Info is what a file says of itself.
type Info struct {
	Schema int
	// Change is how many changes it has seen, Written the store time of the
	// last of them.
	Change  uint64
	Written time.Time
	// Backup is when it was written as a backup, zero for a store in use.
	Backup time.Time

	instance, lineage string
}

// Continues reports whether the store came to be by using the other one: what
// that knew of, this one does, unless it has gone back in time.
func (i Info) Continues(other Info) bool {
	if other.instance == "" || i.Change < other.Change {
		return false
	}
	if i.instance == other.instance {
		return true
	}
	// What another line of that store did after the two parted is not known
	// here. Where they parted stands in the entry, see [Replacement.Copy].
	for _, entry := range strings.Fields(i.lineage) {
		name, at, _ := strings.Cut(entry, "@")
		if parted, err := strconv.ParseUint(at, 10, 64); err == nil && name == other.instance {
			return other.Change <= parted
		}
	}
	return false
}

// Describe reads what a file says of itself, whoever uses it. A file that is
// not there, or empty, has schema 0.
func Describe(path string) (Info, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Info{}, err
	}
	m, err := glance(path)
	if err != nil {
		return Info{}, fmt.Errorf("storage: %w", explain(err))
	}
	i := Info{Schema: m.schema, Change: m.sequence, instance: m.instance, lineage: m.lineage}
	if m.written != 0 {
		i.Written = fromNanos(m.written)
	}
	if m.backup != 0 {
		i.Backup = fromNanos(m.backup)
	}
	return i, nil
}

// errUsed refuses to replace a store under those who use it.
var errUsed = errors.New("storage: the store is in use: end the servers and commands that have it open, and try again")

// Replacement is a store that is about to take the place of another, and the
// right to put it there: as long as it lasts nobody can open the one in place.
type Replacement struct {
	// Path is the file that takes the place, once there is one. [Open] it apart.
	Path string

	store, mark string
	prior       mark.Mark // none where there is none that can be read
	use         *os.File
}

// Replace begins to replace a store. What an earlier attempt has left is
// removed; the store in place is not touched before [Replacement.Finish].
func Replace(store, markPath string) (_ *Replacement, err error) {
	if store, err = filepath.Abs(store); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(store), 0o700); err != nil {
		return nil, fmt.Errorf("storage: %w", explain(err))
	}
	r := &Replacement{Path: store + ".restoring", store: store, mark: cmp.Or(markPath, store+".mark")}
	if r.use, err = lockUse(store, unix.LOCK_EX, errUsed); err != nil {
		return nil, err
	}
	if r.prior, err = mark.Read(r.mark); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, mark.ErrDamaged) {
		return nil, errors.Join(fmt.Errorf("storage: the mark of the store cannot be read: %w", explain(err)), r.use.Close())
	}
	r.remove()
	return r, nil
}

// InPlace tells of the store in place, if it is the one that its mark tells of
// and has not gone back in time. The error says what it is else.
func (r *Replacement) InPlace() (Info, error) {
	i, err := Describe(r.store)
	switch {
	case err != nil:
		return i, err
	case i.Schema == 0:
		return i, errors.New("there is no store in place")
	case i.Schema < markedSchema:
		return i, errors.New("the store in place is of a version that kept no mark")
	case !i.Backup.IsZero():
		return i, errors.New("the store in place is itself a backup")
	case i.instance != r.prior.Store:
		return i, errors.New("the store in place is not the one that its mark tells of")
	case r.was().checkAlone(r.store) != nil:
		return i, errors.New("the store in place lies under a log that is not its own")
	case i.Change < r.prior.Change:
		return i, fmt.Errorf("the store in place has itself gone back in time, from change %d to %d", r.prior.Change, i.Change)
	}
	return i, nil
}

func (r *Replacement) was() markRead { return markRead{r.mark, r.prior, nil} }

// Copy makes the file that takes the place out of another, which stays as it
// is. From here on it is a store of its own: the last name of its lineage is the
// one that it had, which gets the change at which the two part.
func (r *Replacement) Copy(ctx context.Context, from string) error {
	if sameFile(from, r.store) {
		if err := r.was().checkAlone(r.store); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
	}
	return copyTo(ctx, from, r.Path, func(c *conn) error {
		var id [16]byte
		rand.Read(id[:])
		name := hex.EncodeToString(id[:])
		return c.exec(`UPDATE meta SET instance = ?, lineage = lineage || '@' || sequence || ' ' || ?, expects = ?, backup = 0`, name, name, r.prior.Store)
	})
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// Copy makes a new file out of a store or backup, of the newest schema, to be
// opened apart.
func Copy(ctx context.Context, from, to string) error {
	return copyTo(ctx, from, to, func(*conn) error { return nil })
}

func copyTo(ctx context.Context, from, to string, then func(*conn) error) error {
	from, err := filepath.Abs(from)
	if err == nil {
		err = look(from, "")
	}
	if err != nil {
		return fmt.Errorf("storage: %w", explain(err))
	}
	return vacuum(ctx, from, to, func(c *conn) error {
		version, fresh, err := verify(c, to, len(migrations))
		switch {
		case err != nil:
			return err
		case fresh:
			return fmt.Errorf("%s holds nothing: name a backup", from)
		}
		if err := migrate(c, version, migrations); err != nil {
			return err
		}
		return then(c)
	})
}

// Finish puts the new store in place, on the disk too, and returns where the
// one that was there is kept now; empty if there was none. The new store must
// have been closed.
func (r *Replacement) Finish(now time.Time) (kept string, err error) {
	// What was written since it was made goes to the disk before the name does.
	if err := syncFile(r.Path); err != nil {
		return "", fmt.Errorf("storage: %w", explain(err))
	}
	if kept, err = r.keep(now); err != nil {
		return "", fmt.Errorf("storage: %w", explain(err))
	}
	if err := os.Rename(r.Path, r.store); err != nil {
		return kept, fmt.Errorf("storage: %w", explain(err))
	}
	return kept, syncFile(filepath.Dir(r.store))
}

// syncFile brings a file, or the names in a directory, to the disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// keep gives the store in place a second name; the first one leads to it until
// the new one takes it. Its log goes along, if an end without order left one. A
// damaged mark goes too: the new store expects none.
func (r *Replacement) keep(now time.Time) (string, error) {
	if r.prior.Store == "" {
		if err := os.Remove(r.mark); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if _, err := os.Lstat(r.store); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	name := fmt.Sprintf("%s.replaced-%s", r.store, now.UTC().Format("20060102T150405Z"))
	kept := name
	err := os.Link(r.store, kept)
	for i := 2; errors.Is(err, fs.ErrExist); i++ {
		kept = fmt.Sprintf("%s-%d", name, i)
		err = os.Link(r.store, kept)
	}
	if err != nil {
		return "", err
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Rename(r.store+end, kept+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return kept, nil
}

// Close gives up the right, and what was not put in place.
func (r *Replacement) Close() error {
	r.remove()
	return r.use.Close()
}

func (r *Replacement) remove() {
	for _, end := range []string{"", "-wal", "-shm", "-journal", ".lock", ".lock-next", ".lock-use"} {
		os.Remove(r.Path + end) // what is not there, or stays, is in nobody's way
	}
}
