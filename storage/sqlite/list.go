package sqlite

import (
	"context"
	"encoding/base64"
	"fmt"

	"jeton/storage"
)

// The two orders of a listing. A cursor is a place in the order, so paging
// goes on where it was whatever has been written since. The upper bound of
// sort is a blob where there is none: in SQLite every text is less than any
// blob. CROSS JOIN keeps the planner from beginning with the rows.
const (
	listAll = `SELECT r.version, r.expires, r.value, e.sort, e.partition, e.kind, e.id
		FROM entries e CROSS JOIN rows r ON r.partition = e.partition AND r.kind = e.kind AND r.id = e.id
		WHERE e.name = ?1 AND (e.sort, e.partition, e.kind, e.id) > (?2, ?3, ?4, ?5) AND e.sort < ?6 AND r.expires > ?7
		ORDER BY e.sort, e.partition, e.kind, e.id LIMIT ?8`

	listPartition = `SELECT r.version, r.expires, r.value, e.sort, e.partition, e.kind, e.id
		FROM entries e CROSS JOIN rows r ON r.partition = e.partition AND r.kind = e.kind AND r.id = e.id
		WHERE e.name = ?1 AND e.partition = ?3 AND (e.sort, e.kind, e.id) > (?2, ?4, ?5) AND e.sort < ?6 AND r.expires > ?7
		ORDER BY e.sort, e.kind, e.id LIMIT ?8`
)

// place is a place in the order of an index.
type place struct {
	sort, partition, kind, id string
}

// List implements [storage.Backend]. A query that makes no sense fails with an
// error that is not storage.ErrUnavailable.
func (s *Store) List(ctx context.Context, q storage.Query) (storage.Page, error) {
	after, err := start(q)
	if err != nil {
		return storage.Page{}, err
	}
	query := listAll
	if q.Partition != "" {
		query = listPartition
	}
	var page storage.Page
	err = s.reader(ctx, func(c *conn) error {
		page.Now = s.now().UTC()
		now := nanos(page.Now)
		var last place
		return c.query(func(r *result) error {
			if len(page.Rows) == q.Limit {
				page.Next = last.cursor()
				return nil
			}
			last = place{r.text(3), r.text(4), r.text(5), r.text(6)}
			found := storage.Row{Partition: storage.Partition(last.partition), Key: storage.Key{Kind: last.kind, ID: last.id}}
			fill(&found, r, 0, now)
			page.Rows = append(page.Rows, found)
			return nil
		}, query, q.Index, after.sort, after.partition, after.kind, after.id, beyond(q.Prefix), now, int64(q.Limit)+1)
	})
	if err != nil {
		return storage.Page{}, unavailable(err)
	}
	return page, nil
}

// start is the place after which the page begins. No entry has an empty
// partition or kind, so the first place of a sort is before all of it.
func start(q storage.Query) (place, error) {
	if q.Limit <= 0 {
		return place{}, fmt.Errorf("storage: the limit of a listing is %d, it must be positive", q.Limit)
	}
	after := place{sort: max(q.Prefix, q.From), partition: string(q.Partition)}
	if q.After == "" {
		return after, nil
	}
	at, err := parseCursor(q.After)
	if err != nil || q.Partition != "" && at.partition != string(q.Partition) {
		return place{}, storage.ErrCursor
	}
	if at.sort < after.sort {
		return after, nil
	}
	return at, nil
}

// beyond is the least value greater than all that begin with the prefix.
func beyond(prefix string) any {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return []byte{0}
	}
	b[len(b)-1]++
	return string(b)
}

func (p place) cursor() string {
	var b []byte
	for _, s := range []string{p.sort, p.partition, p.kind, p.id} {
		b = appendString(b, s)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(cursor string) (p place, err error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return p, err
	}
	for _, part := range []*string{&p.sort, &p.partition, &p.kind, &p.id} {
		if *part, b, err = cutString(b); err != nil {
			return place{}, err
		}
	}
	if len(b) > 0 || p.id == "" {
		return place{}, errDamaged
	}
	return p, nil
}
