package sqlite

import (
	"fmt"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// keepArena is how much memory for arguments a connection keeps.
const keepArena = 64 << 10

// arena is memory of SQLite's in which the arguments of one statement stand
// while it runs.
type arena struct {
	p    uintptr
	size int
}

// bind gives a statement its arguments: nil, int64, string, []byte.
func (c *conn) bind(s *stmt, args []any) error {
	if len(args) != s.params {
		return fmt.Errorf("a statement takes %d arguments and got %d", s.params, len(args))
	}
	need := 0
	for _, a := range args {
		switch a := a.(type) {
		case string:
			need += len(a) + 1
		case []byte:
			need += len(a) + 1
		}
	}
	if err := c.args.grow(c.tls, need); err != nil {
		return err
	}
	at := c.args.p
	for i, a := range args {
		n := int32(i + 1)
		var rc int32
		// Binding 0 for the destructor says that the memory stays as it is until
		// the statement has run.
		switch a := a.(type) {
		case nil:
			rc = lib.Xsqlite3_bind_null(c.tls, s.p, n)
		case int64:
			rc = lib.Xsqlite3_bind_int64(c.tls, s.p, n, a)
		case string:
			copy(memory(at, len(a)), a)
			rc = lib.Xsqlite3_bind_text(c.tls, s.p, n, at, int32(len(a)), 0)
			at += uintptr(len(a)) + 1
		case []byte:
			if a == nil {
				rc = lib.Xsqlite3_bind_null(c.tls, s.p, n)
				break
			}
			copy(memory(at, len(a)), a)
			rc = lib.Xsqlite3_bind_blob(c.tls, s.p, n, at, int32(len(a)), 0)
			at += uintptr(len(a)) + 1
		default:
			return fmt.Errorf("a %T is no argument of a statement", a)
		}
		if rc != lib.SQLITE_OK {
			return c.err(rc)
		}
	}
	return nil
}

// grow makes room for the arguments of the next statement, and gives back what
// a large one has left.
func (a *arena) grow(tls *libc.TLS, need int) error {
	if need <= a.size && a.size <= keepArena {
		return nil
	}
	a.free(tls)
	size := max(need, 4096)
	if a.p = libc.Xmalloc(tls, libc.Tsize_t(size)); a.p == 0 {
		return fmt.Errorf("no memory for %d bytes of arguments", size)
	}
	a.size = size
	return nil
}

func (a *arena) free(tls *libc.TLS) {
	if a.p != 0 {
		libc.Xfree(tls, a.p)
	}
	a.p, a.size = 0, 0
}
