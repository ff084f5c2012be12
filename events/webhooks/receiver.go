package webhooks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"jeton/storage"
)

// How a receiver that takes nothing is tried again.
const (
	// minPause and maxPause bound the time in which nothing is sent to it.
	// Meanwhile one event is tried at a time.
	minPause = time.Second
	maxPause = 5 * time.Minute
	// minDelay and maxDelay bound the time until the same event is tried again.
	minDelay = 5 * time.Second
	maxDelay = 15 * time.Minute
	// maxAsked is the longest pause that a receiver can ask for.
	maxAsked = time.Hour
	// failsFrom is how many attempts in a row have to fail to call it failing.
	failsFrom = 3
)

// receiver is a webhook and how it fares. Its worker alone changes what is not
// guarded, and nobody else reads that while there is one.
type receiver struct {
	Webhook
	client *http.Client

	known   bool // failing is what the store says
	failing bool // so the log and the store say
	failed  int  // attempts in a row
	pause   time.Duration
	until   time.Time // in store time

	mu     sync.Mutex
	figure Figures
	unsaid int // dead letters that the log does not tell of yet
}

// Figures are what metrics tell of a webhook.
type Figures struct {
	Webhook       string
	Deliveries    map[Outcome]uint64
	Pending, Dead int
	Oldest        time.Time
	Dropped       uint64
}

func newReceiver(w Webhook, client *http.Client) *receiver {
	r := &receiver{Webhook: w, client: client}
	r.figure = Figures{Webhook: w.Name, Deliveries: make(map[Outcome]uint64)}
	return r
}

// forget drops what another node may have changed since.
func (r *receiver) forget() { r.known, r.failed, r.pause, r.until = false, 0, 0, time.Time{} }

// dueIn is how long the queue still waits. A time further off than any can be
// set means that the store's clock was set back.
func (r *receiver) dueIn(page storage.Page) time.Duration {
	in := due(page.Rows[0], page.Now)
	for _, row := range page.Rows[1:] { // the first may be one that cannot be read
		in = min(in, due(row, page.Now))
	}
	in = max(in, r.until.Sub(page.Now))
	if in > maxAsked+maxDelay {
		return 0
	}
	return in
}

// due is how long a row still waits by itself: its place says when.
func due(row storage.Row, now time.Time) time.Duration {
	rec, err := storage.Decode[storage.Delivery](row)
	if err != nil {
		return maxDelay // a newer version's, see read
	}
	return rec.Value.Due.Sub(now)
}

// turned takes down how a round of attempts went: whether any of them was
// answered in a way that says that the receiver works, and the last failure.
func (r *receiver) turned(now time.Time, works bool, failures int, last result) {
	if works {
		r.failed, r.pause, r.until = 0, 0, time.Time{}
		return
	}
	r.failed += failures
	r.pause = min(max(2*r.pause, minPause), maxPause)
	r.until = now.Add(max(jitter(r.pause), min(last.pause, maxAsked)))
}

// jitter spreads what would come at one time: a quarter to either side.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}

// delay is how long an event waits that was tried so often.
func delay(attempts int) time.Duration {
	return jitter(min(minDelay<<min(attempts-1, 20), maxDelay))
}

// note keeps state and log up with how the receiver fares: a line when it
// begins to fail and one when it works again.
func (d *Dispatcher) note(ctx context.Context, r *receiver, now time.Time, works bool, last result) error {
	if !r.known {
		err := d.change(ctx, r.Name, func(s *storage.WebhookState) bool {
			r.failing = !s.Failing.IsZero()
			return false
		})
		if err != nil {
			return err
		}
		r.known = true
	}
	switch {
	case works && r.failing:
		r.failing = false
		d.Log.Info("a webhook takes events again", "webhook", r.Name)
		return d.change(ctx, r.Name, func(s *storage.WebhookState) bool {
			s.Failing, s.Error = time.Time{}, ""
			return true
		})
	case !works && !r.failing && r.failed >= failsFrom:
		r.failing = true
		d.Log.Warn("a webhook takes no events; they wait and are tried again", "webhook", r.Name, "error", last.words)
		return d.change(ctx, r.Name, func(s *storage.WebhookState) bool {
			s.Failing, s.Error = now, last.words
			return true
		})
	}
	return nil
}

func (r *receiver) tried(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figure.Deliveries[o]++
}

func (r *receiver) counted(pending, dead int, oldest time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figure.Pending, r.figure.Dead, r.figure.Oldest = pending, dead, oldest
}

func (r *receiver) buried(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsaid += n
}

func (r *receiver) dropped(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figure.Dropped += uint64(n)
}

// tell logs dead letters, all since the last time in one line.
func (r *receiver) tell(log *slog.Logger) {
	r.mu.Lock()
	n := r.unsaid
	r.unsaid = 0
	r.mu.Unlock()
	if n > 0 {
		log.Error("events could not be delivered to a webhook: see jeton webhook dead-letters, then retry or drop them", "webhook", r.Name, "events", n)
	}
}

// Figures tells of all webhooks. What waits and what is dead is counted once a
// minute.
func (d *Dispatcher) Figures() []Figures {
	all := make([]Figures, len(d.receivers))
	for i, r := range d.receivers {
		r.mu.Lock()
		all[i] = r.figure
		all[i].Deliveries = make(map[Outcome]uint64, len(outcomes))
		for _, o := range outcomes {
			all[i].Deliveries[o] = r.figure.Deliveries[o]
		}
		r.mu.Unlock()
	}
	return all
}
