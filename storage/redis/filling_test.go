package redis_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
)

// fillRows writes one row into each of some partitions, and returns the first error.
func fillRows(t *testing.T, s *redis.Store, value string) error {
	t.Helper()
	for i := range 80 { // over nearly all groups
		_, err := s.Commit(t.Context(), storage.Change{Partition: storage.Partition(fmt.Sprint(i)), Puts: []storage.Put{
			{Key: storage.Key{Kind: "k", ID: "a"}, Value: []byte(value), Index: []storage.Entry{{Name: "i", Sort: "1"}}}}})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestOneFillsAStoreAtATime: a copier that stood still while another one took over,
// finished and opened the store must not write into it.
func TestOneFillsAStoreAtATime(t *testing.T) {
	server := redistest.Start(t)
	o := options(t, server)
	filling := o
	filling.Filling = "source"
	first := mustOpen(t, filling)
	if err := fillRows(t, first, "first"); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, filling)
	if err := fillRows(t, first, "late"); !errors.Is(err, redis.ErrTakenOver) {
		t.Errorf("the first writes beside the second: %v", err)
	}
	if _, err := first.Counters(t.Context()); !errors.Is(err, redis.ErrTakenOver) {
		t.Errorf("the first asks how far it came: %v", err)
	}
	if err := fillRows(t, second, "second"); err != nil {
		t.Fatal(err)
	}
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a store that is being filled was opened: %v", err)
	}
	if err := first.Filled(t.Context()); err == nil {
		t.Error("the first opened what the second fills")
	}
	if err := second.Filled(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*redis.Store{first, second} {
		if err := fillRows(t, s, "late"); !errors.Is(err, redis.ErrTakenOver) {
			t.Errorf("a copier writes into the open store: %v", err)
		}
	}
	if _, err := redis.Open(t.Context(), filling); !errors.Is(err, redis.ErrFilled) {
		t.Errorf("an open store is filled: %v", err)
	}
	s := mustOpen(t, o)
	snap, err := s.Read(t.Context(), "7", storage.Key{Kind: "k", ID: "a"})
	if err != nil || string(snap.Rows[0].Value) != "second" {
		t.Errorf("%v %v", snap, err)
	}
	if err := fillRows(t, s, "served"); err != nil {
		t.Error(err)
	}
}

// TestAnOpeningThatWasKilledGoesOn: some markers have their plain names, and the
// store is not open yet.
func TestAnOpeningThatWasKilledGoesOn(t *testing.T) {
	server := redistest.Start(t)
	o := options(t, server)
	o.Prefix, o.Filling = "jeton", "source"
	s := mustOpen(t, o)
	if err := fillRows(t, s, "1"); err != nil {
		t.Fatal(err)
	}
	server.Do("hset", o.Prefix+":store", "opening", 1)
	for i := range 30 {
		marker := fmt.Sprintf("%s:{p%03d}:m:%s", o.Prefix, i, s.ID())
		server.Do("rename", marker+":filling:1", marker)
	}
	if err := fillRows(t, s, "late"); !errors.Is(err, redis.ErrTakenOver) {
		t.Error(err)
	}
	// Whoever would fill it opens it instead, and fills nothing.
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, redis.ErrFilled) {
		t.Errorf("a store that is whole is filled: %v", err)
	}
	o.Filling = ""
	if err := fillRows(t, mustOpen(t, o), "served"); err != nil {
		t.Error(err)
	}
}

// TestATakeoverThatComesTooLate: it was given its number before the store was
// opened, and takes no marker of it after.
func TestATakeoverThatComesTooLate(t *testing.T) {
	server := redistest.Start(t)
	o := options(t, server)
	o.Prefix, o.Filling = "jeton", "source"
	s := mustOpen(t, o)
	if err := s.Filled(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Filling = ""
	serving := mustOpen(t, o)
	late, err := os.ReadFile("take.lua")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		marker := fmt.Sprintf("%s:{p%03d}:m:%s", o.Prefix, i, s.ID())
		server.Do("eval", string(late), 2, marker+":filling:2", marker+":filling:1", 0)
	}
	if err := fillRows(t, serving, "served"); err != nil {
		t.Error(err)
	}
}

// TestWhoHoldsAStoreReleasesIt, and nobody else: one that stood still while another
// one took the store over, and left it for good, must not put it back into use.
func TestWhoHoldsAStoreReleasesIt(t *testing.T) {
	server := redistest.Start(t)
	o := options(t, server)
	serving := mustOpen(t, o)
	o.Existing, o.Source = true, true
	first, second, third := mustOpen(t, o), mustOpen(t, o), mustOpen(t, o)
	ctx := t.Context()
	closed := func(when string) {
		t.Helper()
		if err := fillRows(t, serving, when); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s, the store is in use: %v", when, err)
		}
		if _, err := redis.Open(ctx, options(t, server)); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s, the store is opened: %v", when, err)
		}
	}
	for _, step := range []struct {
		when   string
		do     func() error
		closed bool
	}{
		{"held", func() error { return first.Hold(ctx, "elsewhere") }, true},
		{"released", func() error { return first.Release(ctx) }, false},
		{"held again", func() error { return first.Hold(ctx, "elsewhere") }, true},
		{"taken over", func() error { return second.Hold(ctx, "elsewhere") }, true},
		{"released by the first", func() error { return first.Release(ctx) }, true},
		{"left for good", func() error { return second.Leave(ctx) }, true},
		{"released by the first, later", func() error { return first.Release(ctx) }, true},
		{"released by the second", func() error { return second.Release(ctx) }, true},
		{"held once more", func() error { return third.Hold(ctx, "elsewhere") }, true},
		{"and released", func() error { return third.Release(ctx) }, true},
		{"returned", func() error { return third.Return(ctx) }, false},
		{"released by all", func() error { return errors.Join(first.Release(ctx), second.Release(ctx)) }, false},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.when, err)
		}
		if step.closed {
			closed(step.when)
		} else if err := fillRows(t, serving, step.when); err != nil {
			t.Errorf("%s: %v", step.when, err)
		}
	}
	if err := first.Hold(ctx, "elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := second.Return(ctx); err != nil {
		t.Fatal(err)
	}
	if err := first.Leave(ctx); err == nil {
		t.Error("what was put back into use was left for good")
	}
}
