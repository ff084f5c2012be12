package webhooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"jeton/storage"
)

// Bounds of what is kept for one webhook.
const (
	// MostPending is how many events wait for a receiver; beyond it the oldest
	// become dead letters.
	MostPending = 100_000
	// MostDead is how many dead letters are kept, and KeptDead for how long.
	MostDead = 10_000
	KeptDead = 30 * storage.Day
	// givenUp is the age at which a failed attempt is the last. An event that
	// waits for longer without one is given up at mostWaiting.
	givenUp     = 72 * time.Hour
	mostWaiting = 29 * storage.Day
	// rowLife lets rows that nobody tends go by themselves, later than all that
	// is counted.
	rowLife = 31 * storage.Day
)

const (
	pageSize      = 500
	commitTimeout = 5 * time.Second
	commitsAtOnce = 8
)

// Queues is what waits for each webhook, and what was given up. All of it is
// in the store, so it is the same seen from every process.
type Queues struct {
	Store *storage.Store
	Hooks []Webhook
}

// Follow makes the rows that an event has to write with its publication, one
// for each webhook that wants it.
func (q *Queues) Follow(e storage.Event) []storage.Put {
	var puts []storage.Put
	for _, w := range q.Hooks {
		if w.wants(e.Type) {
			puts = append(puts, pendingPut(storage.Delivery{Webhook: w.Name, Event: e, Since: e.Time, Due: e.Time}))
		}
	}
	return puts
}

func deliveryKey(d storage.Delivery) storage.Key {
	return storage.Key{Kind: storage.KindDelivery, ID: d.Event.ID + "/" + d.Webhook}
}

// pendingPut is the row of an event that waits.
func pendingPut(d storage.Delivery) storage.Put {
	return storage.Put{
		Key: deliveryKey(d), Value: storage.Encode(d), Expires: d.Since.Add(rowLife),
		Index: []storage.Entry{{Name: storage.IndexPending(d.Webhook), Sort: dueAt(d.Due)}},
	}
}

// deadPut is the row of a dead letter.
func deadPut(d storage.Delivery) storage.Put {
	return storage.Put{
		Key: deliveryKey(d), Value: storage.Encode(d), Expires: d.Dead.Add(rowLife),
		Index: []storage.Entry{{Name: storage.IndexDead(d.Webhook), Sort: d.Event.ID}},
	}
}

// dueAt sorts as time does.
func dueAt(t time.Time) string { return fmt.Sprintf("%016x", max(t.UnixNano(), 0)) }

// item is a row of a queue and what it says.
type item struct {
	storage.Row
	storage.Delivery
}

// read decodes the rows of a page. What cannot be read was written by a newer
// version, and is left to it.
func read(page storage.Page) []item {
	items := make([]item, 0, len(page.Rows))
	for _, row := range page.Rows {
		if rec, err := storage.Decode[storage.Delivery](row); err == nil {
			items = append(items, item{row, rec.Value})
		}
	}
	return items
}

// changes gathers what becomes of rows, by partition. A row that has changed
// meanwhile keeps the whole of its partition's changes from being made: the
// caller looks again.
type changes map[storage.Partition]*storage.Change

func (c changes) of(row storage.Row) *storage.Change {
	change := c[row.Partition]
	if change == nil {
		change = &storage.Change{Partition: row.Partition}
		c[row.Partition] = change
	}
	change.Checks = append(change.Checks, storage.Check{Key: row.Key, Version: row.Version})
	return change
}

func (c changes) remove(row storage.Row) {
	change := c.of(row)
	change.Deletes = append(change.Deletes, row.Key)
}

func (c changes) put(row storage.Row, p storage.Put) {
	change := c.of(row)
	change.Puts = append(change.Puts, p)
}

// commit makes the changes, also for a caller who has gone, and says how many
// rows they were. A conflict is no error, its rows are not counted.
func (c changes) commit(ctx context.Context, store *storage.Store) (rows int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(commitsAtOnce)
	done := make(chan int, len(c))
	for _, change := range c {
		g.Go(func() error {
			_, err := store.Commit(ctx, *change)
			if err == nil {
				done <- len(change.Checks)
			}
			if errors.Is(err, storage.ErrConflict) {
				return nil
			}
			return err
		})
	}
	err = g.Wait()
	close(done)
	for n := range done {
		rows += n
	}
	return rows, err
}

// walk goes over an index and makes the changes that are noted on the way, page
// by page. It says how many rows they were.
func (q *Queues) walk(ctx context.Context, index string, note func(changes, time.Time, item)) (rows int, err error) {
	query := storage.Query{Index: index, Limit: pageSize}
	for {
		page, err := q.Store.List(ctx, query)
		if err != nil {
			return rows, err
		}
		c := changes{}
		for _, i := range read(page) {
			note(c, page.Now, i)
		}
		n, err := c.commit(ctx, q.Store)
		if rows += n; err != nil {
			return rows, err
		}
		if query.After = page.Next; query.After == "" {
			return rows, nil
		}
	}
}

// counted is what an index holds. The times are the earliest, and now where
// there are none.
type counted struct {
	rows   int
	now    time.Time
	oldest time.Time // of the events; zero for none
	since  time.Time // when one was queued
	dead   time.Time // when one was given up
}

func (q *Queues) count(ctx context.Context, index string) (counted, error) {
	var c counted
	query := storage.Query{Index: index, Limit: pageSize}
	for {
		page, err := q.Store.List(ctx, query)
		if err != nil {
			return c, err
		}
		if query.After == "" {
			c.now, c.since, c.dead = page.Now, page.Now, page.Now
		}
		c.rows += len(page.Rows)
		for _, i := range read(page) {
			if c.oldest.IsZero() || i.Event.Time.Before(c.oldest) {
				c.oldest = i.Event.Time
			}
			if i.Since.Before(c.since) {
				c.since = i.Since
			}
			if !i.Dead.IsZero() && i.Dead.Before(c.dead) {
				c.dead = i.Dead
			}
		}
		if query.After = page.Next; query.After == "" {
			return c, nil
		}
	}
}
