package interop

import (
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// go-oidc finds the issuer by its openid-configuration and verifies access
// tokens by the key set named there, across a rotation.
func TestGoOIDC(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			s, ctx := newServer(t, "JETON_SIGNING_ALG="+alg), contextOf(t)
			provider, err := oidc.NewProvider(ctx, s.issuer)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := provider.Endpoint().TokenURL, s.issuer+"/token"; got != want {
				t.Fatalf("token endpoint %q, want %q", got, want)
			}
			verifier := provider.Verifier(&oidc.Config{ClientID: audience})
			keys := oidc.NewRemoteKeySet(ctx, s.jwks())

			verify := func(token string) {
				t.Helper()
				verified, err := verifier.Verify(ctx, token)
				if err != nil {
					t.Fatal(err)
				}
				var claims struct {
					ClientID string `json:"client_id"`
					Scope    string
					Roles    []string
				}
				if err := verified.Claims(&claims); err != nil {
					t.Fatal(err)
				}
				if claims.ClientID != clientID || claims.Scope != "read write" || len(claims.Roles) != 1 || claims.Roles[0] != "ROLE_USER" {
					t.Fatalf("claims %+v", claims)
				}
				if _, err := keys.VerifySignature(ctx, token); err != nil {
					t.Fatal(err)
				}
			}
			before := s.login(t, ctx).AccessToken
			verify(before)
			// Twice, so that the key that signs is one that the library has
			// not seen and has to ask for.
			s.run(t, "", "key", "rotate", "--now")
			s.run(t, "", "key", "rotate", "--now")
			verify(s.login(t, ctx).AccessToken)
			verify(before)
		})
	}
}
