package redis

import (
	"context"
	"time"

	"jeton/storage"
)

// Read implements [storage.Backend].
func (s *Store) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	if err := storage.ValidKeys(p, keys); err != nil {
		return storage.Snapshot{}, err
	}
	if err := s.enter(ctx); err != nil {
		return storage.Snapshot{}, err
	}
	defer s.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	g := s.groups[s.groupOf(p)]
	names := make([]string, 1, 1+len(keys))
	names[0] = g.marker
	for _, k := range keys {
		names = append(names, g.row(p, k))
	}
	r, err := s.run(ctx, call{script: readScript, keys: names})
	if err != nil {
		return storage.Snapshot{}, unavailable(err)
	}
	if text(r.value, 0) != "ok" {
		return storage.Snapshot{}, s.strange(r.value)
	}
	snap := storage.Snapshot{Now: s.time(number(r.value, 1)), Rows: make([]storage.Row, len(keys))}
	rows := array(r.value, 2)
	for i, k := range keys {
		snap.Rows[i] = storage.Row{Partition: p, Key: k}
		if err := fill(&snap.Rows[i], text(rows, i), snap.Now); err != nil {
			return storage.Snapshot{}, unavailable(err)
		}
	}
	return snap, nil
}

// time is the store's time when Redis's clock shows so many microseconds.
func (s *Store) time(clock int64) time.Time {
	s.offset.set(clock)
	if s.o.Now != nil {
		return s.o.Now().UTC()
	}
	return time.UnixMicro(clock).UTC()
}

// given is the store's time for a script, empty for Redis's own.
func (s *Store) given() any {
	if s.o.Now == nil {
		return ""
	}
	return s.o.Now().UnixMicro()
}

// Now implements [storage.Backend]. It asks the node that has the partition of
// what there is one of, so that in a cluster it is one clock that is asked.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	snap, err := s.Read(ctx, storage.SystemPartition)
	return snap.Now, err
}

// These read the replies of scripts.

func text(values []any, i int) string {
	if i >= len(values) {
		return ""
	}
	s, _ := values[i].(string)
	return s
}

func number(values []any, i int) int64 {
	if i >= len(values) {
		return 0
	}
	n, _ := values[i].(int64)
	return n
}

func array(values []any, i int) []any {
	if i >= len(values) {
		return nil
	}
	a, _ := values[i].([]any)
	return a
}
