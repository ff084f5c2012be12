package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
)

// format is the layout that this version reads and writes.
const format = 1

// begin opens the store that is there or makes one. All of it may be done again,
// so a connection that breaks is no reason to give up.
func (s *Store) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	var once sync.Once
	tell := func(cause error) {
		if s.o.Waiting != nil {
			once.Do(func() { s.o.Waiting(cause) })
		}
	}
	hangs := time.AfterFunc(s.o.Wait*2/5, func() { tell(errHangs) })
	defer hangs.Stop()
	for {
		err := s.tryBegin(ctx)
		if err == nil || !broken(err) {
			return err
		}
		if tell(err); wait(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

var errHangs = errors.New("nothing has come back yet")

// broken reports whether a connection broke, or could not be made.
func broken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (s *Store) tryBegin(ctx context.Context) error {
	if err := s.fit(ctx); err != nil {
		return err
	}
	key := s.o.Prefix + ":store"
	if s.o.Existing {
		if n, err := s.client.Exists(ctx, key).Result(); err != nil {
			return unavailable(err)
		} else if n == 0 {
			return ErrNoStore
		}
	}
	id := rand.Text()
	r, err := s.run(ctx, call{script: beginScript, keys: []string{key}, args: []any{id, format, groupCount, s.o.Filling}})
	if err != nil {
		return unavailable(err)
	}
	s.fresh = text(r.value, 0) == id
	s.id = text(r.value, 0)
	is, errFormat := strconv.Atoi(text(r.value, 1))
	groups, errGroups := strconv.Atoi(text(r.value, 2))
	switch {
	case s.id == "" || errFormat != nil || errGroups != nil || groups < 1 || groups > 1000:
		return fmt.Errorf("the key %s is not that of a store: has another program written it? Choose another prefix with --redis-prefix", key)
	case is > format:
		return fmt.Errorf("the store was written by a newer version of jeton (format %d, this one knows %d): run that version", is, format)
	}
	if err := s.allowed(text(r.value, 4), text(r.value, 5)); err != nil {
		return err
	}
	s.groups, s.filled = newGroups(s.o.Prefix, s.id, groups), text(r.value, 4) != ""
	if s.movedTo = text(r.value, 5); s.o.Source {
		return nil
	}
	s.changes.highest = make([]int64, groups)
	fresh := text(r.value, 3) == ""
	if copier, err := strconv.Atoi(text(r.value, 6)); s.o.Filling != "" && text(r.value, 7) != "" && err == nil {
		// It was killed as it was opened, when all was done.
		return errors.Join(s.opened(ctx, copier), ErrFilled)
	}
	if s.o.Filling != "" {
		if err := s.takeOver(ctx, text(r.value, 6), fresh); errors.Is(err, ErrTakenOver) {
			return err
		} else if err != nil {
			return unavailable(err)
		}
	}
	if fresh {
		if err := s.mark(ctx, key); err != nil {
			return unavailable(err)
		}
	}
	if s.changes.highest, err = s.counters(ctx); err == redis.Nil {
		return fmt.Errorf("%w: a part of the store %s is missing from Redis: a master of the cluster was emptied, or keys were deleted; bring back its data", storage.ErrUnavailable, s.id)
	} else if err != nil {
		return unavailable(err)
	}
	_, err = s.clock(ctx)
	return err
}

// ErrNoStore says that a store that should be there is not.
var ErrNoStore = errors.New("there is no store")

// Fresh reports whether the store was made when this one opened it.
func (s *Store) Fresh() bool { return s.fresh }

// mark makes the marker of each group, and then notes that all are made: from
// then on one that is missing was lost.
func (s *Store) mark(ctx context.Context, key string) error {
	if s.o.Filling != "" { // whose markers are made as they are taken over
		return s.client.HSet(ctx, key, "ready", 1).Err()
	}
	pipe := s.client.Pipeline() // one after the other they would take seconds on a Redis that is far away
	for _, g := range s.groups {
		pipe.SetNX(ctx, g.marker, 0, s.o.Life)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	return s.client.HSet(ctx, key, "ready", 1).Err()
}

// ID names the store: it is made with it and never changes.
func (s *Store) ID() string { return s.id }

// clock is the store's time.
func (s *Store) clock(ctx context.Context) (time.Time, error) {
	r, err := s.run(ctx, call{script: readScript, keys: []string{s.groups[s.groupOf(storage.SystemPartition)].marker}})
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	if text(r.value, 0) != "ok" {
		return time.Time{}, s.strange(r.value)
	}
	return s.time(number(r.value, 1)), nil
}

// OnLost has f called whenever it is noticed that Redis has forgotten writes.
func (s *Store) OnLost(f func()) { s.onLost.Store(&f) }

// lost notes that Redis has forgotten writes that it had acknowledged.
func (s *Store) lost(n int64) {
	if f := s.onLost.Load(); f != nil {
		(*f)()
	}
	s.o.Log.Error("Redis has lost acknowledged writes: a failover, or a restart without its last writes; sessions that went on heal, others may be older than they were",
		"at_least", n)
}

// together splits parts into those that one script may read.
func (s *Store) together(parts []*part) [][]*part {
	if _, cluster := s.client.(*redis.ClusterClient); !cluster {
		if len(parts) == 0 {
			return nil
		}
		return [][]*part{parts}
	}
	var each [][]*part
	for _, p := range parts {
		each = append(each, []*part{p})
	}
	return each
}
