package events

import (
	"context"
	"errors"
	"time"

	"jeton/storage"
)

// leaseTime is how long a publisher may be silent before another takes over.
// A quarter of it is used before it is renewed; the rest is longer than a page
// of events takes, with all the failures that are allowed in it.
const leaseTime = 40 * time.Second

// Lease is the right to do some work, such as to publish, held by at most one
// node. Its row exists while somebody holds it: the store lets it expire, on
// its own time, unless its holder is seen to have died before. It is used by
// one goroutine at a time.
type Lease struct {
	store   *storage.Store
	key     storage.Key
	holder  string
	version uint64 // of the row we wrote; 0 when we hold nothing
	taken   bool   // another may have held it before the last hold
}

// NewLease returns a lease that is not held yet. All nodes name it alike.
func NewLease(store *storage.Store, name string) Lease {
	return Lease{store: store, key: storage.Key{Kind: storage.KindLease, ID: name}, holder: newHolder()}
}

// Hold takes or renews the lease, and says whether it is ours.
func (l *Lease) Hold(ctx context.Context) (bool, error) {
	snap, err := l.store.Read(ctx, storage.SystemPartition, l.key)
	if err != nil {
		return false, err
	}
	row := snap.Rows[0]
	mine := string(row.Value) == l.holder
	if row.Version != 0 && !mine && !gone(string(row.Value)) {
		l.version = 0
		return false, nil
	}
	l.taken = row.Version == 0 || row.Version != l.version
	if mine && row.Version != 0 && row.Expires.Sub(snap.Now) > leaseTime/4*3 {
		l.version = row.Version
		return true, nil
	}
	version, err := l.store.Commit(ctx, storage.Change{
		Partition: storage.SystemPartition,
		Checks:    []storage.Check{{Key: l.key, Version: row.Version}},
		Puts: []storage.Put{{
			Key:     l.key,
			Value:   []byte(l.holder),
			Expires: snap.Now.Add(leaseTime),
		}},
	})
	if err != nil {
		l.version = 0
		if errors.Is(err, storage.ErrConflict) {
			return false, nil
		}
		return false, err
	}
	l.version = version
	return true, nil
}

// Release gives the lease back, so that another node need not wait for its
// end.
func (l *Lease) Release(ctx context.Context) {
	if l.version == 0 {
		return
	}
	// A failure is no loss: the row expires.
	_, _ = l.store.Commit(ctx, storage.Change{
		Partition: storage.SystemPartition,
		Checks:    []storage.Check{{Key: l.key, Version: l.version}},
		Deletes:   []storage.Key{l.key},
	})
	l.version = 0
}
