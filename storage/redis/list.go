package redis

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"jeton/storage"
)

// listing is a query on its way: one part for a listing of one partition, one
// for each group for a listing of all.
type listing struct {
	q     storage.Query
	parts []*part
	to    string
	skip  int // NULs in a member before the name of its row
	most  int // rows to ask of each part
	now   time.Time
}

// part is a sorted set that a listing reads.
type part struct {
	group    group
	index    string
	rowKeys  string
	from     string
	members  []string
	rows     []string
	finished bool // there are no more than these
}

// List implements [storage.Backend]. A query that makes no sense fails with an
// error that is not storage.ErrUnavailable.
func (s *Store) List(ctx context.Context, q storage.Query) (storage.Page, error) {
	if q.Limit <= 0 {
		return storage.Page{}, fmt.Errorf("storage: the limit of a listing is %d, it must be positive", q.Limit)
	}
	after, err := parseCursor(q)
	if err != nil {
		return storage.Page{}, err
	}
	if err := s.enter(ctx); err != nil {
		return storage.Page{}, err
	}
	defer s.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	l := s.listing(q, after)
	page, err := s.page(ctx, l)
	if err != nil {
		return storage.Page{}, unavailable(err)
	}
	return page, nil
}

func (s *Store) listing(q storage.Query, after []string) *listing {
	l := &listing{q: q}
	before := ""
	if q.Partition != "" {
		before = q.Index + "\x00"
		l.skip, l.most = 2, q.Limit+1
		g := s.groups[s.groupOf(q.Partition)]
		l.parts = []*part{{group: g, index: g.partition(q.Partition), rowKeys: g.rows() + string(q.Partition) + "\x00"}}
		if after != nil {
			after = []string{after[0], after[2], after[3]}
		}
	} else {
		l.skip = 1
		// Twice an even share: mostly enough for the first look.
		l.most = min(q.Limit+1, 2*q.Limit/len(s.groups)+4)
		for _, g := range s.groups {
			l.parts = append(l.parts, &part{group: g, index: g.indexes() + q.Index, rowKeys: g.rows()})
		}
	}
	l.to = beyond(before + q.Prefix)
	least := max(q.Prefix, q.From)
	from := "[" + before + least
	if after != nil && after[0] >= least {
		from = "(" + before + strings.Join(after, "\x00")
	}
	for _, p := range l.parts {
		p.from = from
		p.finished = strings.Contains(q.Prefix, "\x00") // no place has one
	}
	return l
}

// page merges the parts until it is full.
func (s *Store) page(ctx context.Context, l *listing) (storage.Page, error) {
	var page storage.Page
	if err := s.more(ctx, l); err != nil {
		return page, err
	}
	page.Now = l.now
	last := ""
	for {
		next, err := s.least(ctx, l)
		if err != nil || next == nil {
			return page, err
		}
		if len(page.Rows) == l.q.Limit {
			page.Next = l.cursor(last)
			return page, nil
		}
		last = next.members[0]
		row, err := l.row(last, next.rows[0])
		if err != nil {
			return page, err
		}
		page.Rows = append(page.Rows, row)
		next.members, next.rows = next.members[1:], next.rows[1:]
	}
}

// least is the part whose first member comes first, nil when nothing is left.
func (s *Store) least(ctx context.Context, l *listing) (*part, error) {
	var first *part
	for _, p := range l.parts {
		for len(p.members) == 0 && !p.finished {
			if err := s.more(ctx, l); err != nil {
				return nil, err
			}
		}
		if len(p.members) > 0 && (first == nil || p.members[0] < first.members[0]) {
			first = p
		}
	}
	return first, nil
}

// more asks for the next rows of all parts that have run out.
func (s *Store) more(ctx context.Context, l *listing) error {
	var empty []*part
	for _, p := range l.parts {
		if len(p.members) == 0 && !p.finished {
			empty = append(empty, p)
		}
	}
	if l.now.IsZero() && len(empty) == 0 {
		var err error
		l.now, err = s.clock(ctx)
		return err
	}
	for _, together := range s.together(empty) {
		if err := s.ask(ctx, l, together); err != nil {
			return err
		}
	}
	return nil
}

// ask reads on in parts that one node has.
func (s *Store) ask(ctx context.Context, l *listing, parts []*part) error {
	c := call{script: listScript, args: []any{s.given(), l.most, l.skip, l.to}}
	for _, p := range parts {
		c.keys = append(c.keys, p.group.marker, p.index)
		c.args = append(c.args, p.rowKeys, p.from)
	}
	r, err := s.run(ctx, c)
	if err != nil {
		return err
	}
	if text(r.value, 0) != "ok" {
		return s.strange(r.value)
	}
	now := s.time(number(r.value, 1))
	if l.now.IsZero() {
		l.now = now
	}
	for i, p := range parts {
		got := array(array(r.value, 2), i)
		rows := array(got, 0)
		for n := 0; n+1 < len(rows); n += 2 {
			p.members = append(p.members, text(rows, n))
			p.rows = append(p.rows, text(rows, n+1))
		}
		last := text(got, 1)
		p.finished = last == ""
		p.from = "(" + last
		s.heal(ctx, l, p, array(got, 2))
	}
	return nil
}

// heal strikes out entries whose rows Redis has removed by itself.
func (s *Store) heal(ctx context.Context, l *listing, p *part, dead []any) {
	if len(dead) == 0 {
		return
	}
	c := call{script: healScript, keys: []string{p.index}, args: dead}
	for i := range dead {
		c.keys = append(c.keys, p.rowKeys+cut(text(dead, i), l.skip))
	}
	_, _ = s.run(ctx, c) // the next listing meets them again
}

func (l *listing) row(member, raw string) (storage.Row, error) {
	var row storage.Row
	words := strings.SplitN(member, "\x00", 4)
	if len(words) != 4 {
		return row, errDamaged
	}
	row.Key = storage.Key{Kind: words[2], ID: words[3]}
	if row.Partition = l.q.Partition; row.Partition == "" {
		row.Partition = storage.Partition(words[1])
	}
	return row, fill(&row, raw, time.Time{}) // the script has seen that it lives
}

// cursor is the place of a member: sort, partition, kind, id.
func (l *listing) cursor(member string) string {
	if l.q.Partition != "" {
		words := strings.SplitN(member, "\x00", 4)
		member = strings.Join([]string{words[1], string(l.q.Partition), words[2], words[3]}, "\x00")
	}
	return base64.RawURLEncoding.EncodeToString([]byte(member))
}

func parseCursor(q storage.Query) ([]string, error) {
	if q.After == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil {
		return nil, storage.ErrCursor
	}
	place := strings.Split(string(b), "\x00")
	if len(place) != 4 || place[1] == "" || place[2] == "" || place[3] == "" || q.Partition != "" && place[1] != string(q.Partition) {
		return nil, storage.ErrCursor
	}
	return place, nil
}

// beyond is the end of a range of all that begins with the prefix.
func beyond(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return "+"
	}
	b[len(b)-1]++
	return "(" + string(b)
}

// cut returns what follows the nth NUL of a text.
func cut(text string, n int) string {
	for range n {
		_, text, _ = strings.Cut(text, "\x00")
	}
	return text
}
