package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// console is a node with the operator root, who is signed in at the console.
func console(t testing.TB, o options) *browser {
	t.Helper()
	n := start(t, o)
	_, err := n.users.Add(t.Context(), accounts.NewUser{Username: "root", Subject: "u-root", Roles: []string{"ROLE_ADMIN"}, Password: password}, accounts.Act{Operator: true})
	must(t, err)
	b := n.browser()
	b.at = n.url + "/"
	a := b.follow(b.load("GET", "/console", nil))
	a = b.submit(a, "login", "username", "root", "password", password)
	if a.StatusCode != 200 || a.title() != "Users" {
		t.Fatalf("not in the console: %d %s", a.StatusCode, a.body)
	}
	return b
}

// open loads a page of the console.
func (b *browser) page(path string) answer {
	b.t.Helper()
	return b.follow(b.load("GET", path, nil))
}

// deed walks through the page that asks and says yes.
func (b *browser) deed(path, reason string) answer {
	b.t.Helper()
	a := b.page(path)
	if a.StatusCode != 200 || !strings.Contains(string(a.body), `method="post" action="`+escaped(b.base()+"/console/act")) {
		b.t.Fatalf("no page that asks: %d %s", a.StatusCode, a.body)
	}
	return b.submitTo(a, "/console/act", "reason", reason)
}

func (b *browser) base() string { return mustURL(b.t, b.url).Path }

func escaped(s string) string { return strings.ReplaceAll(s, "&", "&amp;") }

// submitTo sends the form of a page whose address has that path.
func (b *browser) submitTo(page answer, path string, fields ...string) answer {
	b.t.Helper()
	for _, part := range regexp.MustCompile(`(?s)<form.*?</form>`).FindAll(page.body, -1) {
		if one := (answer{Response: page.Response, body: part}); strings.Contains(string(part), `method="post" action="`+b.base()+path) {
			action, f := one.form(b.t)
			for name, value := range form(fields...) {
				f[name] = value
			}
			return b.follow(b.load("POST", action, f))
		}
	}
	b.t.Fatalf("no form for %s on the page: %s", path, page.body)
	return answer{}
}

func TestConsoleDoor(t *testing.T) {
	n := start(t, options{})
	paths := []string{"/console", "/console/users", "/console/user?sub=u-alice", "/console/session?sid=x", "/console/clients", "/console/client?id=app", "/console/keys", "/console/token", "/console/act?act=revoke&all=true", "/console/client/new", "/console/client/settings?id=app"}
	t.Run("nobody is signed in", func(t *testing.T) {
		for _, path := range paths {
			a := n.do("GET", path, "", "")
			if to := mustURL(t, a.Header.Get("Location")); a.StatusCode != 303 || to.Path != "/login" || to.Query().Get("page") != strings.TrimPrefix(path, "/") || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
			}
		}
	})
	t.Run("not an operator", func(t *testing.T) {
		b := n.browser()
		b.at = n.url
		a := b.submit(b.page("/console"), "login", "username", "alice", "password", password)
		if a.StatusCode != 403 || a.title() != "This is for operators" || !strings.Contains(string(a.body), "ROLE_ADMIN") {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		for _, path := range paths {
			if a := b.page(path); a.StatusCode != 403 || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d", path, a.StatusCode)
			}
		}
		for _, path := range []string{"/console/act?act=revoke&all=true", "/console/token", "/console/client/new", "/console/client/settings?id=app"} {
			if a := b.load("POST", path, form("form_token", "x", "reason", "y")); a.StatusCode != 403 {
				t.Errorf("POST %s: %d", path, a.StatusCode)
			}
		}
	})
	t.Run("the role is looked up each time", func(t *testing.T) {
		_, err := n.users.SetRoles(t.Context(), "alice", []string{"ROLE_ADMIN"}, accounts.Act{Operator: true})
		must(t, err)
		b := n.browser()
		b.at = n.url
		if a := b.submit(b.page("/console/keys"), "login", "username", "alice", "password", password); a.title() != "Keys" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		_, err = n.users.SetRoles(t.Context(), "alice", []string{"ROLE_USER"}, accounts.Act{Operator: true})
		must(t, err)
		if a := b.page("/console/keys"); a.StatusCode != 403 {
			t.Errorf("without the role: %d %s", a.StatusCode, a.body)
		}
	})
}

// What one comes back to after signing in can have a query, and cannot be elsewhere.
func TestA19_ConsoleIsComeBackToWithItsQuery(t *testing.T) {
	n := start(t, options{})
	for page, back := range map[string]string{
		"console/user?sub=u-alice": "/console/user?sub=u-alice", "console/act?act=revoke&sub=u%2F%22": "/console/act?act=revoke&sub=u%2F%22",
		"console?x=//evil.example": "/account", "console/user?sub=https://evil.example": "/account", "console?\r\nx": "/account", "console/%2E%2e?x=1": "/account", "?console": "/account",
	} {
		b := n.browser()
		b.at = n.url
		a := b.load("GET", "/login?"+url.Values{"page": {page}}.Encode(), nil)
		action, f := a.form(t)
		f.Set("username", "alice")
		f.Set("password", password)
		if a := b.load("POST", action, f); a.StatusCode != 303 || a.Header.Get("Location") != back {
			t.Errorf("%q: %d %q", page, a.StatusCode, a.Header.Get("Location"))
		}
	}
}

// login2 signs alice in through the client app from a browser of that name.
func (b *browser) login2(t testing.TB, agent string) answer {
	t.Helper()
	a := b.node.post("/token", loginForm(), app, header("User-Agent", agent))
	if a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return a
}

func TestConsoleRevokesWithAPreviewAndAReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, query, counts string }{
		{"one", "sid=", "1 live session;1 user;1 client;1 live token"},
		{"user", "sub=u-alice", "2 live sessions;1 user;2 clients;2 live tokens"},
		{"client", "client=app", "1 live session;1 user;1 client;1 live token"},
		{"user through client", "sub=u-alice&client=app", "1 live session;1 user;1 client;1 live token"},
		{"all", "all=true", "2 live sessions;1 user;2 clients;2 live tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := console(t, options{})
			token := b.node.login().str("access_token")
			spa := b.node.post("/token", loginForm("client_id", "spa"))
			if c.name == "one" {
				c.query += segment(t, token, 1)["sid"].(string)
			}
			path := "/console/act?act=revoke&" + c.query
			asked := b.page(path)
			for _, want := range strings.Split(c.counts, ";") {
				if !strings.Contains(string(asked.body), "<dd>"+want+"</dd>") {
					t.Errorf("%q is not in the preview: %s", want, asked.body)
				}
			}
			if !b.active(token) {
				t.Fatal("the preview ended it")
			}
			if a := b.submitTo(asked, "/console/act", "reason", " "); a.StatusCode != 400 || !strings.Contains(string(a.body), "The reason is missing") || !b.active(token) {
				t.Fatalf("without a reason: %d %s", a.StatusCode, a.body)
			}
			b.deed(path, "laptop stolen")
			if b.active(token) {
				t.Error("the token lives")
			}
			if alone := c.name != "user" && c.name != "all"; b.active(spa.str("access_token")) != alone {
				t.Errorf("the session of the other client lives: %v", !alone)
			}
			b.told(t, "sessions_ended", c.name == "user" || c.name == "client" || c.name == "all")
			b.told(t, "session_ended", true)
		})
	}
}

// told looks for an event of the operator's with the reason.
func (b *browser) told(t testing.TB, kind string, want bool) {
	t.Helper()
	found := false
	must(t, b.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Event](row)
		e := rec.Value
		found = found || e.Type == kind && e.Actor == "u-root" && e.Note == "laptop stolen" && e.Reason == storage.ReasonOperator && e.Source == "127.0.0.1"
		return err
	}))
	if found != want {
		t.Errorf("%s was told: %v", kind, found)
	}
}

// What can be done can be found from the pages, and not by its address alone.
func TestConsoleLeadsToAllItDoes(t *testing.T) {
	b := console(t, options{})
	b.node.login()
	sid := segment(t, b.node.login().str("access_token"), 1)["sid"].(string)
	for path, acts := range map[string][]string{
		"/console/users":              {"act=revoke&amp;all=true"},
		"/console/user?sub=u-alice":   {"act=revoke&amp;sub=u-alice", "act=disable-user", "act=reset-password", "act=delete-user", `name="act" value="roles"`, "act=revoke&amp;sid=" + sid},
		"/console/session?sid=" + sid: {"act=revoke&amp;sid=" + sid},
		"/console/client?id=app":      {"act=revoke&amp;client=app", "act=disable-client", "act=secret", "act=delete-client", "/console/client/settings?id=app"},
		"/console/clients":            {"/console/client/new"},
		"/console/keys":               {"act=rotate-key", "act=remove-key"},
	} {
		b.tells(string(b.page(path).body), acts...)
	}
}

func TestConsoleChangesUsersAndClients(t *testing.T) {
	t.Parallel()
	b := console(t, options{})
	token := b.node.login().str("access_token")
	a := b.deed("/console/act?act=roles&sub=u-alice&roles=ROLE_USER+ROLE_AUDITOR", "audits")
	if a.StatusCode != 200 || !strings.Contains(string(a.body), "ROLE_USER ROLE_AUDITOR") || !strings.Contains(string(a.body), "The roles are changed") || !b.active(token) {
		t.Errorf("roles: %d %s", a.StatusCode, a.body)
	}
	b.tells(string(b.page("/console/act?act=roles&sub=u-alice&roles=").body), "<dt>Access tokens</dt><dd>1 live token</dd>", "<dt>Sessions that go on</dt><dd>1 live session</dd>")
	b.deed("/console/act?act=roles&sub=u-alice&roles=", "left")
	if u, err := b.users.Find(t.Context(), "alice"); err != nil || len(u.Roles) != 0 || b.active(token) {
		t.Errorf("roles: %v %v", u.Roles, err)
	}
	if a := b.deed("/console/act?act=disable-user&sub=u-alice", "gone"); !strings.Contains(string(a.body), ">disabled<") {
		t.Errorf("disabled: %s", a.body)
	}
	b.node.post("/token", loginForm(), app).want(t, 400, "invalid_grant")
	b.deed("/console/act?act=enable-user&sub=u-alice", "back")
	token = b.node.login().str("access_token")
	a = b.deed("/console/act?act=reset-password&sub=u-alice", "forgotten")
	link := regexp.MustCompile(`<code>(http[^<]*/reset/[^<]*)</code>`).FindSubmatch(a.body)
	if link == nil || a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" || !b.active(token) {
		t.Fatalf("no link: %d %s", a.StatusCode, a.body)
	}
	asked := b.page("/console/act?act=reset-password&sub=u-alice")
	first, reloaded := b.submitTo(asked, "/console/act", "reason", "again"), b.submitTo(asked, "/console/act", "reason", "again")
	if first.StatusCode != 200 || reloaded.StatusCode != 409 || strings.Contains(string(reloaded.body), "/reset/") {
		t.Errorf("reloaded: %d %d %s", first.StatusCode, reloaded.StatusCode, reloaded.body)
	}
	if a := b.submitTo(asked, "/console/act", "reason", "again", "once", ""); a.StatusCode != 400 || strings.Contains(string(a.body), "<code>http") {
		t.Errorf("without its number: %d %s", a.StatusCode, a.body)
	}
	user := b.node.browser()
	user.at = b.url
	if page := user.load("GET", string(link[1]), nil); page.StatusCode != 200 || !strings.Contains(string(page.body), "password") {
		t.Errorf("the link: %d %s", page.StatusCode, page.body)
	}
	b.deed("/console/act?act=disable-client&id=app", "leaked")
	if b.active(token) {
		t.Error("a token of a disabled client lives")
	}
	b.node.post("/token", loginForm(), app).want(t, 401, "invalid_client")
	b.deed("/console/act?act=enable-client&id=app", "mended")
	b.node.login()
}

// A dangerous act asks for the password again, before anything was typed.
func TestConsoleAsksForThePasswordAgain(t *testing.T) {
	b := console(t, options{})
	path := "/console/act?act=disable-user&sub=u-alice"
	asked := b.page(path)
	b.clock.Add(20 * time.Minute)
	if a := b.page("/console/users"); a.title() != "Users" {
		t.Fatalf("looking needs no new password: %s", a.body)
	}
	if a := b.page(path); a.title() != "Sign in" {
		t.Fatalf("asked: %s", a.body)
	}
	a := b.submitTo(asked, "/console/act", "reason", "x")
	if u, err := b.users.Find(t.Context(), "alice"); a.title() != "Sign in" || err != nil || u.Disabled {
		t.Fatalf("done: %v %s", u.Disabled, a.body)
	}
	a = b.submit(a, "login", "username", "root", "password", password)
	if a.title() != "Disable alice" {
		t.Fatalf("back at %q: %s", a.title(), a.body)
	}
	b.submitTo(a, "/console/act", "reason", "x")
	if u, _ := b.users.Find(t.Context(), "alice"); !u.Disabled {
		t.Error("not disabled")
	}
}

// A form counts only as it was made: for this sign-in, for that address, from a
// page of this server.
func TestW6_W7_W8_ConsoleTakesItsOwnFormsOnly(t *testing.T) {
	b := console(t, options{})
	asked := b.page("/console/act?act=disable-user&sub=u-alice")
	action, f := asked.form(t)
	_ = action
	good := func() url.Values {
		c := url.Values{}
		for k, v := range f {
			c[k] = v
		}
		c.Set("reason", "x")
		return c
	}
	action = "/console/act?" + form("act", "disable-user", "sub", "u-alice").Encode()
	_, real := answer{Response: asked.Response, body: lastForm(asked.body)}.form(t)
	f = real
	for name, try := range map[string]func() answer{
		"without a token": func() answer { v := good(); v.Del("form_token"); return b.load("POST", action, v) },
		"another's token": func() answer { v := good(); v.Set("form_token", "AAAA"); return b.load("POST", action, v) },
		"another address": func() answer { return b.load("POST", "/console/act?act=disable-user&sub=u-root", good()) },
		"another act":     func() answer { return b.load("POST", "/console/act?act=revoke&all=true", good()) },
		"another site": func() answer {
			return b.load("POST", action, good(), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		},
		"a sibling": func() answer {
			return b.load("POST", action, good(), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") })
		},
		"another origin": func() answer {
			return b.load("POST", action, good(), func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") })
		},
		"a token of a GET":  func() answer { return b.load("GET", action+"&form_token="+f.Get("form_token")+"&reason=x", nil) },
		"a parameter twice": func() answer { return b.load("POST", action+"&sub=u-root", good()) },
	} {
		a := try()
		u, err := b.users.Find(t.Context(), "alice")
		root, err2 := b.users.Find(t.Context(), "root")
		if err != nil || err2 != nil || u.Disabled || root.Disabled || name != "a token of a GET" && a.StatusCode < 400 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := b.load("POST", action, good()); a.StatusCode != 303 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("A17 its own form: %d %s", a.StatusCode, a.body)
	}
}

func lastForm(page []byte) []byte {
	forms := regexp.MustCompile(`(?s)<form.*?</form>`).FindAll(page, -1)
	return forms[len(forms)-1]
}

// Whatever users, clients and browsers are called, it is text.
func TestConsoleEscapesWhatStrangersChose(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`
	b := console(t, options{})
	_, err := b.users.Add(t.Context(), accounts.NewUser{Username: evil, Subject: `u-"><script>alert(1)</script>`, Roles: []string{"<script>alert(3)</script>"}, Password: password}, accounts.Act{Operator: true})
	must(t, err)
	must(t, b.addClient(accounts.NewClient{ID: `<script>alert(4)</script>`, Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Name: accounts.To(evil), Grants: accounts.To(grants.Types()), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	login := b.node.post("/token", form("grant_type", "password", "username", evil, "password", password), basic(`<script>alert(4)</script>`, apiSecret), header("User-Agent", "Firefox/1 Linux "+evil))
	if login.StatusCode != 200 {
		t.Fatalf("%d %s", login.StatusCode, login.body)
	}
	sid, sub := segment(t, login.str("access_token"), 1)["sid"].(string), `u-"><script>alert(1)</script>`
	q := func(pairs ...string) string { return "?" + form(pairs...).Encode() }
	for _, path := range []string{
		"/console/users", "/console/users" + q("q", evil), "/console/user" + q("sub", sub), "/console/session" + q("sid", sid), "/console/clients",
		"/console/client/settings" + q("id", `<script>alert(4)</script>`), "/console/client/settings" + q("id", evil), "/console/act" + q("act", "delete-client", "id", `<script>alert(4)</script>`),
		"/console/client" + q("id", `<script>alert(4)</script>`), "/console/act" + q("act", "revoke", "sub", sub), "/console/act" + q("act", "revoke", "client", `<script>alert(4)</script>`),
		"/console/act" + q("act", "roles", "sub", sub, "roles", "<script>alert(5)</script>"), "/console/act" + q("act", evil), "/console/user" + q("sub", evil),
		"/console/act" + q("act", "disable-user", "sub", sub), "/console/users" + q("done", evil, "n", evil), "/console/users" + q("after", evil),
	} {
		a := b.page(path)
		if strings.Contains(string(a.body), "<script") || strings.Contains(string(a.body), "<img") {
			t.Errorf("%s: %s", path, a.body)
		}
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %q", path, csp)
		}
	}
	a := b.page("/console/act" + q("act", "revoke", "sub", sub))
	b.submitTo(a, "/console/act", "reason", evil)
	if a := b.page("/console/session" + q("sid", sid)); strings.Contains(string(a.body), "<script") || !strings.Contains(string(a.body), "An operator ended it") {
		t.Errorf("the reason: %s", a.body)
	}
}

// The page of users is the one page that may be kept, and only by the browser it
// was made for.
func TestUsersPageIsKeptByItsReaderAlone(t *testing.T) {
	b := console(t, options{})
	a := b.page("/console/users")
	if a.Header.Get("Cache-Control") != "private, max-age=600" || a.Header.Get("Vary") != "Cookie" || a.Header.Get("ETag") == "" {
		t.Fatalf("%v", a.Header)
	}
	again := func(change ...func(*http.Request)) answer {
		return b.load("GET", "/console/users", nil, append(change, header("If-None-Match", a.Header.Get("ETag")))...)
	}
	if same := again(); same.StatusCode != 304 || same.Header.Get("Cache-Control") != "private, max-age=600" || same.Header.Get("Vary") != "Cookie" || len(same.body) > 0 {
		t.Errorf("unchanged: %d %v", same.StatusCode, same.Header)
	}
	t.Run("one's own change", func(t *testing.T) {
		before := len(b.jar.Cookies(mustURL(t, b.url)))
		b.deed("/console/act?act=disable-user&sub=u-alice", "x")
		// Another Cookie header: no browser takes what it kept for the answer now.
		if now := len(b.jar.Cookies(mustURL(t, b.url))); now != before+1 {
			t.Errorf("%d cookies, before %d", now, before)
		}
		if next := again(); next.StatusCode != 200 || !strings.Contains(string(next.body), ">disabled<") {
			t.Errorf("%d %s", next.StatusCode, next.body)
		}
	})
	t.Run("nobody else's", func(t *testing.T) {
		if out := b.node.do("GET", "/console/users", "", "", header("If-None-Match", a.Header.Get("ETag"))); out.StatusCode != 303 || out.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("signed out: %d %v", out.StatusCode, out.Header)
		}
		_, err := b.users.Add(t.Context(), accounts.NewUser{Username: "second", Roles: []string{"ROLE_ADMIN"}, Password: password}, accounts.Act{Operator: true})
		must(t, err)
		other := b.node.browser()
		other.at = b.url
		mine := b.page("/console/users")
		other.submit(other.page("/console"), "login", "username", "second", "password", password)
		if theirs := other.load("GET", "/console/users", nil, header("If-None-Match", mine.Header.Get("ETag"))); theirs.StatusCode != 200 || theirs.Header.Get("ETag") == mine.Header.Get("ETag") {
			t.Errorf("another operator: %d %v", theirs.StatusCode, theirs.Header)
		}
	})
	t.Run("nothing in it comes from what a cache does not look at", func(t *testing.T) {
		plain := b.page("/console/users")
		for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "Referer", "Accept-Language", "User-Agent", "Origin", "X-Host", "X-HTTP-Method-Override"} {
			for _, value := range []string{"evil.example", "/console/act", "POST"} {
				if p := b.load("GET", "/console/users", nil, func(r *http.Request) { r.Header.Set(h, value) }); string(p.body) != string(plain.body) {
					t.Errorf("%s: %s changes the page", h, value)
				}
			}
		}
		host := b.load("GET", "/console/users", nil, func(r *http.Request) { r.Host = "evil.example" })
		if string(host.body) != string(plain.body) {
			t.Error("Host changes the page")
		}
	})
	t.Run("under no other name", func(t *testing.T) {
		for _, path := range []string{"/console/users/", "/console/users/x.css", "/console/users;x.css", "/console/users%0a.css", "/console/users%3f.css", "/console/users.css", "//console/users"} {
			if p := b.load("GET", b.url+path, nil); p.StatusCode == 200 {
				t.Errorf("%s: %d %v", path, p.StatusCode, p.Header)
			}
		}
	})
	t.Run("nothing else is kept", func(t *testing.T) {
		for _, path := range []string{"/console/user?sub=u-alice", "/console/clients", "/console/client?id=app", "/console/keys", "/console/token", "/console/act?act=revoke&all=true", "/console/users?after=x"} {
			p := b.page(path)
			if p.Header.Get("Cache-Control") != "no-store" || p.Header.Get("X-Frame-Options") != "DENY" || p.Header.Get("Referrer-Policy") != "no-referrer" ||
				p.Header.Get("X-Content-Type-Options") != "nosniff" || p.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
				t.Errorf("%s: %v", path, p.Header)
			}
		}
	})
}

// counted counts what is asked of a store.
type counted struct {
	storage.Backend
	calls, rows atomic.Int64
}

func (c *counted) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	c.calls.Add(1)
	c.rows.Add(int64(len(keys)))
	return c.Backend.Read(ctx, p, keys...)
}

func (c *counted) List(ctx context.Context, q storage.Query) (storage.Page, error) {
	page, err := c.Backend.List(ctx, q)
	c.calls.Add(1)
	c.rows.Add(int64(len(page.Rows)))
	return page, err
}

// However many users there are, their page costs the same.
func TestUsersPageAtAHundredThousandUsers(t *testing.T) {
	many := 100_000
	if testing.Short() || underRace { // make test runs it in full without either
		many = 5_000
	}
	c := &counted{}
	b := console(t, options{wrap: func(of storage.Backend) storage.Backend {
		c.Backend = of
		return c
	}})
	// The least of some: what is cached for a second is read now and then.
	cost := func(path string) (calls, rows int64) {
		calls = 1 << 30
		for range 5 {
			was, had := c.calls.Load(), c.rows.Load()
			if a := b.page(path); a.StatusCode != 200 || strings.Count(string(a.body), "<tr ") < 50 {
				t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
			}
			if n := c.calls.Load() - was; n < calls {
				calls, rows = n, c.rows.Load()-had
			}
		}
		return calls, rows
	}
	paths := []string{"/console/users", "/console/users?q=person0"}
	b.fill(t, 0, 100)
	var before [2][2]int64
	for i, path := range paths {
		before[i][0], before[i][1] = cost(path)
	}
	b.fill(t, 100, many)
	for i, path := range paths {
		if calls, rows := cost(path); calls > before[i][0] || rows > before[i][1] {
			t.Errorf("%s: %d reads of %d rows with %d users, %d of %d with 100", path, calls, rows, many, before[i][0], before[i][1])
		}
	}
}

// fill adds users, straight to the store: nobody is to log in as them.
func (n *node) fill(t testing.TB, from, to int) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(64)
	var once sync.Once
	for i := from; i < to; i++ {
		g.Go(func() error {
			u := storage.User{Subject: fmt.Sprintf("s%d", i), Username: fmt.Sprintf("person%06d", i), Created: n.clock.Now()}
			_, err := n.store.Commit(context.Background(), storage.Change{Partition: storage.UserPartition(u.Subject), Puts: []storage.Put{
				{Key: storage.UserKey(u.Subject), Value: storage.Encode(u), Index: []storage.Entry{{Name: storage.IndexUsers, Sort: u.Username}}},
			}})
			if err != nil {
				once.Do(func() { t.Error(err) })
			}
			return err
		})
	}
	must(t, g.Wait())
}

// While a secret is changed two work, and the first ends by itself.
func TestTwoSecretsDuringAChange(t *testing.T) {
	b := console(t, options{})
	works := func(secret string) bool {
		return b.node.post("/token", form("grant_type", "client_credentials"), basic("app", secret)).StatusCode == 200
	}
	renew := func(keep string) string {
		a := b.page("/console/act?act=secret&id=app")
		a = b.submitTo(a, "/console/act", "reason", "yearly", "keep", keep)
		m := regexp.MustCompile(`<dt>client_secret</dt><dd><code>([^<]+)</code>`).FindSubmatch(a.body)
		if m == nil || a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("no secret: %d %s", a.StatusCode, a.body)
		}
		return string(m[1])
	}
	second := renew("7d")
	if !works(appSecret) || !works(second) || works("x"+second) {
		t.Fatal("not both work")
	}
	if !strings.Contains(b.metrics(), `jeton_former_client_secrets_total{client_id="app"} 1`) {
		t.Error("who still shows the old one is not counted")
	}
	if page := b.page("/console/client?id=app"); !strings.Contains(string(page.body), "Two work.") || strings.Contains(string(page.body), "sha256") || strings.Contains(string(page.body), second) {
		t.Errorf("%s", page.body)
	}
	b.clock.Add(7*storage.Day - time.Minute)
	if !works(appSecret) {
		t.Error("ended too early")
	}
	b.clock.Add(2 * time.Minute)
	if works(appSecret) || !works(second) {
		t.Error("the old one works after its time")
	}
	b.relogin(t)
	third := renew("30d")
	fourth := renew("1d")
	if works(second) || !works(third) || !works(fourth) {
		t.Error("of three, other than the latest two work")
	}
	b.deed("/console/act?act=end-former&id=app", "leaked")
	if works(third) || !works(fourth) {
		t.Error("the former was to end")
	}
	if fifth := renew("0s"); works(fourth) || !works(fifth) {
		t.Error("at once")
	}
	t.Run("a form that comes again", func(t *testing.T) {
		asked := b.page("/console/act?act=secret&id=app")
		b.submitTo(asked, "/console/act", "reason", "x", "keep", "1d")
		if again := b.submitTo(asked, "/console/act", "reason", "x", "keep", "1d"); again.StatusCode != 409 || !strings.Contains(string(again.body), "Nothing was done") {
			t.Errorf("%d %s", again.StatusCode, again.body)
		}
	})
	t.Run("by the API", func(t *testing.T) {
		w := b.operatorCall("POST", "/clients/app/secret", `{"client_secret":"`+appSecret+`","keep_former_for":"1h"}`)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"former_secret_until":"`) || !works(appSecret) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w := b.operatorCall("DELETE", "/clients/app/former-secret", ""); w.Code != 200 || strings.Contains(w.Body.String(), "former") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for _, keep := range []string{"91d", "-1s", "soon"} {
			if w := b.operatorCall("POST", "/clients/app/secret", `{"keep_former_for":"`+keep+`"}`); w.Code != 400 || !works(appSecret) {
				t.Errorf("%s: %d %s", keep, w.Code, w.Body)
			}
		}
	})
}

// relogin signs root in again, whose sign-in is over.
func (b *browser) relogin(t testing.TB) {
	t.Helper()
	if a := b.submit(b.page("/console"), "login", "username", "root", "password", password); a.title() != "Users" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
}
