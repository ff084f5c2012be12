package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
)

// Of a store that goes by itself no key is without an end, whatever was written
// and read last, and rows with an end of their own go no later. One that stays
// has none of its keys expire but by the rows' own end.
func TestAStoreThatGoesByItself(t *testing.T) {
	server := redistest.Start(t)
	const life = time.Hour
	for prefix, life := range map[string]time.Duration{"passing": life, "staying": 0} {
		o := options(t, server)
		o.Prefix, o.Life = prefix, life
		s := mustOpen(t, o)
		now, err := s.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			put := storage.Put{Key: storage.Key{Kind: "k", ID: "a"}, Value: []byte("1"), Index: []storage.Entry{{Name: "i", Sort: fmt.Sprint(n)}}}
			if n%2 == 0 {
				put.Expires = now.Add(storage.Day)
			}
			p := storage.Partition(fmt.Sprint(n))
			if _, err := s.Commit(t.Context(), storage.Change{Partition: p, Puts: []storage.Put{put}}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Read(t.Context(), p, put.Key); err != nil {
				t.Fatal(err)
			}
		}
		if page, err := s.List(t.Context(), storage.Query{Index: "i", Limit: 200}); err != nil || len(page.Rows) != 100 {
			t.Fatalf("%d rows, %v", len(page.Rows), err)
		}
		if _, err := s.Sweep(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		for _, key := range server.Do("keys", prefix+":*").([]any) {
			left := time.Duration(server.Do("pttl", key).(int64)) * time.Millisecond
			ends := life > 0 || strings.Contains(key.(string), ":r:") && left > 0
			if left > 0 != ends || life > 0 && left > life {
				t.Errorf("%s: %q has %v left", prefix, key, left)
			}
		}
	}
}

// What could fill a Redis asks for room first.
func TestRoom(t *testing.T) {
	server := redistest.Start(t)
	s := mustOpen(t, options(t, server))
	if err := s.Room(t.Context()); err != nil {
		t.Errorf("without a bound: %v", err)
	}
	server.Do("config", "set", "maxmemory", "100mb")
	if err := s.Room(t.Context()); err != nil {
		t.Errorf("nearly empty: %v", err)
	}
	server.Do("setrange", "other", 95<<20, "x")
	if err := s.Room(t.Context()); !errors.Is(err, redis.ErrFull) || !strings.Contains(err.Error(), server.Addr) || !strings.Contains(err.Error(), "% of maxmemory") {
		t.Errorf("nearly full: %v", err)
	}
	keys := server.Do("dbsize")
	o := options(t, server)
	o.Prefix, o.NeedsRoom = "big", true
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, redis.ErrFull) || server.Do("dbsize") != keys {
		t.Errorf("what needs room was opened or written: %v", err)
	}
}
