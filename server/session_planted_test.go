package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/storage"
)

// before puts cookies into a request ahead of those that it has, as browsers put
// those of a longer path.
func before(cookies ...*http.Cookie) func(*http.Request) {
	return func(r *http.Request) {
		had := r.Cookies()
		r.Header.Del("Cookie")
		for _, c := range append(cookies, had...) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
}

// after puts them at the end, as those of a shorter path, or set later.
func after(cookies ...*http.Cookie) func(*http.Request) {
	return func(r *http.Request) {
		for _, c := range cookies {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
}

// What another host of the domain puts beside the cookies of a visitor keeps that
// visitor from refreshing, and never from logging out.
func TestW4_W12_PlantedCookiesKeepNobodyFromLoggingOut(t *testing.T) {
	const refresh, access = "__Secure-refresh", "__Secure-access"
	b, mallory := pair(t, func(s *accounts.ClientSettings) { s.CookieDomain = accounts.To("shop.example") })
	must(t, b.addClient(accounts.NewClient{ID: "till", ClientSettings: accounts.ClientSettings{
		AuthMethod: accounts.To(storage.AuthNone), Grants: accounts.To([]string{"password", "refresh_token"}), Scope: accounts.To("read"),
		CORSOrigins: accounts.To([]string{shopOrigin}), Delivery: accounts.To("cookie"), CookieDomain: accounts.To("shop.example"),
	}}))
	till := func(a answer) map[string]*http.Cookie {
		t.Helper()
		a.want(t, 200, "")
		held := map[string]*http.Cookie{}
		for _, c := range a.Cookies() {
			held[c.Name] = c
		}
		return held
	}
	theirs := till(b.post("/session/token", loginForm("client_id", "till"), byPage))
	of := func(name, value string, times int) []*http.Cookie {
		return slices.Repeat([]*http.Cookie{{Name: name, Value: value}}, times)
	}
	wide := strings.Repeat("x", 5000)
	for _, c := range []struct {
		what    string
		planted []*http.Cookie
		ends    bool // mallory's session too
	}{
		{"rubbish for refresh", of(refresh, "theirs", 1), false},
		{"rubbish for access", of(access, "theirs", 1), false},
		{"nothing at all", of(refresh, "", 3), false},
		{"too large", append(of(refresh, wide, 1), of(access, wide, 1)...), false},
		{"as many as there may be", append(of(refresh, "a.b.c", 15), of(access, "a.b.c", 15)...), false},
		{"an access token as refresh token", of(refresh, mallory[access].Value, 1), false},
		{"those of another client", []*http.Cookie{theirs[refresh], theirs[access]}, false},
		{"somebody else's refresh token", []*http.Cookie{mallory[refresh]}, true},
		{"somebody else's access token", []*http.Cookie{mallory[access]}, true},
		{"all of it", []*http.Cookie{{Name: refresh, Value: wide}, theirs[refresh], mallory[refresh], theirs[access]}, true},
	} {
		for where, put := range map[string]func(...*http.Cookie) func(*http.Request){"before": before, "after": after} {
			t.Run(c.what+" "+where, func(t *testing.T) {
				had := b.jar()
				b.call("/session/revoke", form(), put(c.planted...)).want(t, 200, "")
				if len(b.held) != 0 {
					t.Errorf("the browser holds %v", b.held)
				}
				if b.active(had[access].Value) || b.refreshes(had) {
					t.Error("logged out, and the session lives")
				}
				if b.active(mallory[access].Value) == c.ends {
					t.Errorf("mallory's session ended: %v", !c.ends)
				}
				b.login()
				if c.ends {
					fresh := b.as("mallory")
					mallory[refresh].Value, mallory[access].Value = fresh[refresh].Value, fresh[access].Value
				}
			})
		}
	}
	t.Run("in place of one of them", func(t *testing.T) {
		for _, name := range []string{refresh, access} {
			had := b.jar()
			b.plant(name, wide)
			b.call("/session/revoke", form()).want(t, 200, "")
			if len(b.held) != 0 || b.active(had[access].Value) || b.refreshes(had) {
				t.Errorf("%s: not logged out", name)
			}
			b.login()
		}
	})
	// Not all of them are looked at, so nobody is told to be logged out.
	t.Run("more than browsers send", func(t *testing.T) {
		for _, name := range []string{refresh, access} {
			a := b.call("/session/revoke", form(), before(of(name, "x", 16)...))
			if a.want(t, 400, "invalid_request"); len(a.Cookies()) != 0 || !b.active(b.value("access")) {
				t.Errorf("%q", a.setCookies())
			}
		}
	})
	t.Run("a page of others ends nothing by it", func(t *testing.T) {
		a := b.call("/session/revoke", form(), before(of(refresh, "x", 1)...), func(r *http.Request) { r.Header.Set("Origin", "https://blog.shop.example") })
		if a.want(t, 403, "access_denied"); len(a.Cookies()) != 0 || !b.active(b.value("access")) {
			t.Errorf("%q", a.setCookies())
		}
	})
	t.Run("the end is told of as any other", func(t *testing.T) {
		told := len(b.events("session_ended"))
		b.call("/session/revoke", form(), before(of(refresh, mallory[refresh].Value, 1)...)).want(t, 200, "")
		var subjects []string
		for _, e := range b.events("session_ended")[told:] {
			if subjects = append(subjects, e.Subject); e.Reason != "revoked" || e.Actor != "client:shop" || e.Source == "" {
				t.Errorf("%+v", e)
			}
		}
		if len(subjects) != 2 || subjects[0] == subjects[1] {
			t.Errorf("ended for %q", subjects)
		}
	})
	if !b.active(theirs[access].Value) {
		t.Error("a logout of one client ended the session of another")
	}
}
