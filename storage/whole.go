package storage

import (
	"context"
	"time"
)

// Head is a row without what it holds.
type Head struct {
	Partition Partition
	Key
	Version uint64
	Expires time.Time
}

// Whole is a row with the index entries that it has.
type Whole struct {
	Row
	Entries []Entry
}

// Source is a store that can be read as a whole, to be copied. Neither method
// minds who else uses the store, or whether anybody still may.
type Source interface {
	// Heads visits every row that is there for as long as it runs, expired ones
	// too, and perhaps one that is not; in no order, some twice. visit is not
	// called by two goroutines at once.
	Heads(ctx context.Context, visit func([]Head) error) error

	// Wholes returns the rows of the keys, in their order, as they were at one
	// moment. An absent row has Version 0, an expired one is there.
	Wholes(ctx context.Context, p Partition, keys ...Key) ([]Whole, error)
}
