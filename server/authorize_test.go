package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
)

func TestA1_CodeLogin(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	page := b.open(ask("scope", "read write"))
	if page.StatusCode != 200 || page.title() != "Sign in" {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	page = b.login(page)
	if page.title() != "Allow access" || !strings.Contains(string(page.body), "alice") {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	q := b.submit(page, "allow").back(t, callback+"?")
	if q.Get("state") != ask().Get("state") || q.Get("iss") != n.url || len(q) != 3 {
		t.Fatalf("A1 D14 %v", q)
	}
	a := n.redeem(q.Get("code"), app).ok(t, 200)
	claims := n.verified(t, a.str("access_token"))
	if claims["sub"] != "u-alice" || claims["client_id"] != "app" || claims["scope"] != "read write" || claims["acr"] != "urn:jeton:acr:password" || claims["auth_time"] != float64(n.clock.Now().Unix()) {
		t.Errorf("claims %v", claims)
	}
	if seen := n.post("/introspect", form("token", a.str("access_token")), basic("api", apiSecret)); seen.str("acr") != "urn:jeton:acr:password" {
		t.Errorf("I8 %s", seen.body)
	}
	if a.json["id_token"] != nil {
		t.Errorf("an ID token without the scope openid: %s", a.body)
	}
	n.refresh(a.str("refresh_token")).ok(t, 200)

	t.Run("A9 the vector of RFC 7636", func(t *testing.T) {
		if challengeOf(verifier) != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
			t.Error(challengeOf(verifier))
		}
	})
	t.Run("the next time nothing is asked", func(t *testing.T) {
		if q := b.open(ask("scope", "read")).back(t, callback); q.Get("code") == "" {
			t.Errorf("%v", q)
		}
	})
	t.Run("more than was agreed to is asked for", func(t *testing.T) {
		must(t, n.addClient(accounts.NewClient{ID: "more", Secret: appSecret, ClientSettings: accounts.ClientSettings{
			Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read write"), RedirectURIs: accounts.To([]string{callback})}}))
		b.code(ask("client_id", "more"))
		if page := b.open(ask("client_id", "more", "scope", "read write")); page.title() != "Allow access" {
			t.Errorf("%d %s", page.StatusCode, page.body)
		}
	})
}

func TestCodeIsRedeemedOnce(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	t.Run("A12 a replay ends the session", func(t *testing.T) {
		code := b.code(ask())
		a := n.redeem(code, app).ok(t, 200)
		n.redeem(code, app).want(t, 400, "invalid_grant")
		n.dead(t, "the session of a replayed code", a.str("access_token"))
		n.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
		n.redeem(code, app).want(t, 400, "invalid_grant")
	})
	t.Run("A12 also long after", func(t *testing.T) {
		code := b.code(ask())
		a := n.redeem(code, app).ok(t, 200)
		n.clock.Add(10 * time.Minute)
		n.redeem(code, app).want(t, 400, "invalid_grant")
		n.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	t.Run("A14 it lives for a minute", func(t *testing.T) {
		code := b.code(ask())
		n.clock.Add(61 * time.Second)
		n.redeem(code, app).want(t, 400, "invalid_grant")
		code = b.code(ask())
		n.clock.Add(59 * time.Second)
		n.redeem(code, app).ok(t, 200)
	})
	t.Run("A15 another client's code is left alone", func(t *testing.T) {
		code := b.code(ask())
		n.redeem(code, basic("other", apiSecret)).want(t, 400, "invalid_grant")
		a := n.redeem(code, app).ok(t, 200)
		n.redeem(code, basic("other", apiSecret)).want(t, 400, "invalid_grant")
		n.refresh(a.str("refresh_token")).ok(t, 200)
	})
	t.Run("A15 redirect_uri", func(t *testing.T) {
		code := b.code(ask())
		n.redeem(code, app, "redirect_uri", callback+"/").want(t, 400, "invalid_grant")
		n.redeem(code, app).want(t, 400, "invalid_grant") // burnt
		n.redeem(b.code(ask()), app, "redirect_uri", "").ok(t, 200)
	})
	t.Run("A10 A16 a wrong verifier burns the code", func(t *testing.T) {
		code := b.code(ask())
		for _, malformed := range []string{verifier[:42], strings.Repeat("a", 129), verifier[:42] + "ü", verifier[:42] + " "} {
			n.redeem(code, app, "code_verifier", malformed).want(t, 400, "invalid_grant")
		}
		n.redeem(code, app, "code_verifier", "").want(t, 400, "invalid_request")
		n.redeem(code, app, "code_verifier", strings.Repeat("a", 43)).want(t, 400, "invalid_grant")
		n.redeem(code, app).want(t, 400, "invalid_grant")
	})
	t.Run("what is no code", func(t *testing.T) {
		n.redeem("", app).want(t, 400, "invalid_request")
		for _, junk := range []string{"x", strings.Repeat("A", 43), strings.Repeat("A", 120), strings.Repeat("A", 5000), "\"", b.code(ask()) + "A"} {
			n.redeem(junk, app).want(t, 400, "invalid_grant")
		}
	})
	t.Run("what ended in between", func(t *testing.T) {
		code := b.code(ask())
		must(t, second(n.users.Disable(t.Context(), "alice", accounts.Act{})))
		n.redeem(code, app).want(t, 400, "invalid_grant")
		must(t, second(n.users.Enable(t.Context(), "alice", accounts.Act{})))
		n.redeem(code, app).want(t, 400, "invalid_grant")
		if page := b.open(ask()); page.title() != "Sign in" {
			t.Errorf("still signed in: %s", page.body)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestA13_OneCodeAtOnce(t *testing.T) {
	n := start(t, options{})
	code := n.browser().code(ask())
	peers := []*node{n, n.peer(), n.peer()}
	answers := make(chan answer, 50)
	for i := range 50 {
		go func() { answers <- peers[i%len(peers)].redeem(code, app) }()
	}
	won := 0
	for range 50 {
		switch a := <-answers; a.StatusCode {
		case 200:
			won++
		default:
			a.want(t, 400, "invalid_grant")
		}
	}
	if won != 1 {
		t.Errorf("%d of 50 got tokens", won)
	}
}

func TestAuthorizeErrors(t *testing.T) {
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "machine", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"client_credentials"}), RedirectURIs: accounts.To([]string{callback})}}))
	b := n.browser()
	t.Run("A2 A3 what is not trusted gets a page", func(t *testing.T) {
		for name, f := range map[string][]string{
			"no client": {"client_id", ""}, "unknown client": {"client_id", "nobody"}, "odd client": {"client_id", "a\nb"},
			"no redirect": {"redirect_uri", ""}, "path": {"redirect_uri", callback + "/x"}, "slash": {"redirect_uri", callback + "/"},
			"query": {"redirect_uri", callback + "?x=1"}, "case": {"redirect_uri", "https://APP.example/cb"}, "dots": {"redirect_uri", "https://app.example/x/../cb"},
			"encoding": {"redirect_uri", "https://app.example/%63b"}, "slash encoded": {"redirect_uri", "https://app.example%2fcb"}, "userinfo": {"redirect_uri", "https://app.example@evil.example/cb"},
			"subdomain": {"redirect_uri", "https://x.app.example/cb"}, "scheme": {"redirect_uri", "http://app.example/cb"}, "fragment": {"redirect_uri", callback + "#x"},
			"port": {"redirect_uri", "https://app.example:8443/cb"}, "suffix": {"redirect_uri", "https://app.example.evil.example/cb"}, "script": {"redirect_uri", "javascript:alert(1)"},
			"backslash": {"redirect_uri", `https://app.example\@evil.example/cb`}, "relative": {"redirect_uri", "//app.example/cb"},
		} {
			if a := b.open(ask(f...)); a.StatusCode != 400 || a.Header.Get("Location") != "" || a.title() != "This does not work" {
				t.Errorf("%s: %d %v %s", name, a.StatusCode, a.Header, a.body)
			}
		}
	})
	t.Run("A5 A7 A8 A23 the rest goes to the client", func(t *testing.T) {
		for name, c := range map[string]struct {
			code string
			f    []string
		}{
			"no response_type":           {"invalid_request", []string{"response_type", ""}},
			"token":                      {"unsupported_response_type", []string{"response_type", "token"}},
			"code token":                 {"unsupported_response_type", []string{"response_type", "code token"}},
			"id_token token":             {"unsupported_response_type", []string{"response_type", "id_token token"}},
			"not its grant":              {"unauthorized_client", []string{"client_id", "machine"}},
			"unknown scope":              {"invalid_scope", []string{"scope", "nope"}},
			"malformed scope":            {"invalid_scope", []string{"scope", "read  write"}},
			"no challenge":               {"invalid_request", []string{"code_challenge", ""}},
			"plain":                      {"invalid_request", []string{"code_challenge_method", "plain"}},
			"no method":                  {"invalid_request", []string{"code_challenge_method", ""}},
			"challenge of another shape": {"invalid_request", []string{"code_challenge", "abc"}},
			"request object":             {"request_not_supported", []string{"request", "e30.e30."}},
			"foreign request_uri":        {"request_uri_not_supported", []string{"request_uri", "https://evil.example/r"}},
			"fragment":                   {"invalid_request", []string{"response_mode", "fragment"}},
			"none and more":              {"invalid_request", []string{"prompt", "none login"}},
			"max_age":                    {"invalid_request", []string{"max_age", "-1"}},
			"resource":                   {"invalid_target", []string{"resource", "https://elsewhere.example"}},
			"long nonce":                 {"invalid_request", []string{"nonce", strings.Repeat("n", 513)}},
		} {
			q := b.open(ask(c.f...)).back(t, callback)
			if q.Get("error") != c.code || q.Get("state") != ask().Get("state") || q.Get("iss") != n.url || q.Get("code") != "" {
				t.Errorf("%s: %v", name, q)
			}
		}
	})
	t.Run("A6 parameters sent twice", func(t *testing.T) {
		address := n.url + "/authorize?" + ask().Encode()
		if q := b.load("GET", address+"&scope=read", nil).back(t, callback); q.Get("error") != "invalid_request" {
			t.Errorf("%v", q)
		}
		for _, name := range []string{"client_id", "redirect_uri", "state"} {
			if a := b.load("GET", address+"&"+name+"=app", nil); a.StatusCode != 400 || a.Header.Get("Location") != "" {
				t.Errorf("%s: %d %v", name, a.StatusCode, a.Header)
			}
		}
		if page := b.load("GET", address+"&unknown=1&claims=%7B&ui_locales=xx&display=wap&login_hint=&acr_values=9&audience=1", nil); page.title() != "Sign in" {
			t.Errorf("O8 %d %s", page.StatusCode, page.body)
		}
	})
	t.Run("T30 never CORS", func(t *testing.T) {
		a := b.load("GET", n.url+"/authorize?"+ask().Encode(), nil, header("Origin", "https://spa.example"))
		if a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v", a.Header)
		}
	})
	t.Run("strange requests", func(t *testing.T) {
		for _, query := range []string{"%zz", "client_id=%ff", "client_id=app&redirect_uri=%00", strings.Repeat("a&", 300), "x=" + strings.Repeat("y", 9000), ""} {
			if a := b.load("GET", n.url+"/authorize?"+query, nil); a.StatusCode != 400 || a.Header.Get("Location") != "" {
				t.Errorf("%.20q: %d %v", query, a.StatusCode, a.Header)
			}
		}
		if a := n.do("PUT", "/authorize", "", ""); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET, POST" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
}

func TestA3_PortOfALoopbackRedirect(t *testing.T) {
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "cli", ClientSettings: accounts.ClientSettings{Public: accounts.To(true),
		Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read"),
		RedirectURIs: accounts.To([]string{"http://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost/cb", "com.example.app:/cb"})}}))
	b := n.browser()
	for _, uri := range []string{"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb", "http://[::1]:8080/cb", "http://[::1]/cb", "http://localhost/cb", "com.example.app:/cb"} {
		if page := b.open(ask("client_id", "cli", "redirect_uri", uri)); page.title() != "Sign in" {
			t.Errorf("%s: %d %s", uri, page.StatusCode, page.body)
		}
	}
	for _, uri := range []string{
		"http://127.0.0.1:51234/cb/", "http://127.0.0.1:51234/CB", "http://127.0.0.2:51234/cb", "http://localhost:51234/cb", "https://127.0.0.1:51234/cb",
		"http://127.0.0.1:051234/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:1@evil.example/cb", "http://a@127.0.0.1:1/cb",
		"http://127.0.0.1:51234/cb?x", "http://127.0.0.1:51234/cb#x", "http://[::ffff:127.0.0.1]:1/cb", "http://0x7f.1:1/cb", "http://[127.0.0.1]:1/cb", "http://::1/cb", "com.example.app:/cb/",
	} {
		if a := b.open(ask("client_id", "cli", "redirect_uri", uri)); a.StatusCode != 400 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", uri, a.StatusCode, a.Header)
		}
	}
	t.Run("A20 such a client is asked about each time", func(t *testing.T) {
		f := ask("client_id", "cli", "redirect_uri", "http://127.0.0.1:5/cb")
		b.code(f)
		if page := b.open(f); page.title() != "Allow access" || !strings.Contains(string(page.body), "a program on this device") {
			t.Errorf("%d %s", page.StatusCode, page.body)
		}
	})
}
