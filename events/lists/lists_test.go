package lists

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
	"jeton/storage/chosen"
)

// clock is the store's, moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a publisher that looks at its store only when told to.
type world struct {
	*Publisher
	t      testing.TB
	clock  *clock
	store  *storage.Store
	places *status.Allocator
	hooks  *hooked // between store and database
	path   string
	writer *storage.Store // what commits: the publisher's store, or another process's
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w := &world{t: t, clock: c, path: t.TempDir() + "/jeton.db"}
	w.hooks = &hooked{Backend: w.open().Backend, before: make(map[string]func()), after: make(map[string]func())}
	w.store = storage.New(w.hooks)
	w.writer = w.store
	master, err := keys.NewMasterKey(make([]byte, 32))
	must(t, err)
	ring, err := keys.Open(t.Context(), w.store, master, keys.Config{Alg: keys.EdDSA, Now: c.Now})
	must(t, err)
	w.places = status.New(w.store, status.Config{Places: 1 << 16})
	w.Publisher = newPublisher(Config{Store: w.store, Keys: ring, Issuer: "https://auth.example", Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { w.Close(); w.places.Close(); ring.Close(); w.store.Close() })
	return w
}

// open opens the store, as each process does.
func (w *world) open() *storage.Store {
	w.t.Helper()
	b, err := chosen.Open(w.t.Context(), w.path, w.clock.Now)
	must(w.t, err)
	return storage.New(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token takes a place for half an hour.
func (w *world) token() (status.Place, string) {
	w.t.Helper()
	p, err := w.places.Next(w.t.Context(), w.clock.Now(), w.clock.Now().Add(30*time.Minute))
	must(w.t, err)
	return p, status.NewTokenID(p)
}

// revoke writes the row of a token, as if it had been decided ago.
func (w *world) revoke(jti string, ago time.Duration) {
	w.t.Helper()
	put, _ := status.RevokedPut(jti, w.clock.Now().Add(-ago), w.clock.Now().Add(30*time.Minute))
	w.commit("u/x", put)
}

func (w *world) commit(p storage.Partition, puts ...storage.Put) {
	w.t.Helper()
	_, err := w.writer.Commit(w.t.Context(), storage.Change{Partition: p, Puts: puts})
	must(w.t, err)
}

// latest looks at the store at once, and signs.
func (w *world) latest(list uint32) *Edition {
	w.t.Helper()
	w.look(0)
	e, fresh, err := w.Latest(w.t.Context(), list)
	if err != nil || !fresh {
		w.t.Fatalf("fresh %v, %v", fresh, err)
	}
	return e
}

type content struct {
	Issued  int64 `json:"iat"`
	Expires int64 `json:"exp"`
	List    struct {
		List string `json:"lst"`
	} `json:"status_list"`
}

func (e *Edition) content(t testing.TB) content {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(string(e.Body), ".")[1])
	must(t, err)
	var c content
	must(t, json.Unmarshal(raw, &c))
	return c
}

func (e *Edition) has(t testing.TB, index uint32) bool {
	return inflate(t, e.content(t).List.List)[index/8]>>(index%8)&1 == 1
}

func inflate(t testing.TB, lst string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(lst)
	must(t, err)
	r, err := zlib.NewReader(bytes.NewReader(raw))
	must(t, err)
	b, err := io.ReadAll(r)
	must(t, err)
	return b
}

// The vectors of the draft, compared as inflated bytes (L9).
func TestL5_L7_L8_L9_L10_Vectors(t *testing.T) {
	one := make([]byte, 2)
	for i, bit := range "1001110111000101" {
		if bit == '1' {
			set(one, uint32(i))
		}
	}
	big := make([]byte, 1<<20/8)
	for _, i := range []uint32{0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345} {
		if !set(big, i) || set(big, i) {
			t.Errorf("L10: place %d", i)
		}
	}
	if sum := sha256.Sum256(big); hex.EncodeToString(sum[:]) != "f2529d5d7b48665f8be86037b271b92a9cc7690a42688193d3c97baf2a1e4794" {
		t.Errorf("L10: %x", sum)
	}
	var p press
	for name, v := range map[string]struct {
		bits []byte
		hex  string
		lst  string
	}{
		"L7":  {one, "b9a3", "eNrbuRgAAhcBXQ"},
		"L8":  {[]byte{0xc9, 0x44, 0xf9}, "c944f9", "eNo76fITAAPfAgc"},
		"L10": {big, hex.EncodeToString(big), ""},
	} {
		lst, err := p.zlib(v.bits)
		must(t, err)
		if got := hex.EncodeToString(inflate(t, lst)); got != v.hex {
			t.Errorf("%s: %.100s", name, got)
		}
		if v.lst != "" && hex.EncodeToString(inflate(t, v.lst)) != v.hex {
			t.Errorf("%s: the draft's list inflates to something else", name)
		}
	}
	if set(one, 16) || setBlock(one, 1) {
		t.Error("a place beyond the list changed something")
	}
}

// iat and exp count from the read of the store that was confirmed. This fails
// when they are taken from the time of signing.
func TestL3_ListsAreAsOldAsWhatWasRead(t *testing.T) {
	w := newWorld(t)
	p, jti := w.token()
	read := w.clock.Now().Unix()
	first := w.latest(p.List)
	if c := first.content(t); c.Issued != read || c.Expires != read+300 {
		t.Errorf("iat %d, exp %d, read at %d", c.Issued, c.Expires, read)
	}
	// Time passes without a look, and what is in memory has to be signed anew.
	w.clock.pass(2 * time.Minute)
	l := w.lists[p.List]
	l.mu.Lock()
	set(l.bits, p.Index)
	l.version++
	l.mu.Unlock()
	e, _, err := w.sign(t.Context(), l, true)
	must(t, err)
	if c := e.content(t); e == first || c.Issued != read || c.Expires != read+300 {
		t.Errorf("signed later: iat %d, exp %d, read at %d", c.Issued, c.Expires, read)
	}
	w.revoke(jti, 0)
	if c := w.latest(p.List).content(t); c.Issued != read+120 {
		t.Errorf("after a look: iat %d, read at %d", c.Issued, read+120)
	}
	// Nothing is signed on what a failed look leaves behind.
	must(t, w.store.Close())
	w.clock.pass(time.Minute)
	w.look(0)
	e, fresh, err := w.Latest(t.Context(), p.List)
	if fresh || err != nil || e.content(t).Issued != read+120 {
		t.Errorf("the store is away: fresh %v, %v", fresh, err)
	}
	if _, _, err := w.Latest(t.Context(), p.List+1); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a list that is not held: %v", err)
	}
}

// An unchanged list is not signed for each who asks.
func TestListsAreSignedWhenTheyChange(t *testing.T) {
	w := newWorld(t)
	p, jti := w.token()
	first := w.latest(p.List)
	w.clock.pass(step / 2)
	if w.latest(p.List) != first {
		t.Error("signed anew without cause")
	}
	w.revoke(jti, 0)
	second := w.latest(p.List)
	if second == first || second.SameBits(first.ETag) || !second.has(t, p.Index) {
		t.Error("not signed anew")
	}
	w.clock.pass(step)
	if third := w.latest(p.List); third == second || !third.SameBits(second.ETag) || third.ETag == second.ETag {
		t.Error("not signed anew with time")
	}
}

func TestL11_ABitOnceSetStaysSet(t *testing.T) {
	w := newWorld(t)
	p, jti := w.token()
	w.latest(p.List)
	w.revoke(jti, 0)
	if !w.latest(p.List).has(t, p.Index) {
		t.Fatal("not set")
	}
	_, err := w.store.Commit(t.Context(), storage.Change{Partition: "u/x", Deletes: []storage.Key{status.RevokedKey(jti)}})
	must(t, err)
	w.clock.pass(2 * readAgain) // the list is read as a whole
	if !w.latest(p.List).has(t, p.Index) {
		t.Error("a bit was unset")
	}
}

// A row that was committed long after the time it bears is found all the same,
// a little late by what is recent and later by reading the whole list.
func TestL11_LateCommitsAreFound(t *testing.T) {
	w := newWorld(t)
	p, jti := w.token()
	q, other := w.token()
	w.latest(p.List)
	w.clock.pass(time.Minute)
	w.latest(p.List) // a look at all that may be late; the next such look is deepEvery away
	soon, third := w.token()
	w.revoke(third, 2*time.Second)
	w.revoke(jti, status.Overlap-time.Second)
	w.revoke(other, 30*time.Minute)
	if e := w.latest(p.List); !e.has(t, soon.Index) {
		t.Error("a commit that took two seconds is not found at once")
	}
	for range 4 {
		w.clock.pass(deepEvery / 4)
		w.latest(p.List) // as far as to here a list is known, and no further back is looked
	}
	if e := w.latest(p.List); !e.has(t, p.Index) || e.has(t, q.Index) {
		t.Errorf("one is %v, the other %v", e.has(t, p.Index), e.has(t, q.Index))
	}
	w.clock.pass(readAgain)
	if e := w.latest(p.List); !e.has(t, q.Index) {
		t.Error("a late commit is never found")
	}
}

// Blocks of a client count by the client's record, in a list that is held and
// in one that is read.
func TestL11_TheEndOfAClientSetsItsBlocks(t *testing.T) {
	w := newWorld(t)
	client := func(epoch uint64, disabled bool) uint64 {
		c := storage.Client{ID: "app", Epoch: epoch, Disabled: disabled}
		w.commit(storage.ClientPartition("app"), storage.Put{Key: storage.ClientKey("app"), Value: storage.Encode(c), Index: storage.ClientIndex(c)},
			status.ClientPut("app", w.clock.Now()))
		rec, _, err := w.store.Client(t.Context(), "app")
		must(t, err)
		return rec.Version
	}
	version := client(1, false)
	p, err := w.places.NextForClient(t.Context(), w.clock.Now(), "app", version, 1, w.clock.Now().Add(time.Minute))
	must(t, err)
	if w.latest(p.List).has(t, p.Index) {
		t.Fatal("revoked from birth")
	}
	client(2, false)
	for what, e := range map[string]*Edition{"held": w.latest(p.List), "read": w.another().latest(p.List)} {
		set := 0
		for i := range uint32(status.BlockSize) {
			if e.has(t, p.Index/status.BlockSize*status.BlockSize+i) {
				set++
			}
		}
		if set != status.BlockSize {
			t.Errorf("%s: %d bits of the block", what, set)
		}
	}
}

// another is a second publisher on the store.
func (w *world) another() *world {
	o := *w
	o.Publisher = newPublisher(w.cfg)
	w.t.Cleanup(o.Close)
	return &o
}

// One client whose record cannot be read keeps the revocations of nobody else
// from being published, in a list that is held and in one that is read anew. Once
// it is mended its own are found.
func TestL11_ADamagedClientHidesNoOtherRevocation(t *testing.T) {
	w := newWorld(t)
	version := w.client(1)
	of, err := w.places.NextForClient(t.Context(), w.clock.Now(), "app", version, 1, w.clock.Now().Add(time.Minute))
	must(t, err)
	first, jti := w.token()
	second, later := w.token()
	if of.List != first.List || of.List != second.List {
		t.Fatal("not one list")
	}
	w.latest(of.List)
	w.commit(storage.ClientPartition("app"), storage.Put{Key: storage.ClientKey("app"), Value: []byte(`{"id":`)}, status.ClientPut("app", w.clock.Now()))
	w.revoke(jti, 0)
	if e := w.latest(of.List); !e.has(t, first.Index) || e.has(t, of.Index) {
		t.Errorf("held: the bit of a revoked token is %v, that of the client's is %v", e.has(t, first.Index), e.has(t, of.Index))
	}
	w.evict(of.List)
	w.revoke(later, 0)
	if e := w.latest(of.List); !e.has(t, first.Index) || !e.has(t, second.Index) || e.has(t, of.Index) {
		t.Error("read anew: not the bits of what is revoked")
	}
	if w.store.Skipped() == 0 {
		t.Error("it is not counted")
	}
	w.client(2)
	if e := w.latest(of.List); !e.has(t, of.Index) {
		t.Error("mended: the client's own end is not in the list")
	}
}

func TestL16_ListsRetireFromMemory(t *testing.T) {
	w := newWorld(t)
	p, _ := w.token()
	w.latest(p.List)
	w.clock.pass(3 * storage.Day)
	w.look(0)
	if _, _, err := w.Latest(t.Context(), p.List); !errors.Is(err, ErrUnknown) || len(w.lists) != 0 {
		t.Errorf("%v, %d lists are held", err, len(w.lists))
	}
}

func TestListsInMemoryAreBounded(t *testing.T) {
	w := newWorld(t)
	p, _ := w.token()
	w.latest(p.List)
	w.lists[p.List].asked = time.Now().Add(-time.Minute)
	for n := range uint32(mostLists - 1) {
		w.lists[n] = &list{number: n, asked: time.Now(), changed: make(chan struct{})}
	}
	w.makeRoom()
	if w.lists[p.List] != nil || len(w.lists) != mostLists-1 {
		t.Errorf("%d lists are held", len(w.lists))
	}
	clear(w.lists)
	w.latest(p.List)
	w.lists[p.List].asked = time.Now().Add(-2 * keep)
	if w.holding() || len(w.lists) != 0 {
		t.Error("a list that nobody asks for is held")
	}
}

func TestListsAskedForAtOnceAreBounded(t *testing.T) {
	w := newWorld(t)
	p, _ := w.token()
	for n := range uint32(mostQueued) {
		w.loading[n] = &load{done: make(chan struct{})}
	}
	if _, _, err := w.Latest(t.Context(), p.List); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("one too many: %v", err)
	}
	clear(w.loading)
	w.latest(p.List)
	if _, _, err := w.Latest(t.Context(), p.List+1); !errors.Is(err, ErrUnknown) || len(w.loading) != 0 {
		t.Errorf("%v, %d are being read", err, len(w.loading))
	}
}

func TestWaitersAreBounded(t *testing.T) {
	p := newPublisher(Config{MostWaiting: 3})
	for i := range 3 {
		if seat, ok := p.wait.sit(string(rune('a' + i))); !ok || seat != i {
			t.Errorf("seat %d, %v", seat, ok)
		}
	}
	if _, ok := p.wait.sit("d"); ok || p.Waiting() != 3 {
		t.Errorf("%d wait", p.Waiting())
	}
	p.wait.leave("a")
	if _, ok := p.wait.sit("d"); !ok || len(p.wait.sources) != 3 {
		t.Errorf("%d wait, of %d sources", p.Waiting(), len(p.wait.sources))
	}
	p.Release()
	p.Release()
	p.wait.leave("d")
	if _, ok := p.wait.sit("d"); ok {
		t.Error("somebody waits after the end")
	}
}

// A source is an IPv4 address or an IPv6 /64, however many addresses it has; many
// of those may be one site's.
func TestWaitersOfOneNetworkAreBounded(t *testing.T) {
	for what, c := range map[string]struct {
		address func(i int) string
		most    int
		next    string // has room of its own
	}{
		"an IPv4 address":         {func(int) string { return "192.0.2.1" }, mostOfOne, "192.0.2.2"},
		"an IPv4 address in IPv6": {func(int) string { return "::ffff:192.0.2.1" }, mostOfOne, "::ffff:192.0.2.2"},
		"a /64":                   {func(i int) string { return fmt.Sprintf("2001:db8:0:1::%x", i+1) }, mostOfOne, "2001:db8:0:2::1"},
		"a /48":                   {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i+1) }, mostOfSite, "2001:db8:1::1"},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPublisher(Config{})
			for i := range c.most {
				if _, ok := p.wait.sit(c.address(i)); !ok {
					t.Fatalf("only %d may wait", i)
				}
			}
			if _, ok := p.wait.sit(c.address(c.most)); ok {
				t.Errorf("more than %d wait", c.most)
			}
			if _, ok := p.wait.sit(c.next); !ok {
				t.Error("another source may not wait")
			}
			p.wait.leave(c.next)
			for i := range c.most {
				p.wait.leave(c.address(i))
			}
			if len(p.wait.sources) != 0 || p.Waiting() != 0 {
				t.Errorf("%d wait, of %d sources, when all have left", p.Waiting(), len(p.wait.sources))
			}
		})
	}
}

// The publisher follows the store by itself, and wakes those who wait.
func TestL11_PublisherFollowsTheStore(t *testing.T) {
	w := newWorld(t)
	p, jti := w.token()
	live := New(w.cfg)
	defer live.Close()
	e, _, err := live.Latest(t.Context(), p.List)
	must(t, err)
	woken := make(chan bool)
	go func() { woken <- live.Wait(context.Background(), e, "x", time.Hour) }()
	for live.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	w.revoke(jti, 0)
	if !<-woken {
		t.Error("could not wait")
	}
	if e, _, err = live.Latest(t.Context(), p.List); err != nil || !e.has(t, p.Index) {
		t.Errorf("woken without a change: %v", err)
	}
}
