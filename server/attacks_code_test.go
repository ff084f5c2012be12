package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/storage"
)

// tricks are addresses that resemble a registered one and are not it: who reads
// addresses loosely takes one or the other of them.
func tricks(uri string) map[string]string {
	rest, _ := strings.CutPrefix(uri, "https://")
	host, path, _ := strings.Cut(rest, "/")
	return map[string]string{
		"another path": uri + "/evil", "trailing slash": uri + "/", "parent": uri + "/../evil", "dots": "https://" + host + "/x/../" + path, "dot": "https://" + host + "/./" + path,
		"encoded dots": uri + "/%2e%2e/evil", "double slash": "https://" + host + "//" + path, "path parameter": uri + ";x", "encoded path": "https://" + host + "/%63" + path[1:], "encoded slash": "https://" + host + "%2f" + path,
		"query": uri + "?x=1", "empty query": uri + "?", "nested": uri + "?next=https://evil.example", "fragment": uri + "#x", "empty fragment": uri + "#", "encoded fragment": uri + "%23",
		"userinfo": "https://" + host + "@evil.example/" + path, "userinfo of the host": "https://x@" + rest, "userinfo and port": "https://" + host + ":443@evil.example/" + path, "backslash": `https://evil.example\@` + rest, "backslashes": `https:\\` + rest,
		"subdomain": "https://evil." + rest, "suffix": "https://" + host + ".evil.example/" + path, "prefix": "https://not" + rest, "trailing dot": "https://" + host + "./" + path, "port": "https://" + host + ":443/" + path, "another port": "https://" + host + ":8443/" + path,
		"http": "http://" + rest, "scheme in capitals": "HTTPS://" + rest, "no scheme": "//" + rest, "only a path": "/" + path, "script": "javascript:alert(1)//" + rest, "data": "data:text/html," + uri, "another scheme": "app.example:/" + path,
		"host in capitals": "https://" + strings.ToUpper(host) + "/" + path, "path in capitals": "https://" + host + "/" + strings.ToUpper(path), "homograph": "https://\u0430" + rest[1:], "dot of another script": "https://" + strings.Replace(host, ".", "\u3002", 1) + "/" + path,
		"space before": " " + uri, "space after": uri + " ", "tab": "https://" + host + "/\t" + path, "line break": uri + "\r\nLocation: https://evil.example", "two": uri + " https://evil.example/", "list": uri + ",https://evil.example/", "wildcard": "https://*." + host + "/" + path, "empty host": "https:///" + path,
	}
}

// TestA3_RedirectTricks sends look-alikes wherever an address to go back to is
// taken: RFC 9700 §4.1, §4.11.
func TestA3_RedirectTricks(t *testing.T) {
	n := startOpenID(t, options{})
	b := n.browser()
	b.code(ask()) // signed in and agreed: an attacker's best case
	hint := n.browser().openID().str("id_token")
	page := func(where, what string, a answer) {
		t.Helper()
		if a.StatusCode != 400 || a.Header.Get("Location") != "" || a.title() != "This does not work" {
			t.Errorf("%s, %s: %d %v %.100s", where, what, a.StatusCode, a.Header, a.body)
		}
	}
	for what, uri := range tricks(callback) {
		f := ask("redirect_uri", uri)
		page("authorize", what, b.open(f))
		page("authorize, form_post", what, b.open(ask("redirect_uri", uri, "response_mode", "form_post")))
		page("authorize, posted", what, b.follow(b.load("POST", n.url+"/authorize", f)))
		page("authorize, an error", what, b.open(ask("redirect_uri", uri, "scope", "nope", "prompt", "none")))
		for _, path := range []string{"/login", "/consent", "/choose"} {
			page(path, what, b.follow(b.load("POST", n.url+path+"?"+f.Encode(), form("decision", "deny"))))
		}
		push(n, app, f).want(t, 400, "invalid_request")
	}
	for what, uri := range tricks(rpLogout) {
		for _, pairs := range [][]string{{"client_id", "rp"}, {"id_token_hint", hint}} {
			visitor := n.browser() // signed in nowhere: nobody would be asked
			a := visitor.load("GET", n.url+"/end_session?"+form(append(pairs, "post_logout_redirect_uri", uri)...).Encode(), nil)
			if a.StatusCode != 200 || a.Header.Get("Location") != "" || a.title() != "Signed out" {
				t.Errorf("end_session, %s: %d %v", what, a.StatusCode, a.Header)
			}
		}
	}
}

// TestA15_CodesAreForOneClientAndOneRequest tries codes wherever they do not
// belong: RFC 9700 §4.5. The code stays good where it was not its client that
// came, and is burnt where it was.
func TestA15_CodesAreForOneClientAndOneRequest(t *testing.T) {
	n := startOpenID(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "native", ClientSettings: accounts.ClientSettings{Public: accounts.To(true),
		Grants: accounts.To([]string{"authorization_code"}), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	nobody := func(*http.Request) {}
	b := n.browser()
	t.Run("another client's", func(t *testing.T) {
		code := b.code(ask())
		for name, a := range map[string]answer{
			"confidential": n.redeem(code, basic("other", apiSecret)), "public": n.redeem(code, nobody, "client_id", "native"),
			"of the same address": n.redeem(code, rpClient), "without a verifier of its own": n.redeem(code, basic("other", apiSecret), "code_verifier", strings.Repeat("e", 43)),
		} {
			if a.StatusCode != 400 || a.str("error") != "invalid_grant" {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
		}
		n.redeem(code, nobody, "client_id", "app").want(t, 401, "invalid_client")
		n.redeem(code, basic("app", "wrong"+appSecret)).want(t, 401, "invalid_client")
		n.redeem(code, app).ok(t, 200)
	})
	t.Run("of a request of another verifier", func(t *testing.T) {
		// The attacker puts a stolen code into a login of his own, whose
		// verifier the client sends.
		stolen, own := b.code(ask()), strings.Repeat("e", 43)
		n.redeem(stolen, app, "code_verifier", own).want(t, 400, "invalid_grant")
		n.redeem(stolen, app).want(t, 400, "invalid_grant")
	})
	t.Run("the nonce is that of the code's own request", func(t *testing.T) {
		code := b.code(askOpenID("nonce", "of the victim"))
		a := b.redeem(code, rpClient, "redirect_uri", rp, "nonce", "of the attacker").ok(t, 200)
		if id := segment(t, a.str("id_token"), 1); id["nonce"] != "of the victim" {
			t.Errorf("%v", id)
		}
	})
	t.Run("what stands in it cannot be changed", func(t *testing.T) {
		one, two := b.code(ask()), b.code(ask("scope", "read write"))
		n.redeem(one[:43]+two[43:], app).want(t, 400, "invalid_grant")
		n.redeem(two[:43]+one[43:], app).want(t, 400, "invalid_grant")
		a := n.redeem(one, app, "scope", "read write").ok(t, 200)
		if a.str("scope") != "read" {
			t.Errorf("a wider scope at /token: %s", a.body)
		}
		n.redeem(two, app).ok(t, 200)
	})
	t.Run("a code is no other thing", func(t *testing.T) {
		code := b.code(ask())
		n.refresh(code).want(t, 400, "invalid_grant")
		n.post("/revoke", form("token", code), app).revoked(t, "a code")
		if n.active(code) {
			t.Error("a code is active")
		}
		n.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+code)).want(t, 401, "invalid_token")
		n.redeem(code, app).ok(t, 200)
	})
}

// Of a pushed request nothing can be changed on its way through the browser,
// and what goes back is the same as without pushing: RFC 9700 §4.8.
func TestX4_APushedRequestCannotBeWeakened(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	uri := push(n, app, ask()).ok(t, http.StatusCreated).str("request_uri")
	f := form("client_id", "app", "request_uri", uri)
	for name, value := range map[string]string{
		"code_challenge": challengeOf(strings.Repeat("e", 43)), "code_challenge_method": "plain", "redirect_uri": "https://evil.example/", "state": "evil", "scope": "read write",
		"response_type": "token", "response_mode": "form_post", "nonce": "evil", "prompt": "none", "resource": "https://evil.example", "max_age": "0", "request": "x",
	} {
		f.Set(name, value)
	}
	q := b.submit(b.login(b.open(f)), "allow").back(t, callback)
	if q.Get("state") != ask().Get("state") || q.Get("iss") != n.url {
		t.Errorf("%v", q)
	}
	if a := n.redeem(q.Get("code"), app).ok(t, 200); a.str("scope") != "read" {
		t.Errorf("%s", a.body)
	}
	t.Run("two browsers at once", func(t *testing.T) {
		uri := push(n, app, ask()).ok(t, http.StatusCreated).str("request_uri")
		f := form("client_id", "app", "request_uri", uri)
		visitors := []*browser{b, n.browser(), n.browser()}
		for _, v := range visitors {
			v.code(ask())
		}
		answers := make(chan answer, len(visitors))
		for _, v := range visitors {
			go func() { answers <- v.load("GET", n.url+"/authorize?"+f.Encode(), nil) }()
		}
		got := 0
		for range visitors {
			if a := <-answers; a.StatusCode == 303 {
				got++
			} else if a.StatusCode != 400 || a.title() != "This does not work" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		}
		if got != 1 {
			t.Errorf("%d browsers got an answer to one request", got)
		}
	})
}

// What would make a request of somebody else's stands on the way: RFC 9700 §4.7.
// A GET makes nothing but a code for the client's own registered address, bound
// to a challenge; and no form of another site is taken.
func TestW12_CSRFOnAuthorize(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.code(ask())
	before, _, _ := n.made()
	for name, f := range map[string]url.Values{
		"no challenge": ask("code_challenge", ""), "more than was agreed to": ask("scope", "read write"), "asks again": ask("prompt", "consent"), "another client": ask("client_id", "other"),
	} {
		for _, method := range []string{"GET", "POST"} {
			target := n.url + "/authorize"
			sent := f
			if method == "GET" {
				target, sent = target+"?"+f.Encode(), nil
			}
			a := b.follow(b.load(method, target, sent, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }))
			if strings.Contains(a.Header.Get("Location"), "code=") {
				t.Errorf("%s %s: %s", method, name, a.Header.Get("Location"))
			}
		}
	}
	if after, sessions, _ := n.made(); after != before || sessions != 0 {
		t.Errorf("%d codes, before %d, %d sessions", after, before, sessions)
	}
	t.Run("no form says yes from elsewhere", func(t *testing.T) {
		page := b.open(ask("scope", "read write"))
		action, f := page.form(t)
		f.Set("decision", "allow")
		for what, change := range map[string]func(*http.Request){
			"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"an origin":  func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		} {
			if a := b.load("POST", action, f, change); a.StatusCode != http.StatusForbidden || a.Header.Get("Location") != "" {
				t.Errorf("%s: %d %v", what, a.StatusCode, a.Header)
			}
		}
		for what, token := range map[string]string{"none": "", "made up": strings.Repeat("A", 43), "of the login form": formTokenOf(t, n.browser().open(ask("scope", "read write")))} {
			if f.Set("form_token", token); token == "" {
				f.Del("form_token")
			}
			if a := b.load("POST", action, f); strings.Contains(a.Header.Get("Location"), "code=") {
				t.Errorf("%s: %v", what, a.Header)
			}
		}
		consents := 0
		must(t, n.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexConsents, Partition: storage.UserPartition("u-alice")}, func(row storage.Row) error {
			consents++
			if rec, err := storage.Decode[storage.Consent](row); err != nil || len(rec.Value.Scopes) != 1 {
				t.Errorf("agreed to %v, %v", rec.Value.Scopes, err)
			}
			return nil
		}))
		if consents != 1 {
			t.Errorf("%d consents", consents)
		}
	})
}

func formTokenOf(t *testing.T, page answer) string {
	t.Helper()
	_, f := page.form(t)
	return f.Get("form_token")
}
