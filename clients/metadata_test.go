package clients

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/keys"
	"jeton/storage"
)

func confidential() storage.Client {
	return storage.Client{
		ID: "api", Name: "Ärzteportal", SecretHash: HashSecret("x"),
		Grants: []string{storage.GrantPassword, storage.GrantRefreshToken, storage.GrantClientCredentials},
		Scopes: []string{"read", "write", "urn:example:a#b"}, Audience: []string{"https://api.example", "orders"},
	}
}

func duration(d time.Duration) *storage.Duration { return (*storage.Duration)(&d) }

func TestMetadata(t *testing.T) {
	key := jwks(t, newSigner(t, "one", keys.ES256))
	for _, tt := range []struct {
		name   string
		change func(*storage.Client)
		want   string // in the only fault; empty for none
	}{
		{"as it is", func(*storage.Client) {}, ""},
		{"id with colon and space", func(c *storage.Client) { c.ID = "client:1 x" }, ""},
		{"id empty", func(c *storage.Client) { c.ID = "" }, "client_id: it is empty"},
		{"id long", func(c *storage.Client) { c.ID = strings.Repeat("x", 255) }, ""},
		{"id too long", func(c *storage.Client) { c.ID = strings.Repeat("x", 256) }, "client_id"},
		{"id with NUL", func(c *storage.Client) { c.ID = "a\x00" }, "client_id"},
		{"id with newline", func(c *storage.Client) { c.ID = "a\nb" }, "client_id"},
		{"id not ASCII", func(c *storage.Client) { c.ID = "é" }, "client_id"},
		{"id with space before", func(c *storage.Client) { c.ID = " a" }, "client_id"},
		{"id with quote", func(c *storage.Client) { c.ID = `a"b` }, "client_id"},
		{"id is a URL", func(c *storage.Client) { c.ID = "HTTPS://app.example/c" }, "belongs to whoever serves"},
		{"id vanishes from URLs", func(c *storage.Client) { c.ID = ".." }, "disappears"},
		{"name with newline", func(c *storage.Client) { c.Name = "a\nb" }, "client_name"},
		{"name with bidi override", func(c *storage.Client) { c.Name = "a\u202eb" }, "client_name"},
		{"name of nothing", func(c *storage.Client) { c.Name = " \u3164\u2800" }, "nothing of it can be seen"},
		{"name of two words", func(c *storage.Client) { c.Name = "My app" }, ""},
		{"no grants", func(c *storage.Client) { c.Grants = nil }, "grant_types: name at least one"},
		{"no grants, introspects", func(c *storage.Client) { c.Grants, c.Introspect = nil, true }, ""},
		{"unknown grant", func(c *storage.Client) { c.Grants = []string{"implicit"} }, `"implicit" is not offered`},
		{"a grant twice", func(c *storage.Client) { c.Grants = []string{"password", "password"} }, "twice"},
		{"scope with space", func(c *storage.Client) { c.Scopes = []string{"a b"} }, "not a scope token"},
		{"scope with quote", func(c *storage.Client) { c.Scopes = []string{`a"`} }, "not a scope token"},
		{"scope with backslash", func(c *storage.Client) { c.Scopes = []string{`a\`} }, "not a scope token"},
		{"scope empty", func(c *storage.Client) { c.Scopes = []string{""} }, "not a scope token"},
		{"scope not ASCII", func(c *storage.Client) { c.Scopes = []string{"é"} }, "not a scope token"},
		{"scope twice", func(c *storage.Client) { c.Scopes = []string{"a", "b", "a"} }, `"a" stands there twice`},
		{"admin scope without admin", func(c *storage.Client) { c.Scopes = []string{"jeton:admin"} }, "set admin too"},
		{"admin scope with admin", func(c *storage.Client) { c.Scopes, c.Admin = []string{"jeton:admin"}, true }, ""},
		{"audience empty", func(c *storage.Client) { c.Audience = []string{""} }, "audience"},
		{"audience is no URI", func(c *storage.Client) { c.Audience = []string{"1:2"} }, "must be a URI"},
		{"unknown method", func(c *storage.Client) { c.AuthMethod = "tls_client_auth" }, "token_endpoint_auth_method"},
		{"no secret", func(c *storage.Client) { c.SecretHash = "" }, "client_secret: a confidential client needs one"},
		{"secret in another form", func(c *storage.Client) { c.SecretHash = "$2b$..." }, "client_secret"},
		{"R1 public with client_credentials", func(c *storage.Client) { c.AuthMethod, c.SecretHash = "none", "" }, "public client has no credentials"},
		{"public", func(c *storage.Client) { c.AuthMethod, c.SecretHash, c.Grants = "none", "", c.Grants[:2] }, ""},
		{"public with a secret", func(c *storage.Client) { c.AuthMethod, c.Grants = "none", c.Grants[:2] }, "client_secret"},
		{"public that introspects", func(c *storage.Client) {
			c.AuthMethod, c.SecretHash, c.Grants, c.Introspect = "none", "", c.Grants[:2], true
		}, "introspect"},
		{"keys", func(c *storage.Client) { c.AuthMethod, c.SecretHash, c.JWKS = "private_key_jwt", "", key }, ""},
		{"keys by address", func(c *storage.Client) {
			c.AuthMethod, c.SecretHash, c.JWKSURI = "private_key_jwt", "", "https://a.example/jwks"
		}, ""},
		{"keys in both ways", func(c *storage.Client) {
			c.AuthMethod, c.SecretHash, c.JWKS, c.JWKSURI = "private_key_jwt", "", key, "https://a.example/jwks"
		}, "either jwks or jwks_uri"},
		{"keys in no way", func(c *storage.Client) { c.AuthMethod, c.SecretHash = "private_key_jwt", "" }, "either jwks or jwks_uri"},
		{"keys and secret", func(c *storage.Client) { c.AuthMethod, c.JWKS = "private_key_jwt", key }, "client_secret"},
		{"keys for a Basic client", func(c *storage.Client) { c.JWKS = key }, "jwks: only"},
		{"keys that cannot be read", func(c *storage.Client) { c.AuthMethod, c.SecretHash, c.JWKS = "private_key_jwt", "", "{}" }, "jwks: "},
		{"K14 jwks_uri over http", func(c *storage.Client) {
			c.AuthMethod, c.SecretHash, c.JWKSURI = "private_key_jwt", "", "http://a.example/jwks"
		}, "only https"},
		{"K14 jwks_uri with user", func(c *storage.Client) {
			c.AuthMethod, c.SecretHash, c.JWKSURI = "private_key_jwt", "", "https://u:p@a.example/jwks"
		}, "jwks_uri"},
		{"lifetimes", func(c *storage.Client) {
			c.AccessTokenTTL, c.RefreshTokenTTL, c.SessionTTL = storage.Duration(time.Hour), storage.Duration(storage.Week), storage.Duration(90*storage.Day)
		}, ""},
		{"access token lives for ever", func(c *storage.Client) { c.AccessTokenTTL = storage.Duration(25 * time.Hour) }, "access_token_ttl"},
		{"access token below a second", func(c *storage.Client) { c.AccessTokenTTL = 1 }, "access_token_ttl"},
		{"negative", func(c *storage.Client) { c.SessionTTL = -storage.Duration(time.Hour) }, "session_ttl"},
		{"refresh token outlives session", func(c *storage.Client) {
			c.RefreshTokenTTL, c.SessionTTL = storage.Duration(2*time.Hour), storage.Duration(time.Hour)
		}, "longer than the session"},
		{"retry window 0", func(c *storage.Client) { c.RefreshRetryWindow = duration(0) }, ""},
		{"retry window 60s", func(c *storage.Client) { c.RefreshRetryWindow = duration(time.Minute) }, ""},
		{"retry window 61s", func(c *storage.Client) { c.RefreshRetryWindow = duration(61 * time.Second) }, "refresh_retry_window"},
		{"retry window negative", func(c *storage.Client) { c.RefreshRetryWindow = duration(-1) }, "refresh_retry_window"},
		{"fences", func(c *storage.Client) {
			c.PasswordNetworks, c.PasswordScopes = []string{"10.0.0.0/8", "::1"}, []string{"read"}
		}, ""},
		{"network", func(c *storage.Client) { c.PasswordNetworks = []string{"10.0.0.1/8"} }, "password_grant_networks"},
		{"password scope", func(c *storage.Client) { c.PasswordScopes = []string{"delete"} }, "password_grant_scope"},
		{"sessions", func(c *storage.Client) { c.MaxSessions = -1 }, "max_sessions"},
		{"too many values", func(c *storage.Client) { c.Audience = slices.Repeat([]string{"a"}, 101) }, "more than 100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := confidential()
			tt.change(&c)
			oneFault(t, Validate(c), tt.want)
		})
	}
}

func oneFault(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var wrong *MetadataError
	if !errors.As(err, &wrong) || len(wrong.Faults) != 1 || !strings.Contains(wrong.Faults[0], want) {
		t.Errorf("got %v, want the one fault %q", err, want)
	}
}

func TestMetadataNamesAllFaultsAtOnce(t *testing.T) {
	var wrong *MetadataError
	err := Validate(storage.Client{ID: "\n", Name: "\n", AuthMethod: "x", Scopes: []string{""}, RedirectURIs: []string{"x"}, MaxSessions: -1})
	if !errors.As(err, &wrong) || len(wrong.Faults) != 7 {
		t.Errorf("got %v, want seven faults", err)
	}
}

func TestA4_RedirectURIs(t *testing.T) {
	for uri, want := range map[string]string{
		"https://app.example":                            "",
		"https://app.example/cb?x=1":                     "",
		"https://app.example:8443/cb":                    "",
		"http://127.0.0.1/cb":                            "",
		"http://127.0.0.1:4711/cb":                       "",
		"http://[::1]:4711/cb":                           "",
		"http://localhost:3000/cb":                       "",
		"com.example.app:/cb":                            "",
		"com.example.app://cb":                           "",
		"https://app.example/cb#x":                       "no fragment",
		"https://app.example/cb#":                        "no fragment",
		"javascript:alert(1)":                            "reversed domain name",
		"data:text/html,x":                               "reversed domain name",
		"JaVaScRiPt:alert(1)":                            "reversed domain name",
		"vbscript:x":                                     "reversed domain name",
		"file:///etc/passwd":                             "reversed domain name",
		"myapp:/cb":                                      "reversed domain name",
		"http://app.example/cb":                          "http is only for",
		"http://localhost.evil.example":                  "http is only for",
		"http://127.0.0.1.evil.example":                  "http is only for",
		"http://10.0.0.1/cb":                             "http is only for",
		"https://*.app.example/cb":                       "no wildcards",
		"https://app.example@evil.example":               "user name",
		"https:///cb":                                    "names no host",
		"https:app.example":                              "names no host",
		"/cb":                                            "absolute",
		"cb":                                             "absolute",
		"":                                               "RFC 3986",
		"https://app.example/a b":                        "RFC 3986",
		"https://app.example\\@evil.example":             "RFC 3986",
		"https://app.example/\n":                         "RFC 3986",
		"https://äpp.example":                            "RFC 3986",
		"https://xn--pp-uia.example/cb":                  "",
		"https://%D0%B0pple.example/cb":                  "begins with xn--",
		"https://[::1%25eth0]/cb":                        "begins with xn--",
		"https://a.example/" + strings.Repeat("x", 2048): "RFC 3986",
	} {
		c := confidential()
		c.RedirectURIs = []string{uri}
		t.Run(uri[:min(len(uri), 60)], func(t *testing.T) { oneFault(t, Validate(c), want) })
	}
}

func TestCORSOrigins(t *testing.T) {
	for origin, want := range map[string]string{
		"https://app.example":         "",
		"https://app.example:8443":    "",
		"http://localhost:3000":       "",
		"http://127.0.0.1:3000":       "",
		"https://[2001:db8::1]:8443":  "",
		"*":                           "one by one",
		"null":                        "one by one",
		"https://app.example/":        "without a slash",
		"https://app.example/x":       "without a slash",
		"https://app.example?x":       "without a slash",
		"https://App.example":         "lower case",
		"HTTPS://app.example":         "without a slash",
		"https://app.example:443":     "default port",
		"https://app.example:":        "default port",
		"http://localhost:80":         "default port",
		"https://*.example":           "no wildcards",
		"http://app.example":          "http is only for",
		"ftp://app.example":           "https://host",
		"app.example":                 "absolute",
		"https://":                    "https://host",
		"https://u@app.example":       "user name",
		"https://app.example,b":       "names one host",
		"https://a.example b.example": "RFC 3986",
	} {
		c := confidential()
		c.CORSOrigins = []string{origin}
		t.Run(origin, func(t *testing.T) { oneFault(t, Validate(c), want) })
	}
}
