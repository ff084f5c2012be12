package server_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestT1_T2_J19_J20_TokenResponse(t *testing.T) {
	n := start(t, options{})
	a := n.login()
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("cache headers %v", a.Header)
	}
	if a.str("token_type") != "Bearer" || a.json["expires_in"] != float64(1800) || a.str("scope") != "read write" {
		t.Errorf("response %s", a.body)
	}
	h, c := segment(t, a.str("access_token"), 0), segment(t, a.str("access_token"), 1)
	if h["typ"] != "at+jwt" || h["alg"] != "ES256" || h["kid"] == "" {
		t.Errorf("header %v", h)
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "roles", "sid", "auth_time", "amr"} {
		if c[name] == nil {
			t.Errorf("claim %s is missing", name)
		}
	}
	if c["iss"] != n.url || c["sub"] != "u-alice" || c["client_id"] != "app" {
		t.Errorf("claims %v", c)
	}
	if !n.active(a.str("access_token")) {
		t.Error("a fresh token is not active")
	}
	b := n.refresh(a.str("refresh_token"))
	b.want(t, 200, "")
	n.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
	n.refresh(b.str("refresh_token")).want(t, 400, "invalid_grant")
	if n.active(b.str("access_token")) {
		t.Error("reuse must end the access tokens")
	}
	if strings.Contains(n.log.String(), a.str("refresh_token")) || strings.Contains(n.log.String(), password) {
		t.Error("a secret in the log")
	}
}

// T25: 128 bits and more that nobody can guess, in every token.
func TestT25_TokensCannotBeGuessed(t *testing.T) {
	n := start(t, options{})
	seen := make(map[string]bool)
	fresh := func(what, id string, bytes int) {
		t.Helper()
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(raw) < bytes {
			t.Errorf("%s: %q is less than %d bytes", what, id, bytes)
		}
		if seen[id] {
			t.Errorf("%s: %q twice", what, id)
		}
		seen[id] = true
	}
	a := n.login()
	fresh("sid", segment(t, a.str("access_token"), 1)["sid"].(string), 16)
	for range 20 {
		fresh("access token", segment(t, a.str("access_token"), 1)["jti"].(string), 16+8) // random bits and the place in a list
		// Random id and MAC: the id alone keeps two attempts apart.
		id := segment(t, a.str("refresh_token"), 1)["jti"].(string)
		fresh("refresh token", id, 16+32)
		fresh("random id", id[:20], 15)
		machine := n.post("/token", form("grant_type", "client_credentials"), app)
		fresh("client's token", segment(t, machine.str("access_token"), 1)["jti"].(string), 16+8)
		a = n.refresh(a.str("refresh_token"))
	}
}
