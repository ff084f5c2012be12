// Package mark keeps, in a small file outside a store, how far that store has
// come. A store that is behind its mark has gone back in time: an old copy of
// it was put back, which has forgotten what was revoked since.
//
// A mark is never ahead of what its store holds durably, so that a crash or a
// loss of power never makes a sound store look old. It may be behind, by what
// was committed after it was last raised. Which changes count, and how often a
// mark is raised, is the store's business.
package mark

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Mark is how far a store has come.
type Mark struct {
	// Store names the store: a copy has the same name until it is restored.
	Store string
	// Change is the number of a change that the store holds.
	Change uint64
	// Settled is the number of a change that the main file of the store holds by
	// itself, whatever log lies beside it. Zero where that is not known.
	Settled uint64
}

// ErrDamaged says that a file is no mark, or none any more.
var ErrDamaged = errors.New("mark: the file is damaged")

// A file has two slots of a disk sector each. They are written in turn, so that
// a write that is cut off leaves the one before. The second slot is there only
// once the first is whole.
const slotSize = 512

// slot is a mark as the file has it. The one that was written last counts.
type slot struct {
	Mark
	number uint64 // of the write
}

// formBefore is that of marks which know of no file by itself. It is still read.
const (
	form       = "jeton mark 2\nwrite %d\nstore %s\nchange %d\nsettled %d\n"
	formBefore = "jeton mark 1\nwrite %d\nstore %s\nchange %d\n"
)

func (s slot) encode() []byte {
	return sealed(fmt.Sprintf(form, s.number, s.Store, s.Change, s.Settled))
}

func sealed(text string) []byte {
	text += fmt.Sprintf("sum %08x\n", crc32.ChecksumIEEE([]byte(text)))
	return append([]byte(text), bytes.Repeat([]byte{'\n'}, max(0, slotSize-len(text)))...)
}

func decode(b []byte) (s slot, ok bool) {
	if _, err := fmt.Sscanf(string(b), form, &s.number, &s.Store, &s.Change, &s.Settled); err == nil {
		return s, bytes.Equal(s.encode(), b)
	}
	s = slot{}
	if _, err := fmt.Sscanf(string(b), formBefore, &s.number, &s.Store, &s.Change); err != nil {
		return s, false
	}
	return s, bytes.Equal(sealed(fmt.Sprintf(formBefore, s.number, s.Store, s.Change)), b)
}

// Read returns the mark in a file. The error wraps [fs.ErrNotExist] where there
// is none, and [ErrDamaged] where there was one.
func Read(path string) (Mark, error) {
	f, err := os.Open(path)
	if err != nil {
		return Mark{}, err
	}
	defer f.Close()
	s, err := latest(f)
	if err == nil && s.number == 0 {
		err = fmt.Errorf("mark: %s is empty: %w", path, fs.ErrNotExist)
	}
	return s.Mark, err
}

// latest is the slot that counts; its number is 0 in a file in which no mark
// was ever finished.
func latest(f *os.File) (best slot, err error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 2*slotSize+1))
	if err != nil {
		return best, err
	}
	for i := 0; i+slotSize <= len(b); i += slotSize {
		if s, ok := decode(b[i : i+slotSize]); ok && s.number > best.number {
			best = s
		}
	}
	if best.number == 0 && len(b) > slotSize {
		return best, fmt.Errorf("%w: %s", ErrDamaged, f.Name())
	}
	return best, nil
}

// Raise brings the mark in a file up to what now returns, and makes the file if
// there is none. Several processes may do so at once: each asks its store while
// it holds the file, so that none puts the mark back to what it knew before. A
// mark of another store is replaced: whoever opens a store looks first whether
// it is the one that the mark tells of.
func Raise(path string, now func() (Mark, error)) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // gives up the lock
	if err := lock(f); err != nil {
		return err
	}
	was, err := latest(f)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	is, err := now()
	if err != nil {
		return err
	}
	if is.Store == was.Store {
		is.Change, is.Settled = max(is.Change, was.Change), max(is.Settled, was.Settled)
		if is == was.Mark {
			return nil
		}
	}
	next := slot{is, was.number + 1}
	text := next.encode()
	if len(text) != slotSize {
		return fmt.Errorf("mark: the name %q of a store is too long", is.Store)
	}
	if _, err := f.WriteAt(text, int64((next.number-1)%2)*slotSize); err != nil {
		return err
	}
	if err := f.Sync(); err != nil || was.number > 0 {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func lock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}
