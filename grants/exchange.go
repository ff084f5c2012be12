package grants

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
)

// TokenTypeAccess is the one kind of token that is exchanged, and made of it
// (RFC 8693 §3).
const TokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token"

// Exchange are the parameters of a token exchange (RFC 8693 §2.1). The targets
// are those of Resource and Audience together.
type Exchange struct {
	SubjectToken, SubjectTokenType string
	ActorToken, ActorTokenType     string
	RequestedTokenType             string
	Resource, Audience             []string
}

// exchangeGrant is RFC 8693: an API that was called with a user's token gets a
// token of its own for the APIs that it calls in turn. What it gets belongs to
// the user's session and ends with it; and as its place is from a block of the
// client, it ends with the client too.
type exchangeGrant struct{}

// mostExchanged is how many unexpired tokens of exchanges one session may have:
// the next one revokes the oldest. They are counted apart from the session's
// own, so that an API cannot push its user out.
const mostExchanged = 32

// mostActors bounds the chain of `act` in a token.
const mostActors = 8

// Authorize decides about an exchange. What is wrong with either token is an
// invalid_request (RFC 8693 §2.2.2).
func (exchangeGrant) Authorize(ctx context.Context, s *Service, req Request) (Authorization, error) {
	x, client := req.Exchange, req.Client.Value
	if err := x.check(); err != nil {
		return nil, err
	}
	subject, err := s.verifyGiven(ctx, "subject_token", x.SubjectToken)
	if err != nil {
		return nil, err
	}
	switch {
	case subject.SessionID == "":
		return nil, badExchange("the subject_token is a client's own: only tokens of users can be exchanged", nil)
	case slices.ContainsFunc(strings.Fields(subject.Scope), forAdministration):
		return nil, badExchange("a token for the administration cannot be exchanged", nil)
	case subject.ClientID != client.ID && !meantFor(client, subject.Audience):
		return nil, badExchange("the subject_token was neither issued to this client nor meant for it", nil)
	}
	actor, err := s.actor(ctx, req, subject)
	if err != nil {
		return nil, err
	}
	scope, err := exchangeScope(client, subject.Scope, req.Scope)
	if err != nil {
		return nil, err
	}
	audience, err := s.Settings.targets(client, x)
	if err != nil {
		return nil, err
	}
	return s.exchanged(ctx, req, subject, exchangeClaims{scope, audience, actor})
}

func (x Exchange) check() error {
	switch {
	case x.SubjectToken == "" || x.SubjectTokenType == "":
		return badExchange("subject_token and subject_token_type are required", nil)
	case (x.ActorToken == "") != (x.ActorTokenType == ""):
		return badExchange("actor_token and actor_token_type go together", nil)
	case x.SubjectTokenType != TokenTypeAccess, x.ActorTokenType != "" && x.ActorTokenType != TokenTypeAccess:
		return badExchange("only access tokens of this server are taken: "+TokenTypeAccess, nil)
	case x.RequestedTokenType != "" && x.RequestedTokenType != TokenTypeAccess:
		return badExchange("the only requested_token_type is "+TokenTypeAccess, nil)
	}
	return nil
}

func badExchange(description string, cause error) error {
	return fail(InvalidRequest, description, cause)
}

// verifyGiven looks at a token as introspection would.
func (s *Service) verifyGiven(ctx context.Context, name, token string) (Access, error) {
	a, err := s.VerifyAccess(ctx, token)
	if refused, ok := errors.AsType[*Error](err); ok {
		return a, badExchange("the "+name+" is invalid, expired or revoked", refused)
	}
	return a, err
}

// meantFor reports whether a token reaches the client as an API. Otherwise any
// client could trade in whatever token it has come by (RFC 8693 §5).
func meantFor(client storage.Client, audience []string) bool {
	return slices.ContainsFunc(audience, func(a string) bool {
		return a == client.ID || slices.Contains(client.ExchangeAudience, a)
	})
}

// actor is who acts for the subject: with an actor_token its subject, before
// those who acted already (RFC 8693 §4.1). Without one the client impersonates,
// and who acted before it remains to be seen.
func (s *Service) actor(ctx context.Context, req Request, subject Access) (*Actor, error) {
	if req.Exchange.ActorToken == "" {
		return subject.Actor, nil
	}
	acts, err := s.verifyGiven(ctx, "actor_token", req.Exchange.ActorToken)
	switch {
	case err != nil:
		return nil, err
	case acts.ClientID != req.Client.Value.ID:
		return nil, badExchange("the actor_token was issued to another client", nil)
	case subject.Actor.depth() >= mostActors:
		return nil, badExchange("too many have acted for one another", nil)
	}
	return &Actor{Subject: acts.Subject, Actor: subject.Actor}, nil
}

// exchangeScope is what both the subject token and the client have of what was
// asked for: neither a stronger client nor a stronger token adds anything.
func exchangeScope(client storage.Client, of, asked string) (string, error) {
	both := slices.DeleteFunc(strings.Fields(of), func(s string) bool { return !slices.Contains(client.Scopes, s) || forAdministration(s) })
	if asked == "" {
		if of != "" && len(both) == 0 {
			return "", fail(InvalidScope, "the client has none of the scopes of the subject_token", nil)
		}
		return strings.Join(both, " "), nil
	}
	scope, err := parseScope(asked)
	if err != nil {
		return "", err
	}
	for _, s := range scope {
		if !slices.Contains(both, s) {
			return "", fail(InvalidScope, "the scope exceeds that of the subject_token or of the client", nil)
		}
	}
	return strings.Join(scope, " "), nil
}

// targets are whom the new token is for: of the client's audiences those that
// are named, by default all.
func (s Settings) targets(client storage.Client, x Exchange) ([]string, error) {
	may := s.audience(client, nil)
	var out []string
	for _, r := range x.Resource {
		if u, err := url.Parse(r); err != nil || !u.IsAbs() || strings.Contains(r, "#") { // RFC 8707 §2
			return nil, fail(InvalidTarget, "a resource is an absolute URI without a fragment", nil)
		}
	}
	for _, a := range slices.Concat(x.Resource, x.Audience) {
		if !slices.Contains(may, a) {
			return nil, fail(InvalidTarget, "the client may not ask for tokens for that target", nil)
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return may, nil
	}
	return out, nil
}

// exchangeClaims are what was decided of the new token.
type exchangeClaims struct {
	scope    string
	audience []string
	actor    *Actor
}

// exchanging is the authorization of a token in the session of another.
type exchanging struct {
	req     Request
	subject Access
	exchangeClaims
	session storage.Record[storage.Session]
	user    storage.Record[storage.User]
	system  storage.System
	now     time.Time
}

// exchanged reads what the commit will be held to, and asks again whether the
// subject token lives: between the two it may have been revoked.
func (s *Service) exchanged(ctx context.Context, req Request, subject Access, c exchangeClaims) (Authorization, error) {
	ses, user, now, err := s.Store.SessionAndUser(ctx, subject.Subject, subject.SessionID)
	if err != nil {
		return nil, err
	}
	owner, system, err := s.records(ctx, ses.Value)
	if err != nil {
		return nil, err
	}
	err = s.alive(ctx, ses, user, now)
	if err == nil && !isLive(ses.Value, accessEpoch(user.Value, owner.Value), subject.TokenID) {
		err = dead("revoked meanwhile")
	}
	if err != nil {
		return nil, refuseDead(err, func(cause error) error {
			return badExchange("the subject_token is invalid, expired or revoked", cause)
		})
	}
	return exchanging{req, subject, c, ses, user, system.Value, now}, nil
}

// issue signs the token and then notes it in the session, on the condition that
// neither session nor user has changed.
func (e exchanging) issue(ctx context.Context, s *Service) (Response, error) {
	client, ses := e.req.Client.Value, e.session.Value
	issued := seconds(e.now)
	expires := earlier(issued.Add(lifetime(client.AccessTokenTTL, s.Settings.AccessTokenTTL)), earlier(e.subject.Expires, seconds(ses.End)))
	place, err := s.Places.NextForClient(ctx, e.now, client.ID, e.req.Client.Version, status.Epoch(client, e.system), expires)
	if errors.Is(err, storage.ErrConflict) {
		return s.issueAfresh(ctx, e.req)
	}
	if err != nil {
		return Response{}, err
	}
	id := status.NewTokenID(place)
	token, _, err := s.Keys.Sign(ctx, e.now, keys.UseSig, typAccess, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.Settings.Issuer, Subject: ses.Subject, Audience: e.audience,
			ExpiresAt: jwt.NewNumericDate(expires), IssuedAt: jwt.NewNumericDate(issued), ID: id,
		},
		ClientID: client.ID, Scope: e.scope, Roles: e.user.Value.Roles, SessionID: ses.ID,
		AuthTime: jwt.NewNumericDate(ses.AuthTime), AMR: ses.AMR, Actor: e.actor,
		Confirm: confirmed(e.req.thumbprint()), Status: s.statusOf(id),
	})
	if err != nil {
		return Response{}, err
	}
	ses.Live = append(unexpired(ses.Live, e.now), storage.LiveAccess{ID: id, Expires: expires, ClientID: client.ID})
	revoked := pushOut(&ses, mostExchanged, true, e.now)
	_, err = s.Store.Commit(ctx, storage.Change{
		Partition: storage.UserPartition(ses.Subject),
		Checks:    []storage.Check{e.session.Check(storage.SessionKey(ses.ID)), e.user.Check(storage.UserKey(ses.Subject))},
		Puts:      append(revoked, sessionPut(ses, nil)),
	})
	return Response{
		AccessToken: token, ExpiresIn: expires.Sub(issued), Scope: e.scope, Subject: ses.Subject, Session: ses.ID,
		IssuedTokenType: TokenTypeAccess, Bound: e.req.Proof != nil,
	}, err
}
