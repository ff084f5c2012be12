package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/redis"
	"jeton/storage/redis/redistest"
	"jeton/storage/storagetest"
)

func TestContractOnACluster(t *testing.T) {
	storagetest.Run(t, on(redistest.StartCluster(t, 3).URL()))
}

// writer counts in a row of its own.
type writer struct {
	partition     storage.Partition
	done, perhaps int
}

// count writes until stop says so, and keeps account of what it was told.
func (w *writer) count(t *testing.T, b storage.Backend, stop *atomic.Bool) {
	for n := 1; !stop.Load(); n++ {
		put := storage.Put{Key: counterKey, Value: []byte(strconv.Itoa(n)), Index: []storage.Entry{{Name: "i", Sort: fmt.Sprint(n)}}}
		_, err := b.Commit(t.Context(), storage.Change{Partition: w.partition, Puts: []storage.Put{put}})
		switch {
		case err == nil:
			w.done, w.perhaps = n, n
		case errors.Is(err, storage.ErrUnknown), errors.Is(err, storage.ErrUnconfirmed):
			w.perhaps = n
		case !errors.Is(err, storage.ErrUnavailable):
			t.Errorf("Commit: %v", err)
		}
	}
}

// through writes while something happens, and holds what is there against what
// was acknowledged.
func through(t *testing.T, b storage.Backend, happens func()) {
	t.Helper()
	var stop atomic.Bool
	var all sync.WaitGroup
	writers := make([]*writer, 8)
	for i := range writers {
		writers[i] = &writer{partition: storage.Partition(fmt.Sprint("u/", i))}
		all.Go(func() { writers[i].count(t, b, &stop) })
	}
	time.Sleep(200 * time.Millisecond) // writes are under way
	happens()
	at := make([]int, len(writers))
	redistest.Until(t, "everyone writes again", func() bool {
		for i, w := range writers {
			snap, err := b.Read(t.Context(), w.partition, counterKey)
			if err != nil {
				return false
			}
			n, _ := strconv.Atoi(string(snap.Rows[0].Value))
			if at[i] == 0 {
				at[i] = n
			}
			if n < at[i]+5 {
				return false
			}
		}
		return true
	})
	stop.Store(true)
	all.Wait()
	for _, w := range writers {
		page, err := b.List(t.Context(), storage.Query{Index: "i", Partition: w.partition, Limit: 10})
		if err != nil || len(page.Rows) != 1 {
			t.Fatalf("%s: %d rows, %v", w.partition, len(page.Rows), err)
		}
		n, _ := strconv.Atoi(string(page.Rows[0].Value))
		if n < w.done || n > w.perhaps {
			t.Errorf("%s is at %d, %d was acknowledged and %d perhaps written", w.partition, n, w.done, w.perhaps)
		}
	}
}

// Through a failover that Sentinels make nothing acknowledged is lost, where all
// replicas have to confirm; and the store is whole on the new master.
func TestSentinelFailover(t *testing.T) {
	s := redistest.StartSentinels(t, 2)
	at, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, redis.Options{Address: at, WaitReplicas: 2})
	through(t, b, func() {
		s.Fail(t)
		s.Rejoin()
	})
	s.Calm()
	storagetest.Run(t, on(s.URL()))
}

// Slots move from one master to another while they are written to: a change is
// made whole or not at all, and goes on.
func TestSlotsMove(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	at, err := redis.ParseURL(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, redis.Options{Address: at, Prefix: "j"})
	through(t, b, func() {
		for group := range 64 {
			c.Move(t, c.Slot(fmt.Sprintf("j:{p%03d}:", group)), func() {})
		}
	})
}
