package throttle

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// A thousand wrong guesses a second from 50 sources at one user.
func TestT24_Siege(t *testing.T) {
	th, c := alone(t)
	home, away := v4(9000), v4(9001)
	signIn(t, th, by("alice", home))
	hashed, turn := 0, time.Duration(-1)
	wait, begin := time.Duration(0), c.Now()
	const length = 90 * time.Second
	for ms := range int(length / time.Millisecond) {
		if fail(t, th, by("alice", v4(ms%50))) {
			hashed++
		}
		if ms%5000 == 0 {
			signIn(t, th, by("alice", home)) // at once, each time
		}
		if ms >= 30_000 && turn < 0 && c.Now().Sub(begin) >= wait {
			// She is somewhere new, and comes back when she was told to.
			k, err := th.Try(by("alice", away))
			var e *Throttled
			switch {
			case err == nil:
				k.Success()
				turn = c.Now().Sub(begin) - 30*time.Second
			case errors.As(err, &e):
				wait = c.Now().Sub(begin) + e.RetryAfter
			}
		}
		c.advance(time.Millisecond)
	}
	t.Logf("%d guesses were hashed of %d; a new place had its turn after %s", hashed, length/time.Millisecond, turn)
	if hashed < 10 || hashed > 20 {
		t.Errorf("%d guesses were hashed", hashed)
	}
	if turn < 0 || turn > time.Minute {
		t.Errorf("the owner in a new place waited %s", turn)
	}
	signIn(t, th, by("alice", away)) // it is known now
	signIn(t, th, by("bob", home))
}

// Who hammers stands back, until he has stayed away for a while; an attempt that
// was taken back costs nobody a turn.
func TestImpatience(t *testing.T) {
	th, c := alone(t)
	for i := range 20 {
		for !fail(t, th, by("alice", v4(i))) {
			c.advance(time.Second)
		}
	}
	for range 1000 {
		refused(t, th, by("alice", v4(100)), "account")
	}
	if wait := refused(t, th, by("alice", v4(101)), "account").RetryAfter; wait > 5*time.Minute {
		t.Errorf("a new source waits %s", wait)
	}
	if wait := refused(t, th, by("alice", v4(100)), "account").RetryAfter; wait < time.Hour {
		t.Errorf("who hammers waits %s", wait)
	}
	c.advance(5 * time.Minute)
	refused(t, th, by("alice", v4(100)), "account")
	k, err := th.Try(by("alice", v4(101)))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, th, by("alice", v4(102)), "account")
	k.Cancel()
	if !fail(t, th, by("alice", v4(102))) {
		t.Error("an attempt that was taken back took the turn")
	}
	c.advance(16 * time.Minute)
	if !fail(t, th, by("alice", v4(100))) {
		t.Error("has to wait for ever")
	}
}

// Asking costs no hash, so it may not push out what did.
func TestAskingTakesNoCount(t *testing.T) {
	r := defaults.rules()
	table := newCounters(minSize, &r)
	for i := range uint64(ways) {
		table.charge(table.claim(1+i*minSize, ofPair, 0), 0)
	}
	table.ask(1+ways*minSize, 0)
	if table.find(1+ways*minSize) != nil {
		t.Error("a count made place for one who asked")
	}
	table.charge(table.claim(1+ways*minSize, ofPair, 1), 1)
	if table.find(1+ways*minSize) == nil {
		t.Error("there is no place for a count")
	}
}

// The budget of N6 over days: 100, and one an hour, whatever the sources.
func TestN6_TheBudgetOfAnAccount(t *testing.T) {
	for name, from := range map[string]func(i int) netip.Addr{
		"fifty sources":          func(i int) netip.Addr { return v4(i % 50) },
		"a fresh source a guess": func(i int) netip.Addr { return v4(i) },
	} {
		t.Run(name, func(t *testing.T) {
			th, c := alone(t)
			signIn(t, th, by("alice", v4(1<<23)))
			const days = 10
			hashed, first := 0, 0
			for i := range days * 24 * 60 * 2 {
				if fail(t, th, by("alice", from(i))) {
					hashed++
				}
				if i == 24*60*2 {
					first = hashed
				}
				c.advance(30 * time.Second)
				if i%1000 == 0 {
					signIn(t, th, by("alice", v4(1<<23)))
				}
			}
			t.Logf("%d guesses on the first day, %d in %d days", first, hashed, days)
			if first > 100+24 || hashed > 100+days*24 || hashed < 100 {
				t.Errorf("%d guesses on the first day, %d in all", first, hashed)
			}
			// When the attack is over the owner in a new place has to wait for
			// one turn at most.
			k, err := th.Try(by("alice", v4(1<<23+1)))
			if err == nil {
				k.Success()
				return
			}
			if wait := throttled(t, err).RetryAfter; wait > time.Hour {
				t.Errorf("and has to wait %s", wait)
			} else {
				c.advance(wait)
			}
			signIn(t, th, by("alice", v4(1<<23+1)))
		})
	}
}

// Resting gains nothing over going on.
func TestN6_Resting(t *testing.T) {
	th, c := alone(t)
	hashed := 0
	for day := range 20 {
		for i := range 1000 {
			if fail(t, th, by("alice", v4(day*1000+i))) {
				hashed++
			}
		}
		c.advance(24 * time.Hour)
	}
	if hashed > 100+20*24 {
		t.Errorf("%d guesses in 20 days", hashed)
	}
}

// A million names and sources fit into the tables, and do not push out the
// counter of a user who is guessed at, nor those who are known.
func TestMemoryIsFixed(t *testing.T) {
	if got := unsafe.Sizeof(counter{}); got != 32 {
		t.Errorf("a counter takes %d bytes", got)
	}
	if got := unsafe.Sizeof(knownPair{}); got != 16 {
		t.Errorf("a known pair takes %d bytes", got)
	}
	th, c := alone(t)
	if got := len(th.counts.cells)*32 + len(th.known.cells)*16; got != 6<<20 {
		t.Errorf("the tables take %d bytes", got)
	}
	signIn(t, th, by("alice", v4(1)))
	failures(t, th, by("alice", v4(1)), 5)
	for i := range 10 {
		fail(t, th, by("alice", v4(100+i)))
	}
	random := rand.New(rand.NewPCG(1, 2))
	const million = 1_000_000
	for i := range million / slower {
		var b [16]byte
		b[0], b[1], b[2], b[3], b[4], b[5] = 0x20, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())
		k, err := th.Try(by(fmt.Sprint("user", random.Uint64()), netip.AddrFrom16(b)))
		if err != nil {
			t.Fatalf("attempt %d was refused: %v", i, err)
		}
		k.Failure()
		if i%1000 == 0 {
			c.advance(time.Millisecond)
		}
	}
	if len(th.counts.cells) != defaultSize || len(th.known.cells) != defaultSize || cap(th.counts.dirty) > 2*defaultSize {
		t.Errorf("tables of %d, %d and %d", len(th.counts.cells), len(th.known.cells), cap(th.counts.dirty))
	}
	if got := th.accountOf("alice"); got != 10 {
		t.Errorf("%d of 10 failures are left on the account", got)
	}
	if got := th.pairOf("alice", v4(1)); got != 5 {
		t.Errorf("%d of 5 failures are left on the pair", got)
	}
	c.advance(2 * time.Second)
	signIn(t, th, by("alice", v4(1)))

	// What reaches the store of it is bounded too.
	flush(t, th)
	size := 0
	for i := range countChunks {
		snap, err := th.cfg.Store.Read(t.Context(), partition, chunkKey(i))
		if err != nil {
			t.Fatal(err)
		}
		size += len(snap.Rows[0].Value)
	}
	if size > countChunks*(1+perChunk*recordBytes) {
		t.Errorf("the store has %d bytes", size)
	}
}

// Nobody who signs in from everywhere makes others strangers.
func TestKnownPairsOfOneUserAreBounded(t *testing.T) {
	k := newKnown(minSize, 60*24*time.Hour)
	const today = 20_000
	alice := uint64(7)<<56 | 1
	k.mark(alice, 1, today-30, 0)
	for i := range 10_000 {
		k.mark(uint64(7)<<56|2, uint32(i), today, 0)
	}
	if !k.has(alice, 1, today) {
		t.Error("a user is a stranger because of another")
	}
	if !k.has(uint64(7)<<56|2, 9_999, today) {
		t.Error("the latest place of the other is not known")
	}
	// Of two who share the places the one with more gives way, however fresh.
	carol, dave := uint64(9)<<56|1, uint64(9)<<56|2
	for i := range 8 {
		k.mark(carol, uint32(i), today-30, 0)
		k.mark(dave, uint32(i), today-uint32(i), 0)
	}
	k.mark(dave, 8, today, 0)
	if !k.has(dave, 8, today) || k.has(dave, 7, today) || !k.has(carol, 0, today) {
		t.Error("a place of the other was taken")
	}
	for user := range 40 { // more users than places
		k.mark(uint64(7)<<56|uint64(100+user), 1, today, 0)
	}
	if !k.has(uint64(7)<<56|139, 1, today) || k.has(alice, 1, today) {
		t.Error("it is not the oldest who has to go")
	}
}
