package storagetest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"jeton/storage"
)

// bugs are what backends get wrong, and the checks that must see it.
var bugs = []struct {
	name string
	seed func(b *broken)
	seen []string
}{
	{"checks are ignored", func(b *broken) { b.commit = b.unchecked }, []string{
		"race/of 64 compare-and-puts exactly one wins", "race/of 64 who create a row exactly one wins",
		"commit/a check holds for exactly one version", "commit/a refused change leaves no trace", "expiry/a check sees version 0"}},
	{"only the first check counts", edits(func(c *storage.Change) { c.Checks = c.Checks[:min(1, len(c.Checks))] }), []string{
		"commit/a refused change leaves no trace"}},
	{"only checks of written rows count", edits(writtenChecks), []string{
		"commit/checks guard rows that are not written", "race/changes that check each other's rows take turns"}},
	{"checks come before the write, not with it", func(b *broken) { b.commit = b.checkThenPut }, []string{
		"race/of 64 compare-and-puts exactly one wins", "race/of 64 who create a row exactly one wins",
		"race/changes that check each other's rows take turns"}},
	{"a refused change is written all the same", func(b *broken) { b.commit = b.conflictWrites }, []string{
		"commit/a refused change leaves no trace", "race/a conflict of one fails no other"}},
	{"a conflict fails its neighbours", func(b *broken) { b.commit = b.contagion }, []string{
		"race/a conflict of one fails no other"}},
	{"a change is written in two steps", func(b *broken) { b.commit = b.halves }, []string{
		"read/the rows are of one moment", "commit/the puts carry the version it returns"}},
	{"the second half of a change is lost", edits(func(c *storage.Change) { c.Puts = c.Puts[:min(1, len(c.Puts))] }), []string{
		"commit/the puts carry the version it returns", "read/rows come in the order of the keys", "commit/a cancelled wait never writes a half"}},
	{"deletes are forgotten", edits(func(c *storage.Change) { c.Deletes = nil }), []string{
		"commit/a delete removes, also what is not there"}},
	{"versions count per row and begin anew", (*broken).localVersions, []string{
		"commit/no version is ever used again", "commit/a row deleted and made again is another row"}},

	{"a commit is answered before it is written", func(b *broken) { b.commit = b.writeLater }, []string{
		"read/every handle sees what was committed before", "commit/the puts carry the version it returns"}},
	{"a commit is given up, and written", func(b *broken) { b.commit = b.giveUp }, []string{
		"commit/a cancelled wait never writes a half"}},
	{"contexts are ignored", func(b *broken) {
		b.commit = func(ctx context.Context, c storage.Change) (uint64, error) {
			return b.Backend.Commit(context.WithoutCancel(ctx), c)
		}
	}, []string{"commit/a context that has ended writes nothing"}},

	{"reads come from a cache", func(b *broken) { b.read = b.cached() }, []string{
		"read/every handle sees what was committed before"}},
	{"rows are read one after the other", func(b *broken) { b.read = b.oneByOne }, []string{
		"read/the rows are of one moment"}},
	{"rows are sorted by key", reads(func(s *storage.Snapshot) {
		slices.SortFunc(s.Rows, func(a, b storage.Row) int { return cmp.Compare(a.ID, b.ID) })
	}), []string{"read/rows come in the order of the keys"}},
	{"an absent row is an empty one", reads(func(s *storage.Snapshot) {
		for i, r := range s.Rows {
			s.Rows[i].Value = append([]byte{}, r.Value...)
		}
	}), []string{"read/an absent row has version 0 and no value"}},
	{"an empty value is none", reads(func(s *storage.Snapshot) {
		for i, r := range s.Rows {
			if len(r.Value) == 0 {
				s.Rows[i].Value = nil
			}
		}
	}), []string{"read/what was written comes back"}},
	{"values end at a NUL byte", puts(func(p *storage.Put) {
		before, _, _ := strings.Cut(string(p.Value), "\x00")
		p.Value = []byte(before)
	}), []string{"read/what was written comes back"}},
	{"partitions are one", func(b *broken) {
		b.edit = func(c *storage.Change) { c.Partition = "p" }
		b.read = func(ctx context.Context, _ storage.Partition, keys []storage.Key) (storage.Snapshot, error) {
			return b.Backend.Read(ctx, "p", keys...)
		}
	}, []string{"read/partitions share no rows"}},
	{"bad keys are mended", func(b *broken) {
		b.edit = func(c *storage.Change) {
			for i := range c.Puts {
				c.Puts[i].Key = key("k" + strings.Trim(c.Puts[i].ID, "\x00"))
			}
		}
	}, []string{"read/a bad key is refused"}},

	{"the second index entry is lost", puts(func(p *storage.Put) { p.Index = p.Index[:min(1, len(p.Index))] }), []string{
		"index/a row may stand at several places", "index/nil keeps the entries of a row"}},
	{"nil removes the index entries", puts(func(p *storage.Put) { p.Index = append([]storage.Entry{}, p.Index...) }), []string{
		"index/nil keeps the entries of a row"}},
	{"an empty index keeps the entries", puts(func(p *storage.Put) {
		if len(p.Index) == 0 {
			p.Index = nil
		}
	}), []string{"index/an empty list removes them"}},
	{"index entries add up", remembers(func(p *storage.Put, old storage.Put) { p.Index = append(p.Index, old.Index...) }), []string{
		"index/entries are replaced as a whole", "index/an empty list removes them"}},
	{"index entries survive their row", remembers(func(p *storage.Put, old storage.Put) {
		if p.Index == nil {
			p.Index = old.Index
		}
	}), []string{"index/a deleted row is in no index", "expiry/a row made again inherits nothing"}},
	{"deleted rows are listed", (*broken).tombstones, []string{"index/a deleted row is in no index"}},
	{"a listed row lacks its expiry", listings(func(q storage.Query, p *storage.Page) {
		for i := range p.Rows {
			p.Rows[i].Expires = time.Time{}
		}
	}), []string{"index/a listed row is the whole row"}},
	{"a listing has no limit of its own", func(b *broken) {
		b.list = func(ctx context.Context, q storage.Query) (storage.Page, error) {
			q.Limit = max(q.Limit, 10)
			return b.Backend.List(ctx, q)
		}
	}, []string{"index/a row may stand at several places", "list/pages join without gap or repetition"}},
	{"a listing is sorted by id", listings(func(q storage.Query, p *storage.Page) {
		slices.SortStableFunc(p.Rows, func(a, b storage.Row) int { return cmp.Compare(a.ID, b.ID) })
	}), []string{"list/in the order of sort, partition, kind and id"}},
	{"a page begins one row late", listings(func(q storage.Query, p *storage.Page) {
		if q.After != "" && len(p.Rows) > 1 {
			p.Rows = p.Rows[1:]
		}
	}), []string{"list/pages join without gap or repetition", "list/paging while rows come and go"}},
	{"a listing of one partition shows all", queries(func(q *storage.Query) { q.Partition = "" }), []string{
		"list/one partition alone"}},
	{"a prefix folds case", queries(func(q *storage.Query) { q.Prefix = strings.ToLower(q.Prefix) }), []string{
		"list/a prefix is taken literally"}},
	{"where a listing begins is forgotten", queries(func(q *storage.Query) { q.From = "" }), []string{"list/from a sort on"}},
	{"a foreign cursor begins at the front", queries(func(q *storage.Query) {
		if len(q.After) < 10 {
			q.After = ""
		}
	}), []string{"list/a foreign cursor is refused"}},

	{"expiry is forgotten", puts(func(p *storage.Put) { p.Expires = time.Time{} }), []string{
		"expiry/a row counts as absent from that moment on", "expiry/a check sees version 0"}},
	{"expiry comes late", puts(func(p *storage.Put) {
		if !p.Expires.IsZero() {
			p.Expires = p.Expires.Add(time.Millisecond)
		}
	}), []string{"expiry/a row counts as absent from that moment on"}},
	{"expiry does not move", remembers(func(p *storage.Put, old storage.Put) {
		if !old.Expires.IsZero() {
			p.Expires = old.Expires
		}
	}), []string{"expiry/a put moves or removes it"}},
	{"Sweep knows no limit", func(b *broken) {
		b.sweep = func(ctx context.Context, _ int) (int, error) { return b.Backend.Sweep(ctx, 1000) }
	}, []string{"expiry/Sweep removes what has expired and nothing else"}},
	{"Now is the node's time", func(b *broken) {
		b.now = func() (time.Time, error) { return time.Now().UTC(), nil }
	}, []string{"expiry/Now is the store's time"}},

	{"nobody is told", func(b *broken) { b.changed = func() <-chan struct{} { return make(chan struct{}) } }, []string{
		"changed/a write of one's own is told", "changed/many who wait are all told"}},
	{"others' writes are not told", func(b *broken) {
		own := make(chan struct{})
		b.changed = func() <-chan struct{} { return own }
		b.commit = func(ctx context.Context, c storage.Change) (uint64, error) {
			defer func() { close(own); own = make(chan struct{}) }()
			return b.Backend.Commit(ctx, c)
		}
	}, []string{"changed/a write of another handle is told"}},

	{"what was last written is lost on closing", func(b *broken) {
		var last storage.Change
		b.edit = func(c *storage.Change) { last = *c }
		b.close = func() error {
			for _, p := range last.Puts {
				b.Backend.Commit(context.Background(), storage.Change{Partition: last.Partition, Deletes: []storage.Key{p.Key}})
			}
			return b.Backend.Close()
		}
	}, []string{"close/what was committed is there when opened again"}},
	{"commits under way are disowned on closing", func(b *broken) {
		b.shut = make(chan struct{})
		b.commit = b.afterClose
	}, []string{"close/commits under way finish or write nothing"}},
	{"a closed store answers", func(b *broken) {
		b.close = func() error { return nil }
	}, []string{"close/a closed store is unavailable"}},
}

func writtenChecks(c *storage.Change) {
	c.Checks = slices.DeleteFunc(slices.Clone(c.Checks), func(check storage.Check) bool {
		return !slices.ContainsFunc(c.Puts, func(p storage.Put) bool { return p.Key == check.Key })
	})
}

// These seed a bug that is a change of what passes by: a change on its way, a
// put in it, the answer of a read, a query, the page that it gave.

func edits(edit func(*storage.Change)) func(*broken) {
	return func(b *broken) { b.edit = edit }
}

func puts(edit func(*storage.Put)) func(*broken) {
	return edits(func(c *storage.Change) {
		for i := range c.Puts {
			edit(&c.Puts[i])
		}
	})
}

// remembers changes each put in the light of the one before of that row.
func remembers(edit func(p *storage.Put, old storage.Put)) func(*broken) {
	return func(b *broken) {
		b.edit = func(c *storage.Change) {
			for i := range c.Puts {
				edit(&c.Puts[i], b.puts[c.Puts[i].Key])
				b.puts[c.Puts[i].Key] = c.Puts[i]
			}
		}
	}
}

func reads(edit func(*storage.Snapshot)) func(*broken) {
	return func(b *broken) {
		b.read = func(ctx context.Context, p storage.Partition, keys []storage.Key) (storage.Snapshot, error) {
			snap, err := b.Backend.Read(ctx, p, keys...)
			edit(&snap)
			return snap, err
		}
	}
}

func listings(edit func(storage.Query, *storage.Page)) func(*broken) {
	return func(b *broken) {
		b.list = func(ctx context.Context, q storage.Query) (storage.Page, error) {
			page, err := b.Backend.List(ctx, q)
			edit(q, &page)
			return page, err
		}
	}
}

func queries(edit func(*storage.Query)) func(*broken) {
	return func(b *broken) {
		b.list = func(ctx context.Context, q storage.Query) (storage.Page, error) {
			edit(&q)
			return b.Backend.List(ctx, q)
		}
	}
}
