package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
)

// Fields of the key of the store that say why nobody may use it: it is being
// filled from another one, or was left for another one.
const (
	copyingField = "copying"
	movedField   = "moved"
)

// ErrFilled says that a store to be filled holds something already.
var ErrFilled = errors.New("the store holds something already")

// allowed says why this store may not be used as it is asked for, or nil.
func (s *Store) allowed(copying, moved string) error {
	switch {
	case s.o.Filling != "" && copying != s.o.Filling:
		return ErrFilled
	case s.o.Filling != "" || s.o.Source:
		return nil
	case copying != "":
		return fmt.Errorf("%w: it is being filled by jeton store copy, and is not whole: finish that with --finish", storage.ErrUnavailable)
	case moved != "":
		return fmt.Errorf("%w: it was moved to %s by jeton store copy: name that with --store; to go on here after all, undo it with --abandon", storage.ErrUnavailable, moved)
	}
	return nil
}

// Hold takes the store away from all who use it: they find the markers of its
// groups gone, in the same script that would write. to says where it goes.
func (s *Store) Hold(ctx context.Context, to string) error {
	if err := s.client.HSet(ctx, s.o.Prefix+":store", movedField, to).Err(); err != nil {
		return unavailable(err)
	}
	return s.rename(ctx, func(g group) (from, to string) { return g.marker, g.marker + ":moved" })
}

// Release undoes Hold.
func (s *Store) Release(ctx context.Context) error {
	err := s.rename(ctx, func(g group) (from, to string) { return g.marker + ":moved", g.marker })
	if err != nil {
		return err
	}
	if err := s.client.HDel(ctx, s.o.Prefix+":store", movedField).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// rename may be done again, and goes on from where it ended.
func (s *Store) rename(ctx context.Context, names func(group) (from, to string)) error {
	for _, g := range s.groups {
		from, to := names(g)
		done, err := s.client.Exists(ctx, to).Result()
		if err == nil && done == 0 {
			err = s.client.Rename(ctx, from, to).Err()
		}
		if redis.HasErrorPrefix(err, "ERR no such key") {
			err = fmt.Errorf("a part of the store %s is missing from Redis: bring back its data", s.id)
		}
		if err != nil {
			return unavailable(err)
		}
	}
	return nil
}
