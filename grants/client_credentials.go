package grants

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
)

// clientCredentialsGrant is RFC 6749 §4.4: a token for the client itself.
type clientCredentialsGrant struct{}

func (clientCredentialsGrant) Authorize(ctx context.Context, s *Service, req Request) (Authorization, error) {
	if req.Client.Value.Public() {
		return nil, fail(UnauthorizedClient, "a public client cannot use client_credentials", nil)
	}
	scope, err := grantScope(req.Client.Value, req.Scope)
	if err != nil {
		return nil, err
	}
	audience, err := s.Settings.resources(req.Client.Value, scope, nil, req.Resource)
	if err != nil {
		return nil, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return nil, err
	}
	now, err := s.Store.Now(ctx)
	return machine{req, scope, audience, system.Value, now}, err
}

// machine is the authorization of a token without user and session. Nothing is
// stored for it: its index comes from a block that was leased to the client, so
// that ending the client reaches it.
type machine struct {
	req      Request
	scope    []string
	audience []string
	system   storage.System
	now      time.Time
}

func (m machine) issue(ctx context.Context, s *Service) (Response, error) {
	client := m.req.Client.Value
	issued := seconds(m.now)
	expires := issued.Add(lifetime(client.AccessTokenTTL, s.Settings.AccessTokenTTL))
	place, err := s.Places.NextForClient(ctx, m.now, client.ID, m.req.Client.Version, status.Epoch(client, m.system), expires)
	if errors.Is(err, storage.ErrConflict) {
		return s.issueAfresh(ctx, m.req)
	}
	if err != nil {
		return Response{}, err
	}
	scope := strings.Join(m.scope, " ")
	id := status.NewTokenID(place)
	token, _, err := s.Keys.Sign(ctx, m.now, keys.UseSig, typAccess, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.Settings.Issuer, Subject: client.ID, Audience: m.audience,
			ExpiresAt: jwt.NewNumericDate(expires), IssuedAt: jwt.NewNumericDate(issued), ID: id,
		},
		ClientID: client.ID, Scope: scope, Confirm: confirmed(m.req.thumbprint()), Status: s.statusOf(id),
	})
	return Response{AccessToken: token, ExpiresIn: expires.Sub(issued), Scope: scope, Subject: client.ID, Bound: m.req.Proof != nil}, err
}

// issueAfresh decides about a request again, on the client's record as it is:
// the one at hand proved stale, and a cache would answer the same again.
func (s *Service) issueAfresh(ctx context.Context, req Request) (Response, error) {
	var err error
	if req.Client, _, err = s.Store.Client(ctx, req.Client.Value.ID); err != nil {
		return Response{}, err
	}
	if !req.Client.Exists() || req.Client.Value.Disabled {
		return Response{}, fail(InvalidClient, "client authentication failed", errors.New("disabled or deleted meanwhile"))
	}
	a, err := s.Authorize(ctx, req)
	if err != nil {
		return Response{}, err
	}
	resp, err := a.issue(ctx, s)
	if errors.Is(err, storage.ErrConflict) {
		return Response{}, errContended
	}
	return resp, err
}
