package passwords

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestN7_GateBoundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 2*time.Second)
		var running, most atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				err := g.do(t.Context(), func() error {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(100 * time.Millisecond)
					running.Add(-1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if r, w := g.load(); r != 2 || w != 18 {
			t.Errorf("%d run and %d wait, want 2 and 18", r, w)
		}
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d ran at once, want 2", most.Load())
		}
		if r, w := g.load(); r != 0 || w != 0 {
			t.Errorf("%d run and %d wait afterwards", r, w)
		}
	})
}

func TestN7_GateGivesUpAfterTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2*time.Second)
		release := hold(t, g)
		begun := time.Now()
		err := g.do(t.Context(), func() error { t.Error("ran beside another"); return nil })
		if !errors.Is(err, ErrBusy) || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %s, want ErrBusy after 2s", err, time.Since(begun))
		}
		release()
		if err := g.do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

func TestN7_CancelledCallersLeaveTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2*time.Second)
		release := hold(t, g)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- g.do(ctx, func() error { t.Error("ran for nobody"); return nil }) }()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want Canceled", err)
		}
		if _, w := g.load(); w != 0 {
			t.Errorf("%d wait, want 0", w)
		}
		deadline, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.do(deadline, func() error { return nil }); !errors.Is(err, ErrBusy) {
			t.Errorf("deadline of the caller: %v, want ErrBusy", err)
		}
		release()
	})
}

func TestN7_QueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2*time.Second)
		release := hold(t, g)
		for range queuePerSlot {
			go g.do(t.Context(), func() error { return nil })
		}
		synctest.Wait()
		begun := time.Now()
		if err := g.do(t.Context(), func() error { return nil }); !errors.Is(err, ErrBusy) || time.Since(begun) != 0 {
			t.Errorf("%v after %s, want ErrBusy at once", err, time.Since(begun))
		}
		release()
	})
}

// hold takes the only slot until release is called.
func hold(t *testing.T, g *gate) (release func()) {
	t.Helper()
	done := make(chan struct{})
	go g.do(t.Context(), func() error { <-done; return nil })
	synctest.Wait()
	return func() { close(done); synctest.Wait() }
}
