package redis

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
)

// offset is how far Redis's clock is ahead of this machine's, in microseconds.
type offset struct{ ahead atomic.Int64 }

// set takes note of what Redis's clock shows now.
func (o *offset) set(clock int64) { o.ahead.Store(clock - time.Now().UnixMicro()) }

// later is what Redis's clock will show in a while.
func (o *offset) later(d time.Duration) int64 {
	return time.Now().Add(d).UnixMicro() + o.ahead.Load()
}

// reading is how far a master's clock is ahead of this machine's: something
// between the two, since it told its time at some moment between two looks at
// this machine's.
type reading struct{ least, most time.Duration }

// readClock reads the clock of a master. The readings that are to be compared
// have the same begin, from where this machine's clock is taken to run evenly.
func readClock(ctx context.Context, c *redis.Client, begun time.Time) (reading, error) {
	here := func() time.Time { return begun.Add(time.Since(begun)) }
	before := here()
	there, err := c.Time(ctx).Result()
	if err != nil {
		return reading{}, err
	}
	return reading{there.Sub(here()), there.Sub(before)}, nil
}

// furthest are the two masters whose clocks are the furthest apart. Both are
// nothing where no two are apart for sure.
func furthest(servers []server) (slow, fast server) {
	for _, a := range servers {
		for _, b := range servers {
			if b.clock.least-a.clock.most > max(0, fast.clock.least-slow.clock.most) {
				slow, fast = a, b
			}
		}
	}
	return slow, fast
}

// tellClocks tells the log when the clocks of masters come apart or together.
func (s *Store) tellClocks(before, now time.Duration, slow, fast server) {
	switch {
	case now > storage.MostApart && before <= storage.MostApart:
		s.o.Log.Warn("the clocks of this Redis Cluster's masters are apart: each dates by its own what it has, and revocations may be published late; have all follow a time server",
			"slow", slow.address, "fast", fast.address, "apart", now.String())
	case now <= storage.MostApart && before > storage.MostApart:
		s.o.Log.Info("the clocks of this Redis Cluster's masters are together again")
	}
}
