package interop

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
	"golang.org/x/oauth2/clientcredentials"
)

// TestRotationUnderLoad rotates while four programs take tokens and have each
// verified by three libraries at once: not one verification may fail. A copy of
// the key set that was fetched before is enough, since the next key is in it.
func TestRotationUnderLoad(t *testing.T) {
	const each = 40 // tokens under each of the two keys
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s, ctx := newServer(t, "JETON_SIGNING_ALG="+alg), contextOf(t)
			provider, err := oidc.NewProvider(ctx, s.issuer)
			if err != nil {
				t.Fatal(err)
			}
			byOIDC := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{alg}})
			byKeyfunc, err := keyfunc.NewDefaultCtx(ctx, []string{s.jwks()})
			if err != nil {
				t.Fatal(err)
			}
			_, byJWX := s.keyCache(t, ctx)

			tokens := clientcredentials.Config{ClientID: clientID, ClientSecret: clientSecret, TokenURL: s.issuer + "/token"}
			var mu sync.Mutex
			signed := map[string]int{}
			var rotated, enough atomic.Bool
			work := func() {
				for !enough.Load() && !t.Failed() {
					token, err := tokens.Token(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					parsed, err := jwt.Parse(token.AccessToken, byKeyfunc.KeyfuncCtx(ctx), jwt.WithValidMethods([]string{alg}))
					if err != nil {
						t.Errorf("keyfunc: %v", err)
						return
					}
					if _, err := byOIDC.Verify(ctx, token.AccessToken); err != nil {
						t.Errorf("go-oidc: %v", err)
					}
					if _, err := jwxjwt.ParseString(token.AccessToken, jwxjwt.WithKeySet(byJWX)); err != nil {
						t.Errorf("jwx: %v", err)
					}
					mu.Lock()
					signed[parsed.Header["kid"].(string)]++
					counts := slices.Sorted(maps.Values(signed))
					mu.Unlock()
					if counts[0] >= each && rotated.CompareAndSwap(false, true) {
						s.run(t, "", "key", "rotate", "--now")
					}
					enough.Store(len(counts) == 2 && counts[0] >= each)
				}
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(work)
			}
			wg.Wait()
			if len(signed) != 2 && !t.Failed() {
				t.Errorf("%d keys have signed, want 2", len(signed))
			}
		})
	}
}
