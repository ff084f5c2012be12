package webhooks

import (
	"context"
	"sync"
	"time"

	"jeton/storage"
)

// turn tells a receiver what is due, until nothing is or it takes nothing.
func (d *Dispatcher) turn(ctx context.Context, r *receiver) error {
	for ctx.Err() == nil {
		page, err := d.Store.List(ctx, storage.Query{Index: storage.IndexPending(r.Name), Limit: batch})
		if err != nil {
			return err
		}
		var items []item
		for _, i := range read(page) {
			if due(i.Row, page.Now) <= 0 {
				items = append(items, i)
			}
		}
		if len(items) == 0 {
			return nil
		}
		if r.pause > 0 {
			items = items[:1] // to see whether it works again
		}
		results, err := d.deliver(ctx, r, page.Now, items)
		now := page.Now
		if later, err := d.Store.Now(ctx); err == nil {
			now = later // the calls took their time
		}
		if writeErr := d.write(ctx, r, now, items, results); writeErr != nil {
			err = writeErr
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.turned(now, false, 0, result{}) // who took it will hear of it again, but not at once
			return err
		}
		works, failures, last := summary(results)
		r.turned(now, works, failures, last)
		if err := d.note(ctx, r, now, works, last); err != nil {
			return err
		}
		if !works {
			return nil
		}
	}
	return nil
}

// summary says whether the receiver works: a refusal of one event is an answer
// too.
func summary(results []result) (works bool, failures int, last result) {
	for _, res := range results {
		switch res.outcome {
		case Taken, Rejected:
			works = true
		case "":
		default:
			failures++
			if res.pause >= last.pause {
				last = res
			}
		}
	}
	return works, failures, last
}

// deliver tries some events at once. An event that was not tried, since nothing
// can be signed or ctx ended, has an empty result.
func (d *Dispatcher) deliver(ctx context.Context, r *receiver, now time.Time, items []item) ([]result, error) {
	results, faults := make([]result, len(items)), make([]error, len(items))
	var all sync.WaitGroup
	for n, i := range items {
		all.Go(func() {
			set, err := d.signInTurn(ctx, r, now, i.Event)
			if err != nil {
				faults[n] = err
				return
			}
			res := r.post(ctx, set)
			if res.outcome != Taken && ctx.Err() != nil {
				return // it was cut off, which says nothing
			}
			results[n] = res
			r.tried(res.outcome)
		})
	}
	all.Wait()
	for _, err := range faults {
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

func (d *Dispatcher) signInTurn(ctx context.Context, r *receiver, now time.Time, e storage.Event) (string, error) {
	select {
	case d.signing <- struct{}{}:
		defer func() { <-d.signing }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return d.sign(ctx, now, r.Webhook, e)
}

// write takes down what came of attempts. A row that has changed meanwhile
// stays as it is: the operator has dropped it, or another node, whose lease
// this one did not notice losing, has told the receiver too.
func (d *Dispatcher) write(ctx context.Context, r *receiver, now time.Time, items []item, results []result) error {
	c, dead := changes{}, 0
	for n, i := range items {
		res, letter := results[n], i.Delivery
		switch res.outcome {
		case "":
			continue
		case Taken:
			c.remove(i.Row)
			continue
		}
		letter.Attempts++
		letter.Tried, letter.Error = now, res.words
		if res.outcome == Rejected || now.Sub(i.Since) >= givenUp {
			dead++
			letter.Dead = now
			c.put(i.Row, deadPut(letter))
			continue
		}
		letter.Due = now.Add(max(delay(letter.Attempts), min(res.pause, maxAsked)))
		c.put(i.Row, pendingPut(letter))
	}
	_, err := c.commit(ctx, d.Store)
	r.buried(dead)
	return err
}
