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

// ErrNotInUse says that a store is there, and that nobody may use it: it is being
// filled, or has moved. It is a storage.ErrUnavailable too.
var ErrNotInUse = errors.New("the store is not in use")

// notInUse is an ErrNotInUse, in words that say what to do.
type notInUse string

func (e notInUse) Error() string { return string(e) }

func (e notInUse) Is(target error) bool {
	return target == ErrNotInUse || target == storage.ErrUnavailable
}

// allowed says why this store may not be used as it is asked for, or nil.
func (s *Store) allowed(copying, moved string) error {
	switch {
	case s.o.Filling != "" && copying != s.o.Filling:
		return ErrFilled
	case s.o.Filling != "" || s.o.Source:
		return nil
	case copying != "":
		return notInUse("it is being filled by jeton store copy, and is not whole: finish that with --finish")
	case moved != "":
		return notInUse(fmt.Sprintf("it was moved to %s by jeton store copy: name that with --store; to go on here after all, undo it with --abandon", moved))
	}
	return nil
}

// holderField counts who has taken the store out of use. Each has the markers under
// a name of its own, so that one that stood still puts nothing back into use that
// another has taken since. Those of a store that was left for good have one name.
const holderField = "holder"

func (g group) held(holder int) string { return fmt.Sprintf("%s:held:%d", g.marker, holder) }
func (g group) left() string           { return g.marker + ":moved" }

// Hold takes the store away from all who use it: they find the markers of its
// groups gone, in the same script that would write. to says where it goes. A store
// that was left for good stays so.
func (s *Store) Hold(ctx context.Context, to string) error {
	missing, err := s.hold(ctx, to, false)
	if err == nil && missing {
		err = s.missing(ctx, func(g group) []string { return []string{g.held(s.holder), g.left()} })
	}
	return err
}

// hold takes markers that were left for good too if again is set.
func (s *Store) hold(ctx context.Context, to string, again bool) (missing bool, err error) {
	key := s.o.Prefix + ":store"
	n, err := s.client.HIncrBy(ctx, key, holderField, 1).Result()
	if err == nil {
		err = s.client.HSet(ctx, key, movedField, to).Err()
	}
	if err != nil {
		return false, unavailable(err)
	}
	s.holder = int(n)
	missing, err = s.take(ctx, s.groups, false, func(g group) (string, []string) {
		earlier := append([]string{g.marker}, before(s.holder, g.held)...)
		if again {
			earlier = append(earlier, g.left())
		}
		return g.held(s.holder), earlier
	})
	if err != nil {
		return false, unavailable(err)
	}
	return missing, nil
}

// missing is an error unless each group has a marker of one of these names.
func (s *Store) missing(ctx context.Context, names func(group) []string) error {
	pipe := s.client.Pipeline()
	var there []*redis.IntCmd
	for _, g := range s.groups {
		there = append(there, pipe.Exists(ctx, names(g)...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return unavailable(err)
	}
	for _, n := range there {
		if n.Val() == 0 {
			return fmt.Errorf("a part of the store %s is missing from Redis, or another jeton store copy has taken the store over: see that none runs, and bring back the data", s.id)
		}
	}
	return nil
}

// MovedTo is where the store had gone when it was opened, as [Store.Hold] was told;
// empty for one that is in use.
func (s *Store) MovedTo() string { return s.movedTo }

// Leave keeps the store out of use for good, unless another has taken it over.
func (s *Store) Leave(ctx context.Context) error {
	missing, err := s.take(ctx, s.groups, false, func(g group) (string, []string) { return g.left(), []string{g.held(s.holder)} })
	if err != nil {
		return unavailable(err)
	}
	if missing {
		return fmt.Errorf("another jeton store copy has taken the store %s over, or put it back into use: see what became of that", s.id)
	}
	return nil
}

// Release puts back into use what [Store.Hold] took, and nobody else since.
func (s *Store) Release(ctx context.Context) error {
	if s.holder == 0 {
		return nil
	}
	missing, err := s.take(ctx, s.groups, false, func(g group) (string, []string) { return g.marker, []string{g.held(s.holder)} })
	if err != nil {
		return unavailable(err)
	}
	if missing {
		return nil
	}
	if err := s.client.HDel(ctx, s.o.Prefix+":store", movedField).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// Return puts the store back into use, though it was left for good.
func (s *Store) Return(ctx context.Context) error {
	missing, err := s.hold(ctx, "nowhere yet", true)
	if err == nil && missing {
		err = s.missing(ctx, func(g group) []string { return []string{g.held(s.holder)} })
	}
	if err != nil {
		return err
	}
	return s.Release(ctx)
}
