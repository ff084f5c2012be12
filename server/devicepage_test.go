package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

const deviceAgent = "Mozilla/5.0 (Linux; Android 14; TV) okhttp/4.12"

// behind is a node with a proxy before it, so that tests can come from anywhere.
func behind(t *testing.T, throttled bool) *node {
	return start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, throttle: throttled})
}

func TestX8_ThePageSaysWhoAsksFromWhere(t *testing.T) {
	n := behind(t, false)
	must(t, n.addClient(accounts.NewClient{ID: "tv", ClientSettings: accounts.ClientSettings{Name: accounts.To("Living room <TV>"),
		Public: accounts.To(true), Grants: accounts.To([]string{storage.GrantDeviceCode, "refresh_token"}), Scope: accounts.To("openid email read"), Consent: accounts.To(storage.ConsentNever)}}))
	tv := func(r *http.Request) { from("203.0.113.7")(r); r.Header.Set("User-Agent", deviceAgent) }
	asked := n.askDevice(tv, "client_id", "tv", "scope", "email read")
	n.clock.Add(3*time.Minute + time.Second)
	b := n.browser()
	b.connect(n.askDevice(tv, "client_id", "tv")) // signed in now, and asked all the same
	page := b.load("GET", asked.str("verification_uri_complete"), nil, from("198.51.100.20"))
	text := string(page.body)
	for _, want := range []string{
		"Living room &lt;TV&gt; on a device asks for access", "Go on only if you started this yourself", asked.str("user_code"), "3 minutes ago", "Android app on Android",
		"203.0.113.0/24</code>, not your network", "See your email address", "Use <code>read</code>", "Access ends after 90 days, or after 15 days without use.", "alice",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	for address, words := range map[string]string{"203.0.113.99": "203.0.113.0/24</code>, your network too", "2001:db8::1": "203.0.113.0/24</code></dd>"} {
		if page := b.load("GET", asked.str("verification_uri_complete"), nil, from(address)); !strings.Contains(string(page.body), words) {
			t.Errorf("from %s: %s", address, page.body)
		}
	}
	t.Run("A18 its headers", func(t *testing.T) {
		for _, path := range []string{"/device", "/device?user_code=BBBBBBBB", "/device?user_code=" + asked.str("user_code"), "/login?user_code=" + asked.str("user_code")} {
			h := b.load("GET", b.url+path, nil).Header
			if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", path, h)
			}
		}
	})
}

func TestX8_CodesAreReadAsPeopleTypeThem(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	asked := n.askDevice(app)
	code := strings.ReplaceAll(asked.str("user_code"), "-", "")
	b.connect(asked)
	for _, typed := range []string{code, strings.ToLower(code), code[:4] + " " + code[4:], " " + code[:2] + "." + code[2:] + "\t", code[:4] + "–" + code[4:], strings.Join(strings.Split(code, ""), "-")} {
		if page := b.load("GET", b.url+"/device?user_code="+url.QueryEscape(typed), nil); page.StatusCode != 200 || !strings.Contains(string(page.body), asked.str("user_code")) {
			t.Errorf("%q: %d %s", typed, page.StatusCode, page.title())
		}
	}
	for _, typed := range []string{"A", code + "B", code[:7], code[:7] + "A", code[:7] + "1", code + code, strings.Repeat("B", 5000), "<script>", "\xff", "é"} {
		page := b.load("GET", b.url+"/device?user_code="+url.QueryEscape(typed), nil)
		if page.StatusCode != 400 || page.title() != "Connect a device" && typed != "\xff" || strings.Contains(string(page.body), "<script>") {
			t.Errorf("%q: %d %s", typed, page.StatusCode, page.body)
		}
	}
	if page := b.load("GET", b.url+"/device", nil); page.StatusCode != 200 || page.title() != "Connect a device" || !strings.Contains(string(page.body), `<form method="get" action="/device">`) {
		t.Errorf("%d %s", page.StatusCode, page.body)
	}
	if page := b.load("GET", b.url+"/device?user_code="+code+"&user_code=BBBBBBBB", nil); page.StatusCode != 400 {
		t.Errorf("twice: %d", page.StatusCode)
	}
	for _, path := range []string{"/device?user_code=BBBBBBBB", "/login?user_code=BBBBBBBB", "/login?user_code="} {
		for _, method := range []string{"GET", "POST"} {
			page := b.load(method, b.url+path, map[string]url.Values{"POST": form("decision", "allow")}[method])
			if page.title() != "Connect a device" {
				t.Errorf("%s %s: %d %s", method, path, page.StatusCode, page.body)
			}
		}
	}
}

func TestX8_GuessesAreCountedBeforeTheyAreLookedAt(t *testing.T) {
	guess := func(i int) string {
		return fmt.Sprintf("/device?user_code=BCDF%s", strings.Repeat(string("GHJKLMNPQR"[i%10]), 4))
	}
	t.Run("by their source", func(t *testing.T) {
		n := behind(t, true)
		asked := n.askDevice(app)
		right := strings.TrimPrefix(asked.str("verification_uri_complete"), n.url)
		for range 100 { // right ones cost nothing
			n.do("GET", right, "", "", from("192.0.2.1")).ok(t, 200)
		}
		for i := range 30 {
			if a := n.do("GET", guess(i), "", "", from("192.0.2.1")); a.StatusCode != 400 {
				t.Fatalf("guess %d: %d %s", i, a.StatusCode, a.body)
			}
		}
		a := n.do("GET", right, "", "", from("192.0.2.1"))
		if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "Too many wrong codes") {
			t.Errorf("the right one after 30 wrong ones: %d %v", a.StatusCode, a.Header)
		}
		n.do("GET", right, "", "", from("192.0.2.2")).ok(t, 200)
		n.clock.Add(3 * time.Second)
		n.do("GET", right, "", "", from("192.0.2.1")).ok(t, 200)
	})
	t.Run("by who is signed in", func(t *testing.T) {
		n := behind(t, true)
		b := n.browser()
		asked := n.askDevice(app)
		b.connect(asked)
		for i := range 20 {
			if a := b.load("GET", b.url+guess(i), nil, from(fmt.Sprintf("192.0.2.%d", i))); a.StatusCode != 400 {
				t.Fatalf("guess %d: %d", i, a.StatusCode)
			}
		}
		if a := b.load("GET", asked.str("verification_uri_complete"), nil, from("192.0.2.200")); a.StatusCode != 429 {
			t.Errorf("after 20 wrong ones: %d", a.StatusCode)
		}
		n.do("GET", strings.TrimPrefix(asked.str("verification_uri_complete"), n.url), "", "", from("192.0.2.200")).ok(t, 200)
		if a := n.post("/token", loginForm(), app); a.StatusCode != 200 {
			t.Errorf("the password was slowed too: %d %s", a.StatusCode, a.body)
		}
	})
	t.Run("requests without a secret are slowed too", func(t *testing.T) {
		n := behind(t, true)
		must(t, n.addClient(accounts.NewClient{ID: "tv", ClientSettings: accounts.ClientSettings{Public: accounts.To(true), Grants: accounts.To([]string{storage.GrantDeviceCode})}}))
		for range 100 {
			n.askDevice(from("192.0.2.1"), "client_id", "tv").ok(t, 200)
			n.askDevice(app).ok(t, 200)
		}
		a := n.askDevice(from("192.0.2.1"), "client_id", "tv")
		if a.want(t, 429, "temporarily_unavailable"); a.Header.Get("Retry-After") == "" {
			t.Errorf("%v", a.Header)
		}
		n.askDevice(app).ok(t, 200)
		n.askDevice(from("192.0.2.2"), "client_id", "tv").ok(t, 200)
		n.clock.Add(2 * time.Second)
		n.askDevice(from("192.0.2.1"), "client_id", "tv").ok(t, 200)
	})
}

func TestX8_W6_DeviceFormsOfOthers(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	asked := n.askDevice(app)
	page := b.connect(asked)
	action, f := page.form(t)
	pending := func(t *testing.T) {
		t.Helper()
		n.clock.Add(time.Minute)
		n.poll(asked.str("device_code"), app).want(t, 400, "authorization_pending")
	}
	f.Set("decision", "allow")
	for what, token := range map[string]string{"no token": "", "a wrong token": "x"} {
		t.Run(what, func(t *testing.T) {
			g := form("decision", "allow", "form_token", token)
			if a := b.follow(b.load("POST", action, g)); a.title() != "Connect a device" || a.StatusCode != 200 {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			g.Set("decision", "deny")
			b.follow(b.load("POST", action, g))
			pending(t)
		})
	}
	t.Run("the token of another request", func(t *testing.T) {
		_, other := b.connect(n.askDevice(app)).form(t)
		other.Set("decision", "allow")
		if a := b.follow(b.load("POST", action, other)); a.title() != "Connect a device" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		pending(t)
	})
	t.Run("another browser's", func(t *testing.T) {
		c := n.browser()
		c.connect(n.askDevice(app))
		if a := c.follow(c.load("POST", action, f)); a.title() != "Connect a device" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		pending(t)
	})
	t.Run("from another site", func(t *testing.T) {
		a := b.load("POST", action, f, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		if a.StatusCode != 403 {
			t.Errorf("%d", a.StatusCode)
		}
		pending(t)
	})
	t.Run("signed out meanwhile", func(t *testing.T) {
		b.submit(b.load("GET", b.url+"/end_session", nil), "signout")
		if a := b.follow(b.load("POST", action, f)); a.title() != "Sign in" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		pending(t)
	})
	t.Run("cancelled at the login without its token", func(t *testing.T) {
		if a := b.load("POST", strings.Replace(action, "/device", "/login", 1), form("decision", "deny")); a.StatusCode != 400 || a.title() != "Sign in" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		pending(t)
	})
	t.Run("another account", func(t *testing.T) {
		page := b.submit(b.connect(asked), "switch")
		if page.title() != "Sign in" {
			t.Fatalf("%d %s", page.StatusCode, page.body)
		}
		if page = b.login(page); page.title() != "Connect a device" {
			t.Fatalf("%d %s", page.StatusCode, page.body)
		}
		if end := b.submit(page, "allow"); end.title() != "Your device is connected" {
			t.Fatalf("%d %s", end.StatusCode, end.body)
		}
	})
	t.Run("afterwards", func(t *testing.T) {
		// Loaded again, sent again, from the tab of before, by somebody else.
		if a := b.load("GET", asked.str("verification_uri_complete"), nil); a.title() != "Your device is connected" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := b.submit(page, "allow"); a.title() != "Your device is connected" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := n.browser().load("GET", asked.str("verification_uri_complete"), nil); a.title() != "This code was used" || a.StatusCode != 400 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		n.poll(asked.str("device_code"), app).ok(t, 200)
	})
}
