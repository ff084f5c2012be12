package redis

import (
	"sync/atomic"
	"time"
)

// offset is how far Redis's clock is ahead of this machine's, in microseconds.
type offset struct{ ahead atomic.Int64 }

// set takes note of what Redis's clock shows now.
func (o *offset) set(clock int64) { o.ahead.Store(clock - time.Now().UnixMicro()) }

// later is what Redis's clock will show in a while.
func (o *offset) later(d time.Duration) int64 {
	return time.Now().Add(d).UnixMicro() + o.ahead.Load()
}
