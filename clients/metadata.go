package clients

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"jeton/keys"
	"jeton/storage"
)

// Bounds of a client's record, which every request of the client reads.
const (
	maxID       = 255
	maxValues   = 100
	maxURI      = 2048
	maxSessions = 10_000
	// maxRetryWindow: what helps a client that lost an answer helps a thief.
	maxRetryWindow = time.Minute
	maxAccessTTL   = storage.Day
	maxSessionTTL  = 400 * storage.Day // see keys.Config: a key is kept for the tokens under it
)

// adminScope and eventsScope are those of package grants, which stands above
// this one.
const (
	adminScope  = "jeton:admin"
	eventsScope = "jeton:events"
)

var grantTypes = []string{storage.GrantAuthorizationCode, storage.GrantDeviceCode, storage.GrantRefreshToken, storage.GrantClientCredentials, storage.GrantTokenExchange, storage.GrantPassword}

var consents = []string{storage.ConsentRemembered, storage.ConsentAlways, storage.ConsentNever}

// faults collects what is wrong.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// invisible are space and the letters and marks that count as printable and leave
// nothing on a page: Hangul fillers, the empty Braille cell, the grapheme joiner.
const invisible = " \u115f\u1160\u2800\u3164\uffa0\u034f"

// Validate finds all that is wrong with a client's record and returns it as a
// [*MetadataError].
func Validate(c storage.Client) error {
	var wrong faults
	checkID(c, &wrong)
	if !shortText(c.Name) {
		wrong.add("client_name: not up to 255 bytes of printable text")
	} else if c.Name != "" && strings.Trim(c.Name, invisible) == "" {
		wrong.add("client_name: nothing of it can be seen: leave it out, or write a name")
	}
	checkGrants(c, &wrong)
	checkScopes(c, &wrong)
	checkAudience("audience", c.Audience, &wrong)
	checkAudience("exchange_audience", c.ExchangeAudience, &wrong)
	checkMethod(c, &wrong)
	checkURIs(c, &wrong)
	checkDelivery(c, &wrong)
	checkBinding(c, &wrong)
	checkLifetimes(c, &wrong)
	checkFences(c, &wrong)
	checkAbout(c, &wrong)
	if len(wrong) > 0 {
		return &MetadataError{wrong}
	}
	return nil
}

// validID reports whether a client id could have been registered. What could
// not is not looked up: the store takes no NUL and no endless names.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && printable(id) && strings.TrimSpace(id) == id && !strings.ContainsAny(id, `"\`)
}

func checkID(c storage.Client, wrong *faults) {
	id, lower := c.ID, strings.ToLower(c.ID)
	switch {
	case c.Document != nil:
		if err := CheckDocumentID(id); err != nil {
			wrong.add("client_id: %v", err)
		}
	case id == "":
		wrong.add("client_id: it is empty")
	case !validID(id):
		wrong.add(`client_id: not up to %d characters of printable ASCII (RFC 6749 appendix A.1) without space at the ends, " and \`, maxID)
	case id == "." || id == "..":
		wrong.add("client_id: %q disappears from URLs", id)
	case strings.HasPrefix(lower, "https://"), strings.HasPrefix(lower, "http://"):
		wrong.add("client_id: a URL as id belongs to whoever serves that URL: choose a name")
	}
}

func checkGrants(c storage.Client, wrong *faults) {
	// A resource server that only introspects has no use for tokens.
	if len(c.Grants) == 0 && !c.Introspect {
		wrong.add("grant_types: name at least one of %s", strings.Join(grantTypes, ", "))
	}
	for _, g := range c.Grants {
		if !slices.Contains(grantTypes, g) {
			wrong.add("grant_types: %q is not offered; there are %s", g, strings.Join(grantTypes, ", "))
		}
	}
	checkOnce("grant_types", c.Grants, wrong)
	if slices.Contains(c.Grants, storage.GrantAuthorizationCode) && len(c.RedirectURIs) == 0 {
		wrong.add("redirect_uris: authorization_code needs at least one address to send browsers back to")
	}
	if c.Consent != "" && !slices.Contains(consents, c.Consent) {
		wrong.add("consent: %q is not one of %s", c.Consent, strings.Join(consents, ", "))
	}
	if c.Public() && slices.Contains(c.Grants, storage.GrantClientCredentials) {
		wrong.add("grant_types: a public client has no credentials, so not client_credentials either (RFC 6749 section 4.4)")
	}
	if c.Public() && slices.Contains(c.Grants, storage.GrantTokenExchange) {
		wrong.add("grant_types: a public client proves nothing, so it may not exchange the tokens of others (%s)", storage.GrantTokenExchange)
	}
}

func checkScopes(c storage.Client, wrong *faults) {
	for _, s := range c.Scopes {
		if s == "" || len(s) > 255 || !printable(s) || strings.ContainsAny(s, ` "\`) { // RFC 6749 §3.3
			wrong.add(`scope: %q is not a scope token: up to 255 characters of printable ASCII without space, " and \`, s)
		}
	}
	checkOnce("scope", c.Scopes, wrong)
	if slices.Contains(c.Scopes, adminScope) && !c.Admin {
		wrong.add("scope: %s is only for clients that may administer: set admin too", adminScope)
	}
	if slices.Contains(c.Scopes, eventsScope) && !slices.Equal(c.Grants, []string{storage.GrantClientCredentials}) {
		wrong.add("scope: %s is for a client's own token: let client_credentials be its only grant type", eventsScope)
	}
	if c.Introspect && c.Public() {
		wrong.add("introspect: a public client proves nothing, so it may not look at the tokens of others")
	}
}

func checkAudience(name string, audience []string, wrong *faults) {
	for _, a := range audience {
		switch {
		case a == "" || len(a) > maxURI || !printable(a) || strings.ContainsAny(a, ` "\`):
			wrong.add(`%s: %q is not a name or URI: printable ASCII without space, " and \`, name, a)
		case strings.Contains(a, ":") && !absoluteURI(a): // RFC 7519 §2, StringOrURI
			wrong.add("%s: %q has a colon, so it must be a URI", name, a)
		}
	}
	checkOnce(name, audience, wrong)
}

// checkMethod holds token_endpoint_auth_method to what there is to
// authenticate with.
func checkMethod(c storage.Client, wrong *faults) {
	hasKeys := c.JWKS != "" || c.JWKSURI != ""
	switch c.AuthMethod {
	case "", storage.AuthBasic, storage.AuthPost:
		if _, ok := decodeSecretHash(c.SecretHash); !ok {
			wrong.add("client_secret: a confidential client needs one, or jwks with %s; without either it is public (%s)", storage.AuthPrivateKeyJWT, storage.AuthNone)
		}
	case storage.AuthPrivateKeyJWT:
		if (c.JWKS == "") == (c.JWKSURI == "") { // RFC 7591 §2: never both
			wrong.add("jwks: %s needs either jwks or jwks_uri", storage.AuthPrivateKeyJWT)
		}
	case storage.AuthNone:
	default:
		wrong.add("token_endpoint_auth_method: %q is not one of %s, %s, %s, %s", c.AuthMethod, storage.AuthBasic, storage.AuthPost, storage.AuthPrivateKeyJWT, storage.AuthNone)
	}
	if hasKeys && c.AuthMethod != storage.AuthPrivateKeyJWT {
		wrong.add("jwks: only a client that authenticates with %s has keys", storage.AuthPrivateKeyJWT)
	}
	if c.SecretHash != "" && (c.AuthMethod == storage.AuthNone || c.AuthMethod == storage.AuthPrivateKeyJWT) {
		wrong.add("client_secret: a client that authenticates with %s has none", c.AuthMethod)
	}
	if _, ok := decodeSecretHash(c.FormerSecretHash); c.FormerSecretHash != "" && (!ok || c.SecretHash == "") {
		wrong.add("client_secret: there is a former one beside none, or it cannot be read")
	}
	if c.JWKS != "" {
		if _, err := keys.ParseJWKSet([]byte(c.JWKS)); err != nil {
			wrong.add("jwks: %v", err)
		}
	}
	if c.JWKSURI != "" {
		if reason := badJWKSURI(c.JWKSURI); reason != "" {
			wrong.add("jwks_uri: %s", reason)
		}
	}
}

func checkURIs(c storage.Client, wrong *faults) {
	for _, uri := range c.RedirectURIs {
		if reason := badRedirectURI(uri); reason != "" {
			wrong.add("redirect_uris: %q: %s", uri, reason)
		}
	}
	checkOnce("redirect_uris", c.RedirectURIs, wrong)
	for _, uri := range c.PostLogoutURIs {
		if reason := badRedirectURI(uri); reason != "" {
			wrong.add("post_logout_redirect_uris: %q: %s", uri, reason)
		}
	}
	checkOnce("post_logout_redirect_uris", c.PostLogoutURIs, wrong)
	if c.BackchannelLogoutURI != "" {
		if reason := badJWKSURI(c.BackchannelLogoutURI); reason != "" {
			wrong.add("backchannel_logout_uri: %s", reason)
		}
	}
	for _, origin := range c.CORSOrigins {
		if reason := badOrigin(origin); reason != "" {
			wrong.add("cors_origins: %q: %s", origin, reason)
		}
	}
	checkOnce("cors_origins", c.CORSOrigins, wrong)
}

// checkOnce refuses lists that are too long or say a thing twice.
func checkOnce(name string, list []string, wrong *faults) {
	if len(list) > maxValues {
		wrong.add("%s: more than %d values", name, maxValues)
		return
	}
	for i, v := range list {
		if slices.Index(list, v) < i {
			wrong.add("%s: %q stands there twice", name, v)
		}
	}
}

func checkLifetimes(c storage.Client, wrong *faults) {
	for _, ttl := range []struct {
		name string
		d    storage.Duration
		most time.Duration
	}{
		{"access_token_ttl", c.AccessTokenTTL, maxAccessTTL},
		{"refresh_token_ttl", c.RefreshTokenTTL, maxSessionTTL},
		{"session_ttl", c.SessionTTL, maxSessionTTL},
	} {
		d := time.Duration(ttl.d)
		if d == 0 { // the server's
			continue
		}
		if d < time.Second || d > ttl.most || d%time.Second != 0 {
			wrong.add("%s: %s is not whole seconds from 1s to %s", ttl.name, ttl.d, storage.Duration(ttl.most))
		}
	}
	if c.RefreshTokenTTL > c.SessionTTL && c.SessionTTL > 0 {
		wrong.add("refresh_token_ttl: %s is longer than the session of %s that it would continue", c.RefreshTokenTTL, c.SessionTTL)
	}
	if w := c.RefreshRetryWindow; w != nil && (*w < 0 || time.Duration(*w) > maxRetryWindow) {
		wrong.add("refresh_retry_window: %s is not 0s to %s (10s is usual)", *w, storage.Duration(maxRetryWindow))
	}
	if c.MaxSessions < 0 || c.MaxSessions > maxSessions {
		wrong.add("max_sessions: %d is not 1 to %d, or 0 for the server's", c.MaxSessions, maxSessions)
	}
}
