package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jeton/storage"
)

// batch is what one lease brought, for tokens that expire by ends.
type batch[T any] struct {
	items []T
	ends  time.Time
}

// stock hands out what leases bring. Its lock is never held while the store
// is asked: one refill at a time runs beside it, begun when a quarter is left,
// and only those wait for it who find the stock empty.
type stock[T any] struct {
	mu           sync.Mutex
	batch, spare batch[T]
	size         int // of batch when it came
	refill       *refill
}

type refill struct {
	done chan struct{} // closed when err is set
	err  error
}

// errClosed is for the tokens that are asked for after [Allocator.Close].
var errClosed = errors.New("the allocator is closed")

var errWaiting = errors.New("waiting for a lease")

// take returns one item for a token that expires at exp. start begins a
// goroutine, or says false; fetch makes the lease in it.
func (s *stock[T]) take(ctx context.Context, exp time.Time, start func(func()) bool, fetch func() (batch[T], error)) (T, error) {
	var none T
	for {
		s.mu.Lock()
		item, ok := s.pop(exp)
		r, mine := s.refill, false
		if r == nil && len(s.spare.items) == 0 && 4*len(s.batch.items) <= s.size {
			r, mine = s.begin(start, fetch), true
		}
		s.mu.Unlock()
		if ok {
			return item, nil
		}
		if r == nil {
			return none, unavailable(errClosed)
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return none, fmt.Errorf("%w: %w", unavailable(errWaiting), context.Cause(ctx))
		}
		// A conflict is about what the one who began the refill knew of the
		// client. Others know better, perhaps, and try their own.
		if r.err != nil && (mine || !errors.Is(r.err, storage.ErrConflict)) {
			return none, r.err
		}
	}
}

// pop takes an item, if there is one for exp. A batch that ends before is
// given up, for what comes later expires later. The caller holds the lock.
func (s *stock[T]) pop(exp time.Time) (item T, ok bool) {
	for range 2 {
		if n := len(s.batch.items); n > 0 && !exp.After(s.batch.ends) {
			item, s.batch.items = s.batch.items[n-1], s.batch.items[:n-1]
			return item, true
		}
		s.batch, s.spare = s.spare, batch[T]{}
		s.size = len(s.batch.items)
	}
	return item, false
}

// empty gives up all that is held. A lease that is under way is not held yet.
func (s *stock[T]) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch, s.spare, s.size = batch[T]{}, batch[T]{}, 0
}

// giveBack returns an item that was not used, unless its batch is gone.
func (s *stock[T]) giveBack(item T, ends time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch.ends.Equal(ends) {
		s.batch.items = append(s.batch.items, item)
	}
}

// begin starts a refill. The caller holds the lock.
func (s *stock[T]) begin(start func(func()) bool, fetch func() (batch[T], error)) *refill {
	r := &refill{done: make(chan struct{})}
	started := start(func() {
		b, err := fetch()
		s.mu.Lock()
		defer s.mu.Unlock()
		r.err, s.refill = err, nil
		if err == nil {
			s.spare = b
		}
		close(r.done)
	})
	if !started {
		return nil
	}
	s.refill = r
	return r
}
