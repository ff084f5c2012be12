package lists

import (
	"context"
	"strconv"
	"sync"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// aggregation is the answer to which lists there are, kept for a while so that
// strangers cannot make the store busy.
type aggregation struct {
	mu   sync.Mutex
	read time.Time
	uris []string
}

// mostListed bounds the aggregation.
const mostListed = 10_000

// All returns the URIs of all lists (Token Status List §9), as of at most a
// look ago; of the last time it could be read, while the store is away.
func (p *Publisher) All(ctx context.Context) ([]string, error) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if !p.all.read.IsZero() && time.Since(p.all.read) < lookEvery {
		return p.all.uris, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	uris := []string{}
	err := p.cfg.Store.AllByIndex(ctx, storage.Query{Index: status.IndexLists}, func(row storage.Row) error {
		number, err := strconv.ParseUint(row.ID, 10, 32)
		if err == nil && len(uris) < mostListed {
			uris = append(uris, status.URI(p.cfg.Issuer, uint32(number)))
		}
		return nil
	})
	if err != nil && p.all.uris == nil {
		return nil, err
	}
	if err == nil {
		p.all.uris = uris
	}
	p.all.read = time.Now()
	return p.all.uris, nil
}
