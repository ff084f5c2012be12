package server_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// onPage checks that a refusal is a page for people: with a status of 4xx, and
// with what every page has.
func (a answer) onPage(t testing.TB, what string) {
	t.Helper()
	if a.StatusCode < 400 || a.StatusCode > 499 || a.Header.Get("Location") != "" || a.Header.Get("Content-Type") != "text/html; charset=utf-8" || a.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || a.Header.Get("Www-Authenticate") != "" || a.title() == "" {
		t.Errorf("%s: %d %v %.200s", what, a.StatusCode, a.Header, a.body)
	}
}

// badBodies are bodies that are no form.
var badBodies = map[string]struct{ kind, body string }{
	"another type": {"text/plain", "a=b"}, "JSON": {"application/json", `{"decision":"allow"}`}, "multipart": {"multipart/form-data; boundary=x", "--x--"}, "no type": {"", "a=b"}, "an odd type": {"application/x-www-form-urlencoded/x", "a=b"},
	"too large": {formType, strings.Repeat("x", 70_000)}, "too many": {formType, strings.Repeat("a=1&", 300)}, "percent": {formType, "a=%zz"}, "semicolon": {formType, "a=b;c=d"}, "not UTF-8": {formType, "username=%ff"}, "NUL": {formType, "state=%00"},
	"twice": {formType, "decision=allow&decision=deny"}, "token twice": {formType, "form_token=x&form_token=y"},
}

// TestBadFormsAtEveryPage: what is no form is told on a page and makes nothing,
// whoever is signed in.
func TestBadFormsAtEveryPage(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.code(ask())
	for what, bad := range badBodies {
		for _, path := range []string{"/authorize", "/login?" + ask().Encode(), "/consent?" + ask().Encode(), "/choose?" + ask().Encode(), "/end_session"} {
			a := b.raw("POST", n.url+path, bad.kind, bad.body)
			a.onPage(t, what+" at "+path)
			if len(a.Cookies()) != 0 {
				t.Errorf("%s at %s: %v", what, path, a.Cookies())
			}
		}
		for _, path := range []string{"/par", "/token"} {
			if what == "twice" || what == "token twice" {
				continue // they are no parameters there
			}
			a := n.do("POST", path, bad.kind, bad.body, app)
			if a.StatusCode != 400 && a.StatusCode != 413 || a.str("error") != "invalid_request" {
				t.Errorf("%s at %s: %d %s", what, path, a.StatusCode, a.body)
			}
			a.wellFormed(t)
		}
	}
	for what, query := range map[string]string{
		"percent": "%zz", "not UTF-8": "client_id=%ff", "NUL": "client_id=app&redirect_uri=%00", "too many": strings.Repeat("a=1&", 300), "too long": "x=" + strings.Repeat("y", 9000), "nothing": "", "semicolon": "client_id=app;x",
	} {
		for _, path := range []string{"/authorize", "/login", "/consent", "/choose", "/end_session"} {
			if path == "/end_session" && what == "nothing" {
				continue // it is complete
			}
			a := b.follow(b.load("GET", n.url+path+"?"+query, nil))
			a.onPage(t, what+" in the address of "+path)
		}
	}
	if codes, sessions, consents := n.made(); codes != 1 || sessions != 0 || consents != 1 {
		t.Errorf("%d codes, %d sessions, %d consents", codes, sessions, consents)
	}
	if q := b.open(ask("prompt", "none")).back(t, callback); q.Get("code") == "" {
		t.Errorf("no longer signed in: %v", q)
	}
}

// raw sends a body as it is.
func (b *browser) raw(method, address, kind, body string) answer {
	b.t.Helper()
	return b.load(method, address, nil, func(r *http.Request) {
		if r.Header.Del("Content-Type"); kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		sent, err := http.NewRequest(method, address, bytes.NewReader([]byte(body)))
		must(b.t, err)
		r.Body, r.GetBody, r.ContentLength = sent.Body, sent.GetBody, sent.ContentLength
	})
}

// TestBadRequestsInTheRightPlace: whoever may not be trusted with an answer gets
// a page, the client the rest; and a client that asks itself gets JSON.
func TestBadRequestsInTheRightPlace(t *testing.T) {
	n := startOpenID(t, options{})
	b := n.browser()
	b.code(ask())
	long := strings.Repeat("x", 600)
	for what, c := range map[string]struct {
		pairs []string
		code  string // "" for a page
	}{
		"no client":                 {[]string{"client_id", ""}, ""},
		"client of another kind":    {[]string{"client_id", "https://client.example/meta"}, ""},
		"long client":               {[]string{"client_id", long}, ""},
		"no address":                {[]string{"redirect_uri", ""}, ""},
		"long address":              {[]string{"redirect_uri", callback + long}, ""},
		"no address, another error": {[]string{"redirect_uri", "", "response_type", "token"}, ""},
		"made-up pushed request":    {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:" + long}, ""},
		"no kind":                   {[]string{"response_type", ""}, "invalid_request"},
		"an empty state":            {[]string{"response_type", "", "state", ""}, "invalid_request"},
		"token":                     {[]string{"response_type", "token"}, "unsupported_response_type"},
		"fragment":                  {[]string{"response_mode", "fragment"}, "invalid_request"},
		"long challenge":            {[]string{"code_challenge", challengeOf(verifier) + "A"}, "invalid_request"},
		"padded challenge":          {[]string{"code_challenge", challengeOf(verifier)[:42] + "="}, "invalid_request"},
		"another alphabet":          {[]string{"code_challenge", "+" + challengeOf(verifier)[1:]}, "invalid_request"},
		"bits that are none":        {[]string{"code_challenge", challengeOf(verifier)[:42] + "N"}, "invalid_request"},
		"scope with a quote":        {[]string{"scope", `read"`}, "invalid_scope"},
		"too many scopes":           {[]string{"scope", strings.Repeat("read ", 120) + "read"}, "invalid_scope"},
		"the administration":        {[]string{"scope", "jeton:admin"}, "invalid_scope"},
		"age":                       {[]string{"max_age", "soon"}, "invalid_request"},
		"a huge age":                {[]string{"max_age", "99999999999"}, "invalid_request"},
		"none and login":            {[]string{"prompt", "login none"}, "invalid_request"},
		"a relative resource":       {[]string{"resource", "api"}, "invalid_target"},
		"a nonce without end":       {[]string{"nonce", long}, "invalid_request"},
		"a signed request":          {[]string{"request", "x"}, "request_not_supported"},
		"a request elsewhere":       {[]string{"request_uri", "http://169.254.169.254/"}, "request_uri_not_supported"},
	} {
		f := ask(c.pairs...)
		for _, mode := range []string{"", "form_post"} {
			if mode != "" && !f.Has("response_mode") {
				f.Set("response_mode", mode)
			}
			a := b.open(f)
			if c.code == "" {
				a.onPage(t, what)
				continue
			}
			var q url.Values
			if f.Get("response_mode") == "form_post" {
				_, q = a.form(t)
			} else {
				q = a.back(t, callback)
			}
			if q.Get("error") != c.code || q.Get("state") != f.Get("state") || q.Has("state") != f.Has("state") || q.Get("iss") != n.url || q.Has("code") || !descriptionChars.MatchString(q.Get("error_description")) {
				t.Errorf("%s: %v", what, q)
			}
		}
		// The same, pushed, is told at once, as JSON.
		if f = ask(c.pairs...); !strings.Contains(what, "client") {
			a := push(n, app, f)
			want := c.code
			if want == "" || strings.HasPrefix(want, "request_uri_") {
				want = "invalid_request"
			}
			a.want(t, 400, want)
			a.wellFormed(t)
		}
	}
	if codes, sessions, _ := n.made(); codes != 1 || sessions != 0 {
		t.Errorf("%d codes, %d sessions", codes, sessions)
	}
}

// A parameter that means nothing here is ignored to the end (RFC 6749 §3.1),
// also one that means something elsewhere, and it is not carried on.
func TestA6_ParametersOfOtherPlaces(t *testing.T) {
	n := start(t, options{})
	for _, name := range []string{"code", "token", "username", "password", "client_secret", "grant_type", "decision", "form_token", "error", "iss"} {
		b := n.browser()
		f := ask("prompt", "consent")
		f.Set(name, rand.Text())
		page := b.open(f)
		if _, hidden := page.form(t); strings.Contains(string(page.body), "client_secret=") || strings.Contains(string(page.body), "password=") || len(hidden) != 1 {
			t.Errorf("%s is carried on: %s", name, page.body)
		}
		if q := b.submit(b.login(page), "allow").back(t, callback); q.Get("code") == "" || len(q) != 3 {
			t.Errorf("%s: %v", name, q)
		}
		if q := b.submit(b.follow(b.load("POST", n.url+"/authorize", f)), "allow").back(t, callback); q.Get("code") == "" {
			t.Errorf("%s, posted: %v", name, q)
		}
	}
}

// Bad input of OpenID Connect's endpoints and of the token exchange.
func TestBadInputBesideThePages(t *testing.T) {
	n := startOpenID(t, options{})
	b := n.browser()
	a := b.openID()
	access := a.str("access_token")
	for what, c := range map[string]struct {
		status int
		code   string
		change []func(*http.Request)
	}{
		"nothing":           {401, "invalid_token", nil},
		"another scheme":    {401, "invalid_token", []func(*http.Request){app}},
		"no token":          {400, "invalid_request", []func(*http.Request){header("Authorization", "Bearer")}},
		"an empty token":    {400, "invalid_request", []func(*http.Request){header("Authorization", "Bearer ")}},
		"two headers":       {400, "invalid_request", []func(*http.Request){header("Authorization", "Bearer "+access), header("Authorization", "Bearer "+access)}},
		"odd characters":    {400, "invalid_request", []func(*http.Request){header("Authorization", "Bearer a\"b")}},
		"no JWT":            {401, "invalid_token", []func(*http.Request){header("Authorization", "Bearer a.b.c")}},
		"forged":            {401, "invalid_token", []func(*http.Request){header("Authorization", "Bearer "+forged(access))}},
		"a long one":        {401, "invalid_token", []func(*http.Request){header("Authorization", "Bearer "+strings.Repeat("a", 9000))}},
		"the refresh token": {401, "invalid_token", []func(*http.Request){header("Authorization", "Bearer "+a.str("refresh_token"))}},
		"the ID token":      {401, "invalid_token", []func(*http.Request){header("Authorization", "Bearer "+a.str("id_token"))}},
	} {
		for _, method := range []string{"GET", "POST"} {
			if b := n.do(method, "/userinfo", "", "", c.change...); b.StatusCode != c.status || b.str("error") != c.code || b.Header.Get("Www-Authenticate") == "" || b.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("userinfo, %s: %d %v %s", what, b.StatusCode, b.Header, b.body)
			}
		}
	}
	n.post("/userinfo", form("access_token", access)).want(t, 401, "invalid_token") // not in the body
	n.do("DELETE", "/userinfo", "", "", header("Authorization", "Bearer "+access)).want(t, 405, "invalid_request")

	for what, query := range map[string]string{
		"another client": form("client_id", "app", "id_token_hint", a.str("id_token")).Encode(), "twice": "state=1&state=2", "hint twice": "id_token_hint=x&id_token_hint=y", "percent": "state=%zz", "NUL": "state=%00",
	} {
		b.load("GET", n.url+"/end_session?"+query, nil).onPage(t, "end_session, "+what)
	}
	for what, pairs := range map[string][]string{
		"a forged hint": {"id_token_hint", forged(a.str("id_token"))}, "an access token": {"id_token_hint", access}, "junk": {"id_token_hint", "\"><script>"}, "a long client": {"client_id", strings.Repeat("x", 600)}, "nobody": {"client_id", "nobody", "post_logout_redirect_uri", rpLogout},
	} {
		if page := b.load("GET", n.url+"/end_session?"+form(pairs...).Encode(), nil); page.StatusCode != 200 || page.title() != "Sign out" || strings.Contains(string(page.body), "<script>") {
			t.Errorf("end_session, %s: %d %s", what, page.StatusCode, page.body)
		}
	}
	page := b.load("GET", n.url+"/end_session", nil)
	_, f := page.form(t)
	for what, token := range map[string]string{"no token": "", "another token": strings.Repeat("A", 43)} {
		f.Set("form_token", token)
		f.Set("decision", "signout")
		if page := b.load("POST", n.url+"/end_session", f); page.title() != "Sign out" {
			t.Errorf("end_session, %s: %d %s", what, page.StatusCode, page.body)
		}
	}
	if !n.active(access) {
		t.Fatal("one of them has signed out")
	}
	if long := b.follow(b.load("POST", n.url+"/end_session", form("state", strings.Repeat("x", 20_000)))); long.title() != "This does not work" {
		t.Errorf("end_session, too long: %d %s", long.StatusCode, long.body)
	}
	if long := b.follow(b.load("POST", n.url+"/authorize", ask("state", strings.Repeat("x", 20_000)))); long.title() != "This does not work" {
		t.Errorf("authorize, too long: %d %s", long.StatusCode, long.body)
	}
}
