package measure

import (
	"sync/atomic"
	"time"
)

// bounds are the upper ends of the buckets: from what a signature takes to the
// longest that a store is waited for.
var bounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Histogram counts durations by their length. Its zero value is ready.
type Histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Int64
}

// Observe counts one.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns how many there were, their sum in seconds, and by the upper ends
// of the buckets, in seconds, how many were not longer.
func (h *Histogram) Read() (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		count += h.buckets[i].Load()
		upTo[bound.Seconds()] = count
	}
	return count + h.buckets[len(bounds)].Load(), time.Duration(h.sum.Load()).Seconds(), upTo
}
