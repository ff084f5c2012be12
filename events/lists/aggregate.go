package lists

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// aggregation is the answer to which lists there are, kept for a while so that
// strangers cannot make the store busy. Its lock is not held while the store is
// asked.
type aggregation struct {
	mu    sync.Mutex
	read  time.Time    // when the last reading ended, well or not
	last  *enumeration // the last one that went well; before that, the last one
	under *enumeration // the one under way, shared by all who ask meanwhile
}

// enumeration is one reading of which lists there are.
type enumeration struct {
	done chan struct{}
	uris []string
	err  error
}

// mostListed bounds the aggregation.
const mostListed = 10_000

// All returns the URIs of all lists (Token Status List §9), as of at most a
// look ago; of the last time it could be read, while the store is away.
func (p *Publisher) All(ctx context.Context) ([]string, error) {
	p.all.mu.Lock()
	if last := p.all.last; last != nil && time.Since(p.all.read) < lookEvery {
		p.all.mu.Unlock()
		return last.uris, last.err
	}
	e := p.all.under
	if e == nil {
		e = &enumeration{done: make(chan struct{})}
		p.all.under = e
		go p.enumerate(e) // it ends with p.ctx, or soon
	}
	p.all.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("lists: waiting for the names of the status lists: %w", ctx.Err())
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	return p.all.last.uris, p.all.last.err
}

// enumerate asks the store. What fails is kept as long as what does not, so that
// a store in trouble is left in peace.
func (p *Publisher) enumerate(e *enumeration) {
	defer close(e.done)
	ctx, cancel := context.WithTimeout(p.ctx, lookTime)
	defer cancel()
	e.uris = []string{}
	e.err = p.cfg.Store.AllByIndex(ctx, storage.Query{Index: status.IndexLists}, func(row storage.Row) error {
		number, err := strconv.ParseUint(row.ID, 10, 32)
		if err == nil && len(e.uris) < mostListed {
			e.uris = append(e.uris, status.URI(p.cfg.Issuer, uint32(number)))
		}
		return nil
	})
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if last := p.all.last; e.err == nil || last == nil || last.err != nil {
		p.all.last = e
	}
	p.all.read, p.all.under = time.Now(), nil
}
