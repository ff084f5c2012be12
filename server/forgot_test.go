package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/mail/mailtest"
	"jeton/storage"
)

const freshPassword = "six geese over a frozen lake"

// mailed starts a node that sends mail, with an address for alice.
func mailed(t *testing.T, o options) (*node, *mailtest.Server) {
	t.Helper()
	post := mailtest.Start(t, mailtest.Options{STARTTLS: true})
	o.mail = post
	n := start(t, o)
	n.address("alice", "alice@example.com")
	return n, post
}

func (n *node) address(name, address string) {
	n.t.Helper()
	must(n.t, second(n.users.SetClaims(n.t.Context(), name, storage.Claims{Email: address}, accounts.Act{By: "operator"})))
}

// forget asks for a link, in a browser of its own.
func (n *node) forget(who string) answer {
	n.t.Helper()
	b := n.browser()
	page := b.load("GET", n.url+"/forgot", nil)
	action, f := page.form(n.t)
	f.Set("username", who)
	a := b.load("POST", action, f)
	if a.StatusCode == 303 {
		return b.follow(a)
	}
	return a
}

var linkInMail = regexp.MustCompile(`http\S+/reset/\S+`)

func linkOf(t *testing.T, m mailtest.Mail) string {
	t.Helper()
	link := linkInMail.FindString(m.Text)
	if link == "" {
		t.Fatalf("no link in %+v", m)
	}
	return link
}

// use sets a password by a link.
func (b *browser) use(link, password string) answer {
	b.t.Helper()
	page := b.load("GET", link, nil)
	if page.title() != "New password" {
		return page
	}
	action, f := page.form(b.t)
	f.Set("password", password)
	f.Set("again", password)
	return b.follow(b.load("POST", action, f))
}

func TestN10_ResetByMail(t *testing.T) {
	n, post := mailed(t, options{})
	laptop, tokens := n.signedIn(firefox)
	program := n.login()
	known, unknown := n.forget("alice"), n.forget("nobody at all")
	if known.StatusCode != 200 || known.title() != "Look into your mail" || string(known.body) != string(unknown.body) {
		t.Errorf("%d %s\n%d %s", known.StatusCode, known.body, unknown.StatusCode, unknown.body)
	}
	m := post.Next(t)
	if m.To != "alice@example.com" || !strings.Contains(m.Text, "account\nalice at Jeton") || !m.Secure {
		t.Errorf("%+v", m)
	}
	link := linkOf(t, m)
	if page := n.browser().load("GET", link, nil); page.Header.Get("Referrer-Policy") != "no-referrer" || page.Header.Get("Cache-Control") != "no-store" || page.title() != "New password" {
		t.Errorf("%v %s", page.Header, page.body)
	}
	b := n.browser()
	for _, c := range []struct{ password, again, says string }{
		{"xyzzy", "xyzzy", "too short"}, {freshPassword, freshPassword + "!", "not the same"}, {"alice alice alice alice", "alice alice alice alice", "refused"},
	} {
		action, f := b.load("GET", link, nil).form(t)
		f.Set("password", c.password)
		f.Set("again", c.again)
		if a := b.load("POST", action, f); a.StatusCode != 400 || !strings.Contains(string(a.body), c.says) || strings.Contains(string(a.body), c.password) {
			t.Errorf("%s: %d %s", c.says, a.StatusCode, a.body)
		}
	}
	done := b.use(link, freshPassword)
	if done.title() != "Password set" || !strings.Contains(string(done.body), "All devices are signed out") {
		t.Fatalf("%d %s", done.StatusCode, done.body)
	}
	if title := b.account().title(); title != "Sign in" {
		t.Errorf("the link signed somebody in: %s", title)
	}
	for _, dead := range []answer{tokens, program} {
		if n.active(dead.str("access_token")) {
			t.Error("a session goes on")
		}
		n.refresh(dead.str("refresh_token")).want(t, 400, "invalid_grant")
	}
	if title := laptop.account().title(); title != "Sign in" {
		t.Errorf("a browser is still signed in: %s", title)
	}
	n.post("/token", loginForm(), app).want(t, 400, "invalid_grant")
	n.post("/token", loginForm("password", freshPassword), app).want(t, 400, "invalid_request") // sent twice
	n.post("/token", form("grant_type", "password", "username", "alice", "password", freshPassword), app).ok(t, 200)
	if again := n.browser().use(link, freshPassword+" again"); again.StatusCode != 400 || again.title() != "This link does not count" {
		t.Errorf("a second time: %d %s", again.StatusCode, again.body)
	}
	if e := n.events("password_reset"); len(e) != 1 || e[0].Actor != "u-alice" || e[0].Note != "by a link that was mailed" {
		t.Errorf("%+v", e)
	}
	if told := post.Next(t); told.Subject != "Your password for Jeton was changed" || strings.Contains(told.Text, "/reset/") {
		t.Errorf("N9 %+v", told)
	}
	post.None(t)
	if strings.Contains(n.log.String(), strings.TrimPrefix(link, n.url+"/reset/")) {
		t.Error("the link is in the log")
	}
}

func TestN10_LinksEnd(t *testing.T) {
	for name, end := range map[string]func(n *node){
		"too old": func(n *node) { n.clock.Add(30 * time.Minute) },
		"the password was set since": func(n *node) {
			must(n.t, second(n.users.SetPassword(n.t.Context(), "alice", freshPassword, accounts.Act{By: "operator"})))
		},
		"another address": func(n *node) { n.address("alice", "new@example.com") },
		"the user is disabled": func(n *node) {
			must(n.t, second(n.users.Disable(n.t.Context(), "alice", accounts.Act{By: "operator"})))
		},
		"the user is deleted": func(n *node) { must(n.t, n.users.Delete(n.t.Context(), "alice", accounts.Act{By: "operator"})) },
	} {
		t.Run(name, func(t *testing.T) {
			n, post := mailed(t, options{})
			n.forget("alice")
			link := linkOf(t, post.Next(t))
			page := n.browser()
			open := page.load("GET", link, nil)
			n.clock.Add(time.Second)
			end(n)
			if a := n.browser().use(link, freshPassword+"!"); a.StatusCode != 400 || a.title() != "This link does not count" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			action, f := open.form(t)
			f.Set("password", freshPassword+"!")
			f.Set("again", freshPassword+"!")
			if a := page.load("POST", action, f); a.StatusCode != 400 || a.title() != "This link does not count" {
				t.Errorf("a page of before: %d %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestN10_OneLinkOnePassword(t *testing.T) {
	n, post := mailed(t, options{})
	n.forget("alice")
	link := linkOf(t, post.Next(t))
	var won atomic.Int32
	var sends []func() answer
	for range 8 {
		b := n.browser()
		action, f := b.load("GET", link, nil).form(t)
		f.Set("password", freshPassword)
		f.Set("again", freshPassword)
		sends = append(sends, func() answer { return b.load("POST", action, f) })
	}
	var all sync.WaitGroup
	for _, send := range sends {
		all.Go(func() {
			if send().StatusCode == 303 {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || len(n.events("password_reset")) != 1 {
		t.Errorf("%d won, %d events", won.Load(), len(n.events("password_reset")))
	}
}

func TestN10_ForgedLinksAndForms(t *testing.T) {
	n, post := mailed(t, options{})
	n.forget("alice")
	link := linkOf(t, post.Next(t))
	secret := strings.TrimPrefix(link, n.url+"/reset/")
	code := n.browser().code(ask())
	for _, forged := range []string{"x", secret[:len(secret)-4] + "AAAA", secret[4:], strings.Repeat("A", 60), code, secret + "AAAA", "%00", strings.Repeat("A", 2000)} {
		if a := n.browser().load("GET", n.url+"/reset/"+forged, nil); a.StatusCode != 400 || a.title() != "This link does not count" {
			t.Errorf("%.80s: %d %s", forged, a.StatusCode, a.body)
		}
	}
	// What the store holds is not what the link does.
	snap, err := n.store.Read(t.Context(), storage.UserPartition("u-alice"), storage.ResetMailsKey)
	must(t, err)
	if snap.Rows[0].Version == 0 {
		t.Error("the mail was not counted")
	}
	page := n.browser()
	action, f := page.load("GET", link, nil).form(t)
	f.Set("password", freshPassword)
	f.Set("again", freshPassword)
	other := n.browser()
	other.load("GET", link, nil)
	if a := other.load("POST", action, f); a.StatusCode != 400 || a.title() != "New password" {
		t.Errorf("W12 a form of another browser: %d %s", a.StatusCode, a.body)
	}
	if a := page.load("POST", action, f, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); a.StatusCode != 403 {
		t.Errorf("W6 %d", a.StatusCode)
	}
	b := n.browser()
	b.load("GET", n.url+"/forgot", nil)
	if a := b.load("POST", n.url+"/forgot", url.Values{"username": {"alice"}, "form_token": {"x"}}); a.StatusCode != 400 || a.title() != "Forgotten password" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := page.use(link, freshPassword); a.title() != "Password set" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestN10_WhoIsMailed(t *testing.T) {
	n, post := mailed(t, options{})
	add := func(name, address string, password string) {
		must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: name, Password: password, Claims: storage.Claims{Email: address}}, accounts.Act{Operator: true})))
	}
	add("bob", "Bob@Example.com", freshPassword)
	add("rob", "bob@example.com", freshPassword)
	add("kim", "kim@example.com", freshPassword)
	add("nopass", "nopass@example.com", "")
	add("nomail", "", freshPassword)
	for _, nobody := range []string{"nomail", "nopass", "nopass@example.com", "sub:u-alice", "\u212aim@example.com", "bob@example.com.evil.example", "bob@example", "@", ""} {
		n.forget(nobody)
	}
	n.forget("BOB@example.COM")
	to := map[string]string{}
	for range 2 {
		m := post.Next(t)
		to[m.To] = m.Text
	}
	if !strings.Contains(to["Bob@Example.com"], "account\nbob at") || !strings.Contains(to["bob@example.com"], "account\nrob at") {
		t.Errorf("%v", to)
	}
	// An address that is given up finds nobody.
	n.address("kim", "new@example.com")
	n.forget("kim@example.com")
	n.forget("new@example.com")
	if m := post.Next(t); m.To != "new@example.com" {
		t.Errorf("%+v", m)
	}
	post.None(t)
}

func TestN10_MailsAreCounted(t *testing.T) {
	n, post := mailed(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Password: freshPassword, Claims: storage.Claims{Email: "bob@example.com"}}, accounts.Act{Operator: true})))
	next := func(to string) {
		t.Helper()
		if m := post.Next(t); m.To != to {
			t.Fatalf("a mail to %s, want %s", m.To, to)
		}
	}
	for i := range 8 {
		a := n.forget("alice")
		b := n.forget("alice") // within the minute
		if a.title() != "Look into your mail" || string(a.body) != string(b.body) {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if i < 5 {
			next("alice@example.com")
		}
		n.clock.Add(2 * time.Minute)
	}
	n.forget("bob") // after all of alice's were looked at
	next("bob@example.com")
	n.clock.Add(24 * time.Hour)
	n.forget("alice")
	next("alice@example.com")
	post.None(t)
}

func TestN10_AskingIsSlowedAndLocksNobodyOut(t *testing.T) {
	n, post := mailed(t, options{throttle: true})
	for _, who := range []string{"alice", "nobody"} {
		var last answer
		for range 7 {
			last = n.forget(who)
		}
		if last.StatusCode != 429 || last.Header.Get("Retry-After") == "" || !strings.Contains(string(last.body), "Too many attempts. Please try again in") {
			t.Errorf("%s: %d %s", who, last.StatusCode, last.body)
		}
	}
	n.login()
	post.Next(t)
	post.None(t)
}

func TestWithoutMailNobodyIsSentToForget(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	if page := b.account(); strings.Contains(string(page.body), "/forgot") {
		t.Errorf("%s", page.body)
	}
	for _, method := range []string{"GET", "POST"} {
		if a := b.load(method, n.url+"/forgot", map[string]url.Values{"POST": {"username": {"alice"}}}[method]); a.StatusCode != 404 || a.title() != "No mail is sent here" {
			t.Errorf("%s: %d %s", method, a.StatusCode, a.body)
		}
	}
	withMail, _ := mailed(t, options{})
	for _, page := range []answer{withMail.browser().account(), withMail.browser().open(ask())} {
		if !strings.Contains(string(page.body), `href="/forgot"`) {
			t.Errorf("%s", page.body)
		}
	}
}

func TestOperatorHandsOverALink(t *testing.T) {
	n := start(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "new", Subject: "u-new"}, accounts.Act{Operator: true})))
	made := n.operator("POST", "/users/new/reset-link", `{"reason":"first day"}`).ok(t, 201)
	link := made.str("reset_link")
	if !strings.HasPrefix(link, n.url+"/reset/") || made.str("expires_at") != "2026-03-02T12:00:00Z" || made.str("sub") != "u-new" {
		t.Fatalf("%s", made.body)
	}
	n.clock.Add(23 * time.Hour)
	if a := n.browser().use(link, freshPassword); a.title() != "Password set" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	n.post("/token", form("grant_type", "password", "username", "new", "password", freshPassword), app).ok(t, 200)
	if a := n.browser().use(link, freshPassword); a.title() != "This link does not count" || strings.Contains(string(a.body), "/forgot") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if e := n.events("reset_link_made"); len(e) != 1 || e[0].Actor != "operator" || e[0].Note != "first day" || e[0].Subject != "u-new" {
		t.Errorf("%+v", e)
	}
	if e := n.events("password_reset"); len(e) != 1 || e[0].Note != "by a link that was handed over" {
		t.Errorf("%+v", e)
	}
	must(t, second(n.users.Disable(t.Context(), "new", accounts.Act{By: "operator"})))
	n.operator("POST", "/users/new/reset-link", "").want(t, 400, "invalid_request")
	n.operator("POST", "/users/nobody/reset-link", "").want(t, 404, "not_found")
	n.operator("POST", "/users/alice/reset-link", `{"ttl":"1y"}`).want(t, 400, "invalid_request")
}

func TestN9_ChangePassword(t *testing.T) {
	n, post := mailed(t, options{throttle: true})
	laptop, mine := n.signedIn(firefox)
	phone, theirs := n.signedIn(android)
	change := func(b *browser, current, password, again string) answer {
		return b.press(b.follow(b.load("GET", n.url+"/account/password", nil)), "/account/password", "current", current, "password", password, "again", again)
	}
	for _, c := range []struct{ current, password, again, says string }{
		{"wrong", freshPassword, freshPassword, "Your password is another one"},
		{"", freshPassword, freshPassword, "Your password is another one"},
		{password, freshPassword, freshPassword + "x", "not the same"},
		{password, "", "", "not the same"},
		{password, "fourteen chars", "fourteen chars", "too short"},
		{password, strings.Repeat("é", 1025), strings.Repeat("é", 1025), "too long"},
	} {
		if a := change(laptop, c.current, c.password, c.again); a.StatusCode != 400 || !strings.Contains(string(a.body), c.says) {
			t.Errorf("%s: %d %s", c.says, a.StatusCode, a.body)
		}
	}
	before := laptop.signInCookie()
	done := change(laptop, password, freshPassword, freshPassword)
	if done.title() != "Your account" || !strings.Contains(string(done.body), "All sessions but those on this device have ended") {
		t.Fatalf("%d %s", done.StatusCode, done.body)
	}
	if after := laptop.signInCookie(); after == before || after == "" {
		t.Error("W12 the cookie is that of before")
	}
	stolen := n.browser()
	stolen.jar.SetCookies(mustURL(t, n.url), []*http.Cookie{{Name: "jeton", Value: before}})
	if stolen.account().title() != "Sign in" || phone.account().title() != "Sign in" {
		t.Error("another browser is still signed in")
	}
	if n.active(theirs.str("access_token")) || !n.active(mine.str("access_token")) {
		t.Error("the wrong sessions have ended")
	}
	n.refresh(mine.str("refresh_token")).ok(t, 200)
	if m := post.Next(t); m.To != "alice@example.com" || m.Subject != "Your password for Jeton was changed" {
		t.Errorf("%+v", m)
	}
	if e := n.events("password_changed"); len(e) != 1 || e[0].Actor != "u-alice" {
		t.Errorf("%+v", e)
	}
	for range 5 {
		change(laptop, "wrong", freshPassword+"!", freshPassword+"!")
	}
	if a := change(laptop, "wrong", freshPassword+"!", freshPassword+"!"); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "Too many attempts") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func (b *browser) signInCookie() string {
	for _, c := range b.jar.Cookies(mustURL(b.t, b.url)) {
		if c.Name == "jeton" {
			return c.Value
		}
	}
	return ""
}

func TestChangePasswordFollowsItsSetting(t *testing.T) {
	for reaction, ends := range map[grants.Reaction]bool{grants.EndAllSessions: true, grants.DoNothing: false} {
		n := start(t, options{settings: func(s *grants.Settings) { s.On.PasswordChange = reaction }})
		laptop, mine := n.signedIn(firefox)
		_, theirs := n.signedIn(android)
		a := laptop.press(laptop.load("GET", n.url+"/account/password", nil), "/account/password", "current", password, "password", freshPassword, "again", freshPassword)
		want := map[bool]string{true: "Password set", false: "Your account"}[ends]
		if a.title() != want || n.active(mine.str("access_token")) == ends || n.active(theirs.str("access_token")) == ends {
			t.Errorf("%s: %d %s", reaction, a.StatusCode, a.body)
		}
	}
}
