package verify

import (
	"errors"
	"fmt"
)

// Reason is why a token was refused. Errors of [Verifier.Verify] wrap one:
//
//	if errors.Is(err, verify.ErrRevoked) { ... }
type Reason string

// The reasons. All but the last are faults of the token, so asking for a new
// one is what helps.
const (
	ErrMalformed Reason = "malformed" // not a JWT that anybody should read
	ErrType      Reason = "type"      // of another kind: an ID token, a refresh token
	ErrAlgorithm Reason = "algorithm" // an algorithm that is not allowed, or not the key's
	ErrKey       Reason = "key"       // signed with a key that the issuer does not publish
	ErrSignature Reason = "signature" // changed, or signed by somebody else
	ErrIssuer    Reason = "issuer"    // of another issuer
	ErrAudience  Reason = "audience"  // for another API
	ErrExpired   Reason = "expired"   // too late
	ErrNotYet    Reason = "not_yet"   // too early: iat or nbf lie in the future
	ErrClaims    Reason = "claims"    // a claim is missing or not what it should be
	ErrProof     Reason = "proof"     // bound to a key, and no proof of it that is good
	ErrStatus    Reason = "status"    // no place in a status list, or one that cannot be
	ErrRevoked   Reason = "revoked"   // taken back
	// ErrUnavailable is no fault of the token: keys or status lists could not
	// be had from the issuer, or not for too long.
	ErrUnavailable Reason = "unavailable"
)

var reasons = []Reason{
	ErrMalformed, ErrType, ErrAlgorithm, ErrKey, ErrSignature, ErrIssuer, ErrAudience,
	ErrExpired, ErrNotYet, ErrClaims, ErrProof, ErrStatus, ErrRevoked, ErrUnavailable,
}

func (r Reason) Error() string { return "verify: token refused: " + string(r) }

// because adds words for the log. They repeat nothing of the token.
func (r Reason) because(format string, args ...any) error {
	return fmt.Errorf("%w: %w", r, fmt.Errorf(format, args...))
}

// reasonOf finds the reason in an error; what has none is no fault of the
// token.
func reasonOf(err error) Reason {
	var r Reason
	if errors.As(err, &r) {
		return r
	}
	return ErrUnavailable
}
