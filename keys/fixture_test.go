package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/storage"
	"jeton/storage/chosen"
)

// clock is the store's and the machine's, moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)} }

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

func openStore(t testing.TB, c *clock) *storage.Store {
	t.Helper()
	return storage.New(openBackend(t, c))
}

func openBackend(t testing.TB, c *clock) storage.Backend {
	t.Helper()
	b, err := chosen.Open(t.Context(), filepath.Join(t.TempDir(), "jeton.db"), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func testMaster(t testing.TB, seed byte) *MasterKey {
	t.Helper()
	m, err := NewMasterKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// openRing opens a ring with the clock's time; ES256 unless config says more,
// since RSA keys take long to make.
func openRing(t testing.TB, s *storage.Store, c *clock, config Config) *Ring {
	t.Helper()
	if config.Alg == "" {
		config.Alg = ES256
	}
	config.Now = c.Now
	r, err := Open(t.Context(), s, testMaster(t, 1), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// newRing is a ring on a store of its own.
func newRing(t testing.TB, config Config) (*Ring, *clock) {
	t.Helper()
	c := newClock()
	return openRing(t, openStore(t, c), c, config), c
}

const (
	typAccess  = "at+jwt"
	typRefresh = "rt+jwt"
)

func testClaims() jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: "https://auth.example", Subject: "u1", ID: "j1", Audience: jwt.ClaimStrings{"https://api.example"},
		ExpiresAt: jwt.NewNumericDate(time.Unix(1_900_000_000, 0)),
	}
}

func sign(t testing.TB, r *Ring, now time.Time, use, typ string) (token, kid string) {
	t.Helper()
	token, kid, err := r.Sign(context.Background(), now, use, typ, testClaims())
	if err != nil {
		t.Fatal(err)
	}
	return token, kid
}

func parse(r *Ring, now time.Time, use, typ, token string) error {
	var claims jwt.RegisteredClaims
	return r.Parse(context.Background(), now, use, token, typ, &claims)
}

// publishedIDs are the kids that a verifier sees.
func publishedIDs(t testing.TB, r *Ring) []string {
	t.Helper()
	var set struct {
		Keys []struct {
			KeyID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(r.KeySet().JSON, &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.KeyID)
	}
	return ids
}

func encode(text string) string { return base64url.EncodeToString([]byte(text)) }

// compact puts a token together by hand.
func compact(header, claims, signature string) string {
	return strings.Join([]string{encode(header), encode(claims), encode(signature)}, ".")
}
