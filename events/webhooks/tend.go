package webhooks

import (
	"context"
	"time"

	"jeton/storage"
)

// tendEvery is how often queues are counted and kept within their bounds.
const tendEvery = time.Minute

// tend counts what there is for a webhook and gives up or drops what is beyond
// the bounds. Any process may do it, also several at once: of two that see the
// same row, one removes it.
func (d *Dispatcher) tend(ctx context.Context, r *receiver) error {
	pending, err := d.count(ctx, storage.IndexPending(r.Name))
	if err != nil {
		return err
	}
	gaveUp, err := d.giveUp(ctx, r, pending)
	if err != nil {
		return err
	}
	r.buried(gaveUp)
	dead, err := d.count(ctx, storage.IndexDead(r.Name))
	if err != nil {
		return err
	}
	dropped, err := d.dropOld(ctx, r, dead)
	if err != nil {
		return err
	}
	r.counted(pending.rows-gaveUp, dead.rows-dropped, pending.oldest)
	if dropped > 0 {
		d.Log.Error("dead letters of a webhook were dropped, they were too many or too old: see to the receiver",
			"webhook", r.Name, "events", dropped)
	}
	r.tell(d.Log)
	return nil
}

// giveUp makes dead letters of what is too much, those that are due first, and
// of what waits for too long.
func (d *Dispatcher) giveUp(ctx context.Context, r *receiver, has counted) (int, error) {
	tooMany := has.rows - d.mostPending
	if tooMany <= 0 && has.now.Sub(has.since) < mostWaiting {
		return 0, nil
	}
	return d.walk(ctx, storage.IndexPending(r.Name), func(c changes, now time.Time, i item) {
		if tooMany--; tooMany < 0 && now.Sub(i.Since) < mostWaiting {
			return
		}
		letter := i.Delivery
		letter.Dead = now
		if letter.Error == "" {
			letter.Error = "it was never tried: too many events waited, or this one for too long"
		}
		c.put(i.Row, deadPut(letter))
	})
}

// dropOld drops what is too much, the oldest events first, and what is too old.
func (d *Dispatcher) dropOld(ctx context.Context, r *receiver, has counted) (int, error) {
	tooMany := has.rows - d.mostDead
	if tooMany <= 0 && has.now.Sub(has.dead) < KeptDead {
		return 0, nil
	}
	n, err := d.walk(ctx, storage.IndexDead(r.Name), func(c changes, now time.Time, i item) {
		if tooMany--; tooMany >= 0 || now.Sub(i.Dead) >= KeptDead {
			c.remove(i.Row)
		}
	})
	if n > 0 {
		// Counted after the fact: a crash between the two counts too few.
		r.dropped(n)
		stateErr := d.change(ctx, r.Name, func(s *storage.WebhookState) bool { s.Dropped += uint64(n); return true })
		if err == nil {
			err = stateErr
		}
	}
	return n, err
}
