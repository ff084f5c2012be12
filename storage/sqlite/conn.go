package sqlite

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// conn is one connection with its prepared statements. It calls SQLite itself,
// not the driver for database/sql: a statement is a few microseconds, as much as
// a driver adds for column names, cancellation and conversions that nothing
// here needs. Only one goroutine uses a conn at a time, so SQLite is told to
// leave its own locks out.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	stmts map[string]*stmt
	row   result
	args  arena
}

// stmt is a prepared statement.
type stmt struct {
	p      uintptr
	params int
}

// result gives the columns of the row at which a query is.
type result struct {
	tls *libc.TLS
	p   uintptr
}

func (r *result) int(i int) int64 { return lib.Xsqlite3_column_int64(r.tls, r.p, int32(i)) }

// blob copies a column of bytes; NULL and nothing are nil.
func (r *result) blob(i int) []byte {
	p := lib.Xsqlite3_column_blob(r.tls, r.p, int32(i))
	n := lib.Xsqlite3_column_bytes(r.tls, r.p, int32(i))
	if p == 0 || n == 0 {
		return nil
	}
	return slices.Clone(memory(p, int(n)))
}

func (r *result) text(i int) string {
	p := lib.Xsqlite3_column_text(r.tls, r.p, int32(i))
	return string(memory(p, int(lib.Xsqlite3_column_bytes(r.tls, r.p, int32(i)))))
}

// memory is a view of n bytes that are SQLite's.
func memory(p uintptr, n int) []byte {
	if p == 0 || n == 0 {
		return nil
	}
	// SQLite's memory is none of the garbage collector's: it neither moves nor
	// goes away while the address is known to be good.
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), n)
}

// dbError is an error of SQLite.
type dbError struct {
	code int // with the extended part
	text string
}

func (e *dbError) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }

func (c *conn) err(rc int32) error {
	if rc == lib.SQLITE_OK {
		return nil
	}
	text := libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 {
		if msg := libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db)); msg != text {
			text += ": " + msg
		}
	}
	return &dbError{int(rc), text}
}

// connect opens the file. A missing one is an error: only [Open] makes it, with
// its mode.
func connect(path string, pragmas ...string) (*conn, error) {
	q := url.Values{"mode": {"rw"}}
	if slices.Contains(pragmas, queryOnly) {
		q.Set("mode", "ro")
	}
	return connectURI(path, q, pragmas)
}

func connectURI(path string, q url.Values, pragmas []string) (*conn, error) {
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	c := &conn{tls: libc.NewTLS(), stmts: make(map[string]*stmt)}
	c.row.tls = c.tls
	if err := c.open(u.String()); err != nil {
		c.close()
		return nil, err
	}
	for _, p := range pragmas {
		if err := c.once("PRAGMA " + p); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *conn) open(uri string) error {
	lib.PatchIssue199() // of the library, for linux/arm64
	name, err := libc.CString(uri)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, name)
	out := libc.Xcalloc(c.tls, 1, 8)
	defer libc.Xfree(c.tls, out)
	rc := lib.Xsqlite3_open_v2(c.tls, name, out, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_URI|lib.SQLITE_OPEN_NOMUTEX, 0)
	c.db = pointer(out) // also of a failure, to be closed
	if rc != lib.SQLITE_OK {
		return c.err(rc)
	}
	return c.err(lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1))
}

// pointer reads what SQLite returned by reference.
func pointer(p uintptr) uintptr { return *(*uintptr)(unsafe.Pointer(unsafe.SliceData(memory(p, 8)))) }

// close finalises the statements first: SQLite keeps a connection, and its
// locks, for as long as it has one.
func (c *conn) close() error {
	for _, s := range c.stmts {
		lib.Xsqlite3_finalize(c.tls, s.p)
	}
	c.args.free(c.tls)
	rc := lib.Xsqlite3_close_v2(c.tls, c.db)
	c.db = 0
	err := c.err(rc)
	c.tls.Close()
	return err
}

// prepare compiles the first statement of a text, and returns what follows it.
func (c *conn) prepare(query uintptr, flags uint32) (s *stmt, rest uintptr, err error) {
	out := libc.Xcalloc(c.tls, 2, 8)
	defer libc.Xfree(c.tls, out)
	if err := c.err(lib.Xsqlite3_prepare_v3(c.tls, c.db, query, -1, flags, out, out+8)); err != nil {
		return nil, 0, err
	}
	p := pointer(out)
	return &stmt{p, int(lib.Xsqlite3_bind_parameter_count(c.tls, p))}, pointer(out + 8), nil
}

// stmt returns the prepared statement of a query text.
func (c *conn) stmt(query string) (*stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	text, err := libc.CString(query)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	s, _, err := c.prepare(text, lib.SQLITE_PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = s
	return s, nil
}

// exec runs a statement that returns no rows.
func (c *conn) exec(query string, args ...any) error {
	return c.query(func(*result) error { return nil }, query, args...)
}

// query hands each row to visit, which must not keep it. The statement is
// finished, or given up, when query returns.
func (c *conn) query(visit func(*result) error, query string, args ...any) error {
	s, err := c.stmt(query)
	if err != nil {
		return err
	}
	if err := c.bind(s, args); err != nil {
		return err
	}
	err = c.steps(s.p, visit)
	lib.Xsqlite3_reset(c.tls, s.p) // repeats the error of the step
	return err
}

func (c *conn) steps(p uintptr, visit func(*result) error) error {
	c.row.p = p
	for {
		switch rc := lib.Xsqlite3_step(c.tls, p); rc {
		case lib.SQLITE_DONE:
			return nil
		case lib.SQLITE_ROW:
			if err := visit(&c.row); err != nil {
				return err
			}
		default:
			return c.err(rc)
		}
	}
}

// once runs statements that are not worth keeping prepared.
func (c *conn) once(script string) error {
	text, err := libc.CString(script)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, text)
	for end := text + uintptr(len(script)); text < end; {
		s, rest, err := c.prepare(text, 0)
		if err != nil {
			return err
		}
		if text = rest; s.p == 0 { // a space or a comment
			continue
		}
		err = c.steps(s.p, func(*result) error { return nil })
		lib.Xsqlite3_finalize(c.tls, s.p)
		if err != nil {
			return err
		}
	}
	return nil
}

// interruptible is exec for the one statement that a caller may stop: what was
// begun for others is finished whatever becomes of them.
func (c *conn) interruptible(ctx context.Context, query string, args ...any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tls := libc.NewTLS() // that of the connection is in use
		defer tls.Close()
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		// An interrupt that comes before the statement has begun is lost.
		for {
			lib.Xsqlite3_interrupt(tls, c.db)
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	err := c.exec(query, args...)
	close(done)
	<-stopped
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// number returns the first column of the first row.
func (c *conn) number(query string, args ...any) (n int64, err error) {
	return c.column(0, query, args...)
}

func (c *conn) column(i int, query string, args ...any) (n int64, err error) {
	err = c.query(func(r *result) error {
		n = r.int(i)
		return nil
	}, query, args...)
	return n, err
}

// changed is how many rows the last statement has written.
func (c *conn) changed() int { return int(lib.Xsqlite3_changes(c.tls, c.db)) }
