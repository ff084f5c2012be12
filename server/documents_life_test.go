package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/storage"
)

// letIn has alice let the site's client in and returns what it got.
func (n *node) letIn(s *site, more ...string) answer {
	n.t.Helper()
	q := n.browser().through(s.wish(more...))
	if q.Get("code") == "" {
		n.t.Fatalf("came back with %v", q)
	}
	return n.trade(s, q.Get("code")).ok(n.t, 200)
}

func TestC8_ADocumentIsReadAgainWhenItIsDue(t *testing.T) {
	n, s := startOpen(t)
	a := n.letIn(s)
	read := func(want int64) {
		t.Helper()
		if got := s.calls.Load(); got != want {
			t.Fatalf("the document was read %d times, want %d", got, want)
		}
	}
	read(1)
	n.clock.Add(59 * time.Minute) // nothing is said of caching: an hour
	a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
	read(1)
	s.says("client_name", "Another name")
	n.clock.Add(2 * time.Minute)
	a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
	read(2)
	if w := n.operatorCall("GET", "/clients/"+url.PathEscape(s.id), ""); !strings.Contains(w.Body.String(), "Another name") {
		t.Errorf("%s", w.Body)
	}

	t.Run("it cannot be read", func(t *testing.T) {
		s.answers(http.NotFound)
		n.clock.Add(61 * time.Minute)
		a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
		read(3)
		a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
		read(3) // at most once a minute
		if page := n.browser().open(s.wish()); page.StatusCode != 400 || !strings.Contains(string(page.body), "invalid_client") {
			t.Errorf("a new authorization: %d %s", page.StatusCode, page.body)
		}
		n.clock.Add(22 * time.Hour)
		a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
		n.clock.Add(2 * time.Hour) // more than a day since it was read
		n.refreshed(s, a.str("refresh_token")).want(t, 401, "invalid_client")
		n.post("/revoke", form("token", "x", "client_id", s.id)).ok(t, 200) // to give back needs no document
	})
	t.Run("it is back", func(t *testing.T) {
		s.answers(nil)
		n.clock.Add(time.Minute)
		a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
	})
	t.Run("headers say how long", func(t *testing.T) {
		for header, fresh := range map[string]time.Duration{
			"max-age=7200": 2 * time.Hour, "max-age=9999999": 24 * time.Hour, "max-age=1": 5 * time.Minute, "no-store": 5 * time.Minute, "private, max-age=600": 10 * time.Minute,
		} {
			s.answers(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", header)
				asJSON(fmt.Sprintf(`{"client_id":%q,"redirect_uris":[%q],"grant_types":["authorization_code","refresh_token"]}`, s.id, mcpCallback))(w, r)
			})
			n.clock.Add(25 * time.Hour)
			a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
			before := s.calls.Load()
			n.clock.Add(fresh - time.Second)
			a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
			read(before)
			n.clock.Add(2 * time.Second)
			a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
			read(before + 1)
		}
	})
}

// Where nothing is left of what the document was, the address has another owner.
func TestC11_AnotherDocumentEndsTheSessions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, name string
		value      any
		lives      bool
	}{
		{"another redirect URI beside", "redirect_uris", []string{"https://client.example/two", mcpCallback}, true},
		{"another redirect URI instead", "redirect_uris", []string{"https://client.example/two"}, false},
		{"another name", "client_name", "x", true},
	} {
		n, s := startOpen(t)
		s.cache = "max-age=1"
		a := n.letIn(s)
		s.says(c.name, c.value)
		n.clock.Add(6 * time.Minute)
		b := n.refreshed(s, a.str("refresh_token"))
		if got := b.StatusCode == 200; got != c.lives || !got && b.str("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", c.what, b.StatusCode, b.body)
		}
		if !c.lives {
			n.dead(t, c.what, a.str("access_token"))
		}
		if page := n.browser().open(s.wish()); (page.title() == "Sign in") != c.lives { // its redirect URI is the old one
			t.Errorf("%s: %d %s", c.what, page.StatusCode, page.body)
		}
	}
}

func TestC10_KeysThatADocumentDeclaresAreAskedFor(t *testing.T) {
	t.Parallel()
	n, s := startOpen(t)
	s.cache = "no-cache"
	one, two := newKey(t, "one", "ES256"), newKey(t, "two", "ES256")
	s.says("token_endpoint_auth_method", "private_key_jwt")
	s.says("jwks", jsonSet(t, one))
	proof := func(k jwtKey) []string {
		return []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", n.assertion(k, map[string]any{"iss": s.id, "sub": s.id})}
	}
	t.Run("pushed", func(t *testing.T) {
		f := s.wish()
		n.post("/par", f).want(t, 401, "invalid_client")
		n.post("/par", plus(f, proof(two)...)).want(t, 401, "invalid_client")
		a := n.post("/par", plus(f, proof(one)...)).ok(t, 201)
		if n.clientExists(s.id) {
			t.Error("a record before any user has agreed")
		}
		b := n.browser()
		if page := b.open(form("client_id", s.id, "request_uri", a.str("request_uri"))); page.title() != "Sign in" {
			t.Errorf("%d %s", page.StatusCode, page.body)
		}
	})
	code := n.browser().through(s.wish()).Get("code")
	n.trade(s, code).want(t, 401, "invalid_client")
	n.trade(s, code, proof(two)...).want(t, 401, "invalid_client")
	a := n.trade(s, code, proof(one)...).ok(t, 200)
	n.refreshed(s, a.str("refresh_token")).want(t, 401, "invalid_client")
	a = n.refreshed(s, a.str("refresh_token"), proof(one)...).ok(t, 200)

	t.Run("C11 a key is exchanged for another, in two steps", func(t *testing.T) {
		s.says("jwks", jsonSet(t, one, two))
		n.clock.Add(6 * time.Minute)
		a = n.refreshed(s, a.str("refresh_token"), proof(two)...).ok(t, 200)
		s.says("jwks", jsonSet(t, two))
		n.clock.Add(6 * time.Minute)
		n.refreshed(s, a.str("refresh_token"), proof(one)...).want(t, 401, "invalid_client")
		a = n.refreshed(s, a.str("refresh_token"), proof(two)...).ok(t, 200)
	})
	t.Run("C11 other keys are another client", func(t *testing.T) {
		s.says("jwks", jsonSet(t, one))
		n.clock.Add(6 * time.Minute)
		n.refreshed(s, a.str("refresh_token"), proof(one)...).want(t, 400, "invalid_grant")
		n.dead(t, "a session under the old keys", a.str("access_token"))
	})
	t.Run("C11 so is one without", func(t *testing.T) {
		code := n.browser().through(s.wish()).Get("code")
		a := n.trade(s, code, proof(one)...).ok(t, 200)
		s.says("token_endpoint_auth_method", "none")
		s.says("jwks", nil)
		n.clock.Add(6 * time.Minute)
		n.refreshed(s, a.str("refresh_token")).want(t, 400, "invalid_grant")
	})
}

func jsonSet(t *testing.T, of ...jwtKey) json.RawMessage { return json.RawMessage(keySet(t, of...)) }

func plus(f url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for name, values := range f {
		out[name] = values
	}
	for name, values := range form(pairs...) {
		out[name] = values
	}
	return out
}

// What such a client may have is a setting, whatever its document says.
func TestA20_C10_WhatAClientThatNobodyRegisteredMayAskFor(t *testing.T) {
	n, s := startOpen(t)
	s.says("scope", "read mcp admin")
	s.says("grant_types", []string{"authorization_code", "refresh_token", "client_credentials", "password", "urn:ietf:params:oauth:grant-type:device_code"})
	b := n.browser()
	for what, c := range map[string]struct{ name, value, code string }{
		"a scope of another client": {"scope", "read", "invalid_scope"}, "the administration": {"scope", "jeton:admin", "invalid_scope"},
		"events": {"scope", "jeton:events", "invalid_scope"}, "an API that is not listed": {"resource", "https://other.example", "invalid_target"},
		"the administration as an API": {"resource", n.url + "/admin/v1", "invalid_target"},
	} {
		if q := b.open(s.wish(c.name, c.value)).offered(t, mcpCallback); q.Get("error") != c.code {
			t.Errorf("%s: %v", what, q)
		}
	}
	two := s.wish()
	two["resource"] = openResources
	if q := b.open(two).offered(t, mcpCallback); q.Get("error") != "invalid_target" {
		t.Errorf("two APIs: %v", q)
	}
	a := n.letIn(s)
	if aud := fmt.Sprint(n.verified(t, a.str("access_token"))["aud"]); aud != "["+n.url+"]" {
		t.Errorf("without a wish the audience is %s", aud)
	}
	n.refreshed(s, a.str("refresh_token"), "resource", openResources[0]).want(t, 400, "invalid_target")
	for _, f := range []url.Values{
		form("grant_type", "client_credentials", "client_id", s.id), form("grant_type", "password", "client_id", s.id, "username", "alice", "password", password),
		form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", s.id, "subject_token", a.str("access_token"), "subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
	} {
		n.post("/token", f).want(t, 400, "unauthorized_client")
	}
	n.post("/introspect", form("token", a.str("access_token"), "client_id", s.id)).want(t, 401, "invalid_client")
	n.post("/session/token", form("grant_type", "refresh_token", "client_id", s.id), header("Origin", "https://client.example"), header("X-CSRF", "1")).refusedOf(t)
	for _, body := range []string{`{"scope":"read"}`, `{"redirect_uris":["https://evil.example/cb"]}`, `{"admin":true}`, `{"delivery":"cookie"}`, `{"consent":"never"}`, `{"audience":["https://x.example"]}`} {
		if w := n.operatorCall("PATCH", "/clients/"+url.PathEscape(s.id), body); w.Code != 400 || !strings.Contains(w.Body.String(), "document") {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if w := n.operatorCall("PATCH", "/clients/"+url.PathEscape(s.id), `{"access_token_ttl":"5m","max_sessions":2}`); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	n.clock.Add(2 * time.Hour)
	if a = n.refreshed(s, a.str("refresh_token")).ok(t, 200); a.json["expires_in"] != float64(300) {
		t.Errorf("what the operator set is lost with the document: %s", a.body)
	}
}

func (a answer) refusedOf(t *testing.T) {
	t.Helper()
	if a.StatusCode < 400 || a.str("error") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestA20_C11_ConsentOfAClientThatNobodyRegistered(t *testing.T) {
	n, s := startOpen(t)
	s.says("redirect_uris", []string{"http://localhost/cb", "http://127.0.0.1/cb"})
	b := n.browser()
	page := string(b.login(b.open(s.wish("redirect_uri", "http://localhost:5123/cb", "resource", openResources[1]))).body)
	host := strings.TrimPrefix(s.URL, "https://")
	for _, part := range []string{
		"<h1>" + host + " asks for access</h1>", "a program on this device", "A &lt;b&gt;client&lt;/b&gt;", "Nobody at Jeton has checked it", "only have just started", "Access ends", openResources[1],
	} {
		part = strings.Replace(part, "only have just started", "Go on only if you have just started it yourself", 1)
		if !strings.Contains(page, part) {
			t.Errorf("%q is not on the page: %s", part, page)
		}
	}
	if strings.Contains(page, "logo") {
		t.Errorf("C11 a logo of strangers: %s", page)
	}
	for _, uri := range []string{"http://localhost:5123/other", "http://localhost:0/cb", "http://localhost.evil.example/cb", "http://localhost:5123@evil.example/cb", "https://localhost/cb", "http://127.0.0.1:1/other", "http://LOCALHOST/cb"} {
		if page := b.open(s.wish("redirect_uri", uri)); page.StatusCode != 400 {
			t.Errorf("C11 %s: %d %s", uri, page.StatusCode, page.body)
		}
	}
	n, s = startOpen(t)
	b = n.browser()
	if page := string(b.login(b.open(s.wish())).body); !strings.Contains(page, "client.example") || strings.Contains(page, "your device only") {
		t.Errorf("%s", page)
	}
}

func TestABlockedClientStaysOut(t *testing.T) {
	t.Parallel()
	n, s := startOpen(t)
	a := n.letIn(s)
	if w := n.operatorCall("POST", "/clients/"+url.PathEscape(s.id)+"/disable", `{"reason":"a test"}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	n.dead(t, "its token", a.str("access_token"))
	n.refreshed(s, a.str("refresh_token")).want(t, 401, "invalid_client")
	n.clock.Add(400 * storage.Day) // its record is not forgotten
	if page := n.browser().open(s.wish()); page.StatusCode != 400 {
		t.Errorf("%d %s", page.StatusCode, page.body)
	}
	if w := n.operatorCall("POST", "/clients/"+url.PathEscape(s.id)+"/enable", ""); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	n.letIn(s)
	if w := n.operatorCall("DELETE", "/clients/"+url.PathEscape(s.id), ""); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	a = n.letIn(s)
	n.clock.Add(121 * storage.Day)
	if n.clientExists(s.id) {
		t.Error("a client that nobody uses is not forgotten")
	}
	n.refreshed(s, a.str("refresh_token")).want(t, 401, "invalid_client")
}

func TestHostsThatAreKeptOut(t *testing.T) {
	n, s := startOpen(t, func(o *options) { o.documents = []string{"*", "!127.0.0.1"} })
	if page := n.browser().open(s.wish()); page.StatusCode != 400 || !strings.Contains(string(page.body), "not let in") || s.calls.Load() != 0 {
		t.Errorf("%d %s", page.StatusCode, page.body)
	}
	off, _ := startOpen(t, func(o *options) { o.documents = nil })
	if d := off.do("GET", "/.well-known/oauth-authorization-server", "", "").ok(t, 200); d.json["client_id_metadata_document_supported"] != nil {
		t.Errorf("D7 %s", d.body)
	}
	if page := off.browser().open(s.wish()); page.StatusCode != 400 || s.calls.Load() != 0 {
		t.Errorf("%d %s", page.StatusCode, page.body)
	}
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", "x", "client_id", s.id)).want(t, 401, "invalid_client")
	if s.calls.Load() != 0 {
		t.Error("a fetch for /token")
	}
}

// A stranger is no fetch cannon.
func TestC8_StrangersCauseFewFetches(t *testing.T) {
	n, s := startOpen(t)
	s.answers(http.NotFound)
	b := n.browser()
	slowed := 0
	for i := range 50 {
		page := b.open(s.wish("client_id", fmt.Sprintf("%s/%d", s.id, i)))
		if page.StatusCode == 429 {
			if slowed++; page.Header.Get("Retry-After") == "" {
				t.Errorf("%v", page.Header)
			}
		}
	}
	if got := s.calls.Load(); got != 10 || slowed != 40 {
		t.Errorf("%d fetches, %d were told to wait", got, slowed)
	}
	n.clock.Add(time.Minute)
	s.answers(nil)
	if page := b.open(s.wish()); page.title() != "Sign in" {
		t.Errorf("a minute later: %d %s", page.StatusCode, page.body)
	}
	t.Run("many who want one cause one", func(t *testing.T) {
		n, s := startOpen(t)
		gate := make(chan struct{})
		s.answers(func(w http.ResponseWriter, r *http.Request) {
			<-gate
			s.mu.Lock()
			id := s.id
			s.mu.Unlock()
			asJSON(fmt.Sprintf(`{"client_id":%q,"redirect_uris":[%q]}`, id, mcpCallback))(w, r)
		})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if a := n.do("GET", "/authorize?"+s.wish().Encode(), "", ""); a.StatusCode != 200 {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		}
		for s.calls.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		close(gate)
		all.Wait()
		if got := s.calls.Load(); got != 1 {
			t.Errorf("%d fetches", got)
		}
	})
}
