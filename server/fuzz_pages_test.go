package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

// toss sends a request past the network and checks what all answers of the
// pages and of what belongs to them have in common: no 5xx, HTML under its
// policy or JSON, and no address but one of ours or of the client's.
func (n *node) toss(t *testing.T, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	n.handler.ServeHTTP(w, r)
	a := answer{Response: w.Result(), body: w.Body.Bytes()}
	to := a.Header.Get("Location")
	ours := strings.HasPrefix(to, "/authorize?") || strings.HasPrefix(to, "/login?") || strings.HasPrefix(to, "/end_session?")
	switch kind := a.Header.Get("Content-Type"); {
	case a.StatusCode >= 500:
		t.Fatalf("%d %s", a.StatusCode, a.body)
	case to != "" && (a.StatusCode != 303 || !ours && !strings.HasPrefix(to, callback+"?")):
		t.Fatalf("%d to %q", a.StatusCode, to)
	case kind == "application/json":
		if err := json.Unmarshal(a.body, &a.json); err != nil {
			t.Fatalf("%q: %v", a.body, err)
		}
	case kind != "" && (kind != "text/html; charset=utf-8" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'")):
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	case to == "" && len(a.body) == 0:
		t.Fatalf("%d without anything", a.StatusCode)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%v", a.Header)
	}
	return a
}

// answered is what went back to the client: by redirect or by form.
func (a answer) answered(t *testing.T) url.Values {
	if to := a.Header.Get("Location"); strings.HasPrefix(to, callback+"?") {
		return mustURL(t, to).Query()
	}
	if a.title() == "Going back" {
		action, fields := a.form(t)
		if action != callback {
			t.Fatalf("the form goes to %q", action)
		}
		return fields
	}
	return nil
}

// visitorOf is alice's browser, signed in, with her consent to read.
func visitorOf(f *testing.F, n *node) (cookie string) {
	b := n.browser()
	b.code(ask())
	for _, c := range b.jar.Cookies(mustURL(f, n.url)) {
		if c.Name == "jeton" {
			return "jeton=" + c.Value
		}
	}
	f.Fatal("not signed in")
	return ""
}

// FuzzAuthorize: the best case of an attacker, who can have a signed-in user
// open any address. A code is made for what is asked for as it should be alone.
func FuzzAuthorize(f *testing.F) {
	n := start(f, options{})
	cookie := visitorOf(f, n)
	good := ask().Encode()
	for _, seed := range []string{
		good, "", "&", "=", "%", "client_id=app", "client_id=app&redirect_uri=" + url.QueryEscape(callback), good + "&state=2", good + "&scope=write", good + "&resource=a&resource=b", good + ";x",
		ask("response_mode", "form_post").Encode(), ask("prompt", "none").Encode(), ask("prompt", "login consent").Encode(), ask("max_age", "0").Encode(), ask("scope", "read write").Encode(), ask("redirect_uri", callback+"/").Encode(),
		ask("request_uri", "urn:ietf:params:oauth:request_uri:AAAA").Encode(), ask("id_token_hint", "a.b.c").Encode(), ask("state", "\r\nLocation: x").Encode(), ask("login_hint", `"><script>`).Encode(), strings.Replace(good, "client_id", "client%5Fid", 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/authorize", nil)
		r.URL.RawQuery = query
		r.Header.Set("Cookie", cookie)
		q := n.toss(t, r).answered(t)
		if q == nil {
			return
		}
		sent, err := url.ParseQuery(query)
		if err != nil || !slices.Contains(sent["redirect_uri"], callback) || !slices.Contains(sent["client_id"], "app") || q.Get("iss") != n.url || q.Get("state") != only1(sent["state"]) || q.Has("code") == q.Has("error") {
			t.Fatalf("%q: %v", query, q)
		}
		if q.Has("code") && (only1(sent["response_type"]) != "code" || only1(sent["code_challenge_method"]) != "S256" || len(only1(sent["code_challenge"])) != 43 || only1(sent["scope"]) != "read" || sent.Has("request") && only1(sent["request"]) != "") {
			t.Fatalf("%q got a code", query)
		}
	})
}

// only1 is the one value that is not empty, or "".
func only1(values []string) (one string) {
	for _, v := range values {
		if v != "" && one != "" {
			return ""
		}
		one += v
	}
	return one
}

// FuzzPush: what is pushed is judged as what is not, and opens again.
func FuzzPush(f *testing.F) {
	n := start(f, options{})
	cookie := visitorOf(f, n)
	good := ask().Encode()
	for _, seed := range []string{good, "", "client_id=other&" + good, ask("request_uri", "urn:x").Encode(), good + "&state=2", ask("scope", "nope").Encode(), ask("redirect_uri", "https://evil.example").Encode(), ask("state", strings.Repeat("x", 5000)).Encode(), "%zz", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/par", strings.NewReader(body))
		r.Header.Set("Content-Type", formType)
		r.Header.Set("Authorization", basicValue("app:"+appSecret))
		a := n.toss(t, r)
		if a.StatusCode != http.StatusCreated {
			a.wellFormed(t)
			return
		}
		r = httptest.NewRequest("GET", "/authorize", nil)
		r.URL.RawQuery = form("client_id", "app", "request_uri", a.str("request_uri"), "redirect_uri", "https://evil.example").Encode()
		r.Header.Set("Cookie", cookie)
		if a := n.toss(t, r); a.StatusCode >= 400 {
			t.Fatalf("%q was taken, and then refused: %s", body, a.body)
		} else if q := a.answered(t); q != nil && q.Get("iss") != n.url {
			t.Fatalf("%v", q)
		}
	})
}

// FuzzPageForms: without the token of a page nothing is agreed to, and without
// the password nobody is signed in.
func FuzzPageForms(f *testing.F) {
	n := start(f, options{})
	cookie := visitorOf(f, n)
	good := ask("scope", "read write").Encode()
	for _, body := range []string{"", "decision=allow", "decision=allow&form_token=AAAA", "decision=deny", "decision=switch", "decision=login&username=alice&password=x", "decision=continue", "decision=allow&decision=deny", "%", "form_token=", "username=%ff"} {
		for path := range uint8(3) {
			f.Add(path, good, body)
		}
	}
	f.Fuzz(func(t *testing.T, path uint8, query, body string) {
		r := httptest.NewRequest("POST", []string{"/login", "/consent", "/choose"}[path%3], strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", formType)
		r.Header.Set("Cookie", cookie)
		a := n.toss(t, r)
		if q := a.answered(t); q.Has("code") {
			t.Fatalf("%q, %q: %v", query, body, q)
		}
		for _, c := range a.Cookies() {
			if c.Name == "jeton" {
				t.Fatalf("%q, %q: signed in", query, body)
			}
		}
	})
}

// FuzzEndSession: nobody is signed out by an address alone, or sent anywhere.
func FuzzEndSession(f *testing.F) {
	n := start(f, options{})
	cookie := visitorOf(f, n)
	for _, seed := range []string{"", "id_token_hint=a.b.c", "client_id=app&post_logout_redirect_uri=https://evil.example", "state=1&state=2", "%", "decision=signout", "logout_hint=alice", "client_id=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/end_session", nil)
			if r.URL.RawQuery = query; method == "POST" {
				r = httptest.NewRequest(method, "/end_session", strings.NewReader(query))
				r.Header.Set("Content-Type", formType)
			}
			r.Header.Set("Cookie", cookie)
			a := n.toss(t, r)
			if to := a.Header.Get("Location"); to != "" && method == "GET" || len(a.Cookies()) != 0 {
				t.Fatalf("%s %q: %v", method, query, a.Header)
			}
		}
	})
}

// FuzzUserinfo: one header opens it, and no other.
func FuzzUserinfo(f *testing.F) {
	n := start(f, options{})
	n.operator("PATCH", "/clients/app", `{"scope":"read write openid"}`).ok(f, 200)
	n.clock.Add(2 * time.Second)
	live := n.login("scope", "openid").str("access_token")
	for _, seed := range []string{"Bearer " + live, "bearer  " + live, "Bearer " + live + " ", "DPoP " + live, "Bearer", "Bearer a.b.c", "Basic YTpi", "", "Bearer \"", "Bearer " + live[:len(live)-2]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/userinfo", nil)
		r.Header["Authorization"] = []string{value}
		a := n.toss(t, r)
		if a.StatusCode == http.StatusOK && !strings.HasSuffix(strings.TrimRight(value, " "), " "+live) {
			t.Fatalf("%q opens it", value)
		}
	})
}

// FuzzExchange: only the live token is exchanged, and for nothing more than it
// is.
func FuzzExchange(f *testing.F) {
	n := start(f, options{})
	live := n.login("scope", "read").str("access_token")
	for _, seed := range [][]string{{live, accessType, ""}, {live, accessType, "read"}, {live, accessType, "read write"}, {live, "urn:x", ""}, {"", accessType, ""}, {"a.b.c", accessType, ""}, {live + "=", accessType, ""}, {live, accessType, "  "}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, token, kind, scope string) {
		a := n.throw(t, form("grant_type", storage.GrantTokenExchange, "subject_token", token, "subject_token_type", kind, "scope", scope).Encode(), basicValue("app:"+appSecret))
		if a.StatusCode == http.StatusOK && (token != live || kind != accessType || a.str("scope") != "read" || a.str("issued_token_type") != accessType) {
			t.Fatalf("%q, %q, %q: %s", token, kind, scope, a.body)
		}
	})
}
