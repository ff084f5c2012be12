package grants

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"jeton/clients/documents"
	"jeton/storage"
)

// The ways an authorization response travels (OAuth 2.0 Multiple Response Types
// §2.1, OAuth 2.0 Form Post Response Mode).
const (
	ModeQuery    = "query"
	ModeFormPost = "form_post"
)

// ResponseModes and ResponseTypes list what /authorize offers. No token ever
// travels in the front channel (RFC 9700 §2.1.2).
func ResponseModes() []string { return []string{ModeQuery, ModeFormPost} }

func ResponseTypes() []string { return []string{"code"} }

// AuthorizeRequest is an authorization request (RFC 6749 §4.1.1). RedirectURI,
// State and Mode are there as soon as answers may be sent to the client; the
// rest only when it was found right.
type AuthorizeRequest struct {
	Client storage.Record[storage.Client]
	// RedirectURI is one of the client's, and where the answer goes.
	RedirectURI string
	State       string
	Mode        string

	Scope     []string
	Resource  []string
	Challenge string
	Nonce     string
	// Thumbprint is dpop_jkt: that of the key without which the code is worth
	// nothing (RFC 9449 §10).
	Thumbprint string
	Prompt     []string
	// MaxAge is the oldest sign-in that will do, negative for any.
	MaxAge      time.Duration
	LoginHint   string
	IDTokenHint string
	// ID names the request: what a form was made for, and what a fresh sign-in
	// answers.
	ID string
	// push is set when the client pushed the request.
	push *push
}

// Trusted reports whether answers, refusals too, may be sent to the client:
// before that they are shown to the user (RFC 6749 §4.1.2.1).
func (a AuthorizeRequest) Trusted() bool { return a.RedirectURI != "" }

// CheckAuthorize judges an authorization request. An error goes to the client
// if what is returned beside it is [AuthorizeRequest.Trusted].
func (s *Service) CheckAuthorize(ctx context.Context, sent url.Values, source Source) (AuthorizeRequest, error) {
	a := AuthorizeRequest{MaxAge: -1, Mode: ModeQuery}
	var err error
	if a.Client, err = s.authorizeClient(ctx, sent.Get("client_id"), source); err != nil {
		return a, err
	}
	sum := sha256.Sum256([]byte(sent.Encode()))
	a.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	if uri := sent.Get("request_uri"); strings.HasPrefix(uri, pushPrefix) {
		if a.push, sent, err = s.openPush(ctx, a.Client.Value, uri); err != nil {
			return a, err
		}
		a.ID = a.push.ID
	}
	return s.checkRequest(a, sent)
}

// CheckPush judges a request that a client pushes: all is found out now that
// can be (RFC 9126 §2.1).
func (s *Service) CheckPush(client storage.Record[storage.Client], sent url.Values) error {
	if sent.Has("request_uri") {
		return fail(InvalidRequest, "request_uri cannot be pushed", nil)
	}
	_, err := s.checkRequest(AuthorizeRequest{Client: client, MaxAge: -1, Mode: ModeQuery, push: &push{}}, sent)
	return err
}

// authorizeClient finds the client. The words are for the user, who can do
// nothing about it but tell whoever runs the client.
func (s *Service) authorizeClient(ctx context.Context, id string, source Source) (storage.Record[storage.Client], error) {
	var none storage.Record[storage.Client]
	if id == "" {
		return none, fail(InvalidRequest, "client_id is missing", nil)
	}
	if len(id) > 255 || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		return none, fail(InvalidClient, "no application is registered under this client_id", nil)
	}
	client, err := s.Store.CachedClient(ctx, id)
	switch {
	case err != nil:
		return none, err
	case !client.Exists() && documents.Describes(id):
		return s.met(ctx, id, source)
	case !client.Exists() || client.Value.Disabled:
		return none, fail(InvalidClient, "no application is registered under this client_id", nil)
	}
	return s.renewed(ctx, client, true)
}

// checkRequest first finds out where answers go, then judges the rest.
func (s *Service) checkRequest(a AuthorizeRequest, sent url.Values) (AuthorizeRequest, error) {
	client, uri := a.Client.Value, sent.Get("redirect_uri")
	switch {
	case uri == "":
		return a, fail(InvalidRequest, "redirect_uri is missing", nil)
	case !redirectAllowed(client, uri):
		return a, fail(InvalidRequest, "the redirect_uri is not registered for this application", nil)
	}
	a.RedirectURI, a.State = uri, sent.Get("state")
	if mode := sent.Get("response_mode"); slices.Contains(ResponseModes(), mode) {
		a.Mode = mode
	} else if mode != "" {
		return a, fail(InvalidRequest, "response_mode is query or form_post", nil)
	}
	if err := s.checkKind(a, sent); err != nil {
		return a, err
	}
	return s.checkWish(a, sent)
}

// checkKind judges what kind of request it is.
func (s *Service) checkKind(a AuthorizeRequest, sent url.Values) error {
	client := a.Client.Value
	kind := sent.Get("response_type")
	switch {
	case sent.Has("request"):
		return fail(RequestNotSupported, "request objects are not supported", nil)
	case sent.Has("request_uri"):
		return fail(RequestURINotSupported, "only a request_uri that was pushed here is supported", nil)
	case a.push == nil && (s.Settings.RequirePush || client.RequirePush):
		return fail(InvalidRequest, "the request must be pushed (RFC 9126)", nil)
	case kind == "":
		return fail(InvalidRequest, "response_type is missing", nil)
	case !slices.Contains(ResponseTypes(), kind):
		return fail(UnsupportedResponseType, "the only response_type is code", nil)
	case !slices.Contains(client.Grants, storage.GrantAuthorizationCode):
		return fail(UnauthorizedClient, "the client is not registered for authorization_code", nil)
	}
	method, challenge := sent.Get("code_challenge_method"), sent.Get("code_challenge")
	switch {
	case challenge == "":
		return fail(InvalidRequest, "code_challenge is missing: PKCE is required (RFC 7636)", nil)
	case method != "S256":
		return fail(InvalidRequest, "code_challenge_method must be S256", nil)
	case !validChallenge(challenge):
		return fail(InvalidRequest, "the code_challenge is not one that S256 makes", nil)
	}
	return nil
}

// checkWish judges what is asked for, and how the user shall be asked.
func (s *Service) checkWish(a AuthorizeRequest, sent url.Values) (AuthorizeRequest, error) {
	var err error
	client := a.Client.Value
	if a.Scope, err = grantScope(client, sent.Get("scope")); err != nil {
		return a, err
	}
	a.Resource = s.Settings.resourceOf(client, sent["resource"])
	named, err := s.Settings.resources(client, a.Scope, nil, a.Resource)
	if err != nil {
		return a, err
	}
	if len(a.Resource) > 0 {
		a.Resource = named // as they are called here
	}
	a.Challenge, a.Nonce = sent.Get("code_challenge"), sent.Get("nonce")
	a.LoginHint, a.IDTokenHint = sent.Get("login_hint"), sent.Get("id_token_hint")
	if len(a.Nonce) > mostNonce {
		return a, fail(InvalidRequest, "the nonce is too long", nil)
	}
	// It is a SHA-256 in base64url, as the challenge is.
	if a.Thumbprint = sent.Get("dpop_jkt"); a.Thumbprint != "" && !validChallenge(a.Thumbprint) {
		return a, fail(InvalidRequest, "dpop_jkt is not the thumbprint of a key (RFC 9449 section 10)", nil)
	}
	a.Prompt = strings.Fields(sent.Get("prompt"))
	if a.prompts("none") && len(a.Prompt) > 1 {
		return a, fail(InvalidRequest, "prompt none goes with no other value", nil)
	}
	if age := sent.Get("max_age"); age != "" {
		n, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return a, fail(InvalidRequest, "max_age is not a number of seconds", nil)
		}
		a.MaxAge = time.Duration(n) * time.Second
	}
	return a, nil
}

// mostNonce bounds what a code and an ID token have to carry.
const mostNonce = 512

func (a AuthorizeRequest) prompts(how string) bool { return slices.Contains(a.Prompt, how) }

// errPushed is a refusal of a request_uri. There is nowhere to send it but to
// the user, since what the client said of itself is what cannot be read.
func errPushed(cause string) error {
	return fail(InvalidRequestURI, "this sign-in request has expired or was used before: go back to the application and begin again", errors.New(cause))
}
