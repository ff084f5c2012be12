package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

// clientObject is a client as the admin API shows one. Secret is there only in
// the answer to the act that made it.
type clientObject struct {
	ID             string            `json:"client_id"`
	Secret         string            `json:"client_secret,omitempty"`
	Name           string            `json:"client_name,omitempty"`
	Grants         []string          `json:"grant_types"`
	Scope          string            `json:"scope"`
	Audience       []string          `json:"audience"`
	AuthMethod     string            `json:"token_endpoint_auth_method,omitempty"`
	Public         bool              `json:"public"`
	JWKS           json.RawMessage   `json:"jwks,omitempty"`
	JWKSURI        string            `json:"jwks_uri,omitempty"`
	RedirectURIs   []string          `json:"redirect_uris,omitempty"`
	PostLogoutURIs []string          `json:"post_logout_redirect_uris,omitempty"`
	BackchannelURI string            `json:"backchannel_logout_uri,omitempty"`
	CORSOrigins    []string          `json:"cors_origins,omitempty"`
	Delivery       string            `json:"delivery"`
	CookieName     string            `json:"cookie_name,omitempty"`
	CookieSameSite string            `json:"cookie_same_site,omitempty"`
	CookiePath     string            `json:"cookie_path,omitempty"`
	RefreshPath    string            `json:"cookie_refresh_path,omitempty"`
	CookieDomain   string            `json:"cookie_domain,omitempty"`
	SameCookies    []string          `json:"same_cookies,omitempty"`
	BindAgent      string            `json:"bind_agent,omitempty"`
	BindAddress    string            `json:"bind_address,omitempty"`
	Consent        string            `json:"consent"`
	RequirePush    bool              `json:"require_pushed_authorization_requests"`
	WithoutID      bool              `json:"refresh_without_id_token,omitempty"`
	Introspect     bool              `json:"introspect"`
	Admin          bool              `json:"admin"`
	AccessTTL      storage.Duration  `json:"access_token_ttl,omitzero"`
	RefreshTTL     storage.Duration  `json:"refresh_token_ttl,omitzero"`
	SessionTTL     storage.Duration  `json:"session_ttl,omitzero"`
	RetryWindow    *storage.Duration `json:"refresh_retry_window,omitempty"`
	MaxSessions    int               `json:"max_sessions,omitempty"`
	DPoPBound      bool              `json:"dpop_bound_access_tokens,omitempty"`
	Exchange       []string          `json:"exchange_audience,omitempty"`
	Networks       []string          `json:"password_grant_networks,omitempty"`
	PasswordMost   string            `json:"password_grant_scope,omitempty"`
	Sunset         time.Time         `json:"password_grant_sunset,omitzero"`
	ClientURI      string            `json:"client_uri,omitempty"`
	LogoURI        string            `json:"logo_uri,omitempty"`
	TermsURI       string            `json:"tos_uri,omitempty"`
	PolicyURI      string            `json:"policy_uri,omitempty"`
	Contacts       []string          `json:"contacts,omitempty"`
	SoftwareID     string            `json:"software_id,omitempty"`
	SoftwareVer    string            `json:"software_version,omitempty"`
	AppType        string            `json:"application_type,omitempty"`
	FormerUntil    time.Time         `json:"former_secret_until,omitzero"`
	Document       *documentObject   `json:"document,omitempty"`
	Disabled       bool              `json:"disabled"`
	RegisteredBy   string            `json:"registered_by"`
	Created        time.Time         `json:"created_at"`
	Updated        time.Time         `json:"updated_at"`

	Registration *registrationObject `json:"registration,omitempty"`
}

// documentObject says when the document behind a client's id was read, and until
// when it counts.
type documentObject struct {
	Read  time.Time `json:"read_at"`
	Fresh time.Time `json:"fresh_until"`
}

func showDocument(d *storage.Document) *documentObject {
	if d == nil {
		return nil
	}
	return &documentObject{d.Read.UTC(), d.Fresh.UTC()}
}

func showClient(c storage.Client, secret string) clientObject {
	return clientObject{
		ID: c.ID, Secret: secret, Name: c.Name, Grants: list(c.Grants), Scope: strings.Join(c.Scopes, " "), Audience: list(c.Audience),
		AuthMethod: c.AuthMethod, Public: c.Public(), JWKS: json.RawMessage(c.JWKS), JWKSURI: c.JWKSURI,
		RedirectURIs: c.RedirectURIs, PostLogoutURIs: c.PostLogoutURIs, BackchannelURI: c.BackchannelLogoutURI, CORSOrigins: c.CORSOrigins,
		Delivery: cmp.Or(c.Delivery, storage.DeliveryBody), CookieName: c.CookieName, CookieSameSite: c.CookieSameSite,
		CookiePath: c.CookiePath, RefreshPath: c.CookieRefreshPath, CookieDomain: c.CookieDomain,
		BindAgent: c.BindAgent, BindAddress: c.BindAddress,
		Consent: cmp.Or(c.Consent, storage.ConsentRemembered), RequirePush: c.RequirePush, WithoutID: c.RefreshWithoutID, Introspect: c.Introspect, Admin: c.Admin,
		AccessTTL: c.AccessTokenTTL, RefreshTTL: c.RefreshTokenTTL, SessionTTL: c.SessionTTL,
		RetryWindow: c.RefreshRetryWindow, MaxSessions: c.MaxSessions,
		DPoPBound: c.DPoPBound, Exchange: c.ExchangeAudience,
		Networks: c.PasswordNetworks, PasswordMost: strings.Join(c.PasswordScopes, " "), Sunset: c.PasswordSunset,
		ClientURI: c.ClientURI, LogoURI: c.LogoURI, TermsURI: c.TermsURI, PolicyURI: c.PolicyURI, Contacts: c.Contacts,
		SoftwareID: c.SoftwareID, SoftwareVer: c.SoftwareVersion, AppType: c.ApplicationType,
		RegisteredBy: cameBy(c.Registration), Registration: showRegistration(c.Registration),
		FormerUntil: c.FormerSecretUntil,
		Disabled:    c.Disabled, Created: c.Created.UTC(), Updated: c.Updated.UTC(),
		Document: showDocument(c.Document),
	}
}

// answerClient is how most acts on a client end.
func answerClient(c *call, client storage.Client, err error) (int, any, error) {
	return answerSecret(c, client, "", err)
}

// answerSecret is how those end that may have made a secret.
func answerSecret(c *call, client storage.Client, secret string, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	tagClient(c, client)
	return http.StatusOK, showClient(client, secret), nil
}

// tagClient says which the client is (RFC 9110 §8.8.3): who changes it with that in
// If-Match changes this one, and not what somebody else has made of it since.
func tagClient(c *call, client storage.Client) {
	c.w.Header().Set("ETag", `"`+accounts.ClientTag(client)+`"`)
}

func (a *Admin) listClients(c *call) (int, any, error) {
	return listPage(a, c, a.Clients.List, func(client storage.Client) clientObject { return showClient(client, "") })
}

func (a *Admin) addClient(c *call) (int, any, error) {
	var body accounts.NewClient
	err := judged(c.decode(&body), func() error { return a.Clients.Judge(accounts.ImportedClient{NewClient: body}, c.act) })
	if err != nil {
		return 0, nil, err
	}
	client, secret, err := a.Clients.Add(c.ctx, body, c.act)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, a.warned(c, client, secret), nil
}

// warned is a client with those whose cookies have the same names at the same
// host. That it could not be found out is no reason to hide what was done.
func (a *Admin) warned(c *call, client storage.Client, secret string) clientObject {
	view := showClient(client, secret)
	view.SameCookies, _ = a.Clients.SameCookies(c.ctx, client)
	return view
}

func (a *Admin) showClient(c *call) (int, any, error) {
	client, err := a.Clients.Find(c.ctx, c.vars["client_id"])
	if err != nil {
		return 0, nil, err
	}
	tagClient(c, client)
	return http.StatusOK, a.warned(c, client, ""), nil
}

// ifMatch takes the tag that a request asks for (RFC 9110 §13.1.1).
func (c *call) ifMatch() error {
	sent := c.r.Header.Values("If-Match")
	if len(sent) == 0 || len(sent) == 1 && strings.TrimSpace(sent[0]) == "*" {
		return nil
	}
	tag, ok := strings.CutPrefix(strings.TrimSpace(sent[0]), `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	if len(sent) > 1 || !ok || !closed || tag == "" || strings.Contains(tag, `"`) {
		return badBody("If-Match is not the one ETag of a client")
	}
	c.act.Seen = tag
	return nil
}

func (a *Admin) setClient(c *call) (int, any, error) {
	var body struct {
		accounts.ClientSettings
		reason
	}
	err := judged(c.decode(&body), func() error {
		_, _, _, err := a.Clients.Foresee(c.ctx, c.vars["client_id"], body.ClientSettings, c.act)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	if err := c.because(body.reason); err != nil {
		return 0, nil, err
	}
	if err := c.ifMatch(); err != nil {
		return 0, nil, err
	}
	client, secret, err := a.Clients.Set(c.ctx, c.vars["client_id"], body.ClientSettings, c.act)
	if err != nil {
		return 0, nil, err
	}
	tagClient(c, client)
	return http.StatusOK, a.warned(c, client, secret), nil
}

func (a *Admin) newSecret(c *call) (int, any, error) {
	var body struct {
		Secret string            `json:"client_secret"`
		Keep   *storage.Duration `json:"keep_former_for"`
		reason
	}
	if err := c.decodeOptional(&body); err != nil {
		return 0, nil, err
	}
	if err := c.because(body.reason); err != nil {
		return 0, nil, err
	}
	overlap := a.Grants.Settings.SecretOverlap
	if body.Keep != nil {
		overlap = time.Duration(*body.Keep)
	}
	if err := c.ifMatch(); err != nil {
		return 0, nil, err
	}
	client, secret, err := a.Clients.NewSecretBeside(c.ctx, c.vars["client_id"], body.Secret, overlap, c.act)
	return answerSecret(c, client, secret, err)
}

func (a *Admin) endFormerSecret(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	if err := c.ifMatch(); err != nil {
		return 0, nil, err
	}
	client, err := a.Clients.EndFormerSecret(c.ctx, c.vars["client_id"], c.act)
	return answerClient(c, client, err)
}

func (a *Admin) disableClient(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	if err := c.ifMatch(); err != nil {
		return 0, nil, err
	}
	client, err := a.Clients.Disable(c.ctx, c.vars["client_id"], c.act)
	return answerClient(c, client, err)
}

func (a *Admin) enableClient(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	if err := c.ifMatch(); err != nil {
		return 0, nil, err
	}
	client, err := a.Clients.Enable(c.ctx, c.vars["client_id"], c.act)
	return answerClient(c, client, err)
}

func (a *Admin) deleteClient(c *call) (int, any, error) {
	if err := c.onlyBecause(); err != nil {
		return 0, nil, err
	}
	if err := c.ifMatch(); err != nil {
		return 0, nil, err
	}
	if err := a.Clients.Delete(c.ctx, c.vars["client_id"], c.act); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
