package passwords

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"jeton/measure"
)

// gate lets a bounded number of hashes run at once, the others wait in the
// order they came. Without it 32 logins at once take 700 MiB and all of them
// time out.
type gate struct {
	slots   chan struct{}
	waiting atomic.Int64
	wait    time.Duration
	timings Timings
}

// Timings are how long logins have waited for their turn to hash a password, and
// how long the hashes took.
type Timings struct{ Wait, Hash measure.Histogram }

// queuePerSlot bounds the queue: who stands further back than this has no
// chance of a turn within the wait and would only hold memory.
const queuePerSlot = 256

func newGate(slots int, wait time.Duration) *gate {
	return &gate{slots: make(chan struct{}, slots), wait: wait}
}

// do runs f when it has a turn. A caller that gave up leaves the queue at once
// and never runs f.
func (g *gate) do(ctx context.Context, f func() error) error {
	waiting := measure.Begin(ctx, measure.KDFWait, &g.timings.Wait)
	err := g.enter(ctx)
	waiting.End()
	if err != nil {
		return err
	}
	defer func() { <-g.slots }()
	defer measure.Begin(ctx, measure.KDF, &g.timings.Hash).End()
	return f()
}

func (g *gate) enter(ctx context.Context) error {
	if err := left(ctx); err != nil {
		return err
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if g.waiting.Add(1) > int64(cap(g.slots)*queuePerSlot) {
		g.waiting.Add(-1)
		return ErrBusy
	}
	defer g.waiting.Add(-1)
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return left(ctx)
	}
	// A select with several ready cases picks any: look again, so that nobody
	// hashes for a caller who has gone.
	if err := left(ctx); err != nil {
		<-g.slots
		return err
	}
	return nil
}

// left says why a caller no longer waits: a deadline of its own is as good a
// reason for "busy" as ours.
func left(ctx context.Context) error {
	err := ctx.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	default:
		return fmt.Errorf("passwords: the caller has gone: %w", err)
	}
}

func (g *gate) load() (running, waiting int) {
	return len(g.slots), int(g.waiting.Load())
}
