package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"jeton/storage"
)

// writeClient registers or changes a client, and returns its version.
func writeClient(t testing.TB, s *storage.Store, id string, epoch uint64) uint64 {
	t.Helper()
	return commit(t, s, storage.Change{Partition: storage.ClientPartition(id), Puts: []storage.Put{{
		Key: storage.ClientKey(id), Value: storage.Encode(storage.Client{ID: id, Epoch: epoch}),
	}}})
}

// clientBlocks are the blocks leased to a client.
func blocksOf(t testing.TB, s *storage.Store, id string) (all []storage.StatusBlock) {
	t.Helper()
	err := s.AllByIndex(t.Context(), storage.Query{Index: IndexBlocks, Partition: storage.ClientPartition(id)}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.StatusBlock](row)
		all = append(all, rec.Value)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// blockOf is the block of a place in the client's partition, as introspection
// reads it.
func blockOf(t testing.TB, s *storage.Store, id string, p Place) storage.Record[storage.StatusBlock] {
	t.Helper()
	snap, err := s.Read(t.Context(), storage.ClientPartition(id), BlockKey(p))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := storage.Decode[storage.StatusBlock](snap.Rows[0])
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestClientPlacesComeFromItsBlocks(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{Places: 1 << 14})
	var all seen
	for n := range 3 {
		id := fmt.Sprint("client", n)
		version := writeClient(t, s, id, 4)
		for range 2*BlockSize + 1 {
			p, err := a.NextForClient(t.Context(), c.now(), id, version, 4, c.now().Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			all.add(t, p, id)
			want := storage.StatusBlock{List: p.List, Block: p.Index / BlockSize, Epoch: 4}
			if got := blockOf(t, s, id, p); !got.Exists() || got.Value != want {
				t.Fatalf("the block of %v is %+v, want %+v", p, got, want)
			}
		}
		if n := len(blocksOf(t, s, id)); n < 3 || n > 4 {
			t.Errorf("%s has %d blocks for %d tokens", id, n, 2*BlockSize+1)
		}
	}
	for range 3 * BlockSize {
		all.add(t, next(t, a, c.now(), time.Hour), "a user's session")
	}
}

func TestClientBlockLivesAsLongAsItsTokens(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	version := writeClient(t, s, "c", 0)
	// The block is kept in memory; its tokens may expire ever later.
	for range 60 {
		exp := c.now().Add(time.Hour)
		p, err := a.NextForClient(t.Context(), c.now(), "c", version, 0, exp)
		if err != nil {
			t.Fatal(err)
		}
		snap, err := s.Read(t.Context(), storage.ClientPartition("c"), BlockKey(p))
		if err != nil {
			t.Fatal(err)
		}
		if row := snap.Rows[0]; row.Version == 0 || row.Expires.Before(exp.Add(Grace)) {
			t.Fatalf("a token expires at %v, its block at %v", exp, row.Expires)
		}
		c.advance(47 * time.Minute)
	}
}

func TestClientEpochChangeDropsBlocks(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	take := func(version, epoch uint64) Place {
		t.Helper()
		p, err := a.NextForClient(t.Context(), c.now(), "c", version, epoch, c.now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := writeClient(t, s, "c", 0)
	old := take(first, 0)
	// A change that ends nothing leaves the block alone.
	second := writeClient(t, s, "c", 0)
	if p := take(second, 0); BlockKey(p) != BlockKey(old) {
		t.Errorf("an ordinary change cost the block %v", BlockKey(old))
	}
	third := writeClient(t, s, "c", 1)
	p := take(third, 1)
	if got := blockOf(t, s, "c", p); got.Value.Epoch != 1 || BlockKey(p) == BlockKey(old) {
		t.Errorf("after the epoch changed: a place in block %v of epoch %d", BlockKey(p), got.Value.Epoch)
	}
	if got := blockOf(t, s, "c", old); !got.Exists() || got.Value.Epoch != 0 {
		t.Errorf("the old block is %+v, want it as it was", got)
	}
	// Who has not heard of the new epoch gets nothing that is alive.
	if q, err := a.NextForClient(t.Context(), c.now(), "c", second, 0, c.now().Add(time.Hour)); err == nil {
		if got := blockOf(t, s, "c", q); got.Value.Epoch != 0 {
			t.Errorf("a caller of the old epoch got a place of epoch %d", got.Value.Epoch)
		}
	} else if !errors.Is(err, storage.ErrConflict) {
		t.Error(err)
	}
	if q := take(third, 1); blockOf(t, s, "c", q).Value.Epoch != 1 {
		t.Error("a place of an old epoch")
	}
}

func TestLeasingToAnEndedClientConflicts(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	version := writeClient(t, s, "c", 0)
	writeClient(t, s, "c", 1)
	for id, version := range map[string]uint64{"c": version, "removed": 17} {
		_, err := a.NextForClient(t.Context(), c.now(), id, version, 0, c.now().Add(time.Hour))
		if !errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v, want a conflict", id, err)
		}
		if n := len(blocksOf(t, s, id)); n != 0 {
			t.Errorf("%s has %d blocks", id, n)
		}
	}
	for range 3 * clientBlocks { // a conflict wastes nothing
		a.NextForClient(t.Context(), c.now(), "c", version, 0, c.now().Add(time.Hour))
	}
	if n := leased(t, s); n > 2*clientBlocks {
		t.Errorf("%d blocks are leased for a client that got none", n)
	}
}

// leased counts the leased blocks of all open lists.
func leased(t testing.TB, s *storage.Store) (n int) {
	t.Helper()
	err := s.AllByIndex(t.Context(), storage.Query{Index: IndexOpenLists}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.StatusList](row)
		n += len(rec.Value.Leased)*8 - free(rec.Value.Leased)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// One caller's old knowledge of the client is no reason to refuse another.
func TestConflictIsTheCallersOwn(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	old := writeClient(t, s, "c", 0)
	version := writeClient(t, s, "c", 0)
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() { // two blocks for those who know the client
			for range BlockSize / 4 {
				v := version
				if n%2 == 0 {
					v = old
				}
				_, err := a.NextForClient(t.Context(), c.now(), "c", v, 0, c.now().Add(time.Hour))
				if err != nil && (v == version || !errors.Is(err, storage.ErrConflict)) {
					t.Errorf("version %d of %d: %v", v, version, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Whoever has ended a client knows all blocks of the epoch that ended: none is
// added afterwards, whatever was under way.
func TestEndingAndLeasingExcludeEachOther(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openAt(t, dir, c.now)
	nodes := []*Allocator{allocator(t, s, Config{}), allocator(t, openAt(t, dir, c.now), Config{})}
	version := writeClient(t, s, "c", 0)
	for epoch := range uint64(20) {
		var wg sync.WaitGroup
		var got seen
		for n, a := range nodes {
			for range 4 {
				wg.Go(func() {
					for range 20 * BlockSize { // far more than is left in memory when the client ends
						p, err := a.NextForClient(context.Background(), c.now(), "c", version, epoch, c.now().Add(time.Hour))
						if err != nil {
							if !errors.Is(err, storage.ErrConflict) {
								t.Error(err)
							}
							return
						}
						got.add(t, p, fmt.Sprint("node ", n))
					}
				})
			}
		}
		ended := writeClient(t, s, "c", epoch+1)
		atEnd := blocksOf(t, s, "c")
		wg.Wait()
		if after := blocksOf(t, s, "c"); len(after) != len(atEnd) {
			t.Fatalf("epoch %d: %d blocks when it ended, %d later", epoch, len(atEnd), len(after))
		}
		for p := range got.by {
			if b := blockOf(t, s, "c", p); b.Value.Epoch != epoch {
				t.Fatalf("epoch %d: %v is in a block of epoch %d", epoch, p, b.Value.Epoch)
			}
		}
		version = ended
	}
}

func TestManyClientsShareAList(t *testing.T) {
	s, c := open(t, t.TempDir())
	const clients, most = 400, 50
	a := allocator(t, s, Config{Clients: most})
	var all seen
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for n := g; n < clients; n += 16 {
				id := fmt.Sprint("client", n)
				version := writeClient(t, s, id, 0)
				p, err := a.NextForClient(t.Context(), c.now(), id, version, 0, c.now().Add(time.Hour))
				if err != nil {
					t.Error(err)
					return
				}
				all.add(t, p, id)
			}
		})
	}
	wg.Wait()
	if n := len(a.clients); n > most {
		t.Errorf("%d clients are kept in memory, want %d", n, most)
	}
	if n := count(t, s, IndexLists); n != 1 {
		t.Errorf("%d clients cost %d lists", clients, n)
	}
	if n := leased(t, s); n < clients || n > clients+2*clientBlocks {
		t.Errorf("%d blocks are leased for %d clients", n, clients)
	}
}
