// Package grants is the protocol: it decides which tokens may be minted, mints
// them, rotates refresh tokens, revokes and introspects. All rules of OAuth
// live here, once, above any database and below any HTTP.
//
// One road leads through it. A [Request] comes from an authenticated client; a
// [Grant] turns it into an [Authorization], which changes nothing; issuing the
// authorization signs first and commits last, and yields the [Response]. When
// the commit finds that the truth has moved meanwhile, the request is decided
// again from the start, so a race is lost cleanly: never by an error of the
// server, never by a second branch.
//
// Clients are authenticated by package clients, and errors become HTTP in
// package server.
package grants

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"jeton/clients/documents"
	"jeton/dpop"
	"jeton/events/status"
	"jeton/keys"
	"jeton/passwords"
	"jeton/storage"
	"jeton/throttle"
)

// AdminScope lets a token administer the server; see [Settings.AdminAudience].
const AdminScope = "jeton:admin"

// Settings are the policies that a client's own settings may override.
type Settings struct {
	// Issuer is the exact `iss` of every token.
	Issuer string
	// AccessTokenTTL, RefreshTokenTTL (idle, slides at each rotation) and
	// SessionTTL (absolute) are lifetimes.
	AccessTokenTTL  time.Duration
	RefreshTokenTTL time.Duration
	SessionTTL      time.Duration
	// RefreshRetryWindow is how long the immediate predecessor of an unused
	// refresh token gets the same successor again; 0 is strict single use.
	RefreshRetryWindow time.Duration
	// MaxSessions is the most live sessions of one user through one client.
	MaxSessions int
	// SignInIdle and SignInTTL are how long a browser stays signed in at the
	// pages: unused, and at most.
	SignInIdle time.Duration
	SignInTTL  time.Duration
	// DeviceCodeTTL is how long a device's request waits for a user, and
	// DeviceInterval how long the device waits between asking what became of it.
	DeviceCodeTTL  time.Duration
	DeviceInterval time.Duration
	// RequirePush refuses authorization requests that were not pushed.
	RequirePush bool
	// SecretOverlap is how long the old secret of a client works beside a new one,
	// where nothing else is asked for.
	SecretOverlap time.Duration
	// OpenResources are the APIs that clients may ask for which described
	// themselves.
	OpenResources []string
	// Registration says who may register clients.
	Registration Registration
	// On says what follows from what happens.
	On Reactions
}

// AdminAudience is the `aud` of a token with [AdminScope] or [EventsScope], and of no other: an
// API that is shown such a token by mistake cannot be one it is meant for.
func (s Settings) AdminAudience() string { return s.Issuer + "/admin/v1" }

// Userinfo is the endpoint of OpenID Connect, as a resource (RFC 8707).
func (s Settings) Userinfo() string { return s.Issuer + "/userinfo" }

// Host is the host of the issuer, without a port.
func (s Settings) Host() string {
	u, err := url.Parse(s.Issuer)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Service holds what minting needs. All fields but Throttle are required.
type Service struct {
	Settings  Settings
	Store     *storage.Store
	Keys      *keys.Ring
	Master    *keys.MasterKey
	Places    *status.Allocator
	Passwords *passwords.Passwords
	// Throttle slows who guesses passwords. Without one nothing does.
	Throttle *throttle.Throttle
	// Documents reads those by which clients describe themselves. Without one
	// there are no such clients.
	Documents *documents.Reader
	// Proofs remembers which proofs of possession were used.
	Proofs *dpop.Checker
	Log    *slog.Logger
	// Now is this machine's clock. It only helps to pick keys: all that a
	// token is worth is judged by the store's time.
	Now func() time.Time

	memo     accessMemo
	verified verified
	unsaid   unsaid
}

// Request is what a client asks of the token endpoint, after the client was
// authenticated and the form was checked.
type Request struct {
	GrantType string
	Client    storage.Record[storage.Client]
	// Scope is the scope parameter as sent, empty when absent.
	Scope string
	// Resource are the resource parameters as sent (RFC 8707 §2.2).
	Resource     []string
	Username     string
	Password     string
	RefreshToken string
	// Code, RedirectURI and Verifier are of RFC 6749 §4.1.3 and RFC 7636 §4.5.
	Code, RedirectURI, Verifier string
	Exchange                    Exchange
	// DeviceCode is of RFC 8628 §3.4.
	DeviceCode string
	// MostToken is the longest token that can be handed over, 0 for any.
	MostToken int
	// Proof is that of a key that the client holds, nil for none. It binds what is
	// issued to that key.
	Proof  *dpop.Proof
	Source Source
}

// Source is where a request came from.
type Source struct {
	// Address is the IP address of the client, as far as it is known.
	Address string
	// Agent is the User-Agent header as it was sent.
	Agent string
	// Unnamed says that a trusted proxy did not say whom it speaks for: Address is
	// the proxy's own.
	Unnamed bool
	// Device is what a session keeps of it.
	Device storage.Device
}

// Response is what a token request is answered with (RFC 6749 §5.1).
type Response struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
	// RefreshExpiresIn is how long the refresh token lives unused.
	RefreshExpiresIn time.Duration
	Scope            string
	// Bound says that the access token is bound to a key.
	Bound bool
	// IDToken is of OpenID Connect Core §2, for a code with the scope openid and
	// for the refreshes of its session (§12.2).
	IDToken string
	// IssuedTokenType is of RFC 8693 §2.2.1, for an exchange.
	IssuedTokenType string
	// Elsewhere is what differs from where the session was refreshed before.
	Elsewhere []Mismatch
	// Retry says that this was answered before.
	Retry bool
	// Subject and Session are whom the tokens are for, for the log.
	Subject, Session string

	rotated *rotated
}

// rotated names the rotation that made a response, for [Service.Undelivered].
type rotated struct {
	sub, sid   string
	rotID      []byte
	generation uint64
}

// Grant decides about the requests of one grant type. Checks that all grants
// share are made before Authorize is called.
type Grant interface {
	Authorize(ctx context.Context, s *Service, req Request) (Authorization, error)
}

// Authorization is the decision that tokens may be minted. Issuing it signs,
// commits and answers; an error that wraps [storage.ErrConflict] says that the
// decision has been overtaken and nothing was written.
type Authorization interface {
	issue(ctx context.Context, s *Service) (Response, error)
}

// byType are the grants of the token endpoint.
var byType = map[string]Grant{
	storage.GrantPassword:          passwordGrant{},
	storage.GrantRefreshToken:      refreshGrant{},
	storage.GrantClientCredentials: clientCredentialsGrant{},
	storage.GrantAuthorizationCode: codeGrant{},
	storage.GrantTokenExchange:     exchangeGrant{},
	storage.GrantDeviceCode:        deviceGrant{},
}

// Types lists the grant types of the token endpoint.
func Types() []string {
	return []string{
		storage.GrantAuthorizationCode, storage.GrantDeviceCode, storage.GrantRefreshToken,
		storage.GrantClientCredentials, storage.GrantTokenExchange, storage.GrantPassword,
	}
}

// Authorize decides about a request and changes nothing.
func (s *Service) Authorize(ctx context.Context, req Request) (Authorization, error) {
	grant, ok := byType[req.GrantType]
	if !ok {
		return nil, fail(UnsupportedGrantType, "this server does not offer that grant_type", nil)
	}
	if !slices.Contains(req.Client.Value.Grants, req.GrantType) {
		return nil, fail(UnauthorizedClient, "the client is not registered for that grant_type", nil)
	}
	if req.Client.Value.DPoPBound && req.Proof == nil {
		return nil, fail(InvalidDPoPProof, "the client is registered to send a DPoP proof with each request", nil)
	}
	return grant.Authorize(ctx, s, req)
}

// mostDecisions bounds how often a request is decided again. Each time somebody
// else's commit has got through, so reaching it takes a storm on one session.
const mostDecisions = 100

// Issue mints what was authorized. If the authorization has been overtaken it
// decides about the request again.
func (s *Service) Issue(ctx context.Context, req Request, a Authorization) (Response, error) {
	if err := s.spend(ctx, req); err != nil {
		return Response{}, err
	}
	for range mostDecisions {
		resp, err := a.issue(ctx, s)
		if !errors.Is(err, storage.ErrConflict) {
			return resp, err
		}
		if a, err = s.Authorize(ctx, req); err != nil {
			return Response{}, err
		}
	}
	return Response{}, errContended
}

// Token decides and mints: Authorize and Issue in one.
func (s *Service) Token(ctx context.Context, req Request) (Response, error) {
	a, err := s.Authorize(ctx, req)
	if err != nil {
		return Response{}, err
	}
	return s.Issue(ctx, req, a)
}

// retryConflicts runs act again while it finds the truth changed under it.
func retryConflicts(act func() error) error {
	for range mostDecisions {
		if err := act(); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}

// lifetime is the client's own setting if it has one, else the server's.
func lifetime(own storage.Duration, server time.Duration) time.Duration {
	if own > 0 {
		return time.Duration(own)
	}
	return server
}
