package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// ErrFull says that a Redis has little memory left.
var ErrFull = errors.New("little memory is left")

// fullest is how much of its memory a Redis may use, in percent, before
// [Store.Room] warns of it.
const fullest = 90

// Room is ErrFull, with the figures, when a master has less than a tenth of its
// memory left: of maxmemory, or of the machine's where there is no such bound. A
// Redis that tells neither is taken to have room.
func (s *Store) Room(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	servers, err := s.servers(ctx)
	if err != nil {
		return unavailable(err)
	}
	for _, m := range servers {
		if err := m.room(); err != nil {
			return err
		}
	}
	return nil
}

func (m server) room() error {
	bytes := func(field string) float64 {
		n, _ := strconv.ParseFloat(m.info[field], 64)
		return n
	}
	used, of, bound := bytes("used_memory"), bytes("maxmemory"), "maxmemory"
	if of == 0 {
		of, bound = bytes("total_system_memory"), "its machine's memory"
	}
	if of == 0 || used <= of*fullest/100 {
		return nil
	}
	return fmt.Errorf("%w: the Redis at %s uses %.0f %% of %s (%.0f of %.0f MiB)", ErrFull, m.address, 100*used/of, bound, used/(1<<20), of/(1<<20))
}
