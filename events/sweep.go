package events

import (
	"context"
	"log/slog"
	"time"

	"jeton/storage"
)

// How the sweeper works.
const (
	sweepEvery = time.Minute
	sweepRows  = 500 // at once, so that other writers wait a moment at most
	sweepSteps = 200 // in a row
	// mostDrift is how far clocks may be apart while rows are removed.
	mostDrift = time.Minute
	// mistrust is how long a clock that jumped has to run evenly until it is
	// believed. It jumps for a good reason when a machine was suspended.
	mistrust = time.Hour
)

// Sweeper removes expired rows. An expired row counts as absent already, so
// removal only saves space and never has to be soon. It can do harm, though:
// while a clock is years ahead, everything has expired, revocations of tokens
// that live again when the clock is put right among it. So it stops while
// the store's time and the process's differ, and after either of them jumped
// against the machine's monotonic clock. A clock that was wrong before the
// process began is not noticed, unless it is that of one of several masters: each
// judges by its own clock what has expired, so it stops while theirs differ too.
type Sweeper struct {
	store *storage.Store
	log   *slog.Logger
	wall  func() time.Time
	// elapsed is the time since some moment, by a clock that nobody sets.
	elapsed func() time.Duration

	// The origin of a clock is what it showed when elapsed was 0: constant,
	// unless the clock jumps.
	trusted, seen time.Time     // the origins it had when it was right, and last
	since         time.Duration // when it came to the one seen

	apart   bool // the clocks are, by more than storage.MostApart, and the log says so
	paused  bool // likewise
	trouble bool // likewise for the store
}

// NewSweeper returns a sweeper on the process's clocks.
func NewSweeper(store *storage.Store, log *slog.Logger) *Sweeper {
	begun := time.Now()
	return &Sweeper{store: store, log: log, wall: time.Now, elapsed: func() time.Duration { return time.Since(begun) }}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.sweep(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !s.trouble:
			s.trouble = true
			s.log.Warn("expired rows stay: the store is in trouble, trying again until it works", "error", err)
		case err == nil && s.trouble:
			s.trouble = false
			s.log.Info("expired rows are removed again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(sweepEvery):
		}
	}
}

// sweep removes what has expired, up to a bound, if the clocks can be trusted.
func (s *Sweeper) sweep(ctx context.Context) error {
	for range sweepSteps {
		before := s.wall()
		now, err := s.store.Now(ctx)
		if err != nil {
			return err
		}
		s.compare(now, storage.Ahead(now, before, s.wall()))
		if !s.trust(now) {
			return nil
		}
		n, err := s.store.Sweep(ctx, sweepRows)
		if err != nil || n < sweepRows {
			return err
		}
	}
	return nil
}

// compare tells the log when the clocks come apart or together.
func (s *Sweeper) compare(store time.Time, ahead time.Duration) {
	apart := ahead.Abs() > storage.MostApart
	switch {
	case apart && !s.apart:
		s.log.Warn("this machine's clock is not the store's: everything goes by the store's, but the one that is wrong has to be set right; "+
			"have both follow a time server", "store_time", store, "store_ahead", ahead.String())
	case !apart && s.apart:
		s.log.Info("this machine's clock is the store's again")
	}
	s.apart = apart
}

// trust compares the clocks, and logs when it ceases or begins to trust them.
func (s *Sweeper) trust(store time.Time) bool {
	apart, jump, among := store.Sub(s.wall()), s.jump(store), s.store.Durability().ClocksApart
	ok := apart.Abs() <= mostDrift && jump == 0 && among <= mostDrift
	switch {
	case !ok && !s.paused:
		s.paused = true
		s.log.Warn("expired rows stay because the clocks disagree: see that this machine and the store have the right time; "+
			"after a jump for good reason they are removed in an hour",
			"store_time", store, "store_ahead", apart.String(), "jump", jump.String(), "apart", among.String())
	case ok && s.paused:
		s.paused = false
		s.log.Info("expired rows are removed again: the clocks agree")
	}
	return ok
}

// jump compares the advance of the store's time with that of the monotonic
// clock, and returns how far it jumped from where it was trusted, 0 for not.
func (s *Sweeper) jump(store time.Time) time.Duration {
	elapsed := s.elapsed()
	origin := store.Add(-elapsed)
	if s.trusted.IsZero() {
		s.trusted = origin
	}
	off := origin.Sub(s.trusted)
	if off.Abs() > mostDrift {
		if origin.Sub(s.seen).Abs() > mostDrift {
			s.since = elapsed
		}
		s.seen = origin
		if elapsed-s.since < mistrust {
			return off
		}
	}
	// Small differences are the slewing of a clock that is being corrected.
	s.trusted, s.seen = origin, origin
	return 0
}
