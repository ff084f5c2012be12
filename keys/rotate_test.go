package keys

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"jeton/storage"
)

func mustRotate(t *testing.T, r *Ring, use string, now bool) Info {
	t.Helper()
	k, err := r.Rotate(t.Context(), use, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestJ4_VerifiersKnowAKeyBeforeItSigns drives two nodes through rotations,
// with a verifier whose copy of the key set is as old as its max-age allows.
func TestJ4_VerifiersKnowAKeyBeforeItSigns(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	config := Config{MaxAccessTTL: 30 * time.Minute}
	nodes := []*Ring{openRing(t, s, c, config), openRing(t, s, c, config)}
	for _, r := range nodes {
		r.Close() // the test says when a node looks
	}
	published := make(map[string]time.Time)
	for _, i := range nodes[0].List(c.Now()) {
		published[i.KeyID] = i.Published
	}
	_, first := sign(t, nodes[0], c.Now(), UseSig, typAccess)

	type issued struct {
		kid string
		exp time.Time
	}
	var live []issued
	signers := make(map[string]bool)
	var cached []string // the verifier's copy
	var fetched time.Time
	for step := range 3 * 3600 / 10 {
		if step%110 == 50 { // 8 or 9 times, the first while the next key is still young
			if _, err := nodes[step%2].Rotate(t.Context(), UseSig, false); err != nil {
				t.Fatal(err)
			}
		}
		if step%6 == 0 {
			for _, r := range nodes {
				if err := r.refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, i := range nodes[0].List(c.Now()) {
			if _, ok := published[i.KeyID]; !ok {
				published[i.KeyID] = i.Published
			}
		}
		if c.Now().Sub(fetched) >= MaxAge {
			cached, fetched = publishedIDs(t, nodes[step%2]), c.Now()
		}
		for _, r := range nodes {
			_, kid := sign(t, r, c.Now(), UseSig, typAccess)
			signers[kid] = true
			live = append(live, issued{kid, c.Now().Add(config.MaxAccessTTL)})
			if kid != first && c.Now().Sub(published[kid]) < 361*time.Second {
				t.Fatalf("step %d: the key %s signs %v after it was published", step, kid, c.Now().Sub(published[kid]))
			}
		}
		for _, token := range live {
			if !slices.Contains(cached, token.kid) {
				t.Fatalf("step %d: a verifier lacks the key %s of a token that lives", step, token.kid)
			}
		}
		c.pass(10 * time.Second)
		live = slices.DeleteFunc(live, func(token issued) bool { return c.Now().After(token.exp.Add(Skew)) })
	}
	if len(signers) < 7 {
		t.Errorf("only %d keys have signed", len(signers))
	}
	if n := len(nodes[0].snap.Load().all); n > 8 {
		t.Errorf("%d keys are left in the ring", n)
	}
}

func TestRotateTakesEffectWhenVerifiersKnow(t *testing.T) {
	r, c := newRing(t, Config{MaxAccessTTL: time.Hour})
	start := c.Now()
	_, old := sign(t, r, c.Now(), UseSig, typAccess)
	waiting := r.snap.Load().waiting(UseSig).ID

	k := mustRotate(t, r, UseSig, false)
	if k.KeyID != waiting || k.State != Next || !k.Activates.Equal(start.Add(361*time.Second)) {
		t.Errorf("the first rotation gives %+v", k)
	}
	c.pass(10 * time.Second)
	if again := mustRotate(t, r, UseSig, false); again != k {
		t.Errorf("a rotation while one is under way gives %+v", again)
	}
	c.pass(k.Activates.Sub(c.Now()) - time.Nanosecond)
	if _, kid := sign(t, r, c.Now(), UseSig, typAccess); kid != old {
		t.Error("the next key signs before its time")
	}
	c.pass(time.Nanosecond)
	if _, kid := sign(t, r, c.Now(), UseSig, typAccess); kid != k.KeyID {
		t.Error("the next key does not sign at its time")
	}

	c.pass(361 * time.Second) // now its own successor has waited its time
	if k := mustRotate(t, r, UseSig, false); k.State != Current || !k.Activates.Equal(c.Now()) {
		t.Errorf("a key that waited its time gives %+v", k)
	}
	want := map[State]int{Retired: 2, Current: 1, Next: 1}
	for _, i := range r.List(c.Now()) {
		if i.Use == UseSig {
			want[i.State]--
		}
	}
	if want[Retired] != 0 || want[Current] != 0 || want[Next] != 0 {
		t.Errorf("the ring is %+v", r.List(c.Now()))
	}
}

func TestRotateNow(t *testing.T) {
	r, c := newRing(t, Config{MaxAccessTTL: time.Hour})
	_, old := sign(t, r, c.Now(), UseSig, typAccess)
	k := mustRotate(t, r, UseSig, true) // at the very instant the ring began
	if _, kid := sign(t, r, c.Now(), UseSig, typAccess); kid != k.KeyID || kid == old || k.State != Current {
		t.Errorf("%s signs, not %+v", kid, k)
	}
	under := mustRotate(t, r, UseSig, false)
	c.pass(time.Minute)
	keys := len(r.List(c.Now()))
	if brought := mustRotate(t, r, UseSig, true); brought.KeyID != under.KeyID || !brought.Activates.Equal(c.Now()) {
		t.Errorf("the rotation under way is %+v, brought forward %+v", under, brought)
	}
	if len(r.List(c.Now())) != keys {
		t.Error("bringing it forward makes another key")
	}
	for _, i := range r.List(c.Now()) {
		if i.KeyID == k.KeyID && !i.Removes.Equal(c.Now().Add(time.Hour+Skew+MaxAge)) {
			t.Errorf("the key before is needed until %v", i.Removes)
		}
	}
}

func TestNodesThatRotateAtOnceMakeOneKey(t *testing.T) {
	for _, tt := range []struct {
		use string
		now bool
	}{{UseSig, false}, {UseSig, true}, {UseStatus, false}, {UseRefresh, false}, {UseRefresh, true}} {
		c := newClock()
		s := openStore(t, c)
		nodes := []*Ring{openRing(t, s, c, Config{}), openRing(t, s, c, Config{}), openRing(t, s, c, Config{})}
		before := len(nodes[0].List(c.Now()))
		// All have looked before the first commits: what plan sees on its
		// first run is the ring before any of them.
		var looked, done sync.WaitGroup
		looked.Add(len(nodes))
		chosen := make([]Info, len(nodes))
		for i, r := range nodes {
			once := sync.OnceFunc(func() { looked.Done(); looked.Wait() })
			done.Go(func() {
				var err error
				if chosen[i], err = r.rotate(context.Background(), tt.use, tt.now, "", func(*snapshot) bool { once(); return true }); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		for _, k := range chosen {
			if k.KeyID != chosen[0].KeyID {
				t.Errorf("%+v: one node says %s, another %s", tt, chosen[0].KeyID, k.KeyID)
			}
		}
		if _, err := nodes[0].load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(nodes[0].List(c.Now())); n != before+1 {
			t.Errorf("%+v: %d keys were made", tt, n-before)
		}
	}
}

func TestSweepKeepsKeysWhileTokensLive(t *testing.T) {
	r, c := newRing(t, Config{MaxAccessTTL: time.Hour, MaxSessionTTL: 90 * storage.Day, RotateEvery: -1})
	access, accessKey := sign(t, r, c.Now(), UseSig, typAccess)
	refresh, _ := sign(t, r, c.Now(), UseRefresh, typRefresh)
	mustRotate(t, r, UseSig, true)
	next := mustRotate(t, r, UseRefresh, false)
	if !next.Activates.Equal(c.Now().Add(refreshLead)) {
		t.Errorf("the refresh key signs from %v, before all nodes know it", next.Activates)
	}
	c.pass(time.Second)
	if again := mustRotate(t, r, UseRefresh, false); again != next {
		t.Errorf("a rotation while one is under way makes %+v of %+v", again, next)
	}
	left := len(r.List(c.Now()))
	sweep := func(want int) { // the ring sweeps by itself too, and may have been first
		t.Helper()
		_, err := r.Sweep(t.Context())
		left -= want
		if n := len(r.List(c.Now())); n != left || err != nil {
			t.Errorf("%d keys are left (%v), want %d", n, err, left)
		}
	}
	c.pass(time.Hour + Skew + MaxAge - 2*time.Second)
	sweep(0)
	if err := parse(r, c.Now(), UseSig, typAccess, access); err != nil {
		t.Errorf("the retired key does not verify: %v", err)
	}
	c.pass(time.Second)
	if err := parse(r, c.Now(), UseSig, typAccess, access); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key past its end verifies: %v", err)
	}
	sweep(1)
	if slices.Contains(publishedIDs(t, r), accessKey) {
		t.Error("the removed key is published")
	}
	if _, err := r.SignWith(t.Context(), accessKey, UseSig, typAccess, testClaims()); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the removed key signs: %v", err)
	}

	c.pass(90*storage.Day - 2*time.Hour)
	sweep(0)
	if err := parse(r, c.Now(), UseRefresh, typRefresh, refresh); err != nil {
		t.Errorf("the retired refresh key does not verify: %v", err)
	}
	c.pass(2 * time.Hour)
	sweep(1)
	if err := parse(r, c.Now(), UseRefresh, typRefresh, refresh); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a swept refresh key verifies: %v", err)
	}
}

func TestNoSweepWhileClocksDisagree(t *testing.T) {
	c, machine := newClock(), newClock()
	r, err := Open(t.Context(), openStore(t, c), testMaster(t, 1), Config{Alg: ES256, Now: machine.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	_, first := sign(t, r, c.Now(), UseSig, typAccess)
	mustRotate(t, r, UseSig, true)
	c.pass(100 * storage.Day) // the store's clock alone
	if n, err := r.Sweep(t.Context()); n != 0 || err == nil {
		t.Errorf("%d keys were removed (%v)", n, err)
	}
	if err := r.refresh(t.Context()); err != nil || len(r.List(c.Now())) != 6 {
		t.Errorf("the ring is %+v (%v)", r.List(c.Now()), err)
	}
	machine.pass(100 * storage.Day)
	if _, err := r.Sweep(t.Context()); err != nil { // the ring may have been first
		t.Error(err)
	}
	if slices.ContainsFunc(r.List(c.Now()), func(k Info) bool { return k.KeyID == first }) {
		t.Error("the key is still there")
	}
}

func TestKeysOfAgeAreRotatedOnce(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	a, b := openRing(t, s, c, Config{}), openRing(t, s, c, Config{})
	a.Close()
	b.Close()
	_, old := sign(t, a, c.Now(), UseSig, typAccess)
	c.pass(90*storage.Day - time.Second)
	for _, r := range []*Ring{a, b} {
		if err := r.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.List(c.Now())); n != 5 {
		t.Fatalf("%d keys before the time", n)
	}
	c.pass(time.Second)
	if err := a.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.maintain(t.Context(), c.Now()); err != nil { // b has not seen what a did
		t.Fatal(err)
	}
	for _, r := range []*Ring{a, b} {
		if err := r.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.List(c.Now())); n != 8 {
		t.Errorf("%d keys, want one more of each use", n)
	}
	_, kid := sign(t, a, c.Now(), UseSig, typAccess)
	if _, other := sign(t, b, c.Now(), UseSig, typAccess); kid == old || kid != other {
		t.Error("the nodes do not sign with one new key")
	}
}

func TestAnotherAlgorithmComesWithTheNextRotation(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	_, old := sign(t, openRing(t, s, c, Config{Alg: EdDSA}), c.Now(), UseSig, typAccess)
	c.pass(time.Hour)

	r := openRing(t, s, c, Config{Alg: ES256})
	if _, kid := sign(t, r, c.Now(), UseSig, typAccess); kid != old {
		t.Error("the key that signs has changed by a restart")
	}
	if algs := r.KeySet().Algs; len(algs) != 2 || len(publishedIDs(t, r)) != 4 {
		t.Errorf("published are %v, %v", publishedIDs(t, r), algs)
	}
	k := mustRotate(t, r, UseSig, false)
	if k.Alg != ES256 || !k.Activates.Equal(c.Now().Add(361*time.Second)) {
		t.Errorf("the next key is %+v", k)
	}
}

func TestClockSetBackDoesNotSilenceTheRing(t *testing.T) {
	r, c := newRing(t, Config{})
	_, kid := sign(t, r, c.Now(), UseSig, typAccess)
	c.pass(-time.Hour)
	if _, again := sign(t, r, c.Now(), UseSig, typAccess); again != kid {
		t.Errorf("%s signs", again)
	}
	if k := mustRotate(t, r, UseSig, true); k.State != Current && !k.Activates.After(c.Now()) {
		t.Errorf("got %+v", k)
	}
}

func TestRotateUnknownUse(t *testing.T) {
	r, _ := newRing(t, Config{})
	if _, err := r.Rotate(t.Context(), "nothing", false); err == nil {
		t.Error("an unknown use is rotated")
	}
}

// TestRingFollowsTheStore is the one test of the background: another ring's
// rotation arrives by itself.
func TestRingFollowsTheStore(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	a, b := openRing(t, s, c, Config{}), openRing(t, s, c, Config{})
	before := b.KeySet()
	mustRotate(t, a, UseSig, true)
	for b.KeySet() == before { // go test's own timeout ends it
		time.Sleep(10 * time.Millisecond)
	}
	if string(a.KeySet().JSON) != string(b.KeySet().JSON) {
		t.Error("the nodes publish different keys")
	}
}
