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
)

// waiters counts those who wait.
type waiters struct {
	mu      sync.Mutex
	most    int
	total   int
	sources map[string]int
	over    chan struct{} // closed by Release
	closed  bool
}

// Release answers all who wait, and lets nobody wait any more.
func (p *Publisher) Release() {
	p.wait.mu.Lock()
	defer p.wait.mu.Unlock()
	if !p.wait.closed {
		p.wait.closed = true
		close(p.wait.over)
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
	seat, ok := p.wait.sit(source)
	if !ok {
		return false
	}
	defer p.wait.leave(source)
	l := e.list
	p.mu.Lock()
	held := p.lists[l.number] == l
	p.mu.Unlock()
	l.mu.Lock()
	changed, same := l.changed, held && l.version == e.version
	l.mu.Unlock()
	if !same {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
		pause(ctx, time.Duration(seat/wave)*waveEvery)
	case <-timer.C:
	case <-p.wait.over:
	case <-ctx.Done():
	}
	return true
}

// sit lets one more wait and says how many did before.
func (w *waiters) sit(source string) (seat int, ok bool) {
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
	for _, name := range []string{one, site} {
		if w.sources[name]--; w.sources[name] <= 0 {
			delete(w.sources, name)
		}
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

func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
