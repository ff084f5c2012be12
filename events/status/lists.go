package status

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"time"

	"jeton/storage"
)

// The indexes. They hold what lives only, since rows expire.
const (
	// IndexLists holds all lists by number.
	IndexLists = "lists"
	// IndexOpenLists holds the lists with free blocks by their end.
	IndexOpenLists = "lists/open"
	// IndexBlocks holds the blocks of clients, in their partitions, by list
	// (ten digits, a dot) and block: of one client, or of one list.
	IndexBlocks = "blocks"
)

// MostAhead is how far the number of a list can be ahead of the second it was
// opened in.
const MostAhead = leaseTries

// leaseTries bounds how often one lease is decided anew. Each conflict means
// that another process has got what it wanted, so few are ever needed.
const leaseTries = 64

// lists leases blocks of the lists in the store.
//
// Lists are grouped by when they end, so that a list can retire with the last
// of its tokens. There is no state "open": a list suits tokens of a term (a
// longest lifetime) while now+term <= Ends <= now+open+term. The first bound
// keeps every token inside its list, the second keeps short tokens out of
// lists that must live long.
type lists struct {
	store *storage.Store
	bytes int           // the size of Leased in a new list
	open  time.Duration // how long blocks of a list are leased
}

// lease takes up to n blocks for tokens that expire by exp and live no longer
// than term. Blocks of a lease that is lost later, or whose commit has an
// unknown outcome, stay leased and unused.
func (l lists) lease(ctx context.Context, n int, term time.Duration, exp time.Time) ([]block, error) {
	var err error
	for try := range uint32(leaseTries) {
		var got []block
		if got, err = l.try(ctx, n, term, exp, try); !errors.Is(err, storage.ErrConflict) {
			return got, unavailable(err)
		}
	}
	return nil, unavailable(err)
}

func (l lists) try(ctx context.Context, n int, term time.Duration, exp time.Time, try uint32) ([]block, error) {
	system, err := l.store.CachedSystem(ctx)
	if err != nil {
		return nil, err
	}
	restored := system.Value.Restored
	q := storage.Query{Index: IndexOpenLists, Limit: 32}
	for {
		page, err := l.store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		earliest := later(page.Now.Add(term), exp)
		latest := earliest.Add(l.open)
		for _, row := range page.Rows {
			rec, err := storage.Decode[storage.StatusList](row)
			if l.store.Skip(ctx, row, err) {
				continue // no place is given in a list that cannot be read
			}
			if err != nil {
				return nil, err
			}
			if rec.Value.Ends.After(latest) {
				return l.take(ctx, l.fresh(restored, page.Now, latest, try), n)
			}
			if !rec.Value.Ends.Before(earliest) && !restored.Over(rec.Value.Number) {
				return l.take(ctx, rec, n)
			}
		}
		if page.Next == "" {
			return l.take(ctx, l.fresh(restored, page.Now, latest, try), n)
		}
		q.After = page.Next
	}
}

// fresh is a list that does not exist yet. Its number is the second of its
// opening, or one of those that follow when another list has that one. So a
// number cannot come back: its second has passed long before its list
// retires. A counter would run twice through the same numbers after a restored
// backup; so would a clock that is behind that of before, hence the second
// bound.
func (l lists) fresh(restored *storage.Restored, now, ends time.Time, try uint32) storage.Record[storage.StatusList] {
	number := uint32(now.Unix())
	if restored.Over(number) {
		number = restored.Through + 1
	}
	return storage.Record[storage.StatusList]{Value: storage.StatusList{
		Number: number + try,
		Opened: now.UTC(),
		Ends:   ends.UTC().Truncate(time.Second),
		Leased: make([]byte, l.bytes),
	}}
}

// take commits the lease of up to n random free blocks of the list, and the
// list itself if it is new. The version check decides between two nodes that
// want the same blocks, or the same number for a new list.
func (l lists) take(ctx context.Context, rec storage.Record[storage.StatusList], n int) ([]block, error) {
	list := rec.Value
	var got []block
	for _, number := range takeFree(list.Leased, n) {
		got = append(got, block{list.Number, number, list.Ends})
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("status: list %d has no free block: %w", list.Number, storage.ErrConflict)
	}
	partition, key := ListKey(list.Number)
	put := storage.Put{Key: key, Value: storage.Encode(list), Expires: list.Ends.Add(Grace)}
	if !rec.Exists() || free(list.Leased) == 0 {
		put.Index = entries(list)
	}
	_, err := l.store.Commit(ctx, storage.Change{
		Partition: partition,
		Checks:    []storage.Check{rec.Check(key)},
		Puts:      []storage.Put{put},
	})
	if err != nil {
		return nil, err
	}
	return got, nil
}

// entries are the places of a list in the indexes.
func entries(l storage.StatusList) []storage.Entry {
	e := []storage.Entry{{Name: IndexLists, Sort: fmt.Sprintf("%010d", l.Number)}}
	if free(l.Leased) > 0 {
		e = append(e, storage.Entry{Name: IndexOpenLists, Sort: fmt.Sprintf("%012d", l.Ends.Unix())})
	}
	return e
}

// free counts the blocks that are not leased.
func free(leased []byte) int {
	n := len(leased) * 8
	for _, b := range leased {
		n -= bits.OnesCount8(b)
	}
	return n
}

// takeFree sets up to n random free bits and returns their numbers.
func takeFree(leased []byte, n int) []uint32 {
	var at []uint32
	for i := range uint32(len(leased) * 8) {
		if leased[i/8]&(1<<(i%8)) == 0 {
			at = append(at, i)
		}
	}
	rand.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	at = at[:min(n, len(at))]
	for _, i := range at {
		leased[i/8] |= 1 << (i % 8)
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// unavailable says of any failure to lease that nothing was handed out and
// that trying again is right. The cause is only told, not wrapped: a conflict
// or an unknown outcome here is about a list, nothing the caller wrote.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("status: no place in a status list can be had: %w (%v)", storage.ErrUnavailable, err)
}
