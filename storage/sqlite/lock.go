package sqlite

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"jeton/storage"
)

// fileLock lets one process write at a time. SQLite's own lock would do for
// safety, but those who wait for it poll, and a busy process then starves the
// others for seconds.
//
// It is two locks, a door and the room behind it: who waits for the room
// stands in the door, so that the process which has just left cannot slip in
// again before the one that waits.
type fileLock struct {
	door, room *os.File
}

var errStopped = errors.New("the store is closing")

func openLock(path string) (*fileLock, error) {
	door, err := openLockFile(path + ".lock-next")
	if err != nil {
		return nil, err
	}
	room, err := openLockFile(path + ".lock")
	if err != nil {
		door.Close()
		return nil, err
	}
	return &fileLock{door, room}, nil
}

func openLockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// acquire waits for the lock until stop is closed.
func (l *fileLock) acquire(stop <-chan struct{}) error {
	if err := flock(&l.door, stop); err != nil {
		return err
	}
	defer unlock(l.door)
	return flock(&l.room, stop)
}

func (l *fileLock) release() { unlock(l.room) }

func (l *fileLock) close() {
	for _, f := range []*os.File{l.door, l.room} {
		if f != nil {
			f.Close()
		}
	}
}

func unlock(f *os.File) {
	if f != nil {
		unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
}

// flock locks a file. The system call cannot be called off, so a wait that
// stop ends leaves the file to the goroutine in it, which closes it (and so
// gives up the lock) when whoever holds the lock lets go or dies.
func flock(f **os.File, stop <-chan struct{}) error {
	file := *f
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != unix.EWOULDBLOCK {
		return err
	}
	got := make(chan error)
	go func() {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
		for err == unix.EINTR {
			err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		}
		select {
		case got <- err:
		case <-stop:
			file.Close()
		}
	}()
	select {
	case err := <-got:
		return err
	case <-stop:
		*f = nil
		return errStopped
	}
}

// useFile is locked by all who have a store open, shared, and by who replaces
// it, alone.
func useFile(path string) string { return path + ".lock-use" }

var errRestoring = fmt.Errorf("%w: it is being restored: wait until that is done", storage.ErrUnavailable)

// use says that the store is in use until the file is closed.
func use(path string) (*os.File, error) {
	return lockUse(path, unix.LOCK_SH, errRestoring)
}

func lockUse(path string, how int, taken error) (*os.File, error) {
	f, err := openLockFile(useFile(path))
	if err != nil {
		return nil, err
	}
	for {
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err {
		case nil:
			return f, nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			f.Close()
			return nil, taken
		default:
			f.Close()
			return nil, err
		}
	}
}
