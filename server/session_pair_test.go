package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// jar is a copy of what the browser holds.
func (b *shopper) jar() map[string]*http.Cookie { return maps.Clone(b.held) }

// plant is what a neighbouring host does: it has one cookie in the jar replaced.
func (b *shopper) plant(name, value string) { b.held[name] = &http.Cookie{Name: name, Value: value} }

// as logs somebody in, in another browser, and returns what that one holds.
func (b *shopper) as(username string) map[string]*http.Cookie {
	b.t.Helper()
	other := &shopper{node: b.node, held: map[string]*http.Cookie{}}
	other.call("/session/token", form("grant_type", "password", "username", username, "password", password)).want(b.t, 200, "")
	return other.held
}

// pair is a shop over https, alice logged in, and the browser of mallory.
func pair(t *testing.T, change ...func(*accounts.ClientSettings)) (alice *shopper, mallory map[string]*http.Cookie) {
	t.Helper()
	n := start(t, options{issuer: "https://auth.shop.example"})
	alice = n.shop(change...)
	_, err := n.users.Add(t.Context(), accounts.NewUser{Username: "mallory", Password: password}, accounts.Act{Operator: true})
	must(t, err)
	alice.login()
	return alice, alice.as("mallory")
}

// refreshes says whether the refresh token of a jar is still worth something, in
// a browser that holds nothing else.
func (b *shopper) refreshes(jar map[string]*http.Cookie) bool {
	b.t.Helper()
	other := &shopper{node: b.node, held: map[string]*http.Cookie{}}
	for name, c := range jar {
		if name == "refresh" || name == "__Secure-refresh" || name == "__Host-refresh" {
			other.held[name] = c
		}
	}
	return other.refresh().StatusCode == 200
}

func TestW12_LoggingOutEndsWhatTheBrowserHad(t *testing.T) {
	const refresh, access = "__Secure-refresh", "__Host-access"
	for _, c := range []struct {
		what  string
		alter func(b *shopper, mallory map[string]*http.Cookie)
		ends  bool // mallory's too
	}{
		{"nothing was planted", func(*shopper, map[string]*http.Cookie) {}, false},
		{"no refresh token", func(b *shopper, _ map[string]*http.Cookie) { delete(b.held, refresh) }, false},
		{"no access token", func(b *shopper, _ map[string]*http.Cookie) { delete(b.held, access) }, false},
		{"a refresh token that is rubbish", func(b *shopper, _ map[string]*http.Cookie) { b.plant(refresh, "garbage") }, false},
		{"an access token that is rubbish", func(b *shopper, _ map[string]*http.Cookie) { b.plant(access, "garbage") }, false},
		{"the refresh token of somebody else", func(b *shopper, m map[string]*http.Cookie) { b.plant(refresh, m[refresh].Value) }, true},
		{"the access token of somebody else", func(b *shopper, m map[string]*http.Cookie) { b.plant(access, m[access].Value) }, true},
		{"an access token as refresh token", func(b *shopper, _ map[string]*http.Cookie) { b.plant(refresh, b.value("access")) }, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			b, mallory := pair(t)
			had := b.jar()
			c.alter(b, mallory)
			b.call("/session/revoke", form()).want(t, 200, "")
			if len(b.held) != 0 {
				t.Errorf("the browser holds %v", b.held)
			}
			if b.active(had[access].Value) || b.refreshes(had) {
				t.Error("logged out, and the session lives")
			}
			if b.active(mallory[access].Value) == c.ends {
				t.Errorf("mallory's session ended: %v", !c.ends)
			}
		})
	}
	t.Run("an access token that has expired ends nothing", func(t *testing.T) {
		b, _ := pair(t)
		had := b.jar()
		b.clock.Add(31 * time.Minute)
		delete(b.held, refresh)
		b.call("/session/revoke", form()).want(t, 200, "")
		if !b.refreshes(had) {
			t.Error("whoever finds an old token can log its user out")
		}
	})
	t.Run("both stay while the store is away", func(t *testing.T) {
		b, mallory := pair(t)
		b.plant(refresh, mallory[refresh].Value)
		b.store.Close()
		if a := b.call("/session/revoke", form()); a.StatusCode != 503 || len(a.Cookies()) != 0 {
			t.Errorf("%d %q", a.StatusCode, a.setCookies())
		}
	})
}

func TestW12_ALoginEndsWhatTheBrowserHad(t *testing.T) {
	t.Run("also where only the access token is left", func(t *testing.T) {
		b, mallory := pair(t)
		for what, alter := range map[string]func(){
			"gone":     func() { delete(b.held, "__Secure-refresh") },
			"planted":  func() { b.plant("__Secure-refresh", mallory["__Secure-refresh"].Value) },
			"rubbish":  func() { b.plant("__Secure-refresh", "garbage") },
			"as it is": func() {},
		} {
			had := b.jar()
			alter()
			b.login()
			if b.active(had["__Host-access"].Value) || !b.active(b.value("access")) {
				t.Errorf("%s: the session of before lives, or the new one does not", what)
			}
		}
	})
	// A login is no logout: whatever that ends, the login must not end itself.
	t.Run("where a logout ends all sessions", func(t *testing.T) {
		n := start(t, options{settings: func(s *grants.Settings) { s.On.Logout = grants.EndAllSessions }})
		b := n.shop()
		b.login()
		had, elsewhere := b.jar(), b.as("alice")
		b.login()
		if !n.active(b.value("access")) {
			t.Error("the login has ended itself")
		}
		if n.active(had["access"].Value) || !n.active(elsewhere["access"].Value) {
			t.Error("the session of before lives, or that of another browser does not")
		}
	})
}

func TestW12_ARefreshTokenOfAnotherSessionIsRefused(t *testing.T) {
	t.Run("planted beside an access token", func(t *testing.T) {
		b, mallory := pair(t)
		had := b.jar()
		b.plant("__Secure-refresh", mallory["__Secure-refresh"].Value)
		for range 2 { // nothing is spent by it either
			a := b.refresh()
			if a.want(t, 400, "invalid_grant"); len(a.Cookies()) != 0 {
				t.Errorf("%q", a.setCookies())
			}
		}
		if !b.active(had["__Host-access"].Value) || !b.refreshes(had) || !b.refreshes(mallory) {
			t.Error("the refusal has ended a session")
		}
	})
	t.Run("beside one that has expired", func(t *testing.T) {
		b, mallory := pair(t)
		b.clock.Add(31 * time.Minute)
		b.plant("__Secure-refresh", mallory["__Secure-refresh"].Value)
		b.refresh().want(t, 400, "invalid_grant")
	})
	t.Run("beside one that was taken back", func(t *testing.T) {
		b, mallory := pair(t)
		b.post("/revoke", form("client_id", "shop", "token", b.value("access"))).want(t, 200, "")
		b.plant("__Secure-refresh", mallory["__Secure-refresh"].Value)
		b.refresh().want(t, 400, "invalid_grant")
	})
	t.Run("rubbish beside it says nothing", func(t *testing.T) {
		b, _ := pair(t)
		for _, value := range []string{"garbage", "a.b.c", b.value("refresh")} {
			b.plant("__Host-access", value)
			b.refresh().want(t, 200, "")
		}
	})
	// What the browser lets nobody plant is believed.
	t.Run("the refresh token cannot be planted", func(t *testing.T) {
		b, mallory := pair(t, func(s *accounts.ClientSettings) {
			s.CookieDomain, s.RefreshPath = accounts.To("shop.example"), accounts.To("/")
		})
		had := b.value("access")
		b.plant("__Secure-access", mallory["__Secure-access"].Value)
		b.refresh().want(t, 200, "")
		if b.value("access") == mallory["__Secure-access"].Value || b.value("access") == had {
			t.Error("what was planted is still there")
		}
	})
	t.Run("neither is of a kind that cannot be planted", func(t *testing.T) {
		b, mallory := pair(t, func(s *accounts.ClientSettings) { s.CookieDomain = accounts.To("shop.example") })
		b.plant("__Secure-access", mallory["__Secure-access"].Value)
		b.refresh().want(t, 400, "invalid_grant")
	})
}

// What a tab is told of cookies that it held before another logged in must not
// cost the cookies of that login, however late it comes.
func TestW4_ARefusedRefreshTakesNoCookies(t *testing.T) {
	refused := func(t *testing.T, b *shopper, jar map[string]*http.Cookie) {
		t.Helper()
		late := &shopper{node: b.node, held: jar}
		a := late.refresh()
		if a.want(t, 400, "invalid_grant"); len(a.Cookies()) != 0 {
			t.Errorf("%q", a.setCookies())
		}
	}
	t.Run("another tab has logged in", func(t *testing.T) {
		b, _ := pair(t)
		before := b.jar()
		b.login()
		refused(t, b, before)
	})
	t.Run("another tab has logged out, and in", func(t *testing.T) {
		b, _ := pair(t)
		before := b.jar()
		b.call("/session/revoke", form()).want(t, 200, "")
		b.login()
		refused(t, b, before)
	})
	t.Run("rubbish", func(t *testing.T) {
		b, _ := pair(t)
		b.plant("__Secure-refresh", "garbage")
		refused(t, b, b.held)
	})
}

// Two clients of one host have the names of their cookies in common, which they
// should not.
func TestW4_CookiesOfAnotherClientStay(t *testing.T) {
	b, _ := pair(t)
	must(t, b.addClient(accounts.NewClient{ID: "till", ClientSettings: accounts.ClientSettings{
		AuthMethod: accounts.To(storage.AuthNone), Grants: accounts.To([]string{"password", "refresh_token"}),
		Scope: accounts.To("read"), CORSOrigins: accounts.To([]string{shopOrigin}), Delivery: accounts.To("cookie"),
	}}))
	other := func(path string, f url.Values, jar map[string]*http.Cookie) answer {
		f.Set("client_id", "till")
		return b.post(path, f, byPage, func(r *http.Request) {
			for _, c := range jar {
				r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
			}
		})
	}
	if a := other("/session/token", form("grant_type", "refresh_token"), b.held); len(a.Cookies()) != 0 {
		t.Errorf("%q", a.setCookies())
	} else {
		a.want(t, 400, "invalid_grant")
	}
	// A logout has nothing to end there, and nothing to refuse.
	for _, name := range []string{"__Host-access", "__Secure-refresh"} {
		a := other("/session/revoke", form(), map[string]*http.Cookie{"": b.held[name]})
		if a.want(t, 200, ""); len(a.Cookies()) != 1 || a.Cookies()[0].Name == name {
			t.Errorf("%s: %q", name, a.setCookies())
		}
	}
	if a := other("/session/revoke", form(), b.held); len(a.Cookies()) != 0 {
		t.Errorf("%q", a.setCookies())
	} else {
		a.want(t, 200, "")
	}
	theirs := map[string]*http.Cookie{}
	for _, c := range other("/session/token", loginForm(), nil).Cookies() {
		theirs[c.Name] = c
	}
	t.Run("one of each", func(t *testing.T) {
		mixed := map[string]*http.Cookie{"a": theirs["__Host-access"], "r": b.held["__Secure-refresh"]}
		a := other("/session/revoke", form(), mixed)
		a.want(t, 200, "")
		if names := a.Cookies(); len(names) != 1 || names[0].Name != "__Host-access" || b.active(theirs["__Host-access"].Value) {
			t.Errorf("%q", a.setCookies())
		}
	})
	b.refresh().want(t, 200, "") // none of it harmed this one
	if !b.active(b.value("access")) {
		t.Error("the session of the shop has ended")
	}
}
