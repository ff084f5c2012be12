package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"jeton/storage"
)

// Whoever fills a store has its markers under a name of its own, made with a
// number that only grows. The next one takes them over, and opening the store gives
// them their plain names: so one that was stopped and goes on later finds that its
// own are gone, in the same script that would write.

// copierField counts who has filled the store.
const copierField = "copier"

// takenAtOnce is how many markers are taken over side by side.
const takenAtOnce = 16

// ErrTakenOver says that another one fills the store now.
var ErrTakenOver = errors.New("another run of jeton store copy has taken over, or Redis was emptied: let that run go on, or see that none runs and run this again")

func (g group) filling(copier int) string { return fmt.Sprintf("%s:filling:%d", g.marker, copier) }

// takeOver takes the markers from whoever filled the store before, and makes those
// of a store that has none.
func (s *Store) takeOver(ctx context.Context, copier string, fresh bool) error {
	n, err := strconv.Atoi(copier)
	if err != nil {
		return fmt.Errorf("the key %s:store does not say who fills the store", s.o.Prefix)
	}
	create := 0
	if fresh {
		create = 1
	}
	var all errgroup.Group
	all.SetLimit(takenAtOnce)
	for i := range s.groups {
		g := &s.groups[i]
		keys := []string{g.filling(n), g.marker}
		for before := n - 1; before > 0; before-- {
			keys = append(keys, g.filling(before))
		}
		all.Go(func() error {
			r, err := s.run(ctx, call{script: takeScript, keys: keys, args: []any{create}})
			if err == nil && text(r.value, 0) != "ok" {
				err = redis.Nil
			}
			g.marker = keys[0]
			return err
		})
	}
	err = all.Wait()
	if errors.Is(err, redis.Nil) {
		err = nil // another took it, or a part is missing, which opening it notices
	} else if err != nil {
		return err
	}
	// Who came later takes what was made here, if it is made before this.
	now, err := s.client.HGet(ctx, s.o.Prefix+":store", copierField).Result()
	if err == nil && now != copier {
		err = ErrTakenOver
	}
	return err
}

// Filled opens the store to everybody, and ends writing to it from here.
func (s *Store) Filled(ctx context.Context) error {
	plain := newGroups(s.o.Prefix, s.id, len(s.groups))
	n := -1
	err := s.rename(ctx, func(g group) (from, to string) {
		n++
		return g.marker, plain[n].marker
	})
	if err != nil {
		return err
	}
	if err := s.client.HDel(ctx, s.o.Prefix+":store", copyingField, copierField).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

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
