package server_test

import (
	"net/http"
	"strings"
	"testing"

	"jeton/accounts"
)

// Events name clients and users that are gone: the links lead to pages of the
// console, with what is still known, and not to a dead end.
func TestConsoleTellsWhatIsGone(t *testing.T) {
	b := console(t, options{})
	sid := segment(t, b.node.login().str("access_token"), 1)["sid"].(string)
	inFrame := func(path, title string, parts ...string) {
		t.Helper()
		a := b.page(path)
		if a.StatusCode != http.StatusNotFound || a.title() != title || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.title())
		}
		b.tells(string(a.body), append(parts, `<nav aria-label="Console">`)...)
	}
	b.tells(string(b.page("/console/session?sid="+sid).body), ">The user</a>", ">The client</a>")
	must(t, b.node.users.Delete(t.Context(), "alice", accounts.Act{Operator: true}))
	b.tells(string(b.page("/console/session?sid="+sid).body), ">Events of the user</a>", ">The client</a>")
	must(t, b.node.clients.Delete(t.Context(), "app", accounts.Act{Operator: true}))
	b.tells(string(b.page("/console/session?sid="+sid).body), ">Events of the user</a>", ">Events of the client</a>")

	inFrame("/console/client?id=app", "No such client", `href="`+b.base()+`/console/events?client=app"`)
	inFrame("/console/user?sub=u-alice", "No such user", `href="`+b.base()+`/console/events?user=sub%3Au-alice"`)
	inFrame("/console/session?sid=x", "No such session", "for a week")
	inFrame("/console/act?act=nothing", "That did not work", "<code>not_found</code>")
	for _, path := range []string{"/console/events?client=app", "/console/events?user=sub%3Au-alice"} {
		if a := b.page(path); a.StatusCode != 200 || a.title() != "Events" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}

// A browser that comes to a mistyped address is shown a page; programs have JSON
// as everywhere.
func TestMistypedAddresses(t *testing.T) {
	n := start(t, options{})
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, c := range []struct {
		path, accept string
		page         bool
	}{
		{"/console/usres", browser, true}, {"/account/x/y", browser, true}, {"/account/", browser, true}, {"/console/", "application/json, text/html;q=0.1", true},
		{"/console/usres", "*/*", false}, {"/console/usres", "", false}, {"/console/usres", "application/json", false}, {"/account/x", "text/html;q=0", false},
		{"/tokens", browser, false}, {"/accounts", browser, false}, {"/admin/v1/x", browser, false},
	} {
		for _, method := range []string{"GET", "POST"} {
			a := n.do(method, c.path, "", "", func(r *http.Request) { r.Header.Set("Accept", c.accept) })
			isPage := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html")
			if a.StatusCode != 404 && !strings.HasPrefix(c.path, "/admin") || isPage != c.page || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s for %q: %d %v", method, c.path, c.accept, a.StatusCode, a.Header)
			}
			if isPage && (!strings.Contains(a.Header.Get("Content-Security-Policy"), "form-action 'self'") || a.Header.Get("Vary") != "Accept" || a.title() != "There is nothing here") {
				t.Errorf("%s: %v %s", c.path, a.Header, a.body)
			}
		}
	}
}
