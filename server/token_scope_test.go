package server_test

import (
	"strings"
	"testing"

	"jeton/accounts"
)

func TestTokenScope(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	h := n.holder()
	scopeOf := func(t *testing.T, a answer) string {
		t.Helper()
		a.want(t, 200, "")
		claim, _ := segment(t, a.str("access_token"), 1)["scope"].(string)
		if claim != a.str("scope") {
			t.Errorf("the answer says %q, the token %q", a.str("scope"), claim)
		}
		return claim
	}

	t.Run("T26 the scope is always told", func(t *testing.T) {
		for asked, want := range map[string]string{
			"": "read write", "read": "read", "write": "write", "write read": "write read", "read read": "read",
		} {
			if got := scopeOf(t, h.post("/token", form("grant_type", "client_credentials", "scope", asked), app)); got != want {
				t.Errorf("%q asked, %q granted, want %q", asked, got, want)
			}
		}
		a := h.post("/token", form("grant_type", "client_credentials"), basic("api", apiSecret))
		if a.want(t, 200, ""); a.json["scope"] != nil {
			t.Errorf("a client without scopes: %s", a.body)
		}
	})

	t.Run("T27 a scope that is malformed or not allowed", func(t *testing.T) {
		for _, scope := range []string{
			"admin", "read admin", "READ", "read  write", " read", "read ", " ", "  ", "read\twrite", "read\nwrite", `"read"`, `re\ad`, "réad",
			"read,write", "read+write", "*", "jeton:admin", "read\u00a0write", "\x7f", strings.Repeat("x", 50_000),
		} {
			h.refused(t, h.post("/token", form("grant_type", "client_credentials", "scope", scope), app), 400, "invalid_scope")
			h.refused(t, h.post("/token", loginForm("scope", scope), app), 400, "invalid_scope")
			h.refused(t, h.post("/token", h.refreshForm("scope", scope), app), 400, "invalid_scope")
		}
		// Words without end would cost the square of their number.
		words := func(n int) string { return strings.TrimSpace(strings.Repeat("read ", n)) }
		if got := scopeOf(t, h.post("/token", form("grant_type", "client_credentials", "scope", words(100)), app)); got != "read" {
			t.Errorf("scope %q", got)
		}
		h.refused(t, h.post("/token", h.refreshForm("scope", words(101)), app), 400, "invalid_scope")
		h.refused(t, h.post("/token", h.refreshForm("scope", words(12_000)), app), 400, "invalid_scope")
	})

	t.Run("R3 R5 narrowing once narrows nothing for good", func(t *testing.T) {
		for _, step := range [][2]string{{"read", "read"}, {"", "read write"}, {"write", "write"}, {"read", "read"}, {"read write", "read write"}} {
			a := h.post("/token", h.refreshForm("scope", step[0]), app)
			if got := scopeOf(t, a); got != step[1] {
				t.Errorf("%q asked, %q granted, want %q", step[0], got, step[1])
			}
			h.refreshToken = a.str("refresh_token")
		}
		h.rows = h.stored()
	})

	t.Run("R4 R14 more than was granted", func(t *testing.T) {
		a := h.login("scope", "read")
		narrow := &holder{node: n, refreshToken: a.str("refresh_token"), rows: n.stored()}
		for _, scope := range []string{"write", "read write", "jeton:admin"} {
			narrow.refused(t, narrow.post("/token", narrow.refreshForm("scope", scope), app), 400, "invalid_scope")
		}
		if got := scopeOf(t, narrow.refresh(narrow.refreshToken)); got != "read" {
			t.Errorf("scope %q", got)
		}
		h.rows = h.stored()
	})

	t.Run("R14 a scope the client has lost", func(t *testing.T) {
		set := func(scope string) {
			t.Helper()
			_, _, err := n.clients.Set(t.Context(), "app", accounts.ClientSettings{Scope: accounts.To(scope)}, accounts.Act{Operator: true})
			must(t, err)
			h.rows = h.stored()
		}
		set("write other")
		h.refused(t, h.post("/token", h.refreshForm("scope", "read"), app), 400, "invalid_scope")
		if got := scopeOf(t, h.rotate(t)); got != "write" {
			t.Errorf("scope %q", got)
		}
		set("other")
		h.post("/token", h.refreshForm(), app).want(t, 400, "invalid_scope")
		set("write read")
		if got := scopeOf(t, h.rotate(t)); got != "read write" {
			t.Errorf("scope %q: the refusals must have spent nothing", got)
		}
	})
}
