package interop

import (
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

func TestGolangJWTWithKeyfunc(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			s, ctx := newServer(t, "JETON_SIGNING_ALG="+alg), contextOf(t)
			keys, err := keyfunc.NewDefaultCtx(ctx, []string{s.jwks()})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // two rotations: the second key signs, then one that has to be asked for
				access := s.login(t, ctx).AccessToken
				token, err := jwt.Parse(access, keys.KeyfuncCtx(ctx), jwt.WithValidMethods([]string{alg}),
					jwt.WithIssuer(s.issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
				if err != nil {
					t.Fatal(err)
				}
				if token.Header["typ"] != "at+jwt" {
					t.Fatalf("typ %v, want at+jwt", token.Header["typ"])
				}
				s.run(t, "", "key", "rotate", "--now")
			}
		})
	}
}
