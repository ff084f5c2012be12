package keys

import (
	"fmt"
	"testing"
	"time"

	"jeton/storage"
)

// gate is two nodes on one store whose background work the test does.
type gate struct {
	*testing.T
	clock *clock
	store *storage.Store
	nodes []*Ring
}

func newGate(t *testing.T) *gate {
	c := newClock()
	g := &gate{T: t, clock: c, store: openStore(t, c)}
	for range 2 {
		g.nodes = append(g.nodes, g.open())
	}
	return g
}

func (g *gate) open() *Ring {
	r := openRing(g.T, g.store, g.clock, Config{MaxAccessTTL: time.Hour, PromotionWait: time.Hour})
	r.Close()
	return r
}

// pass lets time go by, and every node do its work each minute of it.
func (g *gate) pass(d time.Duration) {
	g.Helper()
	for ; d > 0; d -= time.Minute {
		g.clock.pass(min(d, time.Minute))
		for _, r := range g.nodes {
			if err := r.refresh(g.Context()); err != nil {
				g.Fatal(err)
			}
		}
	}
}

func (g *gate) fetch(node int, who string) {
	g.nodes[node].Fetched(g.nodes[node].KeySet(), who, "api/1.0")
}

// known makes a verifier known to the first node, and rotates twice at a
// distance, so that the key that waits is one it has not been given.
func (g *gate) unawareOf(who ...string) Info {
	g.Helper()
	for range 2 {
		for _, one := range who {
			g.fetch(0, one)
		}
		g.pass(10 * time.Minute)
	}
	mustRotate(g.T, g.nodes[0], UseSig, true)
	g.pass(10 * time.Minute) // the lead of the key after it
	return mustRotate(g.T, g.nodes[0], UseSig, false)
}

func (g *gate) signs(node int) string {
	g.Helper()
	_, kid := sign(g.T, g.nodes[node], g.clock.Now(), UseSig, typAccess)
	return kid
}

func TestANextKeyWaitsForKnownVerifiers(t *testing.T) {
	g := newGate(t)
	k := g.unawareOf("10.0.0.1", "10.0.0.2")
	if !k.Gated || !k.Activates.Equal(g.clock.Now().Add(time.Hour)) || k.State != Next {
		t.Fatalf("the rotation gives %+v", k)
	}
	if again := mustRotate(t, g.nodes[1], UseSig, false); again.KeyID != k.KeyID || !again.Activates.Equal(k.Activates) {
		t.Errorf("asked again: %+v", again)
	}
	g.pass(5 * time.Minute)
	g.fetch(1, "10.0.0.1")
	g.pass(5 * time.Minute)
	if g.signs(0) == k.KeyID {
		t.Fatal("the key signs although a verifier has not fetched it")
	}
	g.fetch(1, "10.0.0.2")
	g.pass(3 * time.Minute)
	for node := range g.nodes {
		if g.signs(node) != k.KeyID {
			t.Errorf("node %d does not sign with the key that all have fetched", node)
		}
	}
	for _, i := range g.nodes[0].List(g.clock.Now()) {
		if i.Use != UseSig {
			continue
		}
		if i.Gated {
			t.Errorf("%+v is still gated", i)
		}
		if i.State == Retired && i.Removes.After(g.clock.Now().Add(time.Hour+Skew+MaxAge)) {
			t.Errorf("%+v stays for longer than its tokens", i)
		}
	}
}

func TestTheGateOpensAfterTheLongestWait(t *testing.T) {
	g := newGate(t)
	k := g.unawareOf("10.0.0.1")
	g.pass(59 * time.Minute)
	if g.signs(1) == k.KeyID {
		t.Error("the key signs before the wait is over")
	}
	g.pass(2 * time.Minute)
	if g.signs(1) != k.KeyID {
		t.Error("the key does not sign after the longest wait")
	}
}

func TestWhoIsNotWaitedFor(t *testing.T) {
	t.Run("a passer-by", func(t *testing.T) {
		g := newGate(t)
		g.fetch(0, "10.0.0.9")
		if k := g.unawareOf(); k.Gated || k.State != Current {
			t.Errorf("the rotation waits: %+v", k)
		}
	})
	t.Run("one that is gone", func(t *testing.T) {
		g := newGate(t)
		g.fetch(0, "10.0.0.1")
		g.pass(10 * time.Minute)
		g.fetch(0, "10.0.0.1")
		mustRotate(t, g.nodes[0], UseSig, true)
		g.pass(25 * time.Hour)
		if k := mustRotate(t, g.nodes[0], UseSig, false); k.Gated {
			t.Errorf("the rotation waits: %+v", k)
		}
	})
	t.Run("anyone, when it has to be now", func(t *testing.T) {
		g := newGate(t)
		k := g.unawareOf("10.0.0.1")
		if now := mustRotate(t, g.nodes[1], UseSig, true); now.KeyID != k.KeyID || now.State != Current || now.Gated {
			t.Errorf("rotated now: %+v", now)
		}
	})
	t.Run("anyone, by setting", func(t *testing.T) {
		g := newGate(t)
		for _, r := range g.nodes {
			r.config.PromotionWait = 0
		}
		if k := g.unawareOf("10.0.0.1"); k.Gated {
			t.Errorf("the rotation waits: %+v", k)
		}
	})
}

// The key that every store has waiting was published long before: a rotation
// that takes effect at once goes on to do so.
func TestAFetchedKeyNeedsNoGate(t *testing.T) {
	g := newGate(t)
	g.fetch(0, "10.0.0.1")
	g.pass(10 * time.Minute)
	g.fetch(1, "10.0.0.1")
	if k := mustRotate(t, g.nodes[0], UseSig, false); k.Gated || k.State != Current {
		t.Errorf("the rotation waits: %+v", k)
	}
}

func TestVerifiersAreRememberedOverARestart(t *testing.T) {
	g := newGate(t)
	g.fetch(0, "10.0.0.1")
	g.pass(10 * time.Minute)
	g.fetch(0, "10.0.0.1")
	g.pass(2 * time.Minute)
	g.nodes = []*Ring{g.open()}
	mustRotate(t, g.nodes[0], UseSig, true)
	g.pass(10 * time.Minute)
	if k := mustRotate(t, g.nodes[0], UseSig, false); !k.Gated {
		t.Errorf("the verifier was forgotten: %+v", k)
	}
}

// A stranger can come from many addresses; memory is bounded, and who is known
// stays.
func TestPassersByPushOutNobodyKnown(t *testing.T) {
	g := newGate(t)
	g.fetch(0, "10.0.0.1")
	g.pass(10 * time.Minute)
	g.fetch(0, "10.0.0.1")
	for i := range 5 * maxReaders {
		g.clock.pass(time.Millisecond)
		g.fetch(0, fmt.Sprintf("192.0.2.%d", i))
	}
	if n := len(g.nodes[0].readers.all); n > maxReaders {
		t.Errorf("%d are remembered", n)
	}
	known, err := g.nodes[0].known(t.Context(), g.clock.Now())
	if err != nil || len(known) != 1 || known[0].Address != "10.0.0.1" {
		t.Errorf("known are %+v, %v", known, err)
	}
}

// One stranger with many names has eight of them remembered, and pushes out
// nobody else, whether known or about to be.
func TestOneStrangerPushesOutNobody(t *testing.T) {
	g := newGate(t)
	g.fetch(0, "10.0.0.1")
	for _, address := range []string{"192.0.2.9", "2001:db8::"} {
		for i := range 2 * maxReaders {
			from := address
			if address == "2001:db8::" {
				from += fmt.Sprintf("%x", i+1)
			}
			g.nodes[0].Fetched(g.nodes[0].KeySet(), from, fmt.Sprintf("agent %d", i))
		}
	}
	if n := len(g.nodes[0].readers.all); n != 1+2*maxOfOne {
		t.Errorf("%d are remembered", n)
	}
	g.pass(10 * time.Minute)
	g.fetch(0, "10.0.0.1")
	known, err := g.nodes[0].known(t.Context(), g.clock.Now())
	if err != nil || len(known) != 1 || known[0].Address != "10.0.0.1" {
		t.Errorf("known are %+v, %v", known, err)
	}
}
