package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jeton/race"
	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/sqlite"
)

// track is where a race takes place: beside the records of the store, never among
// them.
type track struct {
	stores []storage.Backend
	// leave closes them and removes what is no row.
	leave func(context.Context) error
	// left says where what was not removed is, and what becomes of it.
	left string
	// room says that there is too little room left to go on.
	room func(context.Context) error
}

// raceLife is how long a race that was killed leaves something in Redis: far
// longer than any race takes.
const raceLife = time.Hour

func (s *Settings) raceTrack(ctx context.Context) (*track, error) {
	if s.onRedis() {
		return s.raceOnRedis(ctx)
	}
	file, err := sqliteFile(s.Store.String())
	if err != nil {
		return nil, err
	}
	return raceOnFile(ctx, file)
}

// raceOnRedis opens a store of another prefix. It begins with that of the store,
// so that a user of Redis that may write the one may write the other.
func (s *Settings) raceOnRedis(ctx context.Context) (*track, error) {
	o, err := s.redisOptions()
	if err != nil {
		return nil, err
	}
	o.Life, o.NeedsRoom = raceLife, true
	o.Prefix += ":race-" + strings.ToLower(rand.Text()[:10])
	if len(o.Prefix) > mostRedisPrefix {
		return nil, fmt.Errorf("the race needs a prefix of its own beside the store's, which is too long for that: %s", s.RedisPrefix)
	}
	shown := redis.Redact(s.Store.String())
	t := &track{left: fmt.Sprintf("what is left of the race has keys that begin with %s: and goes by itself within an hour; "+
		"to have it gone at once: redis-cli --scan --pattern '%s:*' | xargs -r redis-cli unlink", o.Prefix, o.Prefix)}
	var first *redis.Store
	t.leave = func(ctx context.Context) (err error) {
		if first != nil {
			err = first.Discard(ctx)
		}
		return errors.Join(err, t.close())
	}
	for range racers {
		store, err := redis.Open(ctx, o)
		if err == nil && first == nil && !store.Fresh() {
			err = errors.Join(fmt.Errorf("there is a store with the prefix %s: try again", o.Prefix), store.Close())
			store = nil
		}
		if errors.Is(err, redis.ErrFull) {
			err = fmt.Errorf("a race writes as fast as it can, and what else is in this Redis must not suffer: raise maxmemory or make room, or race on another one: %w", err)
		}
		if errors.Is(err, storage.ErrUnavailable) {
			err = &awayError{"the store " + shown + " is out of reach", err}
		}
		if err != nil {
			return nil, errors.Join(err, t.leave(context.WithoutCancel(ctx)))
		}
		if first == nil {
			first, t.room = store, store.Room
		}
		o.Existing = true
		t.stores = append(t.stores, store)
	}
	return t, nil
}

// mostRedisPrefix is the longest that a prefix may be.
const mostRedisPrefix = 64

// raceOnFile opens a file beside that of the store, on the same disk.
func raceOnFile(ctx context.Context, file string) (*track, error) {
	dir := filepath.Dir(file)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &awayError{fmt.Sprintf("there is no directory %s to race in: name your store with --store", dir), nil}
	}
	own, err := os.MkdirTemp(dir, "race-")
	if err != nil {
		return nil, &awayError{"the race has to write beside the store: run this as the user that runs the server", err}
	}
	t := &track{left: "what is left of the race is in " + own, room: func(context.Context) error { return nil }}
	t.leave = func(context.Context) error { return errors.Join(t.close(), os.RemoveAll(own)) }
	for range racers {
		store, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(own, "race.db"), Apart: true})
		if err != nil {
			return nil, errors.Join(storeError(own, err), t.leave(ctx))
		}
		t.stores = append(t.stores, store)
	}
	return t, nil
}

// run races, and leaves.
func (t *track) run(ctx context.Context, c race.Config) (race.Report, error) {
	racing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go t.watch(racing, stop)
	report, err := race.Run(racing, c)
	stop(nil)
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	errLeave := t.leave(leaving)
	if errors.Is(err, race.ErrLeft) || errLeave != nil {
		err = fmt.Errorf("%w; %s", errors.Join(err, errLeave), t.left)
	}
	return report, err
}

// watch ends a race when there is no room left, until ctx ends. A Redis that does
// not answer is what races are for.
func (t *track) watch(ctx context.Context, stop context.CancelCauseFunc) {
	for tick := time.Tick(time.Second); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			if err := t.room(ctx); errors.Is(err, redis.ErrFull) {
				stop(fmt.Errorf("it was stopped so that what else is in this Redis does not suffer: %w", err))
			}
		}
	}
}

func (t *track) close() (err error) {
	for _, s := range t.stores {
		err = errors.Join(err, s.Close())
	}
	return err
}
