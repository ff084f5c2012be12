package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"jeton/storage"
)

// Whoever fills a store has its markers under a name of its own, made with a
// number that only grows. The next one takes them over, and opening the store gives
// them their plain names: so one that was stopped and goes on later finds that its
// own are gone, in the same script that would write.

// copierField counts who has filled the store, openingField says that it is whole.
const (
	copierField  = "copier"
	openingField = "opening"
)

// takenAtOnce is how many markers are taken over side by side.
const takenAtOnce = 16

// ErrTakenOver says that another one fills the store now.
var ErrTakenOver = errors.New("another run of jeton store copy has taken over, or Redis was emptied: let that run go on, or see that none runs and run this again")

func (g group) filling(copier int) string { return fmt.Sprintf("%s:filling:%d", g.marker, copier) }

// take gives the marker of each group a name of one's own. earlier are the names
// that it may have, the likeliest first. missing says that some have none of them.
func (s *Store) take(ctx context.Context, groups []group, create bool, names func(group) (own string, earlier []string)) (missing bool, err error) {
	flag := 0
	if create {
		flag = 1
	}
	var all errgroup.Group
	all.SetLimit(takenAtOnce)
	var gone atomic.Bool
	for _, g := range groups {
		own, earlier := names(g)
		all.Go(func() error {
			r, err := s.run(ctx, call{script: takeScript, keys: append([]string{own}, earlier...), args: []any{flag}})
			if err == nil && text(r.value, 0) != "ok" {
				gone.Store(true)
			}
			return err
		})
	}
	err = all.Wait()
	return gone.Load(), err
}

// before are the names with the numbers below n, the latest first.
func before(n int, name func(int) string) (names []string) {
	for n--; n > 0; n-- {
		names = append(names, name(n))
	}
	return names
}

// takeOver takes the markers from whoever filled the store before, and makes those
// of a store that has none. Plain ones it leaves: that store is open, or about to be.
func (s *Store) takeOver(ctx context.Context, copier string, fresh bool) error {
	n, err := strconv.Atoi(copier)
	if err != nil {
		return fmt.Errorf("the key %s:store does not say who fills the store", s.o.Prefix)
	}
	// That one is missing is noticed by whoever opens it.
	if _, err := s.take(ctx, s.groups, fresh, func(g group) (string, []string) { return g.filling(n), before(n, g.filling) }); err != nil {
		return err
	}
	for i, g := range s.groups {
		s.groups[i].marker = g.filling(n)
	}
	// Who came later takes what was made here, if it was made before this.
	s.copier = n
	return s.fills(ctx)
}

// Filled opens the store to everybody, and ends writing to it from here. From its
// first step on nobody fills the store any more, and the next who would goes on
// with it.
func (s *Store) Filled(ctx context.Context) error {
	if err := s.fills(ctx); err != nil {
		return err
	}
	if err := s.client.HSet(ctx, s.o.Prefix+":store", openingField, 1).Err(); err != nil {
		return unavailable(err)
	}
	// Who has come between the two can have written only what is there.
	n, err := s.client.HGet(ctx, s.o.Prefix+":store", copierField).Int()
	if err != nil {
		return unavailable(err)
	}
	return s.opened(ctx, n)
}

// fills is an error where another one fills the store, or it is open.
func (s *Store) fills(ctx context.Context) error {
	n, err := s.client.HGet(ctx, s.o.Prefix+":store", copierField).Int()
	switch {
	case err == redis.Nil || err == nil && n != s.copier:
		return ErrTakenOver
	case err != nil:
		return unavailable(err)
	}
	return nil
}

// opened gives the markers their plain names, whoever has them.
func (s *Store) opened(ctx context.Context, copier int) error {
	groups := newGroups(s.o.Prefix, s.id, len(s.groups))
	missing, err := s.take(ctx, groups, false, func(g group) (string, []string) { return g.marker, before(copier+1, g.filling) })
	if err == nil && missing {
		err = fmt.Errorf("a part of the store %s is missing from Redis: bring back its data", s.id)
	}
	if err == nil {
		err = s.client.HDel(ctx, s.o.Prefix+":store", copyingField, copierField, openingField).Err()
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// IsFilling reports whether the store is not whole yet.
func (s *Store) IsFilling() bool { return s.filled }

// Counters only grow, by one with each change, as long as Redis loses nothing and
// nobody else fills the store.
func (s *Store) Counters(ctx context.Context) ([]int64, error) {
	counters, err := s.counters(ctx)
	switch {
	case err == redis.Nil && s.o.Filling != "":
		return nil, ErrTakenOver
	case err == redis.Nil:
		return nil, fmt.Errorf("%w: a part of the store %s is missing from Redis", storage.ErrUnavailable, s.id)
	case err != nil:
		return nil, unavailable(err)
	}
	return counters, nil
}
