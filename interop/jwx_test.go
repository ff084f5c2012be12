package interop

import (
	"context"
	"crypto"
	"encoding/base64"
	"testing"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// keyCache is a jwk.Cache that has fetched the key set once.
func (s *server) keyCache(t *testing.T, ctx context.Context) (*jwk.Cache, jwk.Set) {
	t.Helper()
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Register(ctx, s.jwks()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Shutdown(context.WithoutCancel(ctx)) })
	keys, err := cache.CachedSet(s.jwks())
	if err != nil {
		t.Fatal(err)
	}
	return cache, keys
}

// verifyJWX verifies an access token as an API would and returns its kid.
func (s *server) verifyJWX(t *testing.T, keys jwk.Set, token, alg string) string {
	t.Helper()
	_, err := jwt.ParseString(token, jwt.WithKeySet(keys), jwt.WithIssuer(s.issuer), jwt.WithAudience(audience),
		jwt.WithClaimValue("client_id", clientID), jwt.WithRequiredClaim("jti"), jwt.WithRequiredClaim("sid"))
	if err != nil {
		t.Fatal(err)
	}
	message, err := jws.ParseString(token)
	if err != nil {
		t.Fatal(err)
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if typ, _ := header.Type(); typ != "at+jwt" {
		t.Fatalf("typ %q, want at+jwt", typ)
	}
	if got, _ := header.Algorithm(); got.String() != alg {
		t.Fatalf("alg %v, want %s", got, alg)
	}
	kid, _ := header.KeyID()
	return kid
}

// The cache of jwx does not ask for a kid that it lacks. A rotation has to work
// all the same, because the next key is published before it signs.
func TestJWXCache(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			s, ctx := newServer(t, "JETON_SIGNING_ALG="+alg), contextOf(t)
			cache, keys := s.keyCache(t, ctx)
			checkKeys(t, keys, alg)

			before := s.login(t, ctx).AccessToken
			first := s.verifyJWX(t, keys, before, alg)
			s.run(t, "", "key", "rotate", "--now")
			after := s.login(t, ctx).AccessToken
			if second := s.verifyJWX(t, keys, after, alg); second == first {
				t.Fatal("the rotation left the key as it was")
			}
			s.verifyJWX(t, keys, before, alg)

			// The key that comes after was made by the rotation: fetch it.
			s.run(t, "", "key", "rotate", "--now")
			last := s.login(t, ctx).AccessToken
			if _, err := jwt.ParseString(last, jwt.WithKeySet(keys)); err == nil {
				t.Fatal("a key verified a token before the cache had it")
			}
			if _, err := cache.Refresh(ctx, s.jwks()); err != nil {
				t.Fatal(err)
			}
			for _, token := range []string{before, after, last} {
				s.verifyJWX(t, keys, token, alg)
			}
		})
	}
}

// checkKeys looks at what jwx demands of each key, and at the kid by jwx's own
// RFC 7638 thumbprint.
func checkKeys(t *testing.T, keys jwk.Set, alg string) {
	t.Helper()
	if keys.Len() < 2 {
		t.Fatalf("%d keys are published, want the current and the next", keys.Len())
	}
	for i := range keys.Len() {
		key, _ := keys.Key(i)
		kid, _ := key.KeyID()
		use, _ := key.KeyUsage()
		got, ok := key.Algorithm()
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if want := base64.RawURLEncoding.EncodeToString(sum); kid != want || use != "sig" || !ok || got.String() != alg {
			t.Fatalf("kid %q use %q alg %v, want %q sig %s", kid, use, got, want, alg)
		}
		if private, err := jwk.IsPrivateKey(key); err != nil || private {
			t.Fatalf("key %s is private (%v)", kid, err)
		}
	}
}
