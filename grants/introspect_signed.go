package grants

import (
	"context"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
)

// TypeIntrospection is the typ of an introspection response that is a JWT, and
// with "application/" before it its media type (RFC 9701 §5). Nothing here takes
// a token of that type, so that an answer about a token is never taken for one.
const TypeIntrospection = "token-introspection+jwt"

// introspectionClaims are those of RFC 9701 §5. There is neither sub nor exp,
// which would make it look like a token.
type introspectionClaims struct {
	Issuer               string           `json:"iss"`
	Audience             string           `json:"aud"`
	Issued               *jwt.NumericDate `json:"iat"`
	Answer               any              `json:"token_introspection"`
	jwt.RegisteredClaims `json:"-"`
}

// SignIntrospection makes a JWT of an answer, for the client that asked.
func (s *Service) SignIntrospection(ctx context.Context, caller string, answer any) (string, error) {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return "", err
	}
	token, _, err := s.Keys.Sign(ctx, now, keys.UseSig, TypeIntrospection, introspectionClaims{
		Issuer: s.Settings.Issuer, Audience: caller, Issued: jwt.NewNumericDate(seconds(now)), Answer: answer,
	})
	return token, err
}
