package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

const shopOrigin = "https://shop.example"

// shop adds a client with cookies.
func (n *node) shop(change ...func(*accounts.ClientSettings)) *shopper {
	n.t.Helper()
	settings := accounts.ClientSettings{
		AuthMethod: accounts.To(storage.AuthNone), Grants: accounts.To([]string{"password", "refresh_token"}),
		Scope: accounts.To("read write"), CORSOrigins: accounts.To([]string{shopOrigin}), Delivery: accounts.To("cookie"),
	}
	for _, c := range change {
		c(&settings)
	}
	must(n.t, n.addClient(accounts.NewClient{ID: "shop", ClientSettings: settings}))
	return &shopper{node: n, held: map[string]*http.Cookie{}}
}

// shopper is a page of that client in a browser, which keeps cookies.
type shopper struct {
	*node
	held map[string]*http.Cookie
}

// byPage are the headers that a browser adds for a page of the client.
func byPage(r *http.Request) {
	r.Header.Set("Origin", shopOrigin)
	r.Header.Set("Sec-Fetch-Site", "same-site")
	r.Header.Set("X-CSRF", "1")
}

// call sends what the page sends, with the cookies that are held.
func (b *shopper) call(path string, f url.Values, change ...func(*http.Request)) answer {
	b.t.Helper()
	f.Set("client_id", "shop")
	a := b.post(path, f, append([]func(*http.Request){byPage, func(r *http.Request) {
		for _, c := range b.held {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}}, change...)...)
	for _, c := range a.Cookies() {
		watch.Secret("cookie", c.Value)
		if b.held[c.Name] = c; c.MaxAge < 0 {
			delete(b.held, c.Name)
		}
	}
	return a
}

func (b *shopper) login(more ...string) answer {
	b.t.Helper()
	a := b.call("/session/token", loginForm(more...))
	a.want(b.t, 200, "")
	return a
}

func (b *shopper) refresh(change ...func(*http.Request)) answer {
	b.t.Helper()
	return b.call("/session/token", form("grant_type", "refresh_token"), change...)
}

func (b *shopper) value(name string) string {
	for full, c := range b.held {
		if strings.HasSuffix(full, name) {
			return c.Value
		}
	}
	return ""
}

// setCookies are the Set-Cookie headers without the values.
func (a answer) setCookies() (lines []string) {
	for _, line := range a.Header.Values("Set-Cookie") {
		name, rest, _ := strings.Cut(line, "=")
		_, attrs, _ := strings.Cut(rest, ";")
		lines = append(lines, name+";"+attrs)
	}
	return lines
}

func TestW1_W3_W4_W5_TokensTravelInCookies(t *testing.T) {
	n := start(t, options{issuer: "https://auth.shop.example"})
	b := n.shop()
	a := b.login("scope", "read")
	t.Run("W1 W3 W4 names and attributes", func(t *testing.T) {
		want := []string{
			"__Host-access; Path=/; Max-Age=1800; HttpOnly; Secure; SameSite=Strict",
			"__Secure-refresh; Path=/session; Max-Age=1296000; HttpOnly; Secure; SameSite=Strict",
		}
		if got := a.setCookies(); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		for _, line := range a.Header.Values("Set-Cookie") {
			if len(line) > 4096 {
				t.Errorf("%d bytes", len(line))
			}
		}
	})
	t.Run("W5 the body has no token", func(t *testing.T) {
		if len(a.json) != 3 || a.str("token_type") != "Bearer" || a.json["expires_in"] != 1800.0 || a.str("scope") != "read" {
			t.Errorf("%s", a.body)
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.Header)
		}
	})
	t.Run("refresh by cookie alone", func(t *testing.T) {
		access, refresh := b.value("access"), b.value("refresh")
		n.clock.Add(80 * 24 * time.Hour / 8) // within the idle time
		a := b.refresh()
		a.want(t, 200, "")
		if b.value("access") == access || b.value("refresh") == refresh || len(a.json) != 3 || !n.active(b.value("access")) {
			t.Errorf("%s %q", a.body, a.setCookies())
		}
	})
	t.Run("W4 no cookie outlives the session", func(t *testing.T) {
		for range 9 {
			n.clock.Add(9 * 24 * time.Hour)
			if a := b.refresh(); a.StatusCode == 200 {
				if c := b.held["__Secure-refresh"]; time.Duration(c.MaxAge)*time.Second > 15*24*time.Hour {
					t.Errorf("%d s", c.MaxAge)
				}
				continue
			}
			return
		}
		t.Error("the session has no end")
	})
	t.Run("W4 logging out takes both away", func(t *testing.T) {
		b.login()
		access, refresh := b.value("access"), b.value("refresh")
		a := b.call("/session/revoke", form())
		a.want(t, 200, "")
		want := []string{
			"__Host-access; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
			"__Secure-refresh; Path=/session; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
		}
		if got := a.setCookies(); !slices.Equal(got, want) || len(b.held) != 0 || n.active(access) || n.active(refresh) {
			t.Errorf("%q, %v", got, b.held)
		}
		// Once more, and without anything: there is nothing left to do.
		b.call("/session/revoke", form()).want(t, 200, "")
		// Who kept the cookie has nothing.
		b.held["__Secure-refresh"] = &http.Cookie{Name: "__Secure-refresh", Value: refresh}
		b.refresh().want(t, 400, "invalid_grant")
	})
}

func TestW1_CookiesBySetting(t *testing.T) {
	for _, c := range []struct {
		what, issuer string
		set          func(*accounts.ClientSettings)
		want         []string
	}{
		{"http", "", func(*accounts.ClientSettings) {}, []string{
			"access; Path=/; Max-Age=1800; HttpOnly; SameSite=Strict", "refresh; Path=/session; Max-Age=1296000; HttpOnly; SameSite=Strict"}},
		{"a path before", "https://shop.example/auth", func(s *accounts.ClientSettings) { s.CookieName = accounts.To("s1") }, []string{
			"__Host-s1-access; Path=/; Max-Age=1800; HttpOnly; Secure; SameSite=Strict",
			"__Secure-s1-refresh; Path=/auth/session; Max-Age=1296000; HttpOnly; Secure; SameSite=Strict"}},
		{"all that can be set", "https://auth.shop.example", func(s *accounts.ClientSettings) {
			s.CookieSameSite, s.CookieDomain, s.RefreshPath = accounts.To("lax"), accounts.To("shop.example"), accounts.To("/")
		}, []string{
			"__Secure-access; Path=/; Domain=shop.example; Max-Age=1800; HttpOnly; Secure; SameSite=Lax",
			"__Host-refresh; Path=/; Max-Age=1296000; HttpOnly; Secure; SameSite=Lax"}},
		{"a path for the API", "https://shop.example", func(s *accounts.ClientSettings) { s.CookiePath = accounts.To("/api") }, []string{
			"__Secure-access; Path=/api; Max-Age=1800; HttpOnly; Secure; SameSite=Strict",
			"__Secure-refresh; Path=/session; Max-Age=1296000; HttpOnly; Secure; SameSite=Strict"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := start(t, options{issuer: c.issuer}).shop(c.set)
			if got := b.login().setCookies(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			b.refresh().want(t, 200, "")
			if a := b.call("/session/revoke", form()); a.StatusCode != 200 || len(b.held) != 0 {
				t.Errorf("%d %v", a.StatusCode, b.held)
			}
		})
	}
}

func TestW6_W7_W8_W9_W12_OnlyPagesOfTheClient(t *testing.T) {
	n := start(t, options{issuer: "https://auth.shop.example"})
	b := n.shop()
	b.login()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			if r.Header.Del(name); value != "" {
				r.Header.Set(name, value)
			}
		}
	}
	var generation uint64
	n.eachSession(func(s storage.Session) { generation = s.Generation })
	for _, c := range []struct {
		what   string
		change []func(*http.Request)
	}{
		{"W6 another site", []func(*http.Request){set("Sec-Fetch-Site", "cross-site")}},
		{"W6 another site, older browser", []func(*http.Request){set("Sec-Fetch-Site", ""), set("Origin", "https://evil.example")}},
		{"W6 unknown words", []func(*http.Request){set("Sec-Fetch-Site", "near-by")}},
		{"W7 a neighbour that is not listed", []func(*http.Request){set("Origin", "https://blog.shop.example")}},
		{"W7 the same host, another port", []func(*http.Request){set("Origin", "https://shop.example:8443")}},
		{"W7 the server itself, not listed", []func(*http.Request){set("Origin", "https://auth.shop.example"), set("Sec-Fetch-Site", "same-origin")}},
		{"W7 null", []func(*http.Request){set("Origin", "null"), set("Sec-Fetch-Site", "")}},
		{"W7 null, from the same origin", []func(*http.Request){set("Origin", "null"), set("Sec-Fetch-Site", "same-origin")}},
		{"W7 no origin", []func(*http.Request){set("Origin", "")}},
		{"W7 nothing said", []func(*http.Request){set("Origin", ""), set("Sec-Fetch-Site", "")}},
		{"W7 two origins", []func(*http.Request){header("Origin", "https://evil.example")}},
		{"W8 without the header", []func(*http.Request){set("X-CSRF", "")}},
		{"W8 another value", []func(*http.Request){set("X-CSRF", "true")}},
	} {
		for act, a := range map[string]func() answer{
			"login":   func() answer { return b.call("/session/token", loginForm(), c.change...) },
			"refresh": func() answer { return b.refresh(c.change...) },
			"logout":  func() answer { return b.call("/session/revoke", form(), c.change...) },
		} {
			a := a()
			if a.StatusCode != 403 || a.str("error") != "access_denied" || len(a.Cookies()) != 0 {
				t.Errorf("%s, %s: %d %s %q", c.what, act, a.StatusCode, a.body, a.setCookies())
			}
		}
	}
	sessions := 0
	n.eachSession(func(s storage.Session) {
		if sessions++; s.Generation != generation || s.Ended != nil {
			t.Errorf("the session changed: %+v", s)
		}
	})
	if sessions != 1 {
		t.Errorf("there are %d sessions", sessions)
	}
	b.refresh(set("Sec-Fetch-Site", "")).want(t, 200, "") // an older browser, a page that is listed
	b.refresh(set("Sec-Fetch-Site", "same-origin")).want(t, 200, "")

	t.Run("W8 nothing but forms", func(t *testing.T) {
		for _, kind := range []string{"text/plain", "application/json", "multipart/form-data; boundary=x", ""} {
			a := n.do("POST", "/session/token", kind, loginForm("client_id", "shop").Encode(), byPage)
			if a.StatusCode != 400 || len(a.Cookies()) != 0 {
				t.Errorf("%q: %d", kind, a.StatusCode)
			}
		}
	})
	t.Run("W12 a login ends the session that was there", func(t *testing.T) {
		before := b.value("access")
		b.login()
		if n.active(before) || !n.active(b.value("access")) {
			t.Error("the session of before lives, or the new one does not")
		}
	})
}

// eachSession shows all sessions of the shop.
func (n *node) eachSession(see func(storage.Session)) {
	n.t.Helper()
	must(n.t, n.store.AllByIndex(n.t.Context(), storage.Query{Index: storage.IndexClientSessions("shop")}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Session](row)
		see(rec.Value)
		return err
	}))
}

func TestW10_CORSWithCredentials(t *testing.T) {
	n := start(t, options{})
	b := n.shop()
	for path, from := range map[string]string{"/session/token": shopOrigin, "/session/revoke": shopOrigin} {
		a := n.do("OPTIONS", path, "", "", origin(from), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "x-csrf"))
		if h := a.Header; a.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != from || h.Get("Access-Control-Allow-Credentials") != "true" ||
			h.Get("Access-Control-Allow-Headers") != "Content-Type, X-CSRF" || !slices.Contains(h.Values("Vary"), "Origin") {
			t.Errorf("%s: %d %v", path, a.StatusCode, h)
		}
		for _, from := range []string{spaOrigin, "https://evil.example", "null", "*", "https://blog.shop.example", strings.Repeat("x", 100_000)} {
			a := n.do("OPTIONS", path, "", "", origin(from), header("Access-Control-Request-Method", "POST"))
			if len(a.corsHeaders()) != 0 {
				t.Errorf("%s from %.40q: %v", path, from, a.corsHeaders())
			}
		}
	}
	for what, a := range map[string]answer{"an answer": b.login(), "a refusal": b.call("/session/token", form("grant_type", "x")),
		"a client that is not there": n.post("/session/token", form("client_id", "nobody", "grant_type", "password"), byPage)} {
		if h := a.Header; h.Get("Access-Control-Allow-Origin") != shopOrigin || h.Get("Access-Control-Allow-Credentials") != "true" || !slices.Contains(h.Values("Vary"), "Origin") {
			t.Errorf("%s: %v", what, h)
		}
	}
	for what, a := range map[string]answer{
		"another origin": b.call("/session/token", loginForm(), func(r *http.Request) { r.Header.Set("Origin", spaOrigin) }),
		"bearer client":  n.post("/session/token", loginForm("client_id", "spa"), byPage, func(r *http.Request) { r.Header.Set("Origin", spaOrigin) }),
	} {
		if a.StatusCode == 200 || len(a.corsHeaders()) != 0 {
			t.Errorf("%s: %d %v", what, a.StatusCode, a.corsHeaders())
		}
	}
}

func TestW11_CookiesAndBodiesDoNotMix(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	b := n.shop()
	b.login()
	held := b.held["refresh"]
	fromSpa := func(r *http.Request) { r.Header.Set("Origin", spaOrigin) }
	bearer := n.post("/token", loginForm("client_id", "spa"))
	t.Run("a cookie client gets nothing in a body", func(t *testing.T) {
		n.post("/token", loginForm("client_id", "shop")).want(t, 400, "unauthorized_client")
		n.post("/token", form("grant_type", "refresh_token", "client_id", "shop", "refresh_token", held.Value)).want(t, 400, "unauthorized_client")
		n.post("/token", form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", held.Value)).want(t, 400, "invalid_grant")
	})
	t.Run("a bearer client gets no cookies", func(t *testing.T) {
		for _, f := range []url.Values{loginForm("client_id", "spa"), form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", bearer.str("refresh_token"))} {
			a := n.post("/session/token", f, byPage, fromSpa)
			a.want(t, 400, "unauthorized_client")
			if len(a.Cookies()) != 0 {
				t.Errorf("%v", a.Cookies())
			}
		}
		n.post("/session/revoke", form("client_id", "spa"), byPage, fromSpa, func(r *http.Request) { r.AddCookie(held) }).want(t, 400, "unauthorized_client")
	})
	t.Run("no token of a body in a cookie", func(t *testing.T) {
		b.held = map[string]*http.Cookie{"refresh": {Name: "refresh", Value: bearer.str("refresh_token")}}
		b.refresh().want(t, 400, "invalid_grant")
		if a := n.post("/token", form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", bearer.str("refresh_token"))); a.StatusCode != 200 {
			t.Errorf("the bearer's session was harmed: %s", a.body)
		}
	})
	t.Run("no token in the body here", func(t *testing.T) {
		b.held = map[string]*http.Cookie{}
		b.call("/session/token", form("grant_type", "refresh_token", "refresh_token", held.Value)).want(t, 400, "invalid_request")
		b.call("/session/revoke", form("token", held.Value)).want(t, 400, "invalid_request")
		b.refresh().want(t, 400, "invalid_grant") // without a cookie there is none
	})
	t.Run("a cookie authenticates nobody elsewhere", func(t *testing.T) {
		with := func(r *http.Request) { r.AddCookie(held); r.AddCookie(&http.Cookie{Name: "access", Value: "x"}) }
		n.post("/token", form("grant_type", "refresh_token", "client_id", "spa"), with).want(t, 400, "invalid_request")
		n.post("/revoke", form("client_id", "shop"), with).want(t, 400, "invalid_request")
		if a := n.do("GET", "/userinfo", "", "", with); a.StatusCode != 401 {
			t.Errorf("%d", a.StatusCode)
		}
		if a := n.do("GET", "/admin/v1/users", "", "", with); a.StatusCode != 401 {
			t.Errorf("%d", a.StatusCode)
		}
	})
	t.Run("going over ends what went the other way", func(t *testing.T) {
		b.held = map[string]*http.Cookie{}
		b.login()
		access := b.value("access")
		if w := n.operatorCall("PATCH", "/clients/shop", `{"delivery":"body"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"delivery":"body"`) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		n.clock.Add(2 * time.Second)
		if n.active(access) {
			t.Error("the session lives")
		}
		n.post("/token", form("grant_type", "refresh_token", "client_id", "shop", "refresh_token", b.value("refresh"))).want(t, 400, "invalid_grant")
	})
}

func TestW4_CookiesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	b := n.shop()
	b.login()
	for what, extra := range map[string]*http.Cookie{
		"a second refresh cookie": {Name: "refresh", Value: "x"}, "a second access cookie": {Name: "access", Value: "x"},
	} {
		for act, f := range map[string]url.Values{"refresh": form("grant_type", "refresh_token"), "login": loginForm()} {
			a := b.call("/session/token", f, func(r *http.Request) { r.AddCookie(extra) })
			if a.want(t, 400, "invalid_request"); len(a.Cookies()) != 0 {
				t.Errorf("%s, %s: %v", what, act, a.setCookies())
			}
		}
	}
	t.Run("one that is too large", func(t *testing.T) {
		kept := b.held
		b.held = map[string]*http.Cookie{"refresh": {Name: "refresh", Value: strings.Repeat("x", 5000)}}
		b.refresh().want(t, 400, "invalid_request")
		b.held = kept
	})
	t.Run("rubbish is taken away by a logout", func(t *testing.T) {
		kept := b.held
		b.held = map[string]*http.Cookie{"refresh": {Name: "refresh", Value: "rubbish"}}
		b.refresh().want(t, 400, "invalid_grant")
		if b.call("/session/revoke", form()).want(t, 200, ""); len(b.held) != 0 {
			t.Errorf("%v", b.held)
		}
		b.held = kept
	})
	t.Run("a wrong password takes nothing away", func(t *testing.T) {
		if a := b.call("/session/token", form("grant_type", "password", "username", "alice", "password", "wrong")); a.StatusCode != 400 || len(a.Cookies()) != 0 {
			t.Errorf("%d %v", a.StatusCode, a.setCookies())
		}
	})
	b.refresh().want(t, 200, "") // all of that harmed nobody

	t.Run("tokens that would not fit", func(t *testing.T) {
		var scopes []string
		for i := range 30 {
			scopes = append(scopes, fmt.Sprintf("s%d%s", i, strings.Repeat("x", 120)))
		}
		_, _, err := n.clients.Set(t.Context(), "shop", accounts.ClientSettings{Scope: accounts.To(strings.Join(scopes, " "))}, accounts.Act{Operator: true})
		must(t, err)
		n.clock.Add(2 * time.Second)
		b.held = map[string]*http.Cookie{}
		a := b.call("/session/token", loginForm())
		if a.want(t, 400, "invalid_scope"); len(a.Cookies()) != 0 {
			t.Errorf("%v", a.setCookies())
		}
		b.login("scope", scopes[0])
	})
}

func TestR9_CookieClientsHaveAWindow(t *testing.T) {
	n := start(t, options{})
	b := n.shop()
	b.login()
	lost := b.value("refresh")
	b.refresh().want(t, 200, "")
	successor := b.value("refresh")
	n.clock.Add(9 * time.Second)
	b.held["refresh"] = &http.Cookie{Name: "refresh", Value: lost}
	b.refresh().want(t, 200, "")
	if b.value("refresh") != successor {
		t.Error("a retry got another successor")
	}
	n.clock.Add(2 * time.Second)
	b.held["refresh"] = &http.Cookie{Name: "refresh", Value: lost}
	b.refresh().want(t, 400, "invalid_grant")
	t.Run("unless it is told otherwise", func(t *testing.T) {
		zero := storage.Duration(0)
		_, _, err := n.clients.Set(t.Context(), "shop", accounts.ClientSettings{RetryWindow: accounts.To(&zero)}, accounts.Act{Operator: true})
		must(t, err)
		n.clock.Add(2 * time.Second)
		b.login()
		lost := b.held["refresh"]
		b.refresh().want(t, 200, "")
		b.held["refresh"] = lost
		b.refresh().want(t, 400, "invalid_grant")
	})
}

func TestLoggingOutIsNotPromisedWhileTheStoreIsAway(t *testing.T) {
	n := start(t, options{})
	b := n.shop()
	b.login()
	n.store.Close()
	for _, a := range []answer{b.call("/session/revoke", form()), b.refresh()} {
		if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || len(a.Cookies()) != 0 {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
}
