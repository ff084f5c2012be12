package keys

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/storage"
)

func TestFirstKeys(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	if yes, err := Initialized(t.Context(), s); yes || err != nil {
		t.Errorf("an empty store has a key ring (%v)", err)
	}
	r := openRing(t, s, c, Config{Alg: RS256})
	if yes, err := Initialized(t.Context(), s); !yes || err != nil {
		t.Errorf("the store has no key ring (%v)", err)
	}
	var got []string
	for _, i := range r.List(c.Now()) {
		got = append(got, i.Use+" "+i.Alg+" "+string(i.State))
		if i.Use != UseRefresh && !i.Published.Equal(c.Now()) || !i.Created.Equal(c.Now()) || !i.Removes.IsZero() {
			t.Errorf("%+v", i)
		}
	}
	slices.Sort(got) // those made in one instant come in the order of their kids
	if s := strings.Join(got, ", "); s != "refresh HS256 current, sig RS256 current, sig RS256 next, status RS256 current, status RS256 next" {
		t.Errorf("the ring has %s", s)
	}
}

func TestJ1_KeySet(t *testing.T) {
	for _, alg := range []string{RS256, ES256, EdDSA} {
		r, _ := newRing(t, Config{Alg: alg})
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(r.KeySet().JSON, &set); err != nil {
			t.Fatal(err)
		}
		seen := make(map[any]bool)
		for _, k := range set.Keys {
			if k["kty"] == nil || k["kid"] == nil || seen[k["kid"]] || k["use"] != "sig" || k["alg"] != alg {
				t.Errorf("J1 %v", k)
			}
			seen[k["kid"]] = true
			for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
				if _, ok := k[name]; ok {
					t.Errorf("J1 the private member %s is published", name)
				}
			}
		}
		if len(set.Keys) != 4 || len(r.KeySet().Algs) != 1 {
			t.Errorf("J1 %d keys, algorithms %v", len(set.Keys), r.KeySet().Algs)
		}
	}
}

func TestJ14_RSASizes(t *testing.T) {
	r, c := newRing(t, Config{Alg: RS256, RSABits: 3072})
	for _, k := range r.snap.Load().all {
		if k.Use == UseSig && k.private.rsaBits() != 3072 {
			t.Errorf("J14 a key of %d bits", k.private.rsaBits())
		}
	}
	s := openStore(t, c)
	for _, config := range []Config{{RSABits: 1024}, {RSABits: 2047}, {Alg: "HS256"}, {Alg: "none"}, {Alg: "rs256"}, {RotateEvery: time.Minute}, {MaxAccessTTL: -1}} {
		if r, err := Open(t.Context(), s, testMaster(t, 1), config); err == nil {
			r.Close()
			t.Errorf("J14 %+v is taken", config)
		}
	}
	if yes, _ := Initialized(t.Context(), s); yes {
		t.Error("a refused configuration has made keys")
	}
}

func TestRestartMeansNothing(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	before := openRing(t, s, c, Config{})
	access, _ := sign(t, before, c.Now(), UseSig, typAccess)
	refresh, _ := sign(t, before, c.Now(), UseRefresh, typRefresh)
	before.Close()

	after := openRing(t, s, c, Config{})
	if string(after.KeySet().JSON) != string(before.KeySet().JSON) {
		t.Error("the published keys differ")
	}
	if again, _ := sign(t, after, c.Now(), UseSig, typAccess); again != access {
		t.Error("another key signs")
	}
	if err := parse(after, c.Now(), UseRefresh, typRefresh, refresh); err != nil {
		t.Error(err)
	}
}

func TestNodesThatStartAtOnceMakeOneRing(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	const nodes = 8
	rings := make([]*Ring, nodes)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			r, err := Open(context.Background(), s, testMaster(t, 1), Config{Alg: ES256, Now: c.Now})
			if err != nil {
				t.Error(err)
				return
			}
			rings[i] = r
			t.Cleanup(r.Close)
		})
	}
	wg.Wait()
	for _, r := range rings {
		if r == nil || string(r.KeySet().JSON) != string(rings[0].KeySet().JSON) || len(r.List(c.Now())) != 5 {
			t.Fatal("the nodes have different keys")
		}
	}
}

func TestWrongMasterKeyChangesNothing(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	before := openRing(t, s, c, Config{})
	r, err := Open(t.Context(), s, testMaster(t, 2), Config{Alg: ES256, Now: c.Now})
	if !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "master-key-file") {
		t.Errorf("got %v, %v", r, err)
	}
	if err := before.refresh(t.Context()); err != nil || len(before.List(c.Now())) != 5 {
		t.Errorf("the ring has changed (%v)", err)
	}
}

// rewrite changes a key's record behind the ring's back, and says to everyone
// that the ring has changed.
func rewrite(t *testing.T, s *storage.Store, kid string, change func(*storage.SigningKey)) {
	t.Helper()
	snap, err := s.Read(t.Context(), storage.KeyPartition, storage.RingKey, keyRow(kid))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := storage.Decode[storage.SigningKey](snap.Rows[1])
	if err != nil || !rec.Exists() {
		t.Fatal("no such key", err)
	}
	change(&rec.Value)
	_, err = s.Commit(t.Context(), storage.Change{Partition: storage.KeyPartition, Puts: []storage.Put{
		{Key: storage.RingKey, Value: snap.Rows[0].Value},
		{Key: keyRow(kid), Value: storage.Encode(rec.Value)},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	for name, damage := range map[string]func(k, other *storage.SigningKey){
		"sealed key changed":    func(k, _ *storage.SigningKey) { k.Sealed[20] ^= 1 },
		"sealed key of another": func(k, other *storage.SigningKey) { k.Sealed = other.Sealed },
		"record of another":     func(k, other *storage.SigningKey) { *k = *other },
		"another algorithm":     func(k, _ *storage.SigningKey) { k.Alg = EdDSA },
		"another use":           func(k, _ *storage.SigningKey) { k.Use = UseRefresh },
		"no sealed key":         func(k, _ *storage.SigningKey) { k.Sealed = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := openStore(t, c)
			r := openRing(t, s, c, Config{})
			_, kid := sign(t, r, c.Now(), UseSig, typAccess)
			other := r.snap.Load().waiting(UseSig).SigningKey
			rewrite(t, s, kid, func(k *storage.SigningKey) { damage(k, &other) })

			opened, err := Open(t.Context(), s, testMaster(t, 1), Config{Alg: ES256, Now: c.Now})
			if err == nil {
				opened.Close()
				t.Fatal("the store opens")
			}
			if !strings.Contains(err.Error(), kid) || !strings.Contains(err.Error(), "backup") {
				t.Errorf("the error does not help: %v", err)
			}
			if err := r.refresh(t.Context()); err == nil {
				t.Error("a running ring takes it")
			}
			sign(t, r, c.Now(), UseSig, typAccess) // with what it has in memory
		})
	}
}

// RS256 and PS256 keys are alike: only the seal tells which of them this is.
func TestJ10_AlgorithmIsSealedIn(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	r := openRing(t, s, c, Config{Alg: RS256})
	_, kid := sign(t, r, c.Now(), UseSig, typAccess)
	rewrite(t, s, kid, func(k *storage.SigningKey) { k.Alg = PS256 })
	if err := r.refresh(t.Context()); !errors.Is(err, ErrSealed) {
		t.Errorf("J10 an RS256 key has become one for PS256 (%v)", err)
	}
}

func TestPublicColumnIsNotBelieved(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	r := openRing(t, s, c, Config{})
	_, kid := sign(t, r, c.Now(), UseSig, typAccess)
	rewrite(t, s, kid, func(k *storage.SigningKey) { k.Public = rfcEd25519 })
	if again := openRing(t, s, c, Config{}); string(again.KeySet().JSON) != string(r.KeySet().JSON) {
		t.Error("a key was smuggled into the key set")
	}
}

func TestLostRingIsNotMadeAnew(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	r := openRing(t, s, c, Config{})
	_, err := s.Commit(t.Context(), storage.Change{Partition: storage.KeyPartition, Deletes: []storage.Key{storage.RingKey}})
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := Open(t.Context(), s, testMaster(t, 1), Config{Alg: ES256, Now: c.Now}); err == nil {
		opened.Close()
		t.Error("keys without a ring are taken")
	}
	if err := r.refresh(t.Context()); err == nil {
		t.Error("the ring does not miss its row")
	}
	for _, k := range r.List(c.Now()) {
		_, err := s.Commit(t.Context(), storage.Change{Partition: storage.KeyPartition, Deletes: []storage.Key{keyRow(k.KeyID)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("the ring does not miss its keys: %v", err)
	}
	sign(t, r, c.Now(), UseSig, typAccess)
}

func TestUnknownKeyIsLookedUpOnceASecond(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	a, b := openRing(t, s, c, Config{}), openRing(t, s, c, Config{})
	a.Close()
	b.Close() // so that only the lookup can bring news
	if _, err := a.Rotate(t.Context(), UseSig, true); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rotate(t.Context(), UseSig, true); err != nil { // to a key that b has never seen
		t.Fatal(err)
	}
	token, _ := sign(t, a, c.Now(), UseSig, typAccess)
	b.look = &look{begun: time.Now().Add(time.Hour), done: make(chan struct{})}
	close(b.look.done)
	if err := parse(b, c.Now(), UseSig, typAccess, token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a second look within a second: %v", err)
	}
	b.look = nil
	if err := parse(b, c.Now(), UseSig, typAccess, token); err != nil {
		t.Errorf("the key is there, but: %v", err)
	}
}

func TestStoreAwayIsNoFaultOfTheToken(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	r := openRing(t, s, c, Config{})
	r.Close()
	known, _ := sign(t, r, c.Now(), UseSig, typAccess)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := parse(r, c.Now(), UseSig, typAccess, known); err != nil {
		t.Errorf("a known key needs the store: %v", err)
	}
	token := compact(`{"alg":"ES256","typ":"at+jwt","kid":"`+rfcEdX+`"}`, goodClaims, "s")
	for range 2 { // looked up, and within the second after
		if err := parse(r, c.Now(), UseSig, typAccess, token); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
}
