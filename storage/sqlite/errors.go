package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
	lib "modernc.org/sqlite/lib"

	"jeton/storage"
)

// unavailable says that nothing was read or written, why, and what to do.
func unavailable(err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, explain(err))
}

const (
	full     = "the disk or the quota is full: make room, nothing needs to be repaired"
	readOnly = "the file, its directory or its file system is read-only: make it writable for this user"
)

// explain adds the remedy to the errors that an operator can meet.
func explain(err error) error {
	remedy := ""
	switch code(err) {
	case lib.SQLITE_FULL:
		remedy = full
	case lib.SQLITE_READONLY:
		remedy = readOnly
	case lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		remedy = "the file or its directory cannot be opened: let this user read and write both"
	case lib.SQLITE_NOTADB:
		remedy = "the file is no SQLite database: name another file with --store"
	case lib.SQLITE_CORRUPT:
		remedy = "the file is damaged: restore a backup"
	case lib.SQLITE_IOERR:
		remedy = "the disk reported an error: look at the system log, and restore a backup if it is failing"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		remedy = "another program holds the database: end it"
	default:
		switch {
		case errors.Is(err, fs.ErrPermission):
			remedy = "let this user read and write the file and its directory"
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
			remedy = full
		case errors.Is(err, unix.EROFS):
			remedy = readOnly
		}
	}
	if remedy == "" {
		return err
	}
	return fmt.Errorf("%s (%w)", remedy, err)
}

// code is the primary result code of SQLite, or 0.
func code(err error) int {
	var e *dbError
	if errors.As(err, &e) {
		return e.code & 0xff
	}
	return 0
}
