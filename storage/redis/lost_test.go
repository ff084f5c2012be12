package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
)

// A reply that is lost after the script ran, and a command that arrives after it
// was given up: what Commit says is what happened, and nothing happens twice or
// later.
func TestCommitsWhoseReplyIsLost(t *testing.T) {
	server := redistest.Start(t)
	for name, trouble := range map[string]func(*redistest.Proxy){
		"the reply is lost":       func(p *redistest.Proxy) { p.Lose(150) },
		"the command comes late":  func(p *redistest.Proxy) { p.Postpone(150) },
		"both, now one now other": func(p *redistest.Proxy) { p.Lose(100); p.Postpone(100) },
	} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.Between(t, server.Addr)
			address := newStore("redis://" + proxy.Addr)
			b, err := open(t.Context(), address, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			trouble(proxy)
			var done, refused, unsure atomic.Int64
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for range 25 {
						switch err := add(t, b); {
						case err == nil:
							done.Add(1)
						case errors.Is(err, storage.ErrUnavailable), errors.Is(err, storage.ErrConflict):
							refused.Add(1)
						case errors.Is(err, storage.ErrUnknown):
							unsure.Add(1)
						default:
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			proxy.Lose(0)
			proxy.Postpone(0)
			direct, err := open(t.Context(), strings.Replace(address, proxy.Addr, server.Addr, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer direct.Close()
			at := int64(counter(t, direct))
			t.Logf("%d done, %d refused, %d unsure; %d replies lost, %d requests late", done.Load(), refused.Load(), unsure.Load(), proxy.Lost.Load(), proxy.Postponed.Load())
			if at < done.Load() || at > done.Load()+unsure.Load() {
				t.Errorf("the counter is at %d after %d successes and %d unsure", at, done.Load(), unsure.Load())
			}
			if proxy.Lost.Load()+proxy.Postponed.Load() < 50 || done.Load() < 100 {
				t.Error("the network was no trouble, or nothing got through")
			}
		})
	}
}

var counterKey = storage.Key{Kind: "k", ID: "counter"}

// add adds one to a counter, deciding again after each conflict.
func add(t *testing.T, b storage.Backend) error {
	for {
		snap, err := b.Read(t.Context(), "u/alice", counterKey)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		n, _ := strconv.Atoi(string(snap.Rows[0].Value))
		_, err = b.Commit(t.Context(), storage.Change{Partition: "u/alice",
			Checks: []storage.Check{{Key: counterKey, Version: snap.Rows[0].Version}},
			Puts:   []storage.Put{{Key: counterKey, Value: []byte(strconv.Itoa(n + 1))}}})
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

func counter(t *testing.T, b storage.Backend) int {
	t.Helper()
	snap, err := b.Read(t.Context(), "u/alice", counterKey)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(string(snap.Rows[0].Value))
	return n
}

// A failover that loses writes is noticed, and told.
func TestAFailoverThatLosesWritesIsNoticed(t *testing.T) {
	master := redistest.Start(t)
	replica := master.Replica()
	proxy := redistest.Between(t, master.Addr)
	at, err := redis.ParseURL("redis://" + proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, redis.Options{Address: at})
	lost := make(chan struct{}, 1)
	s.OnLost(func() {
		select {
		case lost <- struct{}{}:
		default:
		}
	})
	if err := add(t, s); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, "the replica has all", func() bool { return replica.Offset() == master.Offset() })
	replica.Do("replicaof", "no", "one")
	if err := add(t, s); err != nil {
		t.Fatal(err)
	}
	proxy.Point(replica.Addr)
	select {
	case <-lost:
	case <-time.After(30 * time.Second):
		t.Error("nobody is told that a write was lost")
	}
	if n := counter(t, s); n != 1 {
		t.Errorf("the counter is at %d", n)
	}
}
