package server

import (
	"context"
	"maps"
	"net/http"
	"net/url"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/server"

	"jeton/grants"
	"jeton/storage"
)

// carrier is the library's server, under a name that keeps its import to this
// file and manager.go.
type carrier = server.Server

// newLibrary sets up go-oauth2's server, which carries the traffic of /token:
// it dispatches on the grant type, calls for the user, the token and its data,
// and hands the answer back. docs/DIVERGENCES.md lists what is fenced off and
// why: the client is authenticated and the form checked before it sees the
// request, and all errors leave through [problemOf].
func newLibrary(g *grants.Service) *carrier {
	cfg := server.NewConfig()
	cfg.AllowedGrantTypes = nil
	for _, t := range grants.Types() {
		cfg.AllowedGrantTypes = append(cfg.AllowedGrantTypes, oauth2.GrantType(t))
	}
	cfg.AllowedResponseTypes = nil
	lib := server.NewServer(cfg, manager{g})
	lib.ClientInfoHandler = func(r *http.Request) (string, string, error) {
		return exchangeOf(r.Context()).request.Client.Value.ID, "", nil
	}
	lib.PasswordAuthorizationHandler = func(ctx context.Context, _, _, _ string) (string, error) {
		// The library asks who the user is before it asks for the token: here
		// the request is decided, there it is issued.
		x := exchangeOf(ctx)
		var err error
		if x.authorization, err = g.Authorize(ctx, x.request); err != nil {
			return "", err
		}
		return x.request.Username, nil
	}
	return lib
}

// exchange is one token request on its way through the library.
type exchange struct {
	request       grants.Request
	authorization grants.Authorization
	response      grants.Response
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// carry walks a token request through the library and returns the data of the
// answer.
func (s *Server) carry(r *http.Request, f form, req grants.Request) (map[string]any, grants.Response, error) {
	x := &exchange{request: req}
	if !knownToLibrary(req.GrantType) {
		return s.carryBeside(r.Context(), x)
	}
	// The library reads the form by itself; it gets ours, checked.
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	r.Form, r.PostForm = url.Values(f), url.Values(f)
	if req.GrantType == storage.GrantRefreshToken && req.RefreshToken != "" { // it may come from a cookie
		r.Form = maps.Clone(r.Form)
		r.Form.Set("refresh_token", req.RefreshToken)
	}
	if req.GrantType == storage.GrantAuthorizationCode && req.RedirectURI == "" {
		// It asks for a parameter that OAuth 2.1 has no more, and never looks at it.
		r.Form = maps.Clone(r.Form)
		r.Form.Set("redirect_uri", "-")
	}
	gt, tgr, err := s.library.ValidationTokenRequest(r)
	if err != nil {
		return nil, x.response, fromLibrary(err)
	}
	ti, err := s.library.GetAccessToken(r.Context(), gt, tgr)
	if err != nil {
		return nil, x.response, fromLibrary(err)
	}
	data := s.library.GetTokenData(ti)
	boundType(data, x.response)
	idToken(data, x.response)
	return data, x.response, nil
}

// knownToLibrary reports whether the library has a name for a grant type: others
// it takes for no grant type at all.
func knownToLibrary(grantType string) bool { return oauth2.GrantType(grantType).String() != "" }

// carryBeside answers a request of a grant type that the library does not know:
// decided, issued and told by the same functions that it would have called.
func (s *Server) carryBeside(ctx context.Context, x *exchange) (map[string]any, grants.Response, error) {
	ti, err := manager{s.grants}.issue(context.WithValue(ctx, exchangeKey{}, x))
	if err != nil {
		return nil, x.response, err
	}
	data := s.library.GetTokenData(ti)
	boundType(data, x.response)
	idToken(data, x.response)
	if x.response.IssuedTokenType != "" {
		data["issued_token_type"] = x.response.IssuedTokenType
	}
	return data, x.response, nil
}

func idToken(data map[string]any, resp grants.Response) {
	if resp.IDToken != "" {
		data["id_token"] = resp.IDToken
	}
}

// boundType says of a token that is bound to a key what it is (RFC 9449 §5): the
// library knows one type only.
func boundType(data map[string]any, resp grants.Response) {
	if resp.Bound {
		data["token_type"] = "DPoP"
	}
}

// fromLibrary is the boundary for the errors that the library makes itself;
// ours pass through it untouched.
func fromLibrary(err error) error {
	switch err {
	case errors.ErrInvalidRequest:
		return badRequest("a required parameter is missing")
	case errors.ErrUnsupportedGrantType:
		return grants.Refuse(grants.UnsupportedGrantType, "this server does not offer that grant_type", nil)
	case errors.ErrUnauthorizedClient:
		return grants.Refuse(grants.UnauthorizedClient, "the client is not registered for that grant_type", nil)
	case errors.ErrInvalidGrant:
		return grants.Refuse(grants.InvalidGrant, "the grant is invalid, expired or revoked", nil)
	case errors.ErrInvalidScope:
		return grants.Refuse(grants.InvalidScope, "the scope is not allowed", nil)
	}
	return err
}
