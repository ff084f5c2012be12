package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
)

func compare(a, b string) int { return cmp.Compare(a, b) }

var errDamaged = errors.New("a row in Redis is damaged: has another program written keys with this prefix? Restore a backup")

// unavailable says that nothing was read or written, why, and what to do.
func unavailable(err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, explain(err))
}

func unknown(err error) error { return fmt.Errorf("%w: %w", storage.ErrUnknown, explain(err)) }

// strange is the error of a reply that says that the store is not there.
func (s *Store) strange(reply []any) error {
	if text(reply, 0) == "gone" && s.o.Filling != "" {
		return ErrTakenOver
	}
	if text(reply, 0) == "gone" {
		return fmt.Errorf("%w: Redis no longer holds the store %s that was opened: it was emptied, or another one answers at its address; "+
			"bring back the data, or restart this server, which says more", storage.ErrUnavailable, s.id)
	}
	return fmt.Errorf("%w: Redis answered %.40q, which makes no sense", storage.ErrUnavailable, text(reply, 0))
}

// remedies are what an operator can do about what Redis says.
var remedies = []struct{ prefix, remedy string }{
	{"OOM", "Redis has no memory left: raise maxmemory, or move to a larger one"},
	{"READONLY", "this Redis is a replica: name the master, or use redis+sentinel:// to follow it"},
	{"NOREPLICAS", "too few replicas are in touch with the master: bring them back, or lower min-replicas-to-write"},
	{"MISCONF", "Redis cannot save to its disk and refuses to write: see its log and make room"},
	{"NOAUTH", "Redis wants a password: give it with --redis-password-file"},
	{"WRONGPASS", "Redis does not take the user and password: see the address and --redis-password-file"},
	{"NOPERM", "the Redis user may not do this: give it the commands and keys that OPERATING.md names"},
	{"The user executing the script", "the Redis user may not do this: give it the commands and keys that OPERATING.md names"},
	{"LOADING", "Redis is reading its data after a start: wait"},
	{"CLUSTERDOWN", "the cluster is not complete: bring back the masters that are missing"},
	{"TRYAGAIN", "a slot of the cluster is being moved: wait until that is done"},
	{"CROSSSLOT", "the cluster spreads keys that belong together: it does not honour hash tags"},
}

const outOfReach = "Redis is out of reach: see that it runs and that the network lets this machine to it"

// explain adds the remedy to the errors that an operator can meet.
func explain(err error) error {
	for _, r := range remedies {
		if redis.HasErrorPrefix(err, r.prefix) {
			return fmt.Errorf("%s (%w)", r.remedy, err)
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, redis.ErrPoolTimeout):
		return fmt.Errorf("all connections to Redis are busy: it is too slow, or hangs (%w)", err)
	case errors.Is(err, context.Canceled):
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s (%w)", outOfReach, err)
	}
	return err
}
