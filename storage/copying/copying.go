// Package copying brings all rows of one store to another one, while the first
// is in use, as often as it takes until little is left; and what is left when
// nobody uses it any more. It knows rows and no more: what must happen to who
// uses the two stores meanwhile is its caller's.
package copying

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jeton/storage"
)

// Target is a store that is filled.
type Target interface {
	storage.Backend
	storage.Source
}

// Copy is what is copied, and where to. Nobody else may use To.
type Copy struct {
	From    storage.Source
	To      storage.Backend
	Journal *Journal
	// Progress, unless nil, is told of each page that was looked at.
	Progress func(Progress)
}

// Progress is how far a pass has come.
type Progress struct {
	// Seen rows of the source were looked at, Copied of them were new or changed,
	// Removed were gone from the source.
	Seen, Copied, Removed int64
}

// workers copy at once: as many as one commit of SQLite takes together. From Redis
// rows come one by one, in no order that would bring those of a user together.
const workers = 256

// together is how many rows of one partition go into one commit.
const together = 50

// job is some rows of one partition.
type job struct {
	partition storage.Partition
	keys      []storage.Key
}

// Pass copies every row that is new or changed since the pass before. What the
// source removes meanwhile stays in the target until [Copy.Last].
func (c *Copy) Pass(ctx context.Context) (Progress, error) {
	c.Journal.begin()
	jobs := make(chan job, workers)
	p := &pass{Copy: c, now: time.Now()}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range jobs {
				if err := p.copy(ctx, j); err != nil {
					stop(err)
				}
			}
		})
	}
	err := c.From.Heads(ctx, func(heads []storage.Head) error { return p.look(ctx, heads, jobs) })
	close(jobs)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return p.progress(), errors.Join(err, c.Journal.flush())
}

// Last is the pass after which the two are equal: it also removes what the source
// no longer has. Nobody may use the source any more.
func (c *Copy) Last(ctx context.Context) (Progress, error) {
	done, err := c.Pass(ctx)
	if err != nil {
		return done, err
	}
	to, err := c.target()
	if err != nil {
		return done, err
	}
	// The target is asked and not the journal: of a row that was copied just before
	// a copy was killed, and has gone from the source since, the journal may know
	// nothing.
	now := time.Now()
	err = to.Heads(ctx, func(heads []storage.Head) error {
		gone := make(map[storage.Partition][]storage.Key)
		for _, h := range heads {
			expired := !h.Expires.IsZero() && !h.Expires.After(now)
			if !expired && !c.Journal.seen(rowKey{h.Partition, h.Key}) {
				gone[h.Partition] = append(gone[h.Partition], h.Key)
			}
		}
		for partition, keys := range gone {
			for some := range slices.Chunk(keys, together) {
				if err := c.remove(ctx, partition, some); err != nil {
					return err
				}
				for _, k := range some {
					c.Journal.copied(rowKey{partition, k}, 0)
				}
				done.Removed += int64(len(some))
			}
		}
		return nil
	})
	return done, errors.Join(err, c.Journal.flush())
}

func (c *Copy) remove(ctx context.Context, p storage.Partition, keys []storage.Key) error {
	return settle(ctx, func() error {
		_, err := c.To.Commit(ctx, storage.Change{Partition: p, Deletes: keys})
		return err
	})
}

func (c *Copy) target() (Target, error) {
	to, ok := c.To.(Target)
	if !ok {
		return nil, errors.New("copying: the target cannot be read as a whole")
	}
	return to, nil
}

type pass struct {
	*Copy
	now          time.Time
	seen, copied atomic.Int64
}

func (p *pass) progress() Progress { return Progress{Seen: p.seen.Load(), Copied: p.copied.Load()} }

// look hands what has changed among the rows of a page to the workers.
func (p *pass) look(ctx context.Context, heads []storage.Head, jobs chan<- job) error {
	changed := make(map[storage.Partition][]storage.Key)
	for _, h := range heads {
		if !h.Expires.IsZero() && !h.Expires.After(p.now) {
			continue
		}
		p.seen.Add(1)
		if p.Journal.see(rowKey{h.Partition, h.Key}, h.Version) {
			continue
		}
		changed[h.Partition] = append(changed[h.Partition], h.Key)
	}
	for partition, keys := range changed {
		for some := range slices.Chunk(keys, together) {
			select {
			case jobs <- job{partition, some}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	if p.Progress != nil {
		p.Progress(p.progress())
	}
	return nil
}

func (p *pass) copy(ctx context.Context, j job) error {
	rows, err := p.From.Wholes(ctx, j.partition, j.keys...)
	if err != nil {
		return err
	}
	change := storage.Change{Partition: j.partition}
	written := make(map[storage.Key]bool)
	for _, row := range rows {
		if row.Version == 0 || written[row.Key] { // gone since, or seen twice
			continue
		}
		written[row.Key] = true
		change.Puts = append(change.Puts, storage.Put{
			Key: row.Key, Value: row.Value, Expires: row.Expires, Index: append([]storage.Entry{}, row.Entries...),
		})
	}
	if len(change.Puts) == 0 {
		return nil
	}
	err = settle(ctx, func() error {
		_, err := p.To.Commit(ctx, change)
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Version != 0 {
			p.Journal.copied(rowKey{j.partition, row.Key}, row.Version)
		}
	}
	p.copied.Add(int64(len(change.Puts)))
	return nil
}

// tries bounds how often a write is tried again, half a minute in all.
const tries = 60

// settle does what may be done twice until it is done.
func settle(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		again := errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknown) || errors.Is(err, storage.ErrUnconfirmed)
		if err == nil || !again || n == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Difference is a row that is not the same in both stores.
type Difference struct {
	Partition storage.Partition
	storage.Key
	What string
}

func (d Difference) String() string {
	if d.ID == "" {
		return fmt.Sprintf("records of the kind %s: %s", d.Kind, d.What)
	}
	return fmt.Sprintf("%s %q: %s", d.Kind, d.ID, d.What)
}

// soon is how long a row must have to live to be compared: it may be gone from
// one of the two before the other is asked.
const soon = time.Hour

// Verify compares the two stores, which nobody may use: how many rows there are
// of each kind, and one row in every so many with all that it holds. It returns
// how many it compared so, and the first difference.
func (c *Copy) Verify(ctx context.Context, every int) (compared int64, found *Difference, err error) {
	to, err := c.target()
	if err != nil {
		return 0, nil, err
	}
	until := time.Now().Add(soon)
	counts := make(map[string]int)
	n := 0
	err = c.From.Heads(ctx, func(heads []storage.Head) error {
		for _, h := range heads {
			if !lasts(h, until) {
				continue
			}
			counts[h.Kind]++
			if n++; n%every != 0 || found != nil {
				continue
			}
			compared++
			what, err := c.compare(ctx, to, h)
			if err != nil {
				return err
			}
			if what != "" {
				found = &Difference{h.Partition, h.Key, what}
			}
		}
		return nil
	})
	if err == nil {
		err = to.Heads(ctx, func(heads []storage.Head) error {
			for _, h := range heads {
				if lasts(h, until) {
					counts[h.Kind]--
				}
			}
			return nil
		})
	}
	for kind, more := range counts {
		if more == 0 || found != nil {
			continue
		}
		what := fmt.Sprintf("the source has %d more than the target", more)
		if more < 0 {
			what = fmt.Sprintf("the target has %d more than the source", -more)
		}
		found = &Difference{Key: storage.Key{Kind: kind}, What: what}
	}
	return compared, found, err
}

func lasts(h storage.Head, until time.Time) bool { return h.Expires.IsZero() || h.Expires.After(until) }

// compare says how a row differs, empty if it does not.
func (c *Copy) compare(ctx context.Context, to storage.Source, h storage.Head) (string, error) {
	was, err := c.From.Wholes(ctx, h.Partition, h.Key)
	if err != nil {
		return "", err
	}
	is, err := to.Wholes(ctx, h.Partition, h.Key)
	if err != nil {
		return "", err
	}
	a, b := was[0], is[0]
	switch {
	case b.Version == 0:
		return "it is missing", nil
	case !bytes.Equal(a.Value, b.Value):
		return "it holds something else", nil
	case !a.Expires.Truncate(time.Microsecond).Equal(b.Expires.Truncate(time.Microsecond)):
		return "it expires at another time", nil
	case !slices.Equal(sorted(a.Entries), sorted(b.Entries)):
		return "it stands elsewhere in the indexes", nil
	}
	return "", nil
}

func sorted(entries []storage.Entry) []storage.Entry {
	out := slices.Clone(entries)
	slices.SortFunc(out, func(a, b storage.Entry) int {
		if n := strings.Compare(a.Name, b.Name); n != 0 {
			return n
		}
		return strings.Compare(a.Sort, b.Sort)
	})
	return slices.Compact(out)
}
