package documents

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// rule lets something happen so often: at most burst times at once, and then
// once in every.
type rule struct {
	name  string
	burst float64
	every time.Duration
}

// The bounds of what strangers can make this server fetch. A person who sets up
// an application causes one or two fetches; a host has some applications, a site
// (the last two labels of a host) some hosts.
var rules = []rule{
	{"source", 10, 6 * time.Second},
	{"host", 20, 3 * time.Second},
	{"site", 60, time.Second},
	{"server", 120, 500 * time.Millisecond},
}

// mostBuckets bounds the memory. Those who come when it is full share one bucket
// for each rule, so that to fill it wins nothing.
const mostBuckets = 20_000

// allowance counts the fetches of strangers.
type allowance struct {
	mu      sync.Mutex
	buckets map[bucketName]bucket
	swept   time.Time
}

type bucketName struct{ rule, key string }

// bucket is what is left, as of a time.
type bucket struct {
	left float64
	at   time.Time
}

func newAllowance() *allowance { return &allowance{buckets: map[bucketName]bucket{}} }

// take counts one fetch, under all rules or, where one says no, under none.
func (a *allowance) take(now time.Time, source, host string) *Busy {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.swept) > time.Minute {
		a.sweep(now)
	}
	names := make([]bucketName, len(rules))
	var busy *Busy
	for i, r := range rules {
		key := keyOf(r.name, source, host)
		if names[i] = (bucketName{r.name, key}); key == "" {
			continue
		}
		if _, ok := a.buckets[names[i]]; !ok && len(a.buckets) >= mostBuckets {
			names[i].key = "(others)"
		}
		if left := a.left(names[i], r, now); left < 1 {
			wait := time.Duration((1-left)*float64(r.every)).Truncate(time.Second) + time.Second
			if busy == nil || wait > busy.RetryAfter {
				busy = &Busy{wait, r.name}
			}
		}
	}
	if busy != nil {
		return busy
	}
	for i, r := range rules {
		if names[i].key != "" {
			a.buckets[names[i]] = bucket{a.left(names[i], r, now) - 1, now}
		}
	}
	return nil
}

func (a *allowance) left(name bucketName, r rule, now time.Time) float64 {
	b, ok := a.buckets[name]
	if !ok {
		return r.burst
	}
	return min(r.burst, b.left+float64(max(now.Sub(b.at), 0))/float64(r.every))
}

// sweep forgets buckets that are full again.
func (a *allowance) sweep(now time.Time) {
	a.swept = now
	for _, r := range rules {
		for name := range a.buckets {
			if name.rule == r.name && a.left(name, r, now) >= r.burst {
				delete(a.buckets, name)
			}
		}
	}
}

func keyOf(rule, source, host string) string {
	switch rule {
	case "source":
		addr, err := netip.ParseAddr(source)
		if err != nil {
			return ""
		}
		if addr = addr.Unmap(); addr.Is6() { // a household has a /64
			p, _ := addr.WithZone("").Prefix(64)
			return p.String()
		}
		return addr.String()
	case "host":
		return host
	case "site":
		if _, err := netip.ParseAddr(host); err == nil {
			return host
		}
		labels := strings.Split(host, ".")
		return strings.Join(labels[max(0, len(labels)-2):], ".")
	}
	return "-"
}
