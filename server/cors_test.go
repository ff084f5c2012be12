package server_test

import (
	"net/http"
	"strings"
	"testing"
)

const spaOrigin = "https://spa.example"

func origin(o string) func(*http.Request) { return header("Origin", o) }

// corsHeaders are those of an answer that begin with Access-Control-.
func (a answer) corsHeaders() (names []string) {
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

func TestT30_V14_CORS(t *testing.T) {
	n := start(t, options{})
	preflight := func(path, from string) answer {
		return n.do("OPTIONS", path, "", "", origin(from), header("Access-Control-Request-Method", "POST"),
			header("Access-Control-Request-Headers", "authorization, content-type"))
	}
	t.Run("T30 preflight of a listed origin", func(t *testing.T) {
		for _, path := range []string{"/token", "/revoke"} {
			a := preflight(path, spaOrigin)
			if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != spaOrigin || a.Header.Get("Access-Control-Allow-Methods") != "POST" ||
				a.Header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, DPoP" {
				t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
			}
			if a.Header.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: %v", path, a.Header)
			}
		}
	})
	t.Run("T30 preflight of another origin", func(t *testing.T) {
		for _, from := range []string{
			"https://evil.example", "null", "*", "http://spa.example", "https://spa.example:443", "https://spa.example/", "https://SPA.example",
			"https://spa", "https://spa.example.evil.example", "https://sub.spa.example", "https://spa.example spa",
			strings.Repeat("x", 100_000),
		} {
			if a := preflight("/token", from); a.StatusCode != 204 || len(a.corsHeaders()) != 0 {
				t.Errorf("%.50q: %d %v", from, a.StatusCode, a.corsHeaders())
			}
		}
	})
	t.Run("T30 answers to the client's own origins", func(t *testing.T) {
		a := n.post("/token", loginForm("client_id", "spa"), origin(spaOrigin))
		a.want(t, 200, "")
		if a.Header.Get("Access-Control-Allow-Origin") != spaOrigin || a.Header.Get("Access-Control-Allow-Credentials") != "" || a.Header.Get("Vary") == "" {
			t.Errorf("%v", a.Header)
		}
		refresh := form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", "x")
		// A page must be able to read why it was refused.
		if a := n.post("/token", refresh, origin(spaOrigin)); a.StatusCode != 400 || a.Header.Get("Access-Control-Allow-Origin") != spaOrigin {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		if a := n.post("/token", form("grant_type", "x"), origin(spaOrigin)); a.StatusCode != 401 || a.Header.Get("Access-Control-Allow-Origin") != spaOrigin {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		if a := n.post("/revoke", form("client_id", "spa", "token", "x"), origin(spaOrigin)); a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Origin") != spaOrigin {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("T30 no answer to others", func(t *testing.T) {
		for what, a := range map[string]answer{
			"another origin":             n.post("/token", loginForm("client_id", "spa"), origin("https://evil.example")),
			"another client's origin":    n.post("/token", form("grant_type", "client_credentials"), app, origin(spaOrigin)),
			"refused, another origin":    n.post("/token", form("grant_type", "x"), origin("https://evil.example")),
			"refused, another's origin":  n.post("/token", form("grant_type", "x"), app, origin(spaOrigin)),
			"the null origin":            n.post("/token", form("grant_type", "x"), origin("null")),
			"no origin":                  n.post("/token", form("grant_type", "x")),
			"revoking, another's origin": n.post("/revoke", form("token", "x"), app, origin(spaOrigin)),
		} {
			if len(a.corsHeaders()) != 0 {
				t.Errorf("%s: %v", what, a.Header)
			}
		}
	})
	t.Run("T30 never where no page has business", func(t *testing.T) {
		for _, path := range []string{"/authorize", "/introspect", "/admin/v1/users", "/metrics", "/healthz"} {
			if a := preflight(path, spaOrigin); len(a.corsHeaders()) != 0 {
				t.Errorf("%s: %v", path, a.Header)
			}
		}
	})
}
