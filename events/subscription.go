package events

import (
	"context"
	"log/slog"
	"time"

	"jeton/storage"
)

// How a subscriber that fails is retried.
const (
	minDelay = time.Second
	// maxDelay leaves the lease alive over a pause: another holder would
	// begin the round anew, and get no further.
	maxDelay = leaseTime / 2
	// mostFailures ends a step over the queue, so that one subscriber that
	// hangs does not keep the others waiting for long.
	mostFailures = 4
	// mostFailed bounds what a round remembers.
	mostFailed = 10_000
)

// subscription is one subscriber and how it fares.
//
// While anything is in its queue, it is behind: new events go to the queue
// too, so that none overtakes another of its partition. The queue is worked
// off in rounds, each over as many steps as it takes; within a round, a
// partition whose event was refused is passed over, so that an event that can
// never be taken holds up its own partition only.
type subscription struct {
	name string
	take Subscriber
	log  *slog.Logger

	behind  bool
	failing bool // and the log says so

	after    string // where the round is
	failed   map[storage.Partition]bool
	failures int // in this step
	delay    time.Duration
	retry    time.Time // in store time
}

func queueOf(name string) string { return storage.IndexOutbox + "/" + name }

func (s *subscription) queue() string { return queueOf(s.name) }

// due reports whether the pause after a failure is over. A pause longer than
// there can be means that the store's clock was set back.
func (s *subscription) due(now time.Time) bool {
	return !now.Before(s.retry) || s.retry.Sub(now) > maxDelay
}

// restart begins a new round.
func (s *subscription) restart() { s.after, s.failed = "", nil }

// tell offers a new event.
func (s *subscription) tell(ctx context.Context, _ storage.Row, e storage.Event) bool {
	if s.behind {
		return false
	}
	if s.offer(ctx, e) {
		return true
	}
	s.behind = true
	return false
}

// tellLate offers an event of the queue.
func (s *subscription) tellLate(ctx context.Context, row storage.Row, e storage.Event) bool {
	if s.failures >= mostFailures || s.failed[row.Partition] {
		return false
	}
	if s.offer(ctx, e) {
		s.delay = 0
		return true
	}
	s.failures++
	if s.failed == nil {
		s.failed = make(map[storage.Partition]bool)
	}
	s.failed[row.Partition] = true
	return false
}

// offer hands an event over, and logs the first of a row of failures.
func (s *subscription) offer(ctx context.Context, e storage.Event) bool {
	called, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	err := s.take(called, e)
	if err != nil && !s.failing && ctx.Err() == nil {
		s.failing = true
		s.log.Warn("events are kept for a subscriber that does not take them", "subscriber", s.name, "event", e.ID, "error", err)
	}
	return err == nil
}

// turn ends a page of the queue. It is true when the next page follows at
// once.
func (s *subscription) turn(page storage.Page) bool {
	if s.failures < mostFailures && page.Next != "" {
		s.after = page.Next
		return true
	}
	if s.failures == 0 && len(s.failed) == 0 {
		s.behind = false
		if s.failing {
			s.failing = false
			s.log.Info("a subscriber has taken all events kept for it", "subscriber", s.name)
		}
		s.restart()
		return false
	}
	s.behind = true
	s.delay = min(max(2*s.delay, minDelay), maxDelay)
	s.retry = page.Now.Add(s.delay)
	if s.failures < mostFailures || len(s.failed) >= mostFailed { // the round is over
		s.restart()
	}
	return false
}
