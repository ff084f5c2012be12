package server_test

import (
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
