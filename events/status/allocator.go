package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jeton/storage"
)

// Config sets up an [Allocator]. Its zero value is what servers use.
type Config struct {
	// Places is the size of a list, rounded up to whole bytes of Leased;
	// default [Places]. A list hides its tokens among each other (Token Status
	// List §12.1), so only tests make it small.
	Places int
	// Open is how long blocks of a list are leased; default 24 h.
	Open time.Duration
	// Lifetime is that of the tokens which share the ordinary lists; default
	// 1 h. Tokens that live longer get lists that end later.
	Lifetime time.Duration
	// Clients is how many clients may have an open block in memory; default
	// 10,000. One more costs another its block.
	Clients int
}

// Places is the size of a list.
const Places = 1 << 20

// What one commit leases: blocks for the tokens of this node, and blocks to
// give to clients, which then cost one commit each.
const (
	sharedBlocks = 4
	clientBlocks = 8
)

// leaseTimeout ends a lease that the store does not answer, whoever waits.
const leaseTimeout = 10 * time.Second

// terms are the lifetimes that tokens are grouped by: each is four times the
// one before it, so that with the default the last is over a hundred years.
const terms = 11

// Allocator hands out places. Those of one batch come in random order, so that
// neighbours in a list say nothing about each other. It is safe for concurrent
// use; what it holds when the process ends is never used again.
type Allocator struct {
	store    *storage.Store
	lists    lists
	lifetime time.Duration
	most     int

	shared [terms]stock[Place]
	blocks [terms]stock[block]

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	leases sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	clients map[string]*clientStock
}

// clientStock holds the places of one client under one epoch.
type clientStock struct {
	epoch uint64
	stock[Place]
}

// New returns an allocator that has leased nothing yet.
func New(store *storage.Store, cfg Config) *Allocator {
	if cfg.Places <= 0 {
		cfg.Places = Places
	}
	if cfg.Open <= 0 {
		cfg.Open = 24 * time.Hour
	}
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = time.Hour
	}
	if cfg.Clients <= 0 {
		cfg.Clients = 10_000
	}
	const perByte = 8 * BlockSize
	a := &Allocator{
		store:    store,
		lists:    lists{store: store, bytes: (cfg.Places + perByte - 1) / perByte, open: cfg.Open},
		lifetime: cfg.Lifetime,
		most:     cfg.Clients,
		clients:  make(map[string]*clientStock),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Close waits for the leases under way and ends the allocator.
func (a *Allocator) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.leases.Wait()
	return nil
}

// Forget gives up all places that are held: the store has lost writes, those
// perhaps that leased them, and then another node may lease them too.
func (a *Allocator) Forget() {
	for t := range terms {
		a.shared[t].empty()
		a.blocks[t].empty()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.clients)
}

// Next returns a place for a token that expires at exp. Its errors wrap
// [storage.ErrUnavailable].
func (a *Allocator) Next(ctx context.Context, now, exp time.Time) (Place, error) {
	t, err := a.term(now, exp)
	if err != nil {
		return Place{}, err
	}
	return a.shared[t].take(ctx, exp, a.start, func() (batch[Place], error) {
		got, err := a.lease(sharedBlocks, t, exp)
		if err != nil {
			return batch[Place]{}, err
		}
		return places(got), nil
	})
}

// NextForClient returns a place for a token of which nothing else is stored,
// from a block leased to its client under an epoch. The block's row is written
// on condition that the client's row still has the version, so whoever ends
// the client either sees the block or makes this fail. Its errors wrap
// [storage.ErrConflict] when the client has changed (read it again and decide
// again), else [storage.ErrUnavailable].
//
// A place that was in memory when the epoch passed may still go to a caller
// who does not know yet; that token is revoked from birth.
func (a *Allocator) NextForClient(ctx context.Context, now time.Time, clientID string, clientVersion, epoch uint64, exp time.Time) (Place, error) {
	t, err := a.term(now, exp)
	if err != nil {
		return Place{}, err
	}
	return a.client(clientID, epoch).take(ctx, exp, a.start, func() (batch[Place], error) {
		return a.leaseToClient(t, exp, clientID, clientVersion, epoch)
	})
}

// leaseToClient gives the client a block. The bit in the list comes first: a
// crash between the two commits wastes a block, the other order would let two
// holders have it.
func (a *Allocator) leaseToClient(t int, exp time.Time, clientID string, clientVersion, epoch uint64) (batch[Place], error) {
	ctx, cancel := context.WithTimeout(a.ctx, leaseTimeout)
	defer cancel()
	b, err := a.blocks[t].take(ctx, exp, a.start, func() (batch[block], error) {
		got, err := a.lease(clientBlocks, t, exp)
		if err != nil {
			return batch[block]{}, err
		}
		return batch[block]{got, got[0].ends}, nil
	})
	if err != nil {
		return batch[Place]{}, err
	}
	_, err = a.store.Commit(ctx, storage.Change{
		Partition: storage.ClientPartition(clientID),
		Checks:    []storage.Check{{Key: storage.ClientKey(clientID), Version: clientVersion}},
		Puts: []storage.Put{{
			Key:     b.key(),
			Value:   storage.Encode(storage.StatusBlock{List: b.list, Block: b.number, Epoch: epoch}),
			Expires: b.ends.Add(Grace),
			Index:   []storage.Entry{{Name: IndexBlocks, Sort: fmt.Sprintf("%010d.%010d", b.list, b.number)}},
		}},
	})
	switch {
	case errors.Is(err, storage.ErrConflict):
		a.blocks[t].giveBack(b, b.ends) // nothing was written
		return batch[Place]{}, fmt.Errorf("status: client %q has changed: %w", clientID, err)
	case err != nil:
		return batch[Place]{}, unavailable(err)
	}
	// An ending of everything does not touch the client, and may have passed here
	// before the block was: it would be found only by reading all blocks anew.
	client, system, err := a.store.Renew(ctx, clientID)
	switch {
	case err != nil:
		return batch[Place]{}, unavailable(err)
	case Epoch(client.Value, system.Value) != epoch:
		return batch[Place]{}, fmt.Errorf("status: what client %q had was ended: %w", clientID, storage.ErrConflict)
	}
	return places([]block{b}), nil
}

// client returns what is held for a client under the epoch. What was held
// under another is given up, whichever is the older: a client that was removed
// and registered again may have begun anew.
func (a *Allocator) client(id string, epoch uint64) *clientStock {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.clients[id]
	if ok && s.epoch == epoch {
		return s
	}
	if !ok && len(a.clients) >= a.most {
		for other := range a.clients { // any one: the order of a map is random
			delete(a.clients, other)
			break
		}
	}
	s = &clientStock{epoch: epoch}
	a.clients[id] = s
	return s
}

// lease asks the store, for as long as the allocator is open.
func (a *Allocator) lease(n, t int, exp time.Time) ([]block, error) {
	ctx, cancel := context.WithTimeout(a.ctx, leaseTimeout)
	defer cancel()
	return a.lists.lease(ctx, n, a.lifetime<<(2*t), exp)
}

// start runs a lease in a goroutine that Close waits for, unless it is too
// late for that. It belongs to no caller, since others may wait for it too.
func (a *Allocator) start(lease func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.leases.Go(lease)
	}
	return !a.closed
}

// term finds the group of a token's lifetime.
func (a *Allocator) term(now, exp time.Time) (int, error) {
	life := exp.Sub(now)
	for t := range terms {
		longest := a.lifetime << (2 * t)
		if longest>>(2*t) != a.lifetime {
			break
		}
		if life <= longest {
			return t, nil
		}
	}
	return 0, fmt.Errorf("status: no status list can hold a token that lives for %v: shorten its lifetime", life)
}
