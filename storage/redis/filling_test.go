package redis_test

import (
	"errors"
	"fmt"
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

// TestAnOpeningThatWasKilledGoesOn: some markers have their plain names and the
// store is not open yet. So it is with one whose filling was killed as it was made.
func TestAnOpeningThatWasKilledGoesOn(t *testing.T) {
	server := redistest.Start(t)
	o := options(t, server)
	o.Prefix, o.Filling = "jeton", "source"
	s := mustOpen(t, o)
	if err := fillRows(t, s, "1"); err != nil {
		t.Fatal(err)
	}
	before, err := s.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		marker := fmt.Sprintf("%s:{p%03d}:m:%s", o.Prefix, i, s.ID())
		server.Do("rename", marker+":filling:1", marker)
	}
	if err := fillRows(t, s, "late"); !errors.Is(err, redis.ErrTakenOver) {
		t.Error(err)
	}
	server.Do("hdel", o.Prefix+":store", "ready")
	again := mustOpen(t, o)
	after, err := again.Counters(t.Context())
	if err != nil || len(after) != len(before) {
		t.Fatalf("%v %v", after, err)
	}
	for i := range after {
		if after[i] < before[i] {
			t.Errorf("group %d: %d and then %d", i, before[i], after[i])
		}
	}
	if err := again.Filled(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Filling = ""
	if err := fillRows(t, mustOpen(t, o), "served"); err != nil {
		t.Error(err)
	}
}
