package throttle

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// The wait of a pair, failure by failure.
func TestT24_APairWaitsLonger(t *testing.T) {
	th, c := alone(t)
	for _, a := range []Attempt{by("alice", v4(1)), by("bob", v4(2))} {
		if a.User == "bob" {
			signIn(t, th, a) // it is the same for those who are known
		}
		pairWaitsLonger(t, th, c, a)
	}
}

func pairWaitsLonger(t *testing.T, th *Throttle, c *clock, a Attempt) {
	if got := failures(t, th, a, 100); got != 5 {
		t.Fatalf("%d free failures", got)
	}
	for _, want := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		if got := refused(t, th, a, "pair").RetryAfter; got != time.Duration(want)*time.Second {
			t.Fatalf("waits %s instead of %ds", got, want)
		}
		c.advance(time.Duration(want)*time.Second - time.Millisecond)
		refused(t, th, a, "pair")
		c.advance(time.Millisecond)
		if !fail(t, th, a) {
			t.Fatalf("was refused after %ds", want)
		}
	}
	c.advance(900 * time.Second)
	signIn(t, th, a)
	if got := failures(t, th, a, 100); got != 5 {
		t.Errorf("%d free failures after a success", got)
	}
}

// Guesses that are sent at once are counted before any of them is judged.
func TestT24_CountedBeforeTheHash(t *testing.T) {
	th, _ := alone(t)
	at := func(a func(int) Attempt) (open int) {
		for i := range 1000 {
			if k, err := th.Try(a(i)); err == nil && k.slow == nil {
				open++
			}
		}
		return open
	}
	if got := at(func(int) Attempt { return by("alice", v4(1)) }); got != 5+16 {
		t.Errorf("%d at once by a pair", got)
	}
	if got := at(func(i int) Attempt { return by("bob", v4(1000+i)) }); got != 10+16 {
		t.Errorf("%d at once at an account", got)
	}
	if got := at(func(i int) Attempt { return by(fmt.Sprint("user", i), v4(2)) }); got != 30+64 {
		t.Errorf("%d at once by a source", got)
	}
}

func TestSuccessAndCancelTakeItBack(t *testing.T) {
	th, c := alone(t)
	for range 1000 {
		k, err := th.Try(by("alice", v4(1)))
		if err != nil {
			t.Fatal(err)
		}
		k.Cancel()
		k.Failure() // too late to count
		signIn(t, th, by("bob", v4(1)))
		signIn(t, th, by(fmt.Sprint("user", c.Now().Nanosecond()), v4(1)))
		c.advance(time.Microsecond)
	}
	for i := range th.counts.cells {
		if cell := &th.counts.cells[i]; th.rules[cell.kind].count(cell, th.now()) != 0 || cell.open != 0 {
			t.Fatalf("%+v is left", cell)
		}
	}
	if got := failures(t, th, by("alice", v4(1)), 100); got != 5 {
		t.Errorf("%d free failures", got)
	}
}

// Threads of one program sign in side by side.
func TestParallelSignIns(t *testing.T) {
	th, _ := alone(t)
	signIn(t, th, by("robot", v4(1)))
	var open []*Ticket
	for range 16 {
		k, err := th.Try(by("robot", v4(1)))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, k)
	}
	for _, k := range open[1:] {
		k.Success()
	}
	open[0].Failure()
	if got := failures(t, th, by("robot", v4(1)), 100); got != 4 {
		t.Errorf("%d more failures were free after one that a success ran beside", got)
	}
	// Nor does a success clear what has not been judged.
	fail(t, th, by("other", v4(1)))
	right, err := th.Try(by("other", v4(1)))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := th.Try(by("other", v4(1)))
	if err != nil {
		t.Fatal(err)
	}
	right.Success()
	wrong.Failure()
	if got := th.pairOf("other", v4(1)); got != 1 {
		t.Errorf("%d failures instead of the one after the success", got)
	}
}

// Who fails alone waits as the rule of the pair says, however often.
func TestNobodyCompetes(t *testing.T) {
	th, c := alone(t)
	a := by("alice", v4(1))
	for range 60 {
		if !fail(t, th, a) {
			t.Fatalf("still refused after the wait, with %d failures", th.pairOf("alice", v4(1)))
		}
		if k, err := th.Try(a); err == nil {
			k.Cancel()
			continue
		}
		if e := refused(t, th, a, "pair"); e.RetryAfter > 15*time.Minute {
			t.Fatalf("waits %s", e.RetryAfter)
		}
		c.advance(15 * time.Minute)
	}
}

// A success clears what its own pair has done, and no more.
func TestN6_WhatASuccessClears(t *testing.T) {
	th, _ := alone(t)
	for i := range 6 {
		fail(t, th, by("alice", v4(i)))
	}
	failures(t, th, by("alice", v4(100)), 3)
	signIn(t, th, by("alice", v4(100)))
	if got := th.accountOf("alice"); got != 6 {
		t.Errorf("%d failures are on the account", got)
	}
	for i := range 3 {
		failures(t, th, by("alice", v4(200+i)), 2)
		signIn(t, th, by("mallory", v4(200+i))) // his own
	}
	if got := th.accountOf("alice"); got != 10 {
		t.Errorf("%d failures are on the account", got)
	}
	refused(t, th, by("alice", v4(300)), "account")
	signIn(t, th, by("alice", v4(100)))
	refused(t, th, by("alice", v4(300)), "account")
}

func (t *Throttle) accountOf(user string) int {
	c := t.counts.find(t.hashes.name(aUser, plainName(user)).self())
	if c == nil {
		return 0
	}
	return int(t.rules[ofAccount].count(c, t.now()))
}

func TestT24_OnePasswordOnManyNames(t *testing.T) {
	th, c := alone(t)
	hashed := 0
	for i := range 100_000 {
		if fail(t, th, by(fmt.Sprint("user", i), v4(1))) {
			hashed++
		}
	}
	if hashed != 30 {
		t.Errorf("%d names were tried at once", hashed)
	}
	refused(t, th, by("anyone", v4(1)), "source")
	signIn(t, th, by("anyone", v4(2)))
	for i := range 600 {
		c.advance(100 * time.Millisecond)
		if fail(t, th, by(fmt.Sprint("more", i), v4(1))) {
			hashed++
		}
	}
	if hashed != 30+30 {
		t.Errorf("%d names were tried within a minute", hashed)
	}
}

// A known pair signs in from an address whose strangers are slowed, but its own
// failures count.
func TestKnownBesideStrangers(t *testing.T) {
	th, c := alone(t)
	signIn(t, th, by("alice", v4(1)))
	for i := range 100 {
		fail(t, th, by(fmt.Sprint("user", i), v4(1)))
	}
	signIn(t, th, by("alice", v4(1)))
	refused(t, th, by("bob", v4(1)), "source")
	if got := failures(t, th, by("alice", v4(1)), 100); got != 3 {
		t.Errorf("%d failures of a known pair were free", got)
	}
	if got := th.accountOf("alice"); got != 0 {
		t.Errorf("%d of them are on the account of strangers", got)
	}
	c.advance(61 * 24 * time.Hour)
	for i := range 100 {
		fail(t, th, by(fmt.Sprint("user", i), v4(1)))
	}
	refused(t, th, by("alice", v4(1)), "source")
}

func TestIPv6(t *testing.T) {
	th, c := alone(t)
	if got := countSources(t, th, func(i int) netip.Addr { return v6(1, 1, i) }); got != 30 {
		t.Errorf("one /64 tried %d names", got)
	}
	if got := countSources(t, th, func(i int) netip.Addr { return v6(2, i, 1) }); got != 300 {
		t.Errorf("one /48 tried %d names", got)
	}
	refused(t, th, by("someone", v6(2, 5000, 1)), "network")
	c.advance(time.Hour)
	if got := countSources(t, th, func(i int) netip.Addr { return netip.AddrFrom16(v4(1).As16()) }); got != 30 {
		t.Errorf("an IPv4 address in the form of IPv6 tried %d names", got)
	}
	refused(t, th, by("someone", v4(1)), "source")
	c.advance(time.Hour)
	if got := countSources(t, th, func(i int) netip.Addr { return v6(3, 1, i).WithZone(fmt.Sprint("eth", i)) }); got != 30 {
		t.Errorf("one /64 with zones tried %d names", got)
	}
	if got := countSources(t, th, func(i int) netip.Addr { return netip.Addr{} }); got != 30 {
		t.Errorf("those without an address tried %d names", got)
	}
}

func countSources(t *testing.T, th *Throttle, from func(int) netip.Addr) (hashed int) {
	for i := range 2000 {
		if fail(t, th, by(fmt.Sprint("user", i), from(i))) {
			hashed++
		}
	}
	return hashed
}

func TestBehindABackend(t *testing.T) {
	th, c := alone(t)
	through := func(user, client string) Attempt {
		return Attempt{User: user, Source: v4(1), ClientID: client, TrustedClient: true}
	}
	for i := range 1000 {
		if !fail(t, th, through(fmt.Sprint("user", i), "shop")) {
			t.Fatalf("user %d of a backend was held up by others", i)
		}
	}
	if got := failures(t, th, through("alice", "shop"), 100); got != 5 {
		t.Errorf("%d free failures", got)
	}
	refused(t, th, through("alice", "shop"), "pair")
	signIn(t, th, through("alice", "desk"))
	signIn(t, th, by("alice", v4(1)))
	guesses := 0
	for range 200 * 60 {
		c.advance(time.Minute)
		if fail(t, th, through("alice", "shop")) {
			guesses++
		}
	}
	if guesses > 100-5+200 || guesses < 200 {
		t.Errorf("N6: %d guesses in 200 hours", guesses)
	}
}

// Without TrustedClient the name of the client changes nothing: any stranger
// can send another each time.
func TestAnUntrustedClientIsNoSource(t *testing.T) {
	th, _ := alone(t)
	hashed := 0
	for i := range 100 {
		if fail(t, th, Attempt{User: "alice", Source: v4(1), ClientID: fmt.Sprint("client", i)}) {
			hashed++
		}
	}
	if hashed != 5 {
		t.Errorf("%d free failures", hashed)
	}
}

func TestT24_ClientSecrets(t *testing.T) {
	th, c := alone(t)
	at := func(n int) Attempt { return Attempt{ClientID: "shop", Source: v4(n)} }
	var open []*Ticket
	for range 500 {
		k, err := th.Try(at(1))
		if err != nil {
			t.Fatalf("threads of a client hold each other up: %v", err)
		}
		open = append(open, k)
	}
	for _, k := range open {
		k.Success()
	}
	if got := failures(t, th, at(2), 100); got != 10 {
		t.Errorf("%d free failures", got)
	}
	refused(t, th, at(2), "client")
	signIn(t, th, at(3))
	for i := range 100 {
		fail(t, th, Attempt{ClientID: fmt.Sprint("client", i), Source: v4(1)})
	}
	refused(t, th, Attempt{ClientID: "other", Source: v4(1)}, "source")
	signIn(t, th, at(1))
	refused(t, th, by("alice", v4(1)), "source")
	signIn(t, th, by("shop", v4(2))) // a user of that name is another
	c.advance(time.Minute)
	signIn(t, th, at(2))
}

func TestX8_WithoutAName(t *testing.T) {
	th, _ := alone(t)
	if got := failures(t, th, Attempt{Source: v4(1)}, 100); got != 30 {
		t.Errorf("%d codes were tried", got)
	}
	signIn(t, th, Attempt{Source: v4(2)})
	if th.known.has(0, 0, th.today()) {
		t.Error("nobody is known now")
	}
}

// Who is signed in guesses no faster from more addresses, and slows nobody else.
func TestX8_WhoIsSignedIn(t *testing.T) {
	th, c := alone(t)
	tried := 0
	for i := range 100 {
		tried += failures(t, th, Attempt{Source: v4(i), SignedIn: "u-alice"}, 1)
	}
	if tried != 20 {
		t.Errorf("%d codes were tried", tried)
	}
	refused(t, th, Attempt{Source: v4(200), SignedIn: "u-alice"}, "signed_in")
	signIn(t, th, Attempt{Source: v4(200), SignedIn: "u-bob"})
	signIn(t, th, Attempt{Source: v4(200)})
	signIn(t, th, by("u-alice", v4(201))) // a name is no sub
	c.advance(time.Minute)
	if got := failures(t, th, Attempt{Source: v4(201), SignedIn: "u-alice"}, 5); got != 1 {
		t.Errorf("%d more a minute later", got)
	}
	for range 50 {
		signIn(t, th, Attempt{Source: v4(202), SignedIn: "u-bob"}) // right ones cost nothing
	}
}

func TestWhoHasThingsKept(t *testing.T) {
	th, c := alone(t)
	if got := failures(t, th, Attempt{Source: v4(1), Asks: true}, 200); got != 100 {
		t.Errorf("%d were kept", got)
	}
	refused(t, th, Attempt{Source: v4(1), Asks: true}, "asking")
	if got := failures(t, th, Attempt{Source: v4(1)}, 100); got != 30 {
		t.Errorf("guesses are counted apart: %d", got)
	}
	c.advance(time.Second)
	if got := failures(t, th, Attempt{Source: v4(1), Asks: true}, 5); got != 1 {
		t.Errorf("%d more a second later", got)
	}
	kept := 0
	for i := range 200 { // one in each /64, all in one /48
		kept += failures(t, th, Attempt{Source: v6(1, i, 1), Asks: true}, 1)
	}
	if kept != 100 {
		t.Errorf("%d were kept for one /48", kept)
	}
}

// However a name is typed it is one name, and nobody asks if it exists.
func TestOneNameHoweverTyped(t *testing.T) {
	th, _ := alone(t)
	for i, name := range []string{"élodie", "Élodie", "e\u0301lodie", "ÉLODIE", "E\u0301LODIE"} {
		if !fail(t, th, by(name, v4(1))) {
			t.Fatalf("failure %d was not free", i)
		}
	}
	refused(t, th, by("élodie", v4(1)), "pair")
	for _, other := range []string{"elodie", "élodie ", "\xff", string(make([]byte, 5000))} {
		if !fail(t, th, by(other, v4(1))) {
			t.Errorf("%q is taken for another", other)
		}
	}
}
