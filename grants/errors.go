package grants

import (
	"errors"
	"fmt"

	"jeton/keys"
	"jeton/storage"
)

// Code is an error code of the wire. It chooses the HTTP status.
type Code string

// The codes of RFC 6749 §5.2, RFC 6750 §3.1 and RFC 7009 §2.2.1.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidClient        Code = "invalid_client"
	InvalidGrant         Code = "invalid_grant"
	InvalidScope         Code = "invalid_scope"
	UnauthorizedClient   Code = "unauthorized_client"
	UnsupportedGrantType Code = "unsupported_grant_type"
	InvalidToken         Code = "invalid_token"
	InsufficientScope    Code = "insufficient_scope"

	// Of RFC 9470 §3.
	InsufficientUserAuthentication Code = "insufficient_user_authentication"

	// Of RFC 8707 §2 and RFC 8693 §2.2.2.
	InvalidTarget Code = "invalid_target"

	// Of RFC 9449 §5 and §8.
	InvalidDPoPProof Code = "invalid_dpop_proof"
	UseDPoPNonce     Code = "use_dpop_nonce"

	// Of RFC 8628 §3.5.
	AuthorizationPending Code = "authorization_pending"
	SlowDown             Code = "slow_down"
	ExpiredToken         Code = "expired_token"

	// Of an authorization response: RFC 6749 §4.1.2.1, OpenID Connect Core
	// §3.1.2.6, RFC 9101 §6 in the words of OpenID Connect.
	AccessDenied            Code = "access_denied"
	UnsupportedResponseType Code = "unsupported_response_type"
	LoginRequired           Code = "login_required"
	ConsentRequired         Code = "consent_required"
	InvalidRequestURI       Code = "invalid_request_uri"
	RequestNotSupported     Code = "request_not_supported"
	RequestURINotSupported  Code = "request_uri_not_supported"
)

// Error is a refusal: a code and words for the caller, and a cause for the log
// only.
type Error struct {
	Code        Code
	Description string
	Cause       error
	// Outcome is what metrics call it where the code says too little: "reuse",
	// "lost_write", "foreign_token", "sunset", "fenced", "too_long", "elsewhere",
	// "two_sessions".
	Outcome string
	// Elsewhere is what differs from where the session was refreshed before,
	// where that is the reason.
	Elsewhere []Mismatch
	// Subject and Session are whom it was about, for the log only, where what
	// was presented proves it.
	Subject, Session string
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s (%v)", e.Code, e.Description, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Description)
}

func (e *Error) Unwrap() error { return e.Cause }

// Refuse makes an error for the caller; cause may be nil.
func Refuse(code Code, description string, cause error) error { return fail(code, description, cause) }

func fail(code Code, description string, cause error) error {
	return &Error{Code: code, Description: description, Cause: cause}
}

// What the callers of administration tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
)

// errContended says that one record was fought over for too long to decide.
var errContended = fmt.Errorf("grants: too many changes to one record at once: %w", storage.ErrUnavailable)

// The words are the same whatever the reason, so that they tell a stranger
// nothing; the cause is logged.
func badPassword(cause string) error {
	return fail(InvalidGrant, "the username or password is wrong", errors.New(cause))
}

func badCode(cause string) error {
	return fail(InvalidGrant, "the code is invalid, expired, used or was issued to another client", errors.New(cause))
}

// dead is why a token, or what it stands for, is not alive.
type dead string

func (d dead) Error() string { return string(d) }

// refuseDead turns what is wrong with a token into a refusal. Other errors, such
// as a store that is away, are no verdict on the token and pass through.
func refuseDead(err error, refuse func(error) error) error {
	var d dead
	switch {
	case errors.As(err, &d),
		errors.Is(err, keys.ErrMalformed), errors.Is(err, keys.ErrType),
		errors.Is(err, keys.ErrUnknownKey), errors.Is(err, keys.ErrSignature):
		return refuse(err)
	}
	return err
}

// about notes in a refusal whom it was about.
func about(err error, sub, sid string) error {
	if refused, ok := errors.AsType[*Error](err); ok {
		refused.Subject, refused.Session = sub, sid
	}
	return err
}

// notable is a refusal of a refresh token that metrics tell from the others.
func notable(outcome, cause string) error {
	var e *Error
	errors.As(badRefreshToken(errors.New(cause)), &e)
	e.Outcome = outcome
	return e
}

// tooLong refuses a token that would not arrive.
func tooLong(size, most int) error {
	return &Error{
		Code: InvalidScope, Outcome: "too_long", Description: "the tokens do not fit into cookies: ask for a narrower scope",
		Cause: fmt.Errorf("a token has %d bytes, a cookie takes %d: give the client fewer scopes and audiences, or the user fewer roles", size, most),
	}
}

func badRefreshToken(cause error) error {
	return fail(InvalidGrant, "the refresh token is invalid, expired, revoked or was issued to another client", cause)
}

func badAccessToken(cause error) error {
	return fail(InvalidToken, "the access token is invalid, expired or revoked", cause)
}
