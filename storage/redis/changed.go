package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// changes tells waiters that something was committed.
type changes struct {
	mu      sync.Mutex
	waiting chan struct{} // nil while nobody waits
	// highest is the most that the counter of each group has been seen at.
	highest []int64
}

func (c *changes) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = make(chan struct{})
	}
	return c.waiting
}

func (c *changes) waited() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting != nil
}

func (c *changes) signal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil {
		close(c.waiting)
		c.waiting = nil
	}
}

// wrote takes note of a commit of this process.
func (c *changes) wrote(group int, counter int64) {
	c.mu.Lock()
	c.highest[group] = max(c.highest[group], counter)
	c.mu.Unlock()
	c.signal()
}

// snapshot is what the counters have been seen at.
func (c *changes) snapshot() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.highest)
}

// compare takes what a look has seen that began when the counters were known to
// be at before, and returns how many writes the store has forgotten, at least.
func (c *changes) compare(before, seen []int64) (lost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range seen {
		if n < before[i] {
			lost += before[i] - n
			c.highest[i] = n
		} else {
			c.highest[i] = max(c.highest[i], n)
		}
	}
	return lost
}

// Changed implements [storage.Backend]. Commits of this process close the
// channel at once, those of others when [Store.watch] sees them.
func (s *Store) Changed() <-chan struct{} { return s.changes.wait() }

// How often the counters are looked at: ten times a second while somebody waits
// for a change, and else to notice that writes were lost.
const (
	lookEvery = 100 * time.Millisecond
	idleLooks = 10
	fitLooks  = 300 // and once in half a minute how Redis is set up
)

// watch looks whether other processes have committed. Counters are looked at
// rather than messages waited for: nothing has to be subscribed to again when a
// master fails, and a look costs Redis less than a message for each commit would.
func (s *Store) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var seen []int64
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n%fitLooks == fitLooks-1 {
			s.lookOver(ctx)
		}
		if n%idleLooks != 0 && !s.changes.waited() {
			continue
		}
		highest := s.changes.snapshot()
		counters, err := s.counters(ctx)
		if err != nil { // a look that failed may have missed a change
			s.changes.signal()
			seen = nil
			continue
		}
		changed := !slices.Equal(counters, seen)
		seen = counters
		if lost := s.changes.compare(highest, counters); lost > 0 {
			s.lost(lost)
		}
		if changed {
			s.changes.signal()
		}
	}
}

// lookOver notes how Redis is set up now.
func (s *Store) lookOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	if servers, err := s.servers(ctx); err == nil {
		s.found(servers)
	}
}

// counters reads the counter of each group.
func (s *Store) counters(ctx context.Context) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(s.groups))
	for i, g := range s.groups {
		cmds[i] = pipe.Get(ctx, g.marker)
	}
	_, _ = pipe.Exec(ctx) // each command has its own outcome
	counters := make([]int64, len(cmds))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, err
		}
		counters[i] = n
	}
	return counters, nil
}
