package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// A page of every kind, by its title.
func (b *browser) pagesShown() map[string]answer {
	shown := map[string]answer{}
	note := func(a answer) answer { shown[a.title()] = a; return a }
	note(b.open(ask("client_id", "nobody")))
	consent := note(b.login(note(b.open(ask()))))
	note(b.open(ask("prompt", "select_account")))
	b.submit(consent, "allow").back(b.t, callback)
	note(b.open(ask("response_mode", "form_post")))
	note(b.load("GET", b.url+"/end_session", nil))
	return shown
}

func TestA18_PagesAreFramedCachedAndScriptedByNobody(t *testing.T) {
	n := start(t, options{})
	shown := n.browser().pagesShown()
	if len(shown) != 6 {
		t.Errorf("%d kinds of pages", len(shown))
	}
	for title, a := range shown {
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", title, name, got)
			}
		}
		policy := a.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: %q lacks %s", title, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") != (title == "Going back") {
			t.Errorf("%s: %q", title, policy)
		}
		body := string(a.body)
		if strings.Contains(body, "http://") && !strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), callback) && strings.Contains(strings.ReplaceAll(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), n.url, ""), "http://") {
			t.Errorf("%s names another place: %s", title, body)
		}
		if strings.Contains(body, "<form") && title != "Going back" && !strings.Contains(body, `name="form_token"`) {
			t.Errorf("%s: a form without a token", title)
		}
	}
}

func TestA21_FormPost(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.code(ask())
	f := ask("response_mode", "form_post", "state", `"><script>alert(1)</script>`)
	a := b.open(f)
	action, fields := a.form(t)
	if a.StatusCode != 200 || action != callback || fields.Get("state") != f.Get("state") || fields.Get("iss") != n.url || len(fields) != 3 {
		t.Errorf("%d %s %v", a.StatusCode, action, fields)
	}
	if strings.Count(string(a.body), "<script>") != 1 || !strings.Contains(string(a.body), "<button") {
		t.Errorf("A21 %s", a.body)
	}
	n.redeem(fields.Get("code"), app).ok(t, 200)
	f.Set("scope", "nope")
	if _, fields = b.open(f).form(t); fields.Get("error") != "invalid_scope" || fields.Get("state") != f.Get("state") {
		t.Errorf("%v", fields)
	}
}

func TestA17_NothingIsPostedTwice(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	page := b.open(ask())
	action, f := page.form(t)
	f.Set("username", "alice")
	f.Set("password", password)
	f.Set("decision", "login")
	a := b.load("POST", action, f)
	if a.StatusCode != 303 || strings.Contains(a.Header.Get("Location"), password) {
		t.Errorf("after the login: %d %v", a.StatusCode, a.Header)
	}
	page = b.follow(a)
	action, f = page.form(t)
	f.Set("decision", "allow")
	if a = b.load("POST", action, f); a.StatusCode != 303 || a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("after the consent: %d %v", a.StatusCode, a.Header)
	}
	t.Run("A1 a request that the client posts", func(t *testing.T) {
		a := b.load("POST", n.url+"/authorize", ask(), header("Sec-Fetch-Site", "cross-site"))
		if a.StatusCode != 303 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if q := b.follow(a).back(t, callback); q.Get("code") == "" || q.Get("state") != ask().Get("state") {
			t.Errorf("%v", q)
		}
	})
}

func TestW1_W4_Cookies(t *testing.T) {
	for issuer, want := range map[string]string{"": "jeton", "https://login.example/tenant": "__Host-jeton"} {
		n := start(t, options{issuer: issuer})
		a := n.do("GET", "/authorize?"+ask().Encode(), "", "")
		form := a.Cookies()
		if len(form) != 1 || form[0].Name != want+"-form" {
			t.Fatalf("%v", form)
		}
		if hsts := a.Header.Get("Strict-Transport-Security"); (hsts != "") != (issuer != "") {
			t.Errorf("W17 %q", hsts)
		}
		_, f := a.form(t)
		f.Set("username", "alice")
		f.Set("password", password)
		post := n.post("/login?"+ask().Encode(), f, func(r *http.Request) { r.AddCookie(form[0]) })
		all := post.Cookies()
		i := slices.IndexFunc(all, func(c *http.Cookie) bool { return c.Name == want })
		if post.StatusCode != 303 || i < 0 {
			t.Fatalf("%d %s", post.StatusCode, post.body)
		}
		if c := all[i]; c.Path != "/" || c.Domain != "" || !c.HttpOnly || c.Secure != (issuer != "") || c.SameSite != http.SameSiteLaxMode || len(c.Value) < 43 || len(c.String()) > 4096 || c.MaxAge != 0 {
			t.Errorf("W1 %v", c)
		}
	}
}

func TestW6_W7_W12_FormsOfOthers(t *testing.T) {
	n := start(t, options{})
	attempt := func(b *browser, page answer, decision string, change ...func(*http.Request)) answer {
		action, f := page.form(t)
		for name, value := range form("decision", decision, "username", "alice", "password", password) {
			f[name] = value
		}
		return b.load("POST", action, f, change...)
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	t.Run("W12 a login page that another browser got", func(t *testing.T) {
		mine, theirs := n.browser(), n.browser()
		page := mine.open(ask())
		theirs.open(ask())
		if a := attempt(theirs, page, "login"); a.StatusCode != 400 || a.title() != "Sign in" || strings.Contains(string(a.body), password) {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := attempt(n.browser(), page, "login", set("Sec-Fetch-Site", "same-origin")); a.StatusCode != 400 {
			t.Errorf("without a cookie: %d", a.StatusCode)
		}
	})
	t.Run("W6 W7 from another site", func(t *testing.T) {
		b := n.browser()
		page := b.open(ask())
		for _, change := range []func(*http.Request){
			set("Sec-Fetch-Site", "cross-site"), set("Sec-Fetch-Site", "same-site"),
			func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		} {
			if a := attempt(b, page, "login", change); a.StatusCode != 403 {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		}
		// A browser of before those headers has the token.
		if a := attempt(b, page, "login", func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") }); a.StatusCode != 303 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("consent of another sign-in", func(t *testing.T) {
		b, other := n.browser(), n.browser()
		page := b.login(b.open(ask()))
		other.login(other.open(ask()))
		for who, a := range map[string]answer{"another": attempt(other, page, "allow"), "nobody": attempt(n.browser(), page, "allow", set("Sec-Fetch-Site", "same-origin"))} {
			if to := a.Header.Get("Location"); a.StatusCode != 303 || strings.Contains(to, "code=") || !strings.HasPrefix(to, "/authorize?") {
				t.Errorf("%s: %d %s", who, a.StatusCode, to)
			}
		}
		action, f := page.form(t)
		action = strings.Replace(action, "scope=read", "scope=read+write", 1)
		f.Set("decision", "allow")
		if a := b.load("POST", action, f); !strings.HasPrefix(a.Header.Get("Location"), "/authorize?") {
			t.Errorf("a form for another request: %v", a.Header)
		}
	})
}

func TestO13_SignInIsNewAtEachLogin(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	cookie := func() string {
		for _, c := range b.jar.Cookies(mustURL(t, n.url)) {
			if c.Name == "jeton" {
				return c.Value
			}
		}
		return ""
	}
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Password: password + "2"}, accounts.Act{Operator: true})))
	b.jar.SetCookies(mustURL(t, n.url), []*http.Cookie{{Name: "jeton", Value: "planted"}})
	b.code(ask())
	first := cookie()
	b.login(b.open(ask("prompt", "login")))
	again := cookie()
	if first == "planted" || first == again || first == "" {
		t.Errorf("%q %q", first, again)
	}
	stolen := func(value string) string {
		thief := n.browser()
		thief.jar.SetCookies(mustURL(t, n.url), []*http.Cookie{{Name: "jeton", Value: value}})
		return thief.open(ask()).title()
	}
	if stolen(first) != "Sign in" {
		t.Error("the cookie of before the login still counts")
	}
	b.submit(b.open(ask("prompt", "login")), "login", "username", "bob", "password", password+"2")
	if stolen(again) != "Sign in" {
		t.Error("the cookie of the user before still counts")
	}
	for _, junk := range []string{again[:43], again + "A", strings.Repeat("A", 200), strings.Repeat("x", 3000)} {
		if stolen(junk) != "Sign in" {
			t.Errorf("%q is signed in", junk)
		}
	}
}

func TestSignInEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*node){
		"idle": func(n *node) { n.clock.Add(2*time.Hour + time.Second) },
		"password changed": func(n *node) {
			must(t, second(n.users.SetPassword(t.Context(), "alice", password+"!", accounts.Act{})))
		},
		"disabled": func(n *node) { must(t, second(n.users.Disable(t.Context(), "alice", accounts.Act{}))) },
		"all ended": func(n *node) {
			must(t, second(n.grants.End(t.Context(), grants.Selection{All: true}, grants.Ending{Reason: storage.ReasonOperator})))
		},
		"absolute end": func(n *node) {
			b := n.browser()
			b.code(ask())
			for range 7 {
				n.clock.Add(119 * time.Minute)
				b.open(ask())
			}
			if page := b.open(ask()); page.title() != "Sign in" {
				t.Errorf("used all the time: %s", page.body)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, options{})
			b := n.browser()
			b.code(ask())
			n.clock.Add(time.Hour)
			b.open(ask()).back(t, callback)
			n.clock.Add(90 * time.Minute)
			b.open(ask()).back(t, callback) // used meanwhile
			end(n)
			if page := b.open(ask()); page.title() != "Sign in" {
				t.Errorf("%d %s", page.StatusCode, page.body)
			}
		})
	}
}

func TestO4_O5_O6_Prompt(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	refused := func(code string, pairs ...string) {
		t.Helper()
		if q := b.open(ask(pairs...)).back(t, callback); q.Get("error") != code || q.Get("state") == "" || q.Get("iss") != n.url {
			t.Errorf("%v: %v", pairs, q)
		}
	}
	shows := func(title string, pairs ...string) answer {
		t.Helper()
		a := b.open(ask(pairs...))
		if a.title() != title {
			t.Fatalf("%v: %d %s", pairs, a.StatusCode, a.body)
		}
		return a
	}
	refused("login_required", "prompt", "none")
	consent := b.login(shows("Sign in"))
	refused("consent_required", "prompt", "none")
	b.submit(consent, "allow").back(t, callback)
	if q := b.open(ask("prompt", "none")).back(t, callback); q.Get("code") == "" {
		t.Errorf("O5 %v", q)
	}
	t.Run("a sign-in does not answer the request that asked for it for long", func(t *testing.T) {
		b := n.browser()
		page := b.login(b.open(ask("prompt", "login consent")))
		if page.title() != "Allow access" {
			t.Fatalf("%d %s", page.StatusCode, page.body)
		}
		n.clock.Add(10 * time.Minute)
		if page = b.submit(page, "allow"); page.title() != "Sign in" {
			t.Errorf("%d %s", page.StatusCode, page.body)
		}
	})
	n.clock.Add(time.Minute)
	for _, pairs := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"max_age", "59"}, {"prompt", "login", "max_age", "1000"}} {
		if q := b.login(shows("Sign in", pairs...)).back(t, callback); q.Get("code") == "" {
			t.Errorf("O4 O6 %v: %v", pairs, q)
		}
		shows("Sign in", "prompt", "login") // once answered, asked again
		n.clock.Add(time.Minute)
	}
	refused("login_required", "prompt", "none", "max_age", "30")
	b.open(ask("max_age", "61")).back(t, callback)
	b.submit(shows("Allow access", "prompt", "consent"), "allow").back(t, callback)
	page := shows("Choose an account", "prompt", "select_account")
	if q := b.submit(page, "continue").back(t, callback); q.Get("code") == "" {
		t.Errorf("O6 %v", q)
	}
	page = b.submit(shows("Choose an account", "prompt", "select_account"), "switch")
	if q := b.login(page).back(t, callback); q.Get("code") == "" {
		t.Errorf("O6 %v", q)
	}
	if page := shows("Sign in", "prompt", "login", "login_hint", `bob"><i>`); !strings.Contains(string(page.body), `value="bob&#34;&gt;&lt;i&gt;"`) {
		t.Errorf("login_hint: %s", page.body)
	}
	must(t, n.addClient(accounts.NewClient{ID: "own", Secret: appSecret, ClientSettings: accounts.ClientSettings{Consent: accounts.To("never"),
		Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	must(t, n.addClient(accounts.NewClient{ID: "asks", Secret: appSecret, ClientSettings: accounts.ClientSettings{Consent: accounts.To("always"),
		Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	b.open(ask("client_id", "own")).back(t, callback)
	b.submit(shows("Allow access", "client_id", "asks"), "allow").back(t, callback)
	shows("Allow access", "client_id", "asks")
}

func TestA20_ConsentSaysWhatItIsAbout(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "notes", Secret: appSecret, ClientSettings: accounts.ClientSettings{Name: accounts.To("Notes <b>&amp;"),
		Grants: accounts.To([]string{"authorization_code", "refresh_token"}), Scope: accounts.To("read openid email offline_access"), RedirectURIs: accounts.To([]string{"https://notes.example:8443/cb?x=1"})}}))
	b := n.browser()
	f := ask("client_id", "notes", "redirect_uri", "https://notes.example:8443/cb?x=1", "scope", "read openid email")
	page := b.login(b.open(f))
	for _, text := range []string{"Notes &lt;b&gt;&amp;amp;", "notes.example:8443", "<code>read</code>", "See your email address", "90 days", "15 days", "when you sign out here", "alice"} {
		if !strings.Contains(string(page.body), text) {
			t.Errorf("A20 %q is not on the page: %s", text, page.body)
		}
	}
	f.Set("scope", "read offline_access")
	if page = b.open(f); strings.Contains(string(page.body), "when you sign out here") || !strings.Contains(string(page.body), "after you sign out") {
		t.Errorf("%s", page.body)
	}
	q := b.submit(page, "deny").back(t, f.Get("redirect_uri")+"&")
	if q.Get("error") != "access_denied" || q.Get("x") != "1" || q.Get("state") != f.Get("state") || q.Get("iss") != n.url {
		t.Errorf("denied: %v", q)
	}
	b.open(ask("prompt", "login"))
	if q := b.submit(b.open(ask("prompt", "login")), "deny").back(t, callback); q.Get("error") != "access_denied" {
		t.Errorf("cancelled: %v", q)
	}
	t.Run("a client of the same name begins anew", func(t *testing.T) {
		b.submit(b.open(ask()), "allow").back(t, callback)
		must(t, n.clients.Delete(t.Context(), "app", accounts.Act{Operator: true}))
		n.clock.Add(2 * time.Second)
		must(t, n.addClient(accounts.NewClient{ID: "app", Secret: appSecret, ClientSettings: accounts.ClientSettings{
			Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
		if page := b.open(ask()); page.title() != "Allow access" {
			t.Errorf("%d %v", page.StatusCode, page.Header)
		}
	})
}

func TestPagesEndWell(t *testing.T) {
	t.Run("double submit", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		login := b.open(ask())
		b.login(login)
		page := b.login(login) // the old page again
		one, two := b.submit(page, "allow").back(t, callback), b.submit(page, "allow").back(t, callback)
		n.redeem(two.Get("code"), app).ok(t, 200)
		n.redeem(one.Get("code"), app).ok(t, 200)
	})
	t.Run("two tabs", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		one, two := b.open(ask("state", "1")), b.open(ask("state", "2"))
		if q := b.submit(b.login(one), "allow"); q.back(t, callback).Get("state") != "1" {
			t.Errorf("%v", q)
		}
		if q := b.login(two).back(t, callback); q.Get("state") != "2" || q.Get("code") == "" {
			t.Errorf("%v", q)
		}
	})
	t.Run("consent after the sign-in has ended", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		page := b.login(b.open(ask("prompt", "consent")))
		n.clock.Add(3 * time.Hour)
		if a := b.submit(page, "allow"); a.title() != "Sign in" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		} else if a = b.login(a); a.title() != "Allow access" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("addresses typed or loaded again", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		if a := b.load("GET", n.url+"/login?"+ask().Encode(), nil); a.title() != "Sign in" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := b.follow(b.load("GET", n.url+"/consent?"+ask().Encode(), nil)); a.title() != "Sign in" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		for _, path := range []string{"/login", "/consent", "/choose"} {
			if a := b.load("GET", n.url+path, nil); a.StatusCode != 400 || a.title() != "This does not work" {
				t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
			}
		}
	})
	t.Run("V13 the store is away", func(t *testing.T) {
		n := start(t, options{})
		b := n.browser()
		page := b.open(ask())
		must(t, n.store.Close())
		a := b.submit(page, "login", "username", "alice", "password", password)
		if a.StatusCode != 503 && a.Header.Get("Location") == "" || strings.Contains(a.Header.Get("Location"), "code=") {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
}

func TestT24_P2_LoginPageGivesNothingAway(t *testing.T) {
	n := start(t, options{throttle: true})
	b := n.browser()
	try := func(name, pass string) answer {
		return b.submit(b.open(ask()), "login", "username", name, "password", pass)
	}
	strip := func(a answer, name string) string { return strings.ReplaceAll(string(a.body), name, "") }
	wrong, unknown := try("alice", "wrong"), try("nobody-here", "wrong")
	if wrong.StatusCode != 400 || unknown.StatusCode != 400 || strip(wrong, "alice") != strip(unknown, "nobody-here") {
		t.Errorf("P2 %d %s\n%d %s", wrong.StatusCode, wrong.body, unknown.StatusCode, unknown.body)
	}
	var a answer
	for range 30 {
		if a = try("alice", "wrong"); a.StatusCode == 429 {
			break
		}
	}
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "Too many failed attempts") {
		t.Errorf("T24 %d %s", a.StatusCode, a.body)
	}
	// The counters are those of the password grant.
	n.post("/token", form("grant_type", "password", "username", "alice", "password", "wrong", "client_id", "spa")).want(t, 429, "temporarily_unavailable")
	if strings.Contains(n.log.String(), password) {
		t.Error("a password was logged")
	}
}

func push(n *node, client func(*http.Request), f url.Values) answer {
	n.t.Helper()
	return n.post("/par", f, client)
}

func TestX1_X2_X3_X4_X5_PushedRequests(t *testing.T) {
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "pushes", Secret: apiSecret, ClientSettings: accounts.ClientSettings{RequirePush: accounts.To(true),
		Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	b := n.browser()
	pushed := func() url.Values {
		t.Helper()
		a := push(n, app, ask("scope", "read write", "state", "pushed"))
		uri := a.str("request_uri")
		if a.StatusCode != 201 || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || a.json["expires_in"] != 300.0 || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("X1 %d %s", a.StatusCode, a.body)
		}
		return form("client_id", "app", "request_uri", uri)
	}
	page := func(a answer) {
		t.Helper()
		if a.StatusCode != 400 || a.Header.Get("Location") != "" || a.title() != "This does not work" {
			t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
		}
	}
	f := pushed()
	f.Set("scope", "nope") // what is not pushed does not count
	f.Set("state", "other")
	b.open(f)
	b.open(f) // X4: loaded again before it is done
	consent := b.login(b.open(f))
	b.open(f)
	q := b.submit(consent, "allow").back(t, callback)
	if q.Get("state") != "pushed" {
		t.Errorf("%v", q)
	}
	if a := n.redeem(q.Get("code"), app).ok(t, 200); a.str("scope") != "read write" {
		t.Errorf("%s", a.body)
	}
	t.Run("X4", func(t *testing.T) {
		page(n.browser().open(f))
		other := n.browser()
		other.code(ask())
		page(other.open(f)) // twice
		b.open(f).back(t, callback)
		n.clock.Add(10 * time.Second)
		page(b.open(f))
		f := pushed()
		f.Set("client_id", "other")
		page(b.open(f))
		f = pushed()
		n.clock.Add(301 * time.Second)
		page(b.open(f))
		f.Set("request_uri", f.Get("request_uri")+"A")
		page(b.open(f))
		page(b.open(form("client_id", "app", "request_uri", "urn:ietf:params:oauth:request_uri:x")))
	})
	t.Run("X2", func(t *testing.T) {
		push(n, app, ask("request_uri", "urn:ietf:params:oauth:request_uri:x")).want(t, 400, "invalid_request")
		n.do("GET", "/par", "", "", app).want(t, 405, "invalid_request")
		push(n, app, ask("state", strings.Repeat("x", 5000))).want(t, 413, "invalid_request")
		push(n, basic("app", "wrong"), ask()).want(t, 401, "invalid_client")
	})
	t.Run("X3", func(t *testing.T) {
		push(n, app, ask("redirect_uri", "https://evil.example")).want(t, 400, "invalid_request")
		push(n, app, ask("scope", "nope")).want(t, 400, "invalid_scope")
		push(n, app, ask("code_challenge", "")).want(t, 400, "invalid_request")
		push(n, app, ask("client_id", "other")).want(t, 400, "invalid_request")
	})
	t.Run("X5", func(t *testing.T) {
		if q := b.open(ask("client_id", "pushes")).back(t, callback); q.Get("error") != "invalid_request" {
			t.Errorf("%v", q)
		}
		uri := push(n, basic("pushes", apiSecret), ask("client_id", "pushes")).str("request_uri")
		if a := b.open(form("client_id", "pushes", "request_uri", uri)); a.title() != "Allow access" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		all := start(t, options{settings: func(s *grants.Settings) { s.RequirePush = true }})
		if q := all.browser().open(ask()).back(t, callback); q.Get("error") != "invalid_request" {
			t.Errorf("%v", q)
		}
		if a := all.do("GET", "/.well-known/oauth-authorization-server", "", ""); a.json["require_pushed_authorization_requests"] != true {
			t.Errorf("%s", a.body)
		}
	})
}

func TestX12_ResourceIndicators(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	const one, two = "https://one.example", "https://two.example/api"
	must(t, n.addClient(accounts.NewClient{ID: "multi", Secret: appSecret, ClientSettings: accounts.ClientSettings{Audience: accounts.To([]string{one, two}),
		Grants: accounts.To(grants.Types()), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	client := basic("multi", appSecret)
	aud := func(a answer) string {
		t.Helper()
		var out []string
		for _, v := range segment(t, a.ok(t, 200).str("access_token"), 1)["aud"].([]any) {
			out = append(out, v.(string))
		}
		return strings.Join(out, " ")
	}
	b := n.browser()
	code := func(resources ...string) string {
		f := ask("client_id", "multi")
		f["resource"] = resources
		return b.code(f)
	}
	for _, c := range []struct {
		granted []string
		asked   string
		want    string
	}{{nil, "", one + " " + two}, {nil, one, one}, {[]string{two}, "", two}, {[]string{one, two}, two, two}, {[]string{one, two}, "", one + " " + two}} {
		if got := aud(n.redeem(code(c.granted...), client, "resource", c.asked)); got != c.want {
			t.Errorf("granted %v, asked %q: %s", c.granted, c.asked, got)
		}
	}
	n.redeem(code(two), client, "resource", one).want(t, 400, "invalid_target")
	a := n.redeem(code(one, two), client, "resource", one).ok(t, 200)
	refresh := func(resource string) answer {
		f := form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token"))
		if resource != "" {
			f.Set("resource", resource)
		}
		return n.post("/token", f, client)
	}
	refresh("https://three.example").want(t, 400, "invalid_target")
	refresh("one").want(t, 400, "invalid_target")
	refresh(one+"#x").want(t, 400, "invalid_target")
	if a = refresh(two); aud(a) != two {
		t.Errorf("%s", a.body)
	}
	if a = refresh(""); aud(a) != one+" "+two {
		t.Errorf("%s", a.body)
	}
	if got := aud(n.post("/token", loginForm("resource", two), client)); got != two {
		t.Errorf("password: %s", got)
	}
	machine := form("grant_type", "client_credentials", "resource", one)
	if got := aud(n.post("/token", machine, client)); got != one {
		t.Errorf("client_credentials: %s", got)
	}
	machine.Set("resource", "https://three.example")
	n.post("/token", machine, client).want(t, 400, "invalid_target")
	if q := b.open(ask("client_id", "multi", "resource", "https://three.example")).back(t, callback); q.Get("error") != "invalid_target" {
		t.Errorf("%v", q)
	}
}
