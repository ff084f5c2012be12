package storage

import (
	"sync"
	"time"
)

// cache holds records for less than [CacheAge]. Age is counted on the
// process's monotonic clock, since it bounds staleness, not validity.
type cache[T any] struct {
	mu      sync.Mutex
	most    int
	entries map[string]cached[T]
	// dropped counts invalidations: a value read before one is not kept.
	dropped uint64
}

type cached[T any] struct {
	value T
	read  time.Time
	// renewed says that somebody is reading the value anew.
	renewed bool
}

func newCache[T any](most int) *cache[T] {
	return &cache[T]{most: most, entries: make(map[string]cached[T])}
}

// get returns the cached value, or what read returns. A value is as old as
// the moment before its read began.
func (c *cache[T]) get(key string, read func() (value T, keep bool, err error)) (T, error) {
	begun := time.Now()
	c.mu.Lock()
	e, ok := c.entries[key]
	age, dropped := begun.Sub(e.read), c.dropped
	if ok && (age < CacheAge*7/10 || e.renewed && age < CacheAge*9/10) {
		c.mu.Unlock()
		return e.value, nil
	}
	if ok {
		// One reads for all, who go on with what there is while it is fresh enough.
		e.renewed = true
		c.entries[key] = e
	}
	c.mu.Unlock()
	v, keep, err := read()
	if err != nil || !keep {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped != dropped {
		return v, nil
	}
	if _, ok := c.entries[key]; !ok && len(c.entries) >= c.most {
		for k := range c.entries { // any one: the order of a map is random
			delete(c.entries, k)
			break
		}
	}
	c.entries[key] = cached[T]{value: v, read: begun}
	return v, nil
}

// drop forgets a value.
func (c *cache[T]) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped++
	delete(c.entries, key)
}
