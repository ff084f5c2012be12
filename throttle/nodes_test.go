package throttle

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	gosync "sync"
	"testing"
	"time"

	"jeton/storage"
)

func TestNodesAddUp(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	one := open(t, path, c)
	c.advance(3 * time.Second) // their ticks differ
	two := open(t, path, c)
	for i := range 7 {
		fail(t, one, by("alice", v4(i)))
		fail(t, two, by("alice", v4(100+i)))
	}
	failures(t, one, by("bob", v4(1)), 3)
	failures(t, two, by("bob", v4(1)), 4)
	signIn(t, two, by("carol", v4(7)))
	flush(t, one, two, one)
	for _, th := range []*Throttle{one, two} {
		if got := th.accountOf("alice"); got != 14 {
			t.Errorf("%d failures are on the account", got)
		}
		if got := th.pairOf("bob", v4(1)); got != 7 {
			t.Errorf("%d failures are on the pair", got)
		}
		for i := range 100 {
			fail(t, th, by(fmt.Sprint("user", i), v4(7)))
		}
	}
	signIn(t, two, by("carol", v4(7)))
	// The other has never seen her password, and tells her from nobody there.
	refused(t, one, by("carol", v4(7)), "source")
	c.advance(2 * time.Second)
	signIn(t, one, by("carol", v4(7)))
	signIn(t, one, by("carol", v4(7)))
	// A success on one is a success on all, and what the other counted
	// meanwhile stays.
	c.advance(time.Minute)
	signIn(t, one, by("bob", v4(1)))
	fail(t, two, by("bob", v4(1)))
	c.advance(time.Second)
	flush(t, one, two, one)
	for _, th := range []*Throttle{one, two} {
		if got := th.pairOf("bob", v4(1)); got != 1 {
			t.Errorf("%d failures are on the pair after a success and a failure", got)
		}
		if got := th.accountOf("alice"); got != 14 {
			t.Errorf("%d failures are on the account", got)
		}
	}
	// Attempts taken back are taken back everywhere.
	k, err := one.Try(by("dave", v4(9)))
	if err != nil {
		t.Fatal(err)
	}
	failures(t, one, by("dave", v4(9)), 3)
	flush(t, one, two)
	k.Cancel()
	flush(t, one, two)
	if got := two.pairOf("dave", v4(9)); got != 3 {
		t.Errorf("%d failures are on the pair after one of 4 was taken back", got)
	}
}

// Whatever the order of failures, syncs and lost races, the sum is right.
func TestNodesAddUpUnderLoad(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	loose := func(cfg *Config) {
		cfg.Limits.Network = Limit{Most: 10_000, Leak: 30 * time.Minute, Parallel: 5_000}
		cfg.Limits.Source = cfg.Limits.Network
	}
	nodes := []*Throttle{open(t, path, c, loose), open(t, path, c, loose)}
	const each = 2000
	var all gosync.WaitGroup
	for n, th := range nodes {
		for worker := range 2 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), uint64(worker)))
				for i := range each {
					k, err := th.Try(Attempt{Source: v6(1, 1, i)})
					if err != nil {
						t.Error(err)
						return
					}
					if random.IntN(2) == 0 {
						again, err := th.Try(Attempt{Source: v6(1, 1, i)})
						if err != nil {
							t.Error(err)
							return
						}
						again.Cancel()
					}
					k.Failure()
				}
			})
		}
		all.Go(func() {
			for range 30 {
				th.step(t.Context())
				if err := th.flusher.last; err != nil && !errors.Is(err, storage.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	flush(t, nodes...)
	flush(t, nodes...)
	for _, th := range nodes {
		cell := th.counts.find(th.hashes.addr(aSource, v6(1, 1, 1), 64).self())
		if got := th.rules[ofSource].count(cell, th.now()); got != each*4 {
			t.Errorf("%d failures of %d are on the source", got, each*4)
		}
		if cell.open != 0 || cell.delta != 0 {
			t.Errorf("%+v is not settled", cell)
		}
	}
}

// raced is a store on which another is always faster, once.
type raced struct {
	storage.Backend
	first func()
}

func (r *raced) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if f := r.first; f != nil {
		r.first = nil
		f()
	}
	return r.Backend.Commit(ctx, c)
}

func TestALostRaceLosesNothing(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	one, two := open(t, path, c), open(t, path, c)
	one.cfg.Store = storage.New(&raced{Backend: one.cfg.Store.Backend, first: func() { flush(t, two) }})
	failures(t, one, by("alice", v4(1)), 2)
	failures(t, two, by("alice", v4(1)), 3)
	signIn(t, one, by("bob", v4(1)))
	one.step(t.Context())
	if !errors.Is(one.flusher.last, storage.ErrConflict) {
		t.Fatalf("no conflict: %v", one.flusher.last)
	}
	flush(t, one, two)
	for _, th := range []*Throttle{one, two} {
		if got := th.pairOf("alice", v4(1)); got != 5 {
			t.Errorf("%d of 5 failures", got)
		}
		if !th.known.has(th.hashes.name(aUser, "bob").owner(), th.hashes.addr(aSource, v4(1), 32).place(), th.today()) {
			t.Error("a known pair was lost")
		}
	}
}

// What a node kept to itself is added when others have something too, but not
// what has leaked since, nor without end.
func TestWhatANodeKeptToItself(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	one, two := open(t, path, c), open(t, path, c)
	for range 5 {
		failures(t, one, by("alice", v4(1)), 1)
		c.advance(55 * time.Minute)
	}
	if got := one.pairOf("alice", v4(1)); got != 1 {
		t.Fatalf("%d failures", got)
	}
	flush(t, one)
	failures(t, two, by("alice", v4(1)), 3)
	flush(t, two, one, one, two)
	for _, th := range []*Throttle{one, two} {
		if got := th.pairOf("alice", v4(1)); got != 4 {
			t.Errorf("%d of 4 failures", got)
		}
	}
	for i := range 50_000 {
		fail(t, one, Attempt{Source: v6(1, i%60_000, 1)})
		c.advance(199 * time.Millisecond)
	}
	for _, cell := range one.counts.cells {
		if cell.delta < 0 || int64(cell.delta) > one.rules[cell.kind].most {
			t.Fatalf("%+v", cell)
		}
	}
}

// A store that forgot to say that it has changed is read nevertheless.
func TestAMissedSign(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
	one, two := open(t, path, c), open(t, path, c)
	failures(t, one, by("alice", v4(1)), 5)
	flush(t, one)
	two.flusher.changed = make(chan struct{})
	for range lookAnyway + 1 {
		two.step(t.Context())
	}
	refused(t, two, by("alice", v4(1)), "pair")
}

// Nodes agree by the time of the store, whatever their own.
func TestNodesWithOtherClocks(t *testing.T) {
	path, c, wrong := filepath.Join(t.TempDir(), "jeton.db"), newClock(), newClock()
	wrong.advance(-100 * 24 * time.Hour)
	one := open(t, path, c)
	two := open(t, path, c, func(cfg *Config) { cfg.Now = wrong.Now })
	failures(t, one, by("alice", v4(1)), 5)
	signIn(t, two, by("bob", v4(1)))
	flush(t, one, two, one)
	if got := two.pairOf("alice", v4(1)); got != 5 {
		t.Errorf("%d of 5 failures", got)
	}
	if !one.known.has(one.hashes.name(aUser, "bob").owner(), one.hashes.addr(aSource, v4(1), 32).place(), one.today()) {
		t.Error("a known pair is too old elsewhere")
	}
}

// A write whose outcome is unknown is not counted twice when it arrived, nor
// lost when it did not.
func TestAnUnknownOutcome(t *testing.T) {
	for name, arrived := range map[string]bool{"arrived": true, "lost": false} {
		t.Run(name, func(t *testing.T) {
			path, c := filepath.Join(t.TempDir(), "jeton.db"), newClock()
			th, other := open(t, path, c), open(t, path, c)
			failures(t, th, by("alice", v4(1)), 4)
			signIn(t, th, by("bob", v4(2)))
			b := th.take(c.Now())
			snap, err := th.cfg.Store.Read(t.Context(), partition, headKey)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			h := head{}
			if !arrived {
				snap.Rows[0].Version = 12345
			}
			if err := th.exchange(ctx, &h, snap.Rows[0], b); (err == nil) != arrived {
				t.Fatal(err)
			}
			cancel()
			th.flusher.pending, th.flusher.changed = b, nil // as after ErrUnknown
			flush(t, th, other)
			if th.flusher.pending != nil {
				t.Error("it is not settled")
			}
			for _, node := range []*Throttle{th, other} {
				if got := node.pairOf("alice", v4(1)); got != 4 {
					t.Errorf("%d of 4 failures", got)
				}
			}
			if !other.known.has(other.hashes.name(aUser, "bob").owner(), other.hashes.addr(aSource, v4(2), 32).place(), other.today()) {
				t.Error("a known pair did not arrive")
			}
		})
	}
}
