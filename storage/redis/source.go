package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"jeton/storage"
)

var _ storage.Source = (*Store)(nil)

// Heads implements [storage.Source]. It walks the whole keyspace, which nothing
// else does. While a slot of a cluster moves it may miss rows.
func (s *Store) Heads(ctx context.Context, visit func([]storage.Head) error) error {
	var mu sync.Mutex
	walk := func(ctx context.Context, node *redis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, s.o.Prefix+":{p*}:r:*", 1000).Result()
			if err != nil {
				return unavailable(err)
			}
			heads, err := s.headsOf(ctx, node, keys)
			if err != nil {
				return err
			}
			mu.Lock()
			err = visit(heads)
			mu.Unlock()
			if cursor = next; err != nil || cursor == 0 {
				return err
			}
		}
	}
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, walk)
	case *redis.Client:
		return walk(ctx, c)
	}
	return errors.New("storage: this kind of Redis cannot be read as a whole")
}

// headsOf reads the beginnings of rows by their keys.
func (s *Store) headsOf(ctx context.Context, node *redis.Client, keys []string) ([]storage.Head, error) {
	pipe := node.Pipeline()
	var heads []storage.Head
	var starts []*redis.StringCmd
	for _, key := range keys {
		_, rest, _ := strings.Cut(key, "}:r:")
		name := strings.SplitN(rest, "\x00", 3)
		if len(name) != 3 {
			continue // of another program
		}
		heads = append(heads, storage.Head{Partition: storage.Partition(name[0]), Key: storage.Key{Kind: name[1], ID: name[2]}})
		starts = append(starts, pipe.GetRange(ctx, key, 0, 15))
	}
	if len(heads) == 0 {
		return nil, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable(err)
	}
	there := heads[:0]
	for i, start := range starts {
		raw := []byte(start.Val())
		if len(raw) == 0 {
			continue // gone since
		}
		if len(raw) < 16 {
			return nil, errDamaged
		}
		head := heads[i]
		head.Version = binary.BigEndian.Uint64(raw)
		head.Expires = fromMicros(math.Float64frombits(binary.BigEndian.Uint64(raw[8:])))
		there = append(there, head)
	}
	return there, nil
}

// Wholes implements [storage.Source].
func (s *Store) Wholes(ctx context.Context, p storage.Partition, keys ...storage.Key) ([]storage.Whole, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	g := s.groups[s.groupOf(p)]
	c := call{script: wholeScript}
	for _, k := range keys {
		c.keys = append(c.keys, g.row(p, k))
	}
	r, err := s.run(ctx, c)
	if err != nil {
		return nil, unavailable(err)
	}
	rows := make([]storage.Whole, len(keys))
	for i, k := range keys {
		rows[i].Row = storage.Row{Partition: p, Key: k}
		got := array(r.value, i)
		if err := fill(&rows[i].Row, text(got, 0), time.Time{}); err != nil {
			return nil, unavailable(err)
		}
		list := array(got, 1)
		for n := 0; n+1 < len(list); n += 2 {
			rows[i].Entries = append(rows[i].Entries, storage.Entry{Name: text(list, n), Sort: text(list, n+1)})
		}
	}
	return rows, nil
}
