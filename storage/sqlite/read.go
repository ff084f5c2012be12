package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"jeton/storage"
)

const queryOnly = "query_only(1)"

// reading are the pragmas of connections that read.
var reading = []string{"busy_timeout(5000)", queryOnly, "trusted_schema(0)"}

// selectRows has a statement for each number of keys that is worth one. Being
// one statement it sees one moment.
var selectRows = func() (text [5]string) {
	for i := range len(text) - 1 {
		if text[i+1] = text[i]; i > 0 {
			text[i+1] += " UNION ALL "
		}
		text[i+1] += fmt.Sprintf("SELECT %d, n, version, expires, value FROM rows WHERE partition = ?1 AND kind = ?%d AND id = ?%d", i, 2*i+2, 2*i+3)
	}
	return text
}()

// Read implements [storage.Backend].
func (s *Store) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	if err := storage.ValidKeys(p, keys); err != nil {
		return storage.Snapshot{}, err
	}
	snap := storage.Snapshot{Rows: make([]storage.Row, len(keys))}
	err := s.reader(ctx, func(c *conn) error {
		snap.Now = s.now().UTC()
		for i, k := range keys {
			snap.Rows[i] = storage.Row{Partition: p, Key: k}
		}
		if len(keys) < len(selectRows) {
			return s.readFew(c, snap.Rows, nanos(snap.Now))
		}
		if err := c.exec("BEGIN"); err != nil {
			return err
		}
		defer c.exec("COMMIT")
		for i := range keys {
			if err := s.readFew(c, snap.Rows[i:i+1], nanos(snap.Now)); err != nil {
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

// readFew fills rows of one partition by one statement.
func (s *Store) readFew(c *conn, rows []storage.Row, now int64) error {
	var few [2*len(selectRows) - 1]any
	args := append(few[:0], string(rows[0].Partition))
	for i := range rows {
		args = append(args, rows[i].Kind, rows[i].ID)
	}
	return c.query(func(r *result) error {
		row := &rows[r.int(0)]
		fill(row, r, 2, now)
		s.spots.put(row, spot{n: r.int(1), version: row.Version, expires: r.int(3)})
		return nil
	}, selectRows[len(rows)], args...)
}

// fill takes version, expires and value from a result, in this order, unless
// the row has expired.
func fill(row *storage.Row, r *result, first int, now int64) {
	expires := r.int(first + 1)
	if expires <= now {
		return
	}
	row.Version = uint64(r.int(first))
	row.Expires = fromNanos(expires)
	if row.Value = r.blob(first + 2); row.Value == nil {
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
			s.places <- struct{}{}
			return err
		}
	}
	if err := read(c); err != nil {
		c.close()
		s.places <- struct{}{}
		return err
	}
	s.readers <- c
	return nil
}

// borrow prefers what is open, which has its statements prepared and its pages
// in memory; nil may be opened.
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
	select {
	case <-s.places:
		return nil, nil
	default:
	}
	late := time.NewTimer(s.wait)
	defer late.Stop()
	select {
	case c := <-s.readers:
		return c, nil
	case <-s.places:
		return nil, nil
	case <-s.closing:
		return nil, storage.ErrClosed
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
