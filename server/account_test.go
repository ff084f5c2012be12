package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
)

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	android = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
)

var oneForm = regexp.MustCompile(`(?s)<form [^>]*action="([^"]*)"[^>]*>(.*?)</form>`)

// forms are the hidden fields of all forms on the page that go to an address.
func (a answer) forms(path string) (all []url.Values) {
	for _, m := range oneForm.FindAllSubmatch(a.body, -1) {
		if html.UnescapeString(string(m[1])) != path {
			continue
		}
		f := url.Values{}
		for _, field := range hiddenField.FindAllSubmatch(m[2], -1) {
			f.Set(html.UnescapeString(string(field[1])), html.UnescapeString(string(field[2])))
		}
		all = append(all, f)
	}
	return all
}

// press sends the first form on the page that goes to an address, with these
// fields set.
func (b *browser) press(page answer, path string, fields ...string) answer {
	b.t.Helper()
	all := page.forms(path)
	if len(all) == 0 {
		b.t.Fatalf("no form goes to %s: %d %s", path, page.StatusCode, page.body)
	}
	for name, value := range form(fields...) {
		all[0][name] = value
	}
	return b.follow(b.load("POST", path, all[0]))
}

// signedIn is a browser whose user has signed in at the pages and entered the
// client app; the answer holds its tokens.
func (n *node) signedIn(agent string) (*browser, answer) {
	b := n.browser()
	b.agent = agent
	as := func(r *http.Request) { app(r); r.Header.Set("User-Agent", agent) }
	return b, n.redeem(b.code(ask()), as).ok(n.t, 200)
}

func (b *browser) account() answer {
	b.t.Helper()
	return b.follow(b.load("GET", b.url+"/account", nil))
}

func sidOf(t *testing.T, a answer) string {
	return segment(t, a.str("access_token"), 1)["sid"].(string)
}

func TestV19_AccountShowsAndEndsSessions(t *testing.T) {
	n := start(t, options{})
	laptop, mine := n.signedIn(firefox)
	n.clock.Add(time.Minute)
	phone, theirs := n.signedIn(android)
	page := laptop.account()
	text := string(page.body)
	for _, part := range []string{"alice", "Firefox on Linux", "Chrome on Android", "127.0.0.0/24", "This device", "1 Mar 2026, 12:00 UTC", "1 Mar 2026, 12:01 UTC"} {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	// What is on this device comes first, and is marked.
	if here, there := strings.Index(text, "Firefox on Linux"), strings.Index(text, "Chrome on Android"); here > there || strings.Count(text, "This device") != 2 {
		t.Errorf("%d %d, %d times", here, there, strings.Count(text, "This device"))
	}
	if page = laptop.press(page, "/account/end", "sid", sidOf(t, theirs)); page.title() != "Your account" || !strings.Contains(string(page.body), "The session has ended") {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	if n.active(theirs.str("access_token")) || !n.active(mine.str("access_token")) {
		t.Error("V8 the wrong session has ended")
	}
	n.refresh(theirs.str("refresh_token")).want(t, 400, "invalid_grant")
	if again := laptop.press(page, "/account/end", "sid", sidOf(t, theirs)); !strings.Contains(string(again.body), "was over already") {
		t.Errorf("%s", again.body)
	}
	// The other browser is still signed in, and can be signed out.
	if len(page.forms("/account/sign-out")) != 1 {
		t.Fatalf("%s", page.body)
	}
	laptop.press(page, "/account/sign-out")
	if title := phone.account().title(); title != "Sign in" {
		t.Errorf("the phone is at %q", title)
	}
	if log := n.events("session_ended"); len(log) != 1 || log[0].Reason != "user" || log[0].Actor != "u-alice" {
		t.Errorf("%+v", log)
	}
}

func TestV19_AccountEndsAllOthersAtOnce(t *testing.T) {
	n := start(t, options{})
	laptop, mine := n.signedIn(firefox)
	phone, theirs := n.signedIn(android)
	program := n.login()
	code := phone.code(ask())
	page := laptop.press(laptop.account(), "/account/end-others")
	if page.title() != "Your account" || !strings.Contains(string(page.body), "All other sessions have ended") || len(page.forms("/account/end-others")) != 0 {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	for _, dead := range []answer{theirs, program} {
		if n.active(dead.str("access_token")) {
			t.Error("a session goes on")
		}
		n.refresh(dead.str("refresh_token")).want(t, 400, "invalid_grant")
	}
	n.redeem(code, app).want(t, 400, "invalid_grant")
	if !n.active(mine.str("access_token")) || phone.account().title() != "Sign in" {
		t.Error("the wrong browser was signed out")
	}
	n.refresh(mine.str("refresh_token")).ok(t, 200)
	if log := n.events("sessions_ended"); len(log) != 1 || log[0].Kept != sidOf(t, mine) || log[0].Reason != "user" {
		t.Errorf("%+v", log)
	}
}

func TestAccountFormsOfOthers(t *testing.T) {
	n := start(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Password: password + "2"}, accounts.Act{Operator: true})))
	alice, hers := n.signedIn(firefox)
	bob := n.browser()
	bob.submit(bob.account(), "login", "username", "bob", "password", password+"2")
	alicePage, bobPage := alice.account(), bob.account()
	if bobPage.title() != "Your account" || strings.Contains(string(bobPage.body), "Firefox") {
		t.Fatalf("%s", bobPage.body)
	}
	sid := sidOf(t, hers)
	t.Run("the session of another user", func(t *testing.T) {
		f := url.Values{"sid": {sid}, "form_token": {"x"}}
		if a := bob.load("POST", "/account/end", f); a.StatusCode != 400 || a.title() != "Please try again" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		// With a token that is right for bob: of a session of his own.
		n.post("/token", form("grant_type", "password", "username", "bob", "password", password+"2"), app).ok(t, 200)
		if a := bob.press(bob.account(), "/account/end", "sid", sid); !strings.Contains(string(a.body), "was over already") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("W6 W7 W8 forged forms", func(t *testing.T) {
		right := alicePage.forms("/account/end")[0]
		for name, change := range map[string]func(*http.Request){
			"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"old browser": func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "https://evil.example")
			},
		} {
			if a := alice.load("POST", "/account/end", right, change); a.StatusCode != 403 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
		}
		for _, path := range []string{"/account/end", "/account/end-others", "/account/sign-out"} {
			for _, token := range []string{"", "x", bobPage.forms("/end_session")[0].Get("form_token"), alicePage.forms("/end_session")[0].Get("form_token")} {
				if a := alice.load("POST", path, url.Values{"sid": {sid}, "form_token": {token}}); a.StatusCode != 400 {
					t.Errorf("%s with %q: %d", path, token, a.StatusCode)
				}
			}
		}
	})
	if !n.active(hers.str("access_token")) {
		t.Error("something was changed")
	}
}

func TestAccountSendsToSignInAndBack(t *testing.T) {
	n := start(t, options{throttle: true})
	for _, c := range []struct{ path, back string }{
		{"/account", "/account"},
		{"/login?page=" + url.QueryEscape("//evil.example/"), "/account"},
		{"/login?page=" + url.QueryEscape("account/../authorize"), "/account"},
		{"/login?page=" + url.QueryEscape("account/%2e%2e/authorize"), "/account"},
		{"/login?page=" + url.QueryEscape(`account\evil`), "/account"},
		{"/login?page=" + url.QueryEscape("https://evil.example/account"), "/account"},
		{"/login?page=" + url.QueryEscape("account?said=ended"), "/account"},
		{"/login?page=" + strings.Repeat("account/", 100), "/account"},
	} {
		b := n.browser()
		page := b.follow(b.load("GET", n.url+c.path, nil))
		if page.title() != "Sign in" || strings.Contains(string(page.body), "Cancel") {
			t.Fatalf("%s: %d %s", c.path, page.StatusCode, page.body)
		}
		wrong := b.submit(page, "login", "username", "alice", "password", "wrong")
		if wrong.StatusCode != 400 || !strings.Contains(string(wrong.body), "user name or password is wrong") {
			t.Errorf("%d %s", wrong.StatusCode, wrong.body)
		}
		action, f := wrong.form(t)
		f.Set("username", "alice")
		f.Set("password", password)
		if a := b.load("POST", action, f); a.StatusCode != 303 || a.Header.Get("Location") != c.back {
			t.Errorf("W12 %s: %d to %q", c.path, a.StatusCode, a.Header.Get("Location"))
		}
	}
	b := n.browser()
	page := b.account()
	other := n.browser()
	other.account()
	action, f := page.form(t)
	f.Set("username", "alice")
	f.Set("password", password)
	if a := other.load("POST", action, f); a.StatusCode != 400 || a.title() != "Sign in" {
		t.Errorf("W12 a form of another browser: %d %s", a.StatusCode, a.body)
	}
	for range 8 {
		b.submit(b.account(), "login", "username", "alice", "password", "wrong")
	}
	if a := b.submit(b.account(), "login", "username", "alice", "password", "wrong"); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "Too many failed attempts") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestA18_W17_OwnPagesAreHeldAlone(t *testing.T) {
	for _, issuer := range []string{"", "https://login.example/tenant"} {
		n := start(t, options{issuer: issuer})
		b := n.browser()
		base := mustURL(t, n.url).Path
		pages := []answer{b.load("GET", base+"/login?page=account", nil)}
		if issuer == "" {
			b.login(b.account())
			pages = append(pages, b.account())
		}
		for _, a := range pages {
			for name, want := range map[string]string{
				"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
				"Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
			} {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q", a.title(), name, got)
				}
			}
			if hsts := a.Header.Get("Strict-Transport-Security"); (hsts != "") != (issuer != "") {
				t.Errorf("%s: %q", a.title(), hsts)
			}
			policy := a.Header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "style-src 'sha256-"} {
				if !strings.Contains(policy, part) {
					t.Errorf("%s: %q lacks %s", a.title(), policy, part)
				}
			}
			if strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: %q", a.title(), policy)
			}
		}
	}
}

func TestStoredScriptsStayText(t *testing.T) {
	n := start(t, options{})
	const script = `"><img src=x onerror=alert(1)><script>alert(1)</script>`
	must(t, n.addClient(accounts.NewClient{ID: "loud", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Name: accounts.To(script), Grants: accounts.To([]string{"password", "refresh_token"})}}))
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: script, Password: password + "3"}, accounts.Act{Operator: true})))
	n.post("/token", form("grant_type", "password", "username", script, "password", password+"3"), basic("loud", appSecret),
		func(r *http.Request) { r.Header.Set("User-Agent", script+" Firefox/"+script) }).ok(t, 200)
	b := n.browser()
	b.agent = script
	page := b.submit(b.account(), "login", "username", script, "password", password+"3")
	if page.title() != "Your account" {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	for _, part := range []string{"<script", "<img", "onerror=alert(1)>"} {
		if strings.Contains(string(page.body), part) {
			t.Errorf("%s is on the page: %s", part, page.body)
		}
	}
	if !strings.Contains(string(page.body), "&lt;img src=x") {
		t.Error("the names are not on the page")
	}
}
