package keys

import (
	"context"
	"time"

	"jeton/storage"
)

// The ring looks at the store when that says it has changed, though not more
// often than lookPause, and at the latest after lookEvery.
const (
	lookEvery = storage.CacheAge * 9 / 10
	lookPause = 100 * time.Millisecond
)

// follow keeps the ring up to date until ctx ends.
func (r *Ring) follow(ctx context.Context) {
	defer close(r.done)
	complaint := ""
	for {
		changed := r.store.Changed() // before the look, so that nothing falls between
		pause, late := time.After(lookPause), time.After(lookEvery)
		err := r.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && complaint != "":
			complaint = ""
			r.config.Log.Info("the key ring is up to date again")
		case err != nil && err.Error() != complaint: // once, not once a second
			complaint = err.Error()
			r.config.Log.Error("the key ring cannot be brought up to date; the keys in memory stay in use", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-late:
		case <-changed:
			select {
			case <-ctx.Done():
				return
			case <-pause:
			}
		}
	}
}

// look is one look at the store for the sake of an unknown kid.
type look struct {
	begun time.Time
	done  chan struct{}
	err   error
}

// lookAgain reads the ring from the store, unless that was done for an unknown
// kid less than a second ago: then it answers as that one did. Callers that
// come together share one look.
func (r *Ring) lookAgain(ctx context.Context) error {
	r.mu.Lock()
	l := r.look
	mine := l == nil || time.Since(l.begun) >= time.Second
	if mine {
		l = &look{begun: time.Now(), done: make(chan struct{})}
		r.look = l
	}
	r.mu.Unlock()
	if mine {
		defer close(l.done)
		// The others wait for this look even if its own caller goes away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, l.err = r.load(ctx)
		return l.err
	}
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
