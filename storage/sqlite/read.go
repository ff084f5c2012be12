package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"jeton/storage"
)

const queryOnly = "query_only(1)"

// reading are the pragmas of connections that read.
var reading = []string{"busy_timeout(5000)", queryOnly, "trusted_schema(0)"}

const selectRow = `SELECT version, expires, value FROM rows WHERE partition = ? AND kind = ? AND id = ?`

// Read implements [storage.Backend].
func (s *Store) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	if err := storage.ValidKeys(p, keys); err != nil {
		return storage.Snapshot{}, unavailable(err)
	}
	snap := storage.Snapshot{Rows: make([]storage.Row, len(keys))}
	err := s.reader(ctx, func(c *conn) error {
		snap.Now = s.now().UTC()
		now := nanos(snap.Now)
		// One statement is a transaction of its own; several need one around
		// them to see the same moment.
		if len(keys) > 1 {
			if err := c.exec("BEGIN"); err != nil {
				return err
			}
			defer c.exec("COMMIT")
		}
		for i, k := range keys {
			row := &snap.Rows[i]
			*row = storage.Row{Partition: p, Key: k}
			if err := c.query(func(v []driver.Value) error {
				fill(row, v, now)
				return nil
			}, selectRow, string(p), k.Kind, k.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storage.Snapshot{}, unavailable(err)
	}
	return snap, nil
}

// fill takes version, expires and value from a result, unless the row has
// expired.
func fill(row *storage.Row, v []driver.Value, now int64) {
	version, expires := v[0].(int64), v[1].(int64)
	if expires <= now {
		return
	}
	row.Version = uint64(version)
	row.Expires = fromNanos(expires)
	if row.Value, _ = v[2].([]byte); row.Value == nil {
		row.Value = []byte{} // nil says absent
	}
}

// reader lends a connection of the pool. One that failed is not used again.
func (s *Store) reader(ctx context.Context, read func(*conn) error) error {
	c, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	if c == nil {
		if c, err = connect(s.path, reading...); err != nil {
			s.readers <- nil
			return err
		}
	}
	if err := read(c); err != nil {
		c.close()
		s.readers <- nil
		return err
	}
	s.readers <- c
	return nil
}

func (s *Store) borrow(ctx context.Context) (*conn, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-s.readers:
		return c, nil
	default:
	}
	late := time.NewTimer(s.wait)
	defer late.Stop()
	select {
	case c := <-s.readers:
		return c, nil
	case <-s.closing:
		return nil, errClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-late.C:
		return nil, fmt.Errorf("no connection came free within %v", s.wait)
	}
}

// never is the expiry of rows that have none.
const never = math.MaxInt64

// nanos is how times are stored. Validation keeps them in its range.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// LastWrite is the store time of the last commit, by whichever process; zero
// before the first. A caller whose clock has jumped can tell by it.
func (s *Store) LastWrite(ctx context.Context) (t time.Time, err error) {
	err = s.reader(ctx, func(c *conn) error {
		n, err := c.number("SELECT written FROM meta")
		if n != 0 {
			t = fromNanos(n)
		}
		return err
	})
	if err != nil {
		return t, unavailable(err)
	}
	return t, nil
}
