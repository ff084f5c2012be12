package lists

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	// mostWaiting bounds who waits in this process, mostOfOne those of one
	// source, and mostOfSite those of one IPv6 /48.
	mostWaiting = 10_000
	mostOfOne   = 256
	mostOfSite  = 1024
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
	one, site := origin(source)
	if w.closed || w.total >= w.most || w.sources[one] >= mostOfOne || w.sources[site] >= mostOfSite {
		return 0, false
	}
	if w.sources == nil {
		w.sources = make(map[string]int)
	}
	w.sources[one]++
	if site != "" {
		w.sources[site]++
	}
	w.total++
	return w.total - 1, true
}

func (w *waiters) leave(source string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	one, site := origin(source)
	w.off(one)
	if site != "" {
		w.off(site)
	}
}

func (w *waiters) off(name string) {
	if w.sources[name]--; w.sources[name] == 0 {
		delete(w.sources, name)
	}
}

// origin is what counts as one source: an IPv4 address, or an IPv6 /64, whose
// addresses are all of one machine if it likes; and the /48 of the latter.
func origin(source string) (one, site string) {
	addr, err := netip.ParseAddr(source)
	if err != nil || addr.Unmap().Is4() {
		return source, ""
	}
	addr = addr.WithZone("")
	return netip.PrefixFrom(addr, 64).Masked().String(), netip.PrefixFrom(addr, 48).Masked().String()
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
