package server

import (
	"context"
	"errors"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/models"

	"jeton/grants"
)

// manager is what go-oauth2's server asks for tokens: package grants. Its own
// manager and stores are not used, because there refresh neither checks the
// client nor survives two requests at once (docs/DIVERGENCES.md).
type manager struct{ grants *grants.Service }

var _ oauth2.Manager = manager{}

// GenerateAccessToken issues for the grants that begin something.
func (m manager) GenerateAccessToken(ctx context.Context, _ oauth2.GrantType, _ *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return m.issue(ctx)
}

// RefreshAccessToken rotates.
func (m manager) RefreshAccessToken(ctx context.Context, _ *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return m.issue(ctx)
}

func (m manager) issue(ctx context.Context) (oauth2.TokenInfo, error) {
	x := exchangeOf(ctx)
	var err error
	if x.authorization == nil {
		if x.authorization, err = m.grants.Authorize(ctx, x.request); err != nil {
			return nil, err
		}
	}
	if x.response, err = m.grants.Issue(ctx, x.request, x.authorization); err != nil {
		return nil, err
	}
	ti := models.NewToken()
	ti.SetClientID(x.request.Client.Value.ID)
	ti.SetAccess(x.response.AccessToken)
	ti.SetAccessExpiresIn(x.response.ExpiresIn)
	ti.SetRefresh(x.response.RefreshToken)
	ti.SetScope(x.response.Scope)
	return ti, nil
}

// errNotCarried answers the calls of the library's interface that its token
// traffic never makes: revocation and introspection ask package grants.
var errNotCarried = errors.New("server: this call does not go through the library")

func (m manager) GetClient(context.Context, string) (oauth2.ClientInfo, error) {
	return nil, errNotCarried
}

func (m manager) GenerateAuthToken(context.Context, oauth2.ResponseType, *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return nil, errNotCarried
}

func (m manager) RemoveAccessToken(context.Context, string) error { return errNotCarried }

func (m manager) RemoveRefreshToken(context.Context, string) error { return errNotCarried }

func (m manager) LoadAccessToken(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, errNotCarried
}

func (m manager) LoadRefreshToken(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, errNotCarried
}
