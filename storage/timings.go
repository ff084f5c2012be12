package storage

import (
	"context"
	"errors"
	"sync/atomic"

	"jeton/measure"
)

// Timings are what a store has taken in this process.
type Timings struct {
	Read, List, Commit Operation
}

// Operation is what one kind of call has taken, and how often it failed.
type Operation struct {
	Took measure.Histogram
	// Conflict counts commits that came too late, which are no faults.
	Conflict, Unavailable, Unknown atomic.Uint64
}

func (o *Operation) count(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrConflict):
		o.Conflict.Add(1)
	case errors.Is(err, ErrUnknown):
		o.Unknown.Add(1)
	case errors.Is(err, ErrUnavailable):
		o.Unavailable.Add(1)
	}
}

// Read is Backend.Read, measured.
func (s *Store) Read(ctx context.Context, p Partition, keys ...Key) (Snapshot, error) {
	timer := measure.Begin(ctx, measure.StoreRead, &s.Timings.Read.Took)
	snap, err := s.Backend.Read(ctx, p, keys...)
	timer.End()
	s.Timings.Read.count(err)
	return snap, err
}

// List is Backend.List, measured.
func (s *Store) List(ctx context.Context, q Query) (Page, error) {
	timer := measure.Begin(ctx, measure.StoreList, &s.Timings.List.Took)
	page, err := s.Backend.List(ctx, q)
	timer.End()
	s.Timings.List.count(err)
	return page, err
}
