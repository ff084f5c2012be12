package lists

import (
	"context"
	"sync"
	"time"
)

const (
	// mostWaiting bounds who waits in this process, and mostOfOne those of one
	// source.
	mostWaiting = 10_000
	mostOfOne   = 256
	// wave is how many are woken at once when a list changes, and waveEvery
	// the time until the next wave: signing has to go on beside it.
	wave      = 512
	waveEvery = 5 * time.Millisecond
	// sweepEvery is the least time between two looks for those who have left.
	sweepEvery = time.Second
)

// waiters counts those who wait.
type waiters struct {
	mu      sync.Mutex
	most    int
	total   int
	sources map[string]int
	swept   time.Time
	over    chan struct{} // closed by Release
	closed  bool
}

// Release answers all who wait, and lets nobody wait any more.
func (p *Publisher) Release() {
	p.wait.mu.Lock()
	if !p.wait.closed {
		p.wait.closed = true
		close(p.wait.over)
	}
	p.wait.mu.Unlock()
	for _, l := range p.holds() {
		l.mu.Lock()
		l.wakeParked()
		l.mu.Unlock()
	}
}

// Waiting is how many wait.
func (p *Publisher) Waiting() int {
	p.wait.mu.Lock()
	defer p.wait.mu.Unlock()
	return p.wait.total
}

// Wait returns when the bits of the list are no longer those of the edition, or
// after d. It returns false at once when too many wait already.
func (p *Publisher) Wait(ctx context.Context, e *Edition, source string, d time.Duration) bool {
	number, ok := p.sit(source)
	if !ok {
		return false
	}
	defer p.wait.leave(source)
	l := e.list
	l.mu.Lock()
	changed, same := l.changed, l.same(e)
	l.mu.Unlock()
	if !same {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
		pause(ctx, time.Duration(number/wave)*waveEvery)
	case <-timer.C:
	case <-p.wait.over:
	case <-ctx.Done():
	}
	return true
}

// sit lets one more wait. When there is no room, those who have left make some.
func (p *Publisher) sit(source string) (number int, ok bool) {
	if number, ok = p.wait.sit(source); ok || !p.wait.maySweep() {
		return number, ok
	}
	p.sweep()
	return p.wait.sit(source)
}

// sit lets one more wait and says how many did before.
func (w *waiters) sit(source string) (number int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.total >= w.most || w.sources[source] >= mostOfOne {
		return 0, false
	}
	if w.sources == nil {
		w.sources = make(map[string]int)
	}
	w.sources[source]++
	w.total++
	return w.total - 1, true
}

func (w *waiters) leave(source string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.sources[source]--; w.sources[source] == 0 {
		delete(w.sources, source)
	}
}

// maySweep reports whether the last look is long enough ago.
func (w *waiters) maySweep() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || time.Since(w.swept) < sweepEvery {
		return false
	}
	w.swept = time.Now()
	return true
}

func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
