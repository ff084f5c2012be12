// Package copying brings all rows of one store to another one, while the first
// is in use, as often as it takes until little is left; and what is left when
// nobody uses it any more. It knows rows and no more: what must happen to who
// uses the two stores meanwhile is its caller's.
package copying

import (
	"context"
	"errors"
	"slices"
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

// Forgetful is a target that may lose what it has acknowledged.
type Forgetful interface {
	// Counters only grow, by one of them for each commit, as long as nothing is
	// lost and nobody else writes.
	Counters(context.Context) ([]int64, error)
}

// ErrForgot says that the target has lost what it had acknowledged.
var ErrForgot = errors.New("the target has lost what it had acknowledged: run the copy again, which begins anew")

// Copy is what is copied, and where to. Nobody else may use To.
type Copy struct {
	From    storage.Source
	To      storage.Backend
	Journal *Journal
	// Progress, unless nil, is told of each page that was looked at.
	Progress func(Progress)

	// acknowledged commits of this pass, and where the counters began.
	acknowledged atomic.Int64
	began        int64
}

// Progress is how far a pass has come.
type Progress struct {
	// Seen rows of the source were looked at, Copied of them were new or changed,
	// Removed were gone from the source.
	Seen, Copied, Removed int64
	// Anew: what the journal knew is worth nothing, since the target has lost some.
	Anew bool
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
	anew, err := c.resume(ctx)
	if err != nil {
		return Progress{}, err
	}
	c.Journal.begin()
	jobs := make(chan job, workers)
	p := &pass{Copy: c, now: time.Now(), anew: anew}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg, noting sync.WaitGroup
	done := make(chan struct{})
	noting.Go(func() {
		if err := c.note(ctx, done); err != nil {
			stop(err)
		}
	})
	for range workers {
		wg.Go(func() {
			for j := range jobs {
				if err := p.copy(ctx, j); err != nil {
					stop(err)
				}
			}
		})
	}
	err = c.From.Heads(ctx, func(heads []storage.Head) error { return p.look(ctx, heads, jobs) })
	close(jobs)
	wg.Wait()
	close(done)
	noting.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return p.progress(), errors.Join(err, c.checkpoint(context.WithoutCancel(ctx)))
}

// checkpointEvery is how often a copy looks whether checkpointBytes have come
// together, which one that is killed does again.
const (
	checkpointEvery = 20 * time.Millisecond
	checkpointBytes = 1 << 16
)

// note writes checkpoints until done is closed.
func (c *Copy) note(ctx context.Context, done <-chan struct{}) error {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
		if c.Journal.waiting() < checkpointBytes {
			continue
		}
		if err := c.checkpoint(ctx); err != nil && !errors.Is(err, storage.ErrUnavailable) {
			return err
		}
	}
}

// resume compares the target with what the journal knows of it, and reports
// whether all has to be copied anew.
func (c *Copy) resume(ctx context.Context) (anew bool, err error) {
	counters, err := c.counters(ctx)
	if err != nil {
		return false, err
	}
	c.began = sum(counters)
	c.acknowledged.Store(0)
	if !c.Journal.behind(counters) {
		return false, nil
	}
	return true, c.Journal.forget()
}

// checkpoint notes how far both have come, and whether the target has lost any of
// it: with each acknowledged commit a counter has grown.
func (c *Copy) checkpoint(ctx context.Context) error {
	err := c.Journal.checkpoint(func() ([]int64, error) {
		acknowledged := c.acknowledged.Load()
		counters, err := c.counters(ctx)
		if err == nil && counters != nil && (sum(counters)-c.began < acknowledged || c.Journal.behind(counters)) {
			err = ErrForgot
		}
		return counters, err
	})
	if errors.Is(err, ErrForgot) {
		err = errors.Join(err, c.Journal.forget())
	}
	return err
}

func (c *Copy) counters(ctx context.Context) ([]int64, error) {
	if to, ok := c.To.(Forgetful); ok {
		return to.Counters(ctx)
	}
	return nil, nil
}

func sum(counters []int64) (all int64) {
	for _, n := range counters {
		all += n
	}
	return all
}

// commit writes to the target, and may do it twice.
func (c *Copy) commit(ctx context.Context, change storage.Change) error {
	err := settle(ctx, func() error {
		_, err := c.To.Commit(ctx, change)
		return err
	})
	if err == nil {
		c.acknowledged.Add(1)
	}
	return err
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
			if lasts(h, now) && !c.Journal.meet(rowKey{h.Partition, h.Key}) {
				gone[h.Partition] = append(gone[h.Partition], h.Key)
			}
		}
		for partition, keys := range gone {
			for some := range slices.Chunk(keys, together) {
				if err := c.commit(ctx, storage.Change{Partition: partition, Deletes: some}); err != nil {
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
	return done, errors.Join(err, c.checkpoint(ctx))
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
	anew         bool
	seen, copied atomic.Int64
}

func (p *pass) progress() Progress {
	return Progress{Seen: p.seen.Load(), Copied: p.copied.Load(), Anew: p.anew}
}

// look hands what has changed among the rows of a page to the workers.
func (p *pass) look(ctx context.Context, heads []storage.Head, jobs chan<- job) error {
	changed := make(map[storage.Partition][]storage.Key)
	for _, h := range heads {
		if !lasts(h, p.now) {
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
	if err := p.commit(ctx, change); err != nil {
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

// lasts reports whether a row lives at that time.
func lasts(h storage.Head, until time.Time) bool { return h.Expires.IsZero() || h.Expires.After(until) }
