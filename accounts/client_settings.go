package accounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"jeton/clients"
	"jeton/grants"
	"jeton/storage"
)

// Setting is a member of a JSON object that may be absent. Set says that it was
// there; null sets the zero value, which clears what the client had.
type Setting[T any] struct {
	Set   bool
	Value T
}

// To is a setting of v.
func To[T any](v T) Setting[T] { return Setting[T]{true, v} }

// UnmarshalJSON reads the member.
func (s *Setting[T]) UnmarshalJSON(b []byte) error {
	*s = Setting[T]{Set: true}
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	return json.Unmarshal(b, &s.Value)
}

// MarshalJSON writes the value; tag the member omitzero to leave it out when it
// is not set.
func (s Setting[T]) MarshalJSON() ([]byte, error) { return json.Marshal(s.Value) }

// IsZero reports whether the setting is absent.
func (s Setting[T]) IsZero() bool { return !s.Set }

// ClientSettings is what [Clients.Add] and [Clients.Set] can set of a client,
// in the names of RFC 7591 §2 where it has one.
type ClientSettings struct {
	Name           Setting[string]            `json:"client_name,omitzero"`
	Grants         Setting[[]string]          `json:"grant_types,omitzero"`
	Scope          Setting[string]            `json:"scope,omitzero"`
	Audience       Setting[[]string]          `json:"audience,omitzero"`
	AuthMethod     Setting[string]            `json:"token_endpoint_auth_method,omitzero"`
	Public         Setting[bool]              `json:"public,omitzero"`
	JWKS           Setting[json.RawMessage]   `json:"jwks,omitzero"`
	JWKSURI        Setting[string]            `json:"jwks_uri,omitzero"`
	RedirectURIs   Setting[[]string]          `json:"redirect_uris,omitzero"`
	PostLogoutURIs Setting[[]string]          `json:"post_logout_redirect_uris,omitzero"`
	BackchannelURI Setting[string]            `json:"backchannel_logout_uri,omitzero"`
	CORSOrigins    Setting[[]string]          `json:"cors_origins,omitzero"`
	Delivery       Setting[string]            `json:"delivery,omitzero"`
	CookieName     Setting[string]            `json:"cookie_name,omitzero"`
	CookieSameSite Setting[string]            `json:"cookie_same_site,omitzero"`
	CookiePath     Setting[string]            `json:"cookie_path,omitzero"`
	RefreshPath    Setting[string]            `json:"cookie_refresh_path,omitzero"`
	CookieDomain   Setting[string]            `json:"cookie_domain,omitzero"`
	BindAgent      Setting[string]            `json:"bind_agent,omitzero"`
	BindAddress    Setting[string]            `json:"bind_address,omitzero"`
	Consent        Setting[string]            `json:"consent,omitzero"`
	RequirePush    Setting[bool]              `json:"require_pushed_authorization_requests,omitzero"`
	WithoutID      Setting[bool]              `json:"refresh_without_id_token,omitzero"`
	Introspect     Setting[bool]              `json:"introspect,omitzero"`
	Admin          Setting[bool]              `json:"admin,omitzero"`
	AccessTTL      Setting[storage.Duration]  `json:"access_token_ttl,omitzero"`
	RefreshTTL     Setting[storage.Duration]  `json:"refresh_token_ttl,omitzero"`
	SessionTTL     Setting[storage.Duration]  `json:"session_ttl,omitzero"`
	RetryWindow    Setting[*storage.Duration] `json:"refresh_retry_window,omitzero"`
	MaxSessions    Setting[int]               `json:"max_sessions,omitzero"`

	DPoPBound        Setting[bool]     `json:"dpop_bound_access_tokens,omitzero"`
	ExchangeAudience Setting[[]string] `json:"exchange_audience,omitzero"`

	PasswordNetworks Setting[[]string] `json:"password_grant_networks,omitzero"`
	PasswordScope    Setting[string]   `json:"password_grant_scope,omitzero"`
	// PasswordSunset is a date, of which it is the beginning (UTC), or a moment
	// (RFC 3339).
	PasswordSunset Setting[string] `json:"password_grant_sunset,omitzero"`
}

func put[T any](s Setting[T], to *T) {
	if s.Set {
		*to = s.Value
	}
}

// apply sets what is set. What the client may not be is found by
// [clients.Validate].
func (s ClientSettings) apply(c *storage.Client) {
	put(s.Name, &c.Name)
	put(s.Grants, &c.Grants)
	if s.Scope.Set {
		c.Scopes = strings.Fields(s.Scope.Value)
	}
	put(s.Audience, &c.Audience)
	put(s.RedirectURIs, &c.RedirectURIs)
	put(s.PostLogoutURIs, &c.PostLogoutURIs)
	put(s.BackchannelURI, &c.BackchannelLogoutURI)
	put(s.CORSOrigins, &c.CORSOrigins)
	if put(s.Delivery, &c.Delivery); c.Delivery == storage.DeliveryBody {
		c.Delivery = ""
	}
	put(s.CookieName, &c.CookieName)
	put(s.CookieSameSite, &c.CookieSameSite)
	put(s.CookiePath, &c.CookiePath)
	put(s.RefreshPath, &c.CookieRefreshPath)
	put(s.CookieDomain, &c.CookieDomain)
	put(s.BindAgent, &c.BindAgent)
	put(s.BindAddress, &c.BindAddress)
	put(s.Consent, &c.Consent)
	put(s.RequirePush, &c.RequirePush)
	put(s.WithoutID, &c.RefreshWithoutID)
	put(s.Introspect, &c.Introspect)
	put(s.Admin, &c.Admin)
	put(s.AccessTTL, &c.AccessTokenTTL)
	put(s.RefreshTTL, &c.RefreshTokenTTL)
	put(s.SessionTTL, &c.SessionTTL)
	put(s.RetryWindow, &c.RefreshRetryWindow)
	put(s.MaxSessions, &c.MaxSessions)
	put(s.DPoPBound, &c.DPoPBound)
	put(s.ExchangeAudience, &c.ExchangeAudience)
	put(s.PasswordNetworks, &c.PasswordNetworks)
	if s.PasswordScope.Set {
		c.PasswordScopes = strings.Fields(s.PasswordScope.Value)
	}
	if s.PasswordSunset.Set {
		c.PasswordSunset, _ = parseSunset(s.PasswordSunset.Value)
	}
	s.applyAuth(c)
}

// applyAuth settles how the client authenticates. One way holds at a time, and
// going over to another forgets the credentials of the one before.
func (s ClientSettings) applyAuth(c *storage.Client) {
	if s.JWKS.Set {
		c.JWKS = ""
		if len(s.JWKS.Value) > 0 {
			var b bytes.Buffer
			if json.Compact(&b, s.JWKS.Value) == nil {
				c.JWKS = b.String()
			}
		}
	}
	put(s.JWKSURI, &c.JWKSURI)
	switch {
	case s.AuthMethod.Set:
		c.AuthMethod = s.AuthMethod.Value
	case s.Public.Set && s.Public.Value:
		c.AuthMethod = storage.AuthNone
	case s.Public.Set && c.AuthMethod == storage.AuthNone:
		c.AuthMethod = ""
	}
	newKeys := (s.JWKS.Set && c.JWKS != "") || (s.JWKSURI.Set && c.JWKSURI != "")
	if newKeys && !s.AuthMethod.Set && !(s.Public.Set && s.Public.Value) {
		c.AuthMethod = storage.AuthPrivateKeyJWT
	}
	switch c.AuthMethod {
	case storage.AuthNone:
		forgetSecrets(c)
		if !newKeys {
			c.JWKS, c.JWKSURI = "", ""
		}
	case storage.AuthPrivateKeyJWT:
		forgetSecrets(c)
	case "", storage.AuthBasic, storage.AuthPost:
		if !newKeys {
			c.JWKS, c.JWKSURI = "", ""
		}
	}
}

// parseSunset reads a date or a moment, and nothing for none.
func parseSunset(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t, err = time.Parse(time.RFC3339, text)
	}
	return t.UTC().Truncate(time.Second), err
}

// checkDocument refuses what a client's document, or the settings for all such
// clients, would set otherwise at the next reading. How long its sessions live,
// how many there are and what they are bound to remains.
func (s ClientSettings) checkDocument(wrong *faults) {
	mine := ClientSettings{
		AccessTTL: s.AccessTTL, RefreshTTL: s.RefreshTTL, SessionTTL: s.SessionTTL, RetryWindow: s.RetryWindow, MaxSessions: s.MaxSessions,
		BindAgent: s.BindAgent, BindAddress: s.BindAddress,
	}
	b, _ := json.Marshal(s)
	var all, may map[string]json.RawMessage
	json.Unmarshal(b, &all)
	b, _ = json.Marshal(mine)
	json.Unmarshal(b, &may)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if may[name] == nil {
			wrong.add("%s: the client's document says it, or a setting for all such clients; what can be set is lifetimes, max_sessions, bind_agent and bind_address", name)
		}
	}
}

// check finds all that is wrong with a client after s was applied.
func (s ClientSettings) check(c storage.Client, server grants.Settings) error {
	var wrong faults
	if s.Public.Set && s.AuthMethod.Set && s.Public.Value != (s.AuthMethod.Value == storage.AuthNone) {
		wrong.add("public: it contradicts token_endpoint_auth_method: a public client, and only that, has %q", storage.AuthNone)
	}
	if s.Scope.Set && s.Scope.Value != strings.Join(c.Scopes, " ") {
		wrong.add("scope: write scope tokens with one space between, and none around")
	}
	if s.PasswordScope.Set && s.PasswordScope.Value != strings.Join(c.PasswordScopes, " ") {
		wrong.add("password_grant_scope: write scope tokens with one space between, and none around")
	}
	if _, err := parseSunset(s.PasswordSunset.Value); err != nil {
		wrong.add("password_grant_sunset: %q is neither a date such as 2027-01-31 nor a moment such as 2027-01-31T12:00:00Z", s.PasswordSunset.Value)
	}
	if c.Document != nil {
		s.checkDocument(&wrong)
	}
	if admin := server.AdminAudience(); slices.Contains(c.Audience, admin) {
		wrong.add("audience: %s is that of tokens with the scope %s, which have it by themselves, and of no other", admin, grants.AdminScope)
	}
	if host := server.Host(); c.CookieDomain != "" && host != c.CookieDomain && !strings.HasSuffix(host, "."+c.CookieDomain) {
		wrong.add("cookie_domain: %s, the host of this server, is not in %s, so no browser would take the cookies", host, c.CookieDomain)
	}
	var bad *clients.MetadataError
	if err := clients.Validate(c); errors.As(err, &bad) {
		wrong = append(wrong, bad.Faults...)
	} else if err != nil {
		return err
	}
	return wrong.err()
}
