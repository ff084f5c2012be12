package status

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/storage"
	"jeton/storage/chosen"
)

// clock is the store's time in tests.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func open(t testing.TB, dir string) (*storage.Store, *clock) {
	t.Helper()
	c := newClock()
	return openAt(t, dir, c.now), c
}

func openAt(t testing.TB, dir string, now func() time.Time) *storage.Store {
	t.Helper()
	b, err := chosen.Open(context.Background(), filepath.Join(dir, "jeton.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return storage.New(b)
}

func commit(t testing.TB, s *storage.Store, c storage.Change) uint64 {
	t.Helper()
	v, err := s.Commit(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func allocator(t testing.TB, s *storage.Store, cfg Config) *Allocator {
	t.Helper()
	a := New(s, cfg)
	t.Cleanup(func() { a.Close() })
	return a
}

// seen finds places that are handed out twice.
type seen struct {
	mu sync.Mutex
	by map[Place]string
}

func (s *seen) add(t testing.TB, p Place, by string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.by[p]; ok {
		t.Errorf("%v went to %s and to %s", p, other, by)
	}
	if s.by == nil {
		s.by = make(map[Place]string)
	}
	s.by[p] = by
}

func TestL14_NoPlaceTwiceAcrossAllocatorsAndRestarts(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	var all seen
	for restart := range 3 {
		stores := []*storage.Store{openAt(t, dir, c.now), openAt(t, dir, c.now)}
		var wg sync.WaitGroup
		var allocators []*Allocator
		for n := range 4 {
			a := New(stores[n%2], Config{Places: 1 << 14})
			allocators = append(allocators, a)
			for g := range 16 {
				wg.Go(func() {
					by := fmt.Sprintf("run %d allocator %d goroutine %d", restart, n, g)
					for range 150 {
						now := c.now()
						p, err := a.Next(t.Context(), now, now.Add(30*time.Minute))
						if err != nil {
							t.Error(err)
							return
						}
						all.add(t, p, by)
					}
				})
			}
		}
		wg.Wait()
		for _, a := range allocators {
			a.Close()
		}
		for _, s := range stores {
			s.Close()
		}
	}
	if want := 3 * 4 * 16 * 150; len(all.by) != want {
		t.Errorf("%d places, want %d", len(all.by), want)
	}
}

// TestMain lets the test binary be another process of the server: it takes
// places until it has enough or is killed, and writes each down.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STATUS_TEST_DIR"); dir != "" {
		n, _ := strconv.Atoi(os.Getenv("STATUS_TEST_PLACES"))
		if err := takePlaces(dir, n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func takePlaces(dir string, n int) error {
	ctx := context.Background()
	b, err := chosen.Open(ctx, filepath.Join(dir, "jeton.db"), nil)
	if err != nil {
		return err
	}
	defer b.Close()
	a := New(storage.New(b), Config{Places: 1 << 14})
	defer a.Close()
	for range n {
		now := time.Now()
		p, err := a.Next(ctx, now, now.Add(30*time.Minute))
		if err != nil {
			return err
		}
		// One write each: what was printed has arrived, kill or no kill.
		if _, err := fmt.Printf("%d %d\n", p.List, p.Index); err != nil {
			return err
		}
	}
	return nil
}

func TestL14_NoPlaceTwiceAcrossProcessesAndKill(t *testing.T) {
	dir := t.TempDir()
	openAt(t, dir, nil).Close() // so that the children need not race to make it
	var all seen
	var wg sync.WaitGroup
	for n := range 5 {
		killed, places := n < 2, "4000"
		if killed {
			places = "1000000" // so that it does not end before it is killed
		}
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "STATUS_TEST_DIR="+dir, "STATUS_TEST_PLACES="+places)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Error(err)
				return
			}
			got := 0
			for lines := bufio.NewScanner(out); lines.Scan(); got++ {
				var p Place
				if _, err := fmt.Sscanf(lines.Text(), "%d %d", &p.List, &p.Index); err != nil {
					t.Errorf("%q: %v", lines.Text(), err)
				}
				all.add(t, p, fmt.Sprintf("process %d", n))
				if killed && got == 1500 {
					cmd.Process.Kill()
				}
			}
			if err := cmd.Wait(); err != nil != killed {
				t.Errorf("process %d: %v", n, err)
			}
			if !killed && got != 4000 {
				t.Errorf("process %d took %d places", n, got)
			}
		})
	}
	wg.Wait()
}

func TestL14_PlacesComeInRandomOrder(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	now := c.now()
	var order []uint32
	for range 200 {
		p, err := a.Next(t.Context(), now, now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, p.Index)
	}
	neighbours, blocks := 0, make(map[uint32]bool)
	for i, index := range order[1:] {
		if index == order[i]+1 {
			neighbours++
		}
		blocks[index/BlockSize] = true
	}
	// Of 1024 shuffled places a successor follows once in a thousand.
	if neighbours > 20 || len(blocks) < 2 || slices.IsSorted(order) {
		t.Errorf("%d of 200 places follow their neighbour, %d blocks: %v", neighbours, len(blocks), order[:20])
	}
}

func TestL15_AListHidesTokensAmongManyOthers(t *testing.T) {
	s, c := open(t, t.TempDir())
	a := allocator(t, s, Config{})
	p, err := a.Next(t.Context(), c.now(), c.now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got := Size(readList(t, s, p.List)); got < 100_000 || got != 1<<20 {
		t.Errorf("a list has %d places, want 2^20", got)
	}
}

// away is a store that does not answer while it is told not to.
type away struct {
	storage.Backend
	is, hangs atomic.Bool
	inside    atomic.Int32
}

func (a *away) List(ctx context.Context, q storage.Query) (storage.Page, error) {
	a.inside.Add(1)
	defer a.inside.Add(-1)
	if a.hangs.Load() {
		<-ctx.Done()
		a.Backend.List(context.Background(), q) // which takes a moment
		return storage.Page{}, fmt.Errorf("test: %w", storage.ErrUnavailable)
	}
	if a.is.Load() {
		return storage.Page{}, fmt.Errorf("test: %w", storage.ErrUnavailable)
	}
	return a.Backend.List(ctx, q)
}

func TestNextWithoutStore(t *testing.T) {
	s, c := open(t, t.TempDir())
	backend := &away{Backend: s.Backend}
	a := allocator(t, storage.New(backend), Config{})
	now := c.now()
	take := func() error {
		_, err := a.Next(t.Context(), now, now.Add(time.Minute))
		return err
	}
	backend.is.Store(true)
	if err := take(); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("Next with nothing in stock: %v", err)
	}
	backend.is.Store(false)
	if err := take(); err != nil {
		t.Fatalf("Next with the store back: %v", err)
	}
	backend.is.Store(true)
	served := 1
	for take() == nil {
		served++
	}
	if served != sharedBlocks*BlockSize {
		t.Errorf("%d tokens were served from stock, want all %d", served, sharedBlocks*BlockSize)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.NextForClient(ctx, now, "c", 1, 0, now.Add(time.Minute)); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("NextForClient of a caller who has left: %v", err)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	s, c := open(t, t.TempDir())
	backend := &away{Backend: s.Backend}
	backend.hangs.Store(true)
	a := New(storage.New(backend), Config{})
	take := func() error {
		_, err := a.Next(t.Context(), c.now(), c.now().Add(time.Minute))
		return err
	}
	waiting := make(chan error)
	for range 16 {
		go func() { waiting <- take() }()
	}
	for backend.inside.Load() == 0 {
		runtime.Gosched()
	}
	a.Close()
	if n := backend.inside.Load(); n != 0 {
		t.Errorf("%d leases are under way after Close", n)
	}
	for range 16 {
		if err := <-waiting; !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a caller who waited for a lease: %v", err)
		}
	}
	if err := take(); !errors.Is(err, storage.ErrUnavailable) || backend.inside.Load() != 0 {
		t.Errorf("after Close: %v", err)
	}
}

// After the store has lost writes no place is given that was leased before.
func TestForgottenPlacesAreNotGiven(t *testing.T) {
	store, _ := open(t, t.TempDir())
	a := New(store, Config{})
	defer a.Close()
	now, err := store.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exp := now.Add(time.Hour)
	before, err := a.Next(t.Context(), now, exp)
	if err != nil {
		t.Fatal(err)
	}
	a.Forget()
	for range 20 {
		after, err := a.Next(t.Context(), now, exp)
		if err != nil {
			t.Fatal(err)
		}
		if after.List == before.List && after.Index/BlockSize == before.Index/BlockSize {
			t.Fatalf("%v is of the block of %v", after, before)
		}
	}
}
