package copying

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrRuns says that another process copies with the same journal.
var ErrRuns = errors.New("copying: another copy runs")

// Lock keeps other processes of this machine from using the journal at path, until
// it is released or this process ends.
func Lock(path string) (release func() error, err error) {
	path += ".lock"
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if err == unix.EWOULDBLOCK {
				err = ErrRuns
			}
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		is, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(is, now) {
			return func() error { return errors.Join(os.Remove(path), f.Close()) }, nil
		}
		f.Close() // who had it has just removed it
	}
}
