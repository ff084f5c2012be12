package sqlite

import (
	"context"
	"database/sql/driver"
	"io"
	"net/url"
	"slices"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It works on the driver
// itself: a read is a few microseconds, of which database/sql would take the
// larger part for a pool and for cancellation that this package has its own
// rules about. Only one goroutine uses a conn at a time.
type conn struct {
	dc    driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue
	row   []driver.Value
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
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	dc, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c := &conn{dc: dc, stmts: make(map[string]driver.Stmt)}
	for _, p := range pragmas {
		if err := c.once("PRAGMA " + p); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// close finalises the statements first: SQLite keeps a connection, and its
// locks, for as long as it has one.
func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.dc.Close()
}

// stmt returns the prepared statement of a query text.
func (c *conn) stmt(query string) (driver.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.dc.Prepare(query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = s
	return s, nil
}

func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement that returns no rows. The context is never a
// caller's: a write that was begun is finished.
func (c *conn) exec(query string, args ...any) error {
	s, err := c.stmt(query)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	return err
}

// once runs statements that are not worth keeping prepared.
func (c *conn) once(script string) error {
	_, err := c.dc.(driver.ExecerContext).ExecContext(context.Background(), script, nil)
	return err
}

// query hands each row to visit, which must not keep the slice.
func (c *conn) query(visit func(row []driver.Value) error, query string, args ...any) (err error) {
	s, err := c.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	if n := len(rows.Columns()); cap(c.row) < n {
		c.row = make([]driver.Value, n)
	} else {
		c.row = c.row[:n]
	}
	for {
		if err := rows.Next(c.row); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := visit(c.row); err != nil {
			return err
		}
	}
}

// number returns the first column of the first row.
func (c *conn) number(query string, args ...any) (n int64, err error) {
	return c.column(0, query, args...)
}

func (c *conn) column(i int, query string, args ...any) (n int64, err error) {
	err = c.query(func(row []driver.Value) error {
		n, _ = row[i].(int64)
		return nil
	}, query, args...)
	return n, err
}
