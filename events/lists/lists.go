// Package lists publishes the status lists (IETF Token Status List): for each
// list that somebody asks for, the bits of its revoked tokens, signed.
//
// A [Publisher] keeps the bits of such lists in memory, from the rows that
// package status writes, and follows the store. What a list says of its age,
// iat and exp, counts from the last confirmed read of the store, never from
// the signature: a node that is cut off from its store cannot make old bits
// look fresh. A bit that was set stays set for as long as the list is held.
//
// HTTP is left to package server.
package lists

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
)

const (
	// TTL is how long a verifier may go by a list before it asks again.
	TTL = 15 * time.Second
	// Life is how long a list is valid from the confirmed read of the store.
	Life = 5 * time.Minute

	// lookPause is the least time between two looks at the store, and so
	// between two signatures for changes of one list.
	lookPause = 250 * time.Millisecond
	// lookEvery is the longest time between two looks while lists are held.
	lookEvery = time.Second
	// lookTime bounds one look. A store that takes longer is away.
	lookTime = 2 * time.Second
	// deepEvery is the least time between two looks at all that may have been
	// committed late: to read it each time would cost five times as much.
	deepEvery = 4 * time.Second
	// stale is the age of a confirmed read from which nothing counts as fresh.
	stale = 3 * time.Second
	// step is what iat is rounded down to. Nodes that hold the same bits then
	// sign the same text, and an unchanged list is signed once a step.
	step = 10 * time.Second
	// readAgain is how often a list is read as a whole, for revocations that
	// took longer to be committed than [status.Overlap].
	readAgain = 5 * time.Minute
	// keep is how long a list stays in memory after somebody asked for it.
	keep = 10 * time.Minute
	// mostLists bounds the lists in memory, each of some 300 KB. One more
	// costs the one that was asked for longest ago its place.
	mostLists = 256
	// mostLoads is how many lists are read from the store at once, mostQueued
	// how many more may be asked for meanwhile: strangers can ask for any.
	mostLoads  = 4
	mostQueued = 1000
)

// ErrUnknown says that there is no such list.
var ErrUnknown = errors.New("lists: there is no such status list")

// Config says what a publisher works on.
type Config struct {
	Store  *storage.Store
	Keys   *keys.Ring
	Issuer string
	// MostWaiting is how many requests may wait at once: 10,000 by default,
	// and never more, since each keeps a connection from others.
	MostWaiting int
	Log         *slog.Logger
}

// Publisher holds the lists that are asked for. It is safe for concurrent use;
// any number of processes may publish the lists of one store.
type Publisher struct {
	cfg   Config
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	work  sync.WaitGroup
	held  chan struct{} // wakes the loop when the first list is held
	loads chan struct{}
	wait  waiters

	looking sync.Mutex // held during a look
	tried   time.Time  // when the last look ended
	deep    time.Time  // store time of the last look as far back as Overlap
	// deepTried is when the last one began, well or not.
	deepTried time.Time
	ends      map[storage.Partition]uint64 // for the lists that are told

	mu      sync.Mutex
	lists   map[uint32]*list
	loading map[uint32]*load
	trouble error // of the last look

	press press
	all   aggregation
}

// New returns a publisher that follows the store until Close.
func New(cfg Config) *Publisher {
	p := newPublisher(cfg)
	p.work.Go(p.follow)
	return p
}

func newPublisher(cfg Config) *Publisher {
	p := &Publisher{
		cfg: cfg, held: make(chan struct{}, 1), loads: make(chan struct{}, mostLoads),
		lists: make(map[uint32]*list), loading: make(map[uint32]*load),
		ends: make(map[storage.Partition]uint64),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.wait.most, p.wait.over = mostWaiting, make(chan struct{})
	if cfg.MostWaiting > 0 {
		p.wait.most = min(mostWaiting, cfg.MostWaiting)
	}
	return p
}

// Close releases all who wait and ends the background work.
func (p *Publisher) Close() {
	p.Release()
	p.stop()
	p.work.Wait()
}

// load is the reading of one list, shared by all who ask for it meanwhile.
type load struct {
	done chan struct{}
	list *list
	err  error
}

// list returns a list, from the store if it is not held.
func (p *Publisher) list(ctx context.Context, number uint32) (*list, error) {
	p.mu.Lock()
	if l := p.lists[number]; l != nil {
		l.asked = time.Now()
		p.mu.Unlock()
		return l, nil
	}
	ld := p.loading[number]
	if ld == nil && len(p.loading) >= mostQueued {
		p.mu.Unlock()
		return nil, fmt.Errorf("lists: too many status lists are asked for at once: %w", storage.ErrUnavailable)
	}
	if ld == nil {
		ld = &load{done: make(chan struct{})}
		p.loading[number] = ld
		go p.load(number, ld) // it ends with p.ctx, or soon
	}
	p.mu.Unlock()
	select {
	case <-ld.done:
		return ld.list, ld.err
	case <-ctx.Done():
		return nil, fmt.Errorf("lists: waiting for a status list: %w", ctx.Err())
	}
}

// load reads a list that is not held, and holds it.
func (p *Publisher) load(number uint32, ld *load) {
	defer close(ld.done)
	p.loads <- struct{}{}
	defer func() { <-p.loads }()
	ctx, cancel := context.WithTimeout(p.ctx, 5*lookTime)
	defer cancel()
	r, err := p.read(ctx, number)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.loading, number)
	if err != nil {
		ld.err = err
		return
	}
	l := &list{number: number, uri: status.URI(p.cfg.Issuer, number), changed: make(chan struct{}), asked: time.Now()}
	l.merge(r)
	p.makeRoom()
	p.lists[number], ld.list = l, l
	select {
	case p.held <- struct{}{}:
	default:
	}
}

// makeRoom drops the list that was asked for longest ago, if there are too
// many. Who waits for it is told to ask again.
func (p *Publisher) makeRoom() {
	if len(p.lists) < mostLists {
		return
	}
	var oldest *list
	for _, l := range p.lists {
		if oldest == nil || l.asked.Before(oldest.asked) {
			oldest = l
		}
	}
	p.drop(oldest)
}

// drop lets go of a list.
func (p *Publisher) drop(l *list) {
	delete(p.lists, l.number)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = true
	l.wake()
}
