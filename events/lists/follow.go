package lists

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// follow looks at the store whenever it has changed, while lists are held.
func (p *Publisher) follow() {
	for p.ctx.Err() == nil {
		if !p.holding() {
			select {
			case <-p.ctx.Done():
			case <-p.held:
			}
			continue
		}
		changed := p.cfg.Store.Changed() // before the look, so that nothing falls between
		late := time.After(lookEvery)
		pause := time.After(p.look(lookPause))
		select {
		case <-p.ctx.Done():
		case <-late:
		case <-changed:
			select {
			case <-p.ctx.Done():
			case <-pause:
			}
		}
	}
}

func (p *Publisher) holding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lists {
		if time.Since(l.asked) > keep {
			p.drop(l)
		}
	}
	return len(p.lists) > 0
}

// look brings all lists up to date, unless that was tried less than pause ago,
// and returns how long to wait until it may be tried again. Callers that come
// together share one look, also one that failed.
func (p *Publisher) look(pause time.Duration) time.Duration {
	p.looking.Lock()
	defer p.looking.Unlock()
	if ago := time.Since(p.tried); !p.tried.IsZero() && ago < pause {
		return pause - ago
	}
	ctx, cancel := context.WithTimeout(p.ctx, lookTime)
	defer cancel()
	err := p.update(ctx)
	p.tried = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil:
	case err != nil && p.trouble == nil:
		p.cfg.Log.Error("status lists cannot be brought up to date: they are served as they were, and nothing says that they are fresh", "error", err)
	case err == nil && p.trouble != nil:
		p.cfg.Log.Info("status lists are up to date again")
	}
	p.trouble = err
	return pause
}

// update looks at what was revoked since the last look.
func (p *Publisher) update(ctx context.Context) error {
	lists := p.holds()
	if len(lists) == 0 {
		return nil
	}
	begun := time.Now()
	now, err := p.cfg.Store.Now(ctx)
	if err != nil {
		return err
	}
	since := now
	var recent, whole []*list
	for _, l := range lists {
		confirmed, overdue, due := l.age(now)
		switch {
		case overdue:
			whole, l.told = append(whole, l), false
			continue
		case due && len(whole) == 0: // one at a time
			whole = append(whole, l)
		}
		recent = append(recent, l)
		if confirmed.Before(since) {
			since = confirmed
		}
	}
	if len(recent) > 0 {
		if slices.ContainsFunc(recent, func(l *list) bool { return !l.told }) {
			clear(p.ends) // this one has not heard of them
		}
		// One that takes too long must not keep the quick ones from being made.
		deep := now.Sub(p.deep).Abs() >= deepEvery && now.Sub(p.deepTried).Abs() >= deepEvery
		if deep {
			p.deepTried = now
		}
		found, err := p.recent(ctx, p.from(since, now, deep))
		if err != nil {
			return err
		}
		if deep {
			p.deep = now
		}
		for _, l := range recent {
			l.add(found, begun)
			l.told = true
		}
		p.saw(found)
	}
	for _, l := range whole {
		p.again(l)
	}
	return nil
}

// age says up to when a list is known, whether that is too long ago to go by
// what is recent, and whether it is due to be read as a whole.
func (l *list) age(now time.Time) (confirmed time.Time, overdue, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirmed, now.Sub(l.confirmed).Abs() > readAgain || !now.Before(l.ends), now.Sub(l.whole).Abs() > readAgain
}

func (p *Publisher) retire(l *list) {
	l.mu.Lock()
	l.retired = true
	l.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lists[l.number] == l { // it may have been let go, and read anew, since the look began
		p.drop(l)
	}
}

// again reads a list as a whole.
func (p *Publisher) again(l *list) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*lookTime)
	defer cancel()
	r, err := p.read(ctx, l.number)
	switch {
	case errors.Is(err, ErrUnknown):
		p.retire(l)
	case err == nil:
		l.merge(r)
	}
}

// found is what was revoked lately, by list.
type found struct {
	confirmed      time.Time // by the store's clock
	places, blocks map[uint32][]uint32
	ends           map[storage.Partition]uint64 // the versions of rows of clients
}

// mostEnds bounds how many clients are remembered.
const mostEnds = 10_000

// saw remembers the clients whose blocks all lists that are told have, since a
// client that has ended gets no more blocks of the epoch that passed. A list
// that is held later has not been told: it may have been read before the client
// ended, and put among the others after this look began.
func (p *Publisher) saw(f *found) {
	if len(p.ends) > mostEnds {
		clear(p.ends)
	}
	maps.Copy(p.ends, f.ends)
}

func (p *Publisher) recent(ctx context.Context, since time.Time) (*found, error) {
	f := &found{places: make(map[uint32][]uint32), blocks: make(map[uint32][]uint32), ends: make(map[storage.Partition]uint64)}
	q := storage.Query{Index: status.IndexRecent, From: status.Recent(since), Limit: 1000}
	for {
		page, err := p.cfg.Store.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("lists: reading what was revoked: %w", err)
		}
		if f.confirmed.IsZero() {
			f.confirmed = page.Now
		}
		for _, row := range page.Rows {
			if err := p.note(ctx, f, row); err != nil {
				return nil, err
			}
		}
		if page.Next == "" {
			return f, nil
		}
		q.After = page.Next
	}
}

// from is where a look begins, of lists that are known up to since. What the
// looks since the last deep one have missed is for the next deep one, but for
// what is so long ago that all lists have been read as a whole.
func (p *Publisher) from(since, now time.Time, deep bool) time.Time {
	if !deep {
		return since.Add(-status.Near)
	}
	last := p.deep
	if whole := now.Add(-readAgain); last.Before(whole) {
		last = whole
	}
	if last.Before(since) {
		since = last
	}
	return since.Add(-status.Overlap)
}

// note adds what one row says.
func (p *Publisher) note(ctx context.Context, f *found, row storage.Row) error {
	if row.Kind != status.KindClientEnd {
		rec, err := storage.Decode[storage.RevokedIndex](row)
		if err == nil {
			f.places[rec.Value.List] = append(f.places[rec.Value.List], rec.Value.Index)
		}
		return err
	}
	if p.ends[row.Partition] == row.Version {
		return nil
	}
	client, err := p.client(ctx, row.Partition)
	if err != nil || client.damaged {
		return err
	}
	f.ends[row.Partition] = row.Version
	return p.cfg.Store.AllByIndex(ctx, storage.Query{Index: status.IndexBlocks, Partition: row.Partition, Limit: 1000}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.StatusBlock](row)
		if err != nil {
			return err
		}
		over, err := p.ended(ctx, row.Partition, client, rec.Value)
		if over {
			f.blocks[rec.Value.List] = append(f.blocks[rec.Value.List], rec.Value.Block)
		}
		return err
	})
}
