package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"jeton/accounts"
)

// The attacks of RFC 9700 §4 that reach an authorization server, one by one.
// What stands in a test of its own is named at its place.
func TestAttacksOfRFC9700(t *testing.T) {
	evil := strings.Repeat("e", 43) // a verifier of the attacker's

	t.Run("4.1 redirect URI tricks", TestAuthorizeErrors)

	t.Run("4.2 nothing leaks by referrer or history", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		for _, a := range []answer{b.open(ask()), b.login(b.open(ask()))} {
			if a.Header.Get("Referrer-Policy") != "no-referrer" || strings.Contains(string(a.body), "<a ") || strings.Contains(string(a.body), "<img") {
				t.Errorf("%v %s", a.Header, a.body)
			}
		}
		code := n.browser().code(ask())
		n.redeem(code, app).ok(t, 200)
		n.redeem(code, app).want(t, 400, "invalid_grant") // one found in a history is worth nothing
	})

	t.Run("4.4 mix-up", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		for _, q := range []url.Values{b.open(ask("scope", "nope")).back(t, callback), b.through(ask())} {
			if q.Get("iss") != n.url {
				t.Errorf("an answer without its issuer: %v", q)
			}
		}
	})

	t.Run("4.5 code injection", func(t *testing.T) {
		// The attacker has stolen alice's code and has the client redeem it in a
		// login of the attacker's own, whose verifier is another.
		n := start(t, options{})
		stolen := n.browser().code(ask())
		n.redeem(stolen, app, "code_verifier", evil).want(t, 400, "invalid_grant")
		n.redeem(stolen, app).want(t, 400, "invalid_grant") // it is burnt
	})

	t.Run("4.7 CSRF on authorize, login and consent", TestW6_W7_W12_FormsOfOthers)

	t.Run("4.8 PKCE downgrade", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		for _, f := range []url.Values{ask("code_challenge", "", "code_challenge_method", ""), ask("code_challenge_method", "plain", "code_challenge", verifier), ask("code_challenge_method", "")} {
			if q := b.open(f).back(t, callback); q.Get("error") != "invalid_request" || q.Get("code") != "" {
				t.Errorf("%v", q)
			}
		}
		// A verifier equal to the challenge is what plain would take.
		n.redeem(b.code(ask()), app, "code_verifier", challengeOf(verifier)).want(t, 400, "invalid_grant")
		n.redeem(b.code(ask()), app, "code_verifier", "").want(t, 400, "invalid_request")
	})

	t.Run("4.11 open redirector", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		for _, query := range []url.Values{ask("redirect_uri", "https://evil.example/"), ask("client_id", "evil"), ask("redirect_uri", "https://evil.example/", "prompt", "none"), ask("redirect_uri", "https://evil.example/", "scope", "nope")} {
			for _, path := range []string{"/authorize", "/login", "/consent", "/choose"} {
				if a := b.load("GET", n.url+path+"?"+query.Encode(), nil); a.Header.Get("Location") != "" {
					t.Errorf("%s sends to %s", path, a.Header.Get("Location"))
				}
			}
		}
		if a := b.load("GET", n.url+"/end_session?"+form("client_id", "app", "post_logout_redirect_uri", "https://evil.example/").Encode(), nil); a.Header.Get("Location") != "" {
			t.Errorf("end_session sends to %s", a.Header.Get("Location"))
		}
	})

	t.Run("4.12 307", TestA17_NothingIsPostedTwice)

	t.Run("4.14 refresh token replay", func(t *testing.T) {
		n := start(t, options{})
		a := n.redeem(n.browser().code(ask()), app).ok(t, 200)
		b := n.refresh(a.str("refresh_token")).ok(t, 200)
		n.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
		n.refresh(b.str("refresh_token")).want(t, 400, "invalid_grant")
	})

	t.Run("4.15 a client that poses as a user", func(t *testing.T) {
		n := start(t, options{})
		must(t, n.addClient(accounts.NewClient{ID: "poses", Secret: appSecret, ClientSettings: accounts.ClientSettings{
			Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("openid")}}))
		token := n.post("/token", form("grant_type", "client_credentials", "scope", "openid"), basic("poses", appSecret)).ok(t, 200).str("access_token")
		n.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+token)).want(t, 403, "insufficient_scope")
	})

	t.Run("4.16 clickjacking", TestA18_PagesAreFramedCachedAndScriptedByNobody)

	t.Run("another client's code", func(t *testing.T) {
		n := start(t, options{})
		code := n.browser().code(ask())
		n.redeem(code, basic("other", apiSecret)).want(t, 400, "invalid_grant")
		n.redeem(code, func(*http.Request) {}, "client_id", "spa").want(t, 400, "unauthorized_client")
		n.redeem(code, func(*http.Request) {}, "client_id", "app").want(t, 401, "invalid_client")
		n.redeem(code, app).ok(t, 200)
	})
}
