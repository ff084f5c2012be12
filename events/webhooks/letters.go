package webhooks

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"jeton/storage"
)

// What an operator may name and is not there.
var (
	ErrNotFound = errors.New("webhooks: there is no such webhook")
	ErrNoLetter = errors.New("webhooks: there is no such dead letter")
)

// Status tells the operator of a webhook.
type Status struct {
	Webhook
	// URL has no query.
	URL string
	// Configured: this process delivers to it. One that is not may have rows
	// from before.
	Configured bool
	storage.WebhookState
	Pending, Dead int
	// Oldest is when the oldest event that waits happened.
	Oldest time.Time
}

// List tells of all webhooks, by name: those configured, and those of which
// anything is left.
func (q *Queues) List(ctx context.Context) ([]Status, error) {
	var all []Status
	for _, w := range q.Hooks {
		all = append(all, Status{Webhook: w, URL: w.shown(), Configured: true})
	}
	err := q.Store.AllByIndex(ctx, storage.Query{Index: storage.IndexWebhooks}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.WebhookState](row)
		if q.Store.Skip(ctx, row, err) {
			return nil
		}
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(s Status) bool { return s.Webhook.Name == rec.Value.Name })
		if i < 0 {
			i = len(all)
			all = append(all, Status{Webhook: Webhook{Name: rec.Value.Name}})
		}
		all[i].WebhookState = rec.Value
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		s := &all[i]
		pending, err := q.count(ctx, storage.IndexPending(s.Webhook.Name))
		if err != nil {
			return nil, err
		}
		dead, err := q.count(ctx, storage.IndexDead(s.Webhook.Name))
		if err != nil {
			return nil, err
		}
		s.Pending, s.Oldest, s.Dead = pending.rows, pending.oldest, dead.rows
	}
	all = slices.DeleteFunc(all, func(s Status) bool { return !s.Configured && s.Pending+s.Dead == 0 })
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Webhook.Name, b.Webhook.Name) })
	return all, nil
}

// Known reports whether there is such a webhook, or has been.
func (q *Queues) Known(ctx context.Context, name string) error {
	if slices.ContainsFunc(q.Hooks, func(w Webhook) bool { return w.Name == name }) {
		return nil
	}
	if plainName.MatchString(name) {
		snap, err := q.Store.Read(ctx, storage.WebhookPartition(name), stateKey(name))
		if err != nil {
			return err
		}
		if snap.Rows[0].Version != 0 {
			return nil
		}
	}
	return ErrNotFound
}

// Letters is a page of the dead letters of a webhook, the oldest event first.
func (q *Queues) Letters(ctx context.Context, name, after string, limit int) (letters []storage.Delivery, next string, err error) {
	if err := q.Known(ctx, name); err != nil {
		return nil, "", err
	}
	page, err := q.Store.List(ctx, storage.Query{Index: storage.IndexDead(name), After: after, Limit: limit})
	if err != nil {
		return nil, "", err
	}
	for _, i := range read(page) {
		letters = append(letters, i.Delivery)
	}
	return letters, page.Next, nil
}

// Retry queues dead letters again, all or that of one event, and says how many.
// They have all their attempts before them.
func (q *Queues) Retry(ctx context.Context, name, event string) (int, error) {
	return q.each(ctx, name, event, func(c changes, now time.Time, i item) {
		d := i.Delivery
		d.Since, d.Due, d.Attempts, d.Dead = now, now, 0, time.Time{}
		c.put(i.Row, pendingPut(d))
	})
}

// Drop forgets dead letters, all or that of one event, and says how many.
func (q *Queues) Drop(ctx context.Context, name, event string) (int, error) {
	return q.each(ctx, name, event, func(c changes, _ time.Time, i item) { c.remove(i.Row) })
}

// each changes the dead letters of a webhook, all of those that are there when
// it begins, or one.
func (q *Queues) each(ctx context.Context, name, event string, change func(changes, time.Time, item)) (int, error) {
	if err := q.Known(ctx, name); err != nil {
		return 0, err
	}
	began, err := q.Store.Now(ctx)
	if err != nil {
		return 0, err
	}
	total, err := q.walk(ctx, storage.IndexDead(name), func(c changes, now time.Time, i item) {
		if (event == "" || i.Event.ID == event) && !i.Dead.After(began) {
			change(c, now, i)
		}
	})
	if err != nil {
		return total, err
	}
	if event != "" && total == 0 {
		return 0, ErrNoLetter
	}
	return total, nil
}
