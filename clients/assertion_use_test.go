package clients

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
	"jeton/storage/chosen"
)

// A signature that is wrong must not use up the jti of the right one.
func TestK10_ForgeryDoesNotSpend(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	claims := r.claims(nil)
	r.refused("forged", presented(newSigner(t, "one", keys.ES256).sign(t, nil, claims)))
	r.accepted("genuine", presented(key.sign(t, nil, claims)))
}

// The jti is kept as long as the assertion could be accepted, and no longer.
func TestK10_UsedAssertionIsKeptUntilItExpires(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	token := key.sign(t, nil, r.claims(map[string]any{"exp": r.now().Add(10 * time.Minute).Unix()}))
	r.accepted("first", presented(token))
	for range 62 {
		r.advance(10 * time.Second)
		r.refused("again", presented(token))
	}
	r.advance(time.Minute)
	t.Run("the sweeper removes it", func(t *testing.T) {
		chosen.SQLiteOnly(t) // Redis removes it by itself
		if n, err := r.store.Sweep(t.Context(), 100); err != nil || n != 1 {
			t.Errorf("swept %d rows, %v; want the one jti", n, err)
		}
	})
	r.refused("after the sweep", presented(token))
}

func TestK10_OneAssertionFiftyTimesAtOnce(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	// Two nodes, which share nothing but the store.
	other, err := New(Config{Store: storage.New(r.store.Backend), Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		token := key.sign(t, nil, r.claims(nil))
		errs := make(chan error, 50)
		var wg sync.WaitGroup
		for i := range 50 {
			auth := []*Authenticator{r.auth, other}[i%2]
			wg.Go(func() {
				_, err := auth.Authenticate(context.Background(), presented(token))
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		won := 0
		for err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, ErrInvalidClient) {
				t.Errorf("a loser got %v", err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of 50 won, want 1", won)
		}
	}
}

func TestK10_StoreAway(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	r.accepted("cached", presented(key.sign(t, nil, r.claims(nil))))
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.auth.Authenticate(t.Context(), presented(key.sign(t, nil, r.claims(nil))))
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, ErrInvalidClient) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// What strangers send and no key could make good costs no look into the store.
func TestK10_HopelessAssertionsCostNoStore(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	hs, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(r.claims(nil))).SignedString([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.refused("alg", presented(hs))
	r.refused("typ", presented(key.sign(t, map[string]any{"typ": "at+jwt"}, r.claims(nil))))
	r.refused("aud", presented(key.sign(t, nil, r.claims(map[string]any{"aud": "x"}))))
	r.refused("not a JWT", presented("x"))
	r.refused("client_id that cannot be", Credentials{Method: storage.AuthBasic, ClientID: "\x00", Secret: "x"})
}

func TestNumericDate(t *testing.T) {
	for v, want := range map[any]bool{0.0: true, 1795348860.5: true, 1e11: true, 1e12: false, 1e300: false, -1.0: false, "1": false, true: false} {
		if _, ok := numericDate(v); ok != want {
			t.Errorf("%v: %v, want %v", v, ok, want)
		}
	}
}

func FuzzAssertion(f *testing.F) {
	key := newSigner(f, "one", keys.ES256)
	good := key.sign(f, nil, map[string]any{"iss": "api", "sub": "api", "aud": issuer, "jti": "1", "exp": 1795348860})
	f.Add(good, AssertionType, "api")
	f.Add(good[:len(good)-1], AssertionType, "")
	for _, s := range []string{
		"", "..", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiIifQ.eA",
		"eyJhbGciOiJFUzI1NiJ9.bnVsbA.eA", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIiwic3ViIjoiYSIsImF1ZCI6W251bGxdLCJleHAiOjFlOTk5fQ.eA",
	} {
		f.Add(s, AssertionType, "")
	}
	a := &Authenticator{issuer: issuer, assertionLife: 10 * time.Minute}
	f.Fuzz(func(t *testing.T, token, kind, id string) {
		as, err := a.readAssertion(Credentials{Method: storage.AuthPrivateKeyJWT, ClientID: id, Assertion: token, AssertionType: kind})
		if err != nil {
			if !errors.Is(err, ErrInvalidClient) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if as.clientID == "" || id != "" && as.clientID != id || kind != AssertionType {
			t.Errorf("%+v accepted", as)
		}
		_, _ = a.checkTimes(as.claims, time.Unix(1795348800, 0))
		if _, ok := as.claims["jti"].(string); !ok {
			t.Error("no jti")
		}
		_ = a.verify(context.Background(), storage.Client{ID: "api", JWKS: `{"keys":[]}`}, as)
	})
}
