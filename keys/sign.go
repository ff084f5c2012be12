package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/measure"
)

// Sign makes a token of type typ with the key of that use that is current at
// now, the store's time, and says which key that was. It signs nothing for a
// caller that has gone: a signature is the dearest thing on the way.
func (r *Ring) Sign(ctx context.Context, now time.Time, use, typ string, claims jwt.Claims) (token, kid string, err error) {
	if err := ctx.Err(); err != nil {
		return "", "", err
	}
	k := r.snap.Load().current(now, use)
	if k == nil {
		return "", "", fmt.Errorf("keys: no key of use %q signs", use)
	}
	timer := measure.Begin(ctx, measure.Sign, r.Signing.of(use))
	token, err = k.signToken(typ, claims)
	timer.End()
	return token, k.ID, err
}

// SignWith makes a token with one particular key, current or not. With the
// claims of a token made before it gives that token again, byte for byte (PS256
// apart, which draws a new salt). A key that has left the ring is
// [ErrUnknownKey].
func (r *Ring) SignWith(ctx context.Context, kid, use, typ string, claims jwt.Claims) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	k := r.snap.Load().keys[kid]
	if k == nil || k.Use != use {
		return "", ErrUnknownKey
	}
	defer measure.Begin(ctx, measure.Sign, r.Signing.of(use)).End()
	return k.signToken(typ, claims)
}

func (k *key) signToken(typ string, claims jwt.Claims) (string, error) {
	body, err := encodeClaims(claims)
	if err != nil {
		return "", fmt.Errorf("keys: encoding the claims: %w", err)
	}
	header := encodeHeader(k.Alg, k.ID, typ)
	token := make([]byte, 0, len(header)+(len(body)+mostSignature)*4/3+8)
	token = append(append(token, header...), '.')
	token = base64url.AppendEncode(token, body)
	signature, err := k.private.sign(string(token))
	if err != nil {
		return "", fmt.Errorf("keys: signing with %s: %w", k.ID, err)
	}
	return string(base64url.AppendEncode(append(token, '.'), signature)), nil
}

// Parse verifies a token of our own and decodes its claims. The errors are
// [ErrMalformed], [ErrType], [ErrUnknownKey] and [ErrSignature]; another one
// says that the ring could not be read, which is no fault of the token. After
// an error the claims mean nothing. Times, issuer and audience are left to the
// caller.
//
// A kid that is not in the ring makes it look into the store, once a second at
// most in a process, so that strangers cannot make it busy.
func (r *Ring) Parse(ctx context.Context, now time.Time, use, token, typ string, claims jwt.Claims) error {
	if done, err := r.parseOwn(now, use, token, typ, claims); done {
		return err
	}
	h, err := CheckCompact(token)
	if err != nil {
		return err
	}
	if h.Type != mediaType(typ) {
		return ErrType
	}
	k, err := r.find(ctx, now, use, h.KeyID)
	if err != nil {
		return err
	}
	if h.Alg != k.Alg {
		return fmt.Errorf("%w: the algorithm is not the key's", ErrSignature)
	}
	if err := verify(token, k.Alg, k.private.public(), claims); err != nil {
		return err
	}
	r.remember(token, k, typ)
	return nil
}

// Holds reports whether a token that this key has signed can be right at now:
// whether the key is in the ring for that use.
func (r *Ring) Holds(now time.Time, use, kid string) bool {
	k := r.snap.Load().keys[kid]
	if k == nil {
		return false
	}
	_, err := k.usable(now, use)
	return err == nil
}

// find returns the key of a kid, from the store if it must.
func (r *Ring) find(ctx context.Context, now time.Time, use, kid string) (*key, error) {
	if k := r.snap.Load().keys[kid]; k != nil {
		return k.usable(now, use)
	}
	if !plausibleKeyID(kid) {
		return nil, ErrUnknownKey
	}
	if err := r.lookAgain(ctx); err != nil {
		return nil, err
	}
	if k := r.snap.Load().keys[kid]; k != nil {
		return k.usable(now, use)
	}
	return nil, ErrUnknownKey
}

// usable refuses keys of another use, and those past their end even while
// they wait to be swept.
func (k *key) usable(now time.Time, use string) (*key, error) {
	if k.Use != use || k.ended(now) {
		return nil, ErrUnknownKey
	}
	return k, nil
}

// plausibleKeyID reports whether a ring could have made such a kid: a
// thumbprint or 128 random bits.
func plausibleKeyID(kid string) bool {
	return (len(kid) == 43 || len(kid) == 22) && isBase64url(kid)
}

// Verify checks a JWT that somebody else signed with this key, and decodes its
// claims; its header comes from [CheckCompact]. The token's alg has to be the
// key's (RFC 8725 §3.1). Errors are those of [Ring.Parse].
func (k JWK) Verify(token string, claims jwt.Claims) error {
	h, err := CheckCompact(token)
	if err != nil {
		return err
	}
	switch {
	case h.Alg == algEd25519 && k.Alg == EdDSA:
		registerEd25519()
	case h.Alg != k.Alg:
		return fmt.Errorf("%w: the algorithm is not the key's", ErrSignature)
	}
	return verify(token, k.Alg, k.Key, claims)
}

// registerEd25519 teaches jwt the name of RFC 9864 for what it calls EdDSA.
var registerEd25519 = sync.OnceFunc(func() {
	jwt.RegisterSigningMethod(algEd25519, func() jwt.SigningMethod { return jwt.SigningMethodEdDSA })
})

// verify checks the signature of a token that CheckCompact has passed.
func verify(token, alg string, key any, claims jwt.Claims) error {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenMalformed):
		return fmt.Errorf("%w: its claims have members of the wrong kind", ErrMalformed)
	}
	return ErrSignature
}
