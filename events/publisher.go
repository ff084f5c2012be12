package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"jeton/storage"
)

// Subscriber is told of an event. An error means that it has to be told
// again. It may be told of one event twice, and has to return soon after ctx
// is done: what takes long, it should put into rows of its own.
type Subscriber func(ctx context.Context, e storage.Event) error

// How a publisher works.
const (
	pageSize       = 128
	lookEvery      = 2 * time.Second        // without a sign of change
	gather         = 100 * time.Millisecond // after one: more will follow
	deliverTimeout = 5 * time.Second
	commitTimeout  = 5 * time.Second
	commitsAtOnce  = 8
)

// Publisher takes events from the outbox and hands them to all subscribers,
// each event at least once to each. The events of one partition come in order.
//
// All nodes run one; whoever has work to do takes a lease first. An event that
// all have taken is deleted. One that a subscriber has not taken leaves the
// outbox too, for the queue of that subscriber, so that the others go on and
// nobody is told twice for another's sake. What is left to do is in the store
// alone; a new holder of the lease continues from there.
type Publisher struct {
	store *storage.Store
	log   *slog.Logger
	lease Lease
	subs  []*subscription
	rows  []func(storage.Event) []storage.Put

	trouble    bool // the store failed last time, and the log says so
	unreadable bool // likewise for an event that cannot be decoded
}

// NewPublisher returns a publisher that has no subscribers yet.
func NewPublisher(store *storage.Store, log *slog.Logger) *Publisher {
	return &Publisher{store: store, log: log, lease: NewLease(store, "events")}
}

// Subscribe adds a subscriber, before Run. Its name stays the same for ever:
// what it has not taken is kept under it.
func (p *Publisher) Subscribe(name string, s Subscriber) {
	p.subs = append(p.subs, &subscription{name: name, take: s, log: p.log})
}

// Follow adds a subscriber that is not told: the rows that it makes of an event
// are written by the commit that takes the event out of the outbox, once for
// each event. It is for what takes long, and works on rows of its own. Their
// keys have to be new with the event.
func (p *Publisher) Follow(rows func(storage.Event) []storage.Put) {
	p.rows = append(p.rows, rows)
}

// Run publishes until ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		p.lease.Release(ctx)
	}()
	for ctx.Err() == nil {
		changed := p.store.Changed()
		held, err := p.step(ctx)
		p.report(ctx, err)
		if !held || err != nil {
			changed = nil // whoever holds the lease is woken by it
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		case <-changed:
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
		}
	}
}

// report logs the first of a row of failures, and its end.
func (p *Publisher) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !p.trouble:
		p.trouble = true
		p.log.Warn("events are waiting: the store is in trouble, trying again until it works", "error", err)
	case err == nil && p.trouble:
		p.trouble = false
		p.log.Info("events are published again")
	}
}

// step publishes all there is. It is false when that is another node's work.
func (p *Publisher) step(ctx context.Context) (bool, error) {
	busy, err := p.busy(ctx)
	if err != nil || !busy {
		return true, err
	}
	for _, s := range p.subs {
		if held, err := p.catchUp(ctx, s); err != nil || !held {
			return held, err
		}
	}
	return p.drain(ctx)
}

// busy looks for work, so that a quiet server writes nothing.
func (p *Publisher) busy(ctx context.Context) (bool, error) {
	indexes := []string{storage.IndexOutbox}
	for _, s := range p.subs {
		indexes = append(indexes, s.queue())
	}
	for i, index := range indexes {
		page, err := p.store.List(ctx, storage.Query{Index: index, Limit: 1})
		if err != nil {
			return false, err
		}
		if len(page.Rows) > 0 && (i == 0 || p.subs[i-1].due(page.Now)) {
			return true, nil
		}
	}
	return false, nil
}

// hold makes sure of the lease. What is remembered of the queues is worth
// nothing once another node may have worked on them.
func (p *Publisher) hold(ctx context.Context) (bool, error) {
	held, err := p.lease.Hold(ctx)
	if held && p.lease.taken {
		for _, s := range p.subs {
			s.restart()
		}
	}
	return held, err
}

// drain empties the outbox.
func (p *Publisher) drain(ctx context.Context) (bool, error) {
	q := storage.Query{Index: storage.IndexOutbox, Limit: pageSize}
	for {
		held, err := p.hold(ctx)
		if err != nil || !held {
			return held, err
		}
		page, err := p.store.List(ctx, q)
		if err != nil {
			return true, err
		}
		if err := p.handle(ctx, page, p.subs, (*subscription).tell); err != nil {
			return true, err
		}
		if q.After = page.Next; q.After == "" {
			return true, nil
		}
	}
}

// catchUp works on the queue of a subscriber, and notes whether it is behind.
func (p *Publisher) catchUp(ctx context.Context, s *subscription) (bool, error) {
	s.failures = 0
	for {
		held, err := p.hold(ctx)
		if err != nil || !held {
			return held, err
		}
		page, err := p.store.List(ctx, storage.Query{Index: s.queue(), After: s.after, Limit: pageSize})
		if err != nil {
			return true, err
		}
		if !s.due(page.Now) {
			s.behind = true
			return true, nil
		}
		if err := p.handle(ctx, page, []*subscription{s}, (*subscription).tellLate); err != nil {
			return true, err
		}
		if !s.turn(page) {
			return true, nil
		}
	}
}

// queued is the row of an event. Owed are the names of those that still have
// to take it; none are named while it is in the outbox, where all do.
type queued struct {
	storage.Event
	Owed []string `json:"owed,omitempty"`
}

// handle tells subscribers of the events of a page, then writes down what is
// still owed. It does so for what has been told also when ctx ends.
func (p *Publisher) handle(ctx context.Context, page storage.Page, subs []*subscription, tell func(*subscription, context.Context, storage.Row, storage.Event) bool) error {
	changes := make(map[storage.Partition]*storage.Change)
	for _, row := range page.Rows {
		rec, err := storage.Decode[queued](row)
		if err != nil {
			p.skip(err)
			continue
		}
		e := rec.Value
		fresh := len(e.Owed) == 0
		if fresh {
			for _, s := range p.subs {
				e.Owed = append(e.Owed, s.name)
			}
		}
		before := len(e.Owed)
		for _, s := range subs {
			if ctx.Err() == nil && slices.Contains(e.Owed, s.name) && tell(s, ctx, row, e.Event) {
				e.Owed = slices.DeleteFunc(e.Owed, func(name string) bool { return name == s.name })
			}
		}
		if ctx.Err() != nil && len(e.Owed) > 0 {
			break
		}
		if fresh || len(e.Owed) < before {
			c := note(changes, row, e)
			for _, rows := range p.rows {
				if fresh {
					c.Puts = append(c.Puts, rows(e.Event)...)
				}
			}
		}
	}
	return errors.Join(p.commit(ctx, changes), ctx.Err())
}

// skip leaves an event where it is that a newer version may have written.
func (p *Publisher) skip(err error) {
	if !p.unreadable {
		p.unreadable = true
		p.log.Error("an event is left in the outbox: run the version that wrote it to have it published", "error", err)
	}
}

// note adds what becomes of an event to the change of its partition. The check
// keeps a publisher that has lost its lease without noticing from bringing
// back an event that the next one has dealt with.
func note(changes map[storage.Partition]*storage.Change, row storage.Row, e queued) *storage.Change {
	c := changes[row.Partition]
	if c == nil {
		c = &storage.Change{Partition: row.Partition}
		changes[row.Partition] = c
	}
	c.Checks = append(c.Checks, storage.Check{Key: row.Key, Version: row.Version})
	if len(e.Owed) == 0 {
		c.Deletes = append(c.Deletes, row.Key)
		return c
	}
	put := storage.Put{Key: row.Key, Value: storage.Encode(e), Expires: row.Expires}
	for _, name := range e.Owed {
		put.Index = append(put.Index, storage.Entry{Name: queueOf(name), Sort: e.ID})
	}
	c.Puts = append(c.Puts, put)
	return c
}

// commit writes the changes of several partitions side by side.
func (p *Publisher) commit(ctx context.Context, changes map[storage.Partition]*storage.Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(commitsAtOnce)
	for _, c := range changes {
		g.Go(func() error {
			_, err := p.store.Commit(ctx, *c)
			if err != nil && !errors.Is(err, storage.ErrConflict) {
				return fmt.Errorf("events: what was published will be published again: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}
