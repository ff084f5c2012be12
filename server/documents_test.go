package server_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/outbound"
)

// site publishes the document of a client over TLS on loopback.
type site struct {
	*httptest.Server
	id    string // of the client
	calls atomic.Int64
	mu    sync.Mutex
	doc   map[string]any
	serve http.HandlerFunc // instead of the document
	cache string           // Cache-Control
}

const mcpCallback = "https://client.example/cb"

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.mu.Lock()
		doc, serve, cache := maps.Clone(s.doc), s.serve, s.cache
		s.mu.Unlock()
		if serve != nil {
			serve(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if cache != "" {
			w.Header().Set("Cache-Control", cache)
		}
		json.NewEncoder(w).Encode(doc)
	}))
	t.Cleanup(s.Close)
	s.id = s.URL + "/client.json"
	s.doc = map[string]any{
		"client_id": s.id, "client_name": "A <b>client</b>", "redirect_uris": []string{mcpCallback}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "logo_uri": "https://client.example/logo.png",
		"client_uri": "https://client.example", "scope": "everything",
	}
	return s
}

// says changes the document; nil takes a member out.
func (s *site) says(name string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doc[name] = value; value == nil {
		delete(s.doc, name)
	}
}

// answers replaces the document by a handler, nil by itself.
func (s *site) answers(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = h
}

var loopbackNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func (s *site) client(allow ...netip.Prefix) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return outbound.NewClient(outbound.Config{Allow: allow, RootCAs: roots})
}

// startOpen is a node that lets clients of the site in.
func startOpen(t *testing.T, change ...func(*options)) (*node, *site) {
	t.Helper()
	s := newSite(t)
	o := options{documents: []string{"*"}, outbound: s.client(loopbackNets...), scopes: []string{"mcp", "openid", "offline_access"}}
	for _, c := range change {
		c(&o)
	}
	return start(t, o), s
}

// wish is an authorization request of the site's client.
func (s *site) wish(pairs ...string) url.Values {
	return ask(append([]string{"client_id", s.id, "redirect_uri", mcpCallback, "scope", "mcp"}, pairs...)...)
}

func as(id string) func(*http.Request) { return func(*http.Request) {} }

// trade redeems a code of the site's client.
func (n *node) trade(s *site, code string, more ...string) answer {
	n.t.Helper()
	return n.redeem(code, as(s.id), append([]string{"client_id", s.id, "redirect_uri", mcpCallback}, more...)...)
}

func (n *node) refreshed(s *site, refresh string, more ...string) answer {
	n.t.Helper()
	return n.post("/token", form(append([]string{"grant_type", "refresh_token", "refresh_token", refresh, "client_id", s.id}, more...)...))
}

func TestC7_C8_AClientThatNobodyRegisteredGetsATokenByItsDocument(t *testing.T) {
	t.Parallel()
	n, s := startOpen(t)
	b := n.browser()
	if d := n.do("GET", "/.well-known/oauth-authorization-server", "", "").ok(t, 200); d.json["client_id_metadata_document_supported"] != true {
		t.Errorf("D7 %s", d.body)
	}
	page := b.login(b.open(s.wish("resource", "https://mcp.example/")))
	if n.clientExists(s.id) {
		t.Error("a record before any user has agreed")
	}
	if page.title() != "Allow access" {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	q := b.submit(page, "allow").back(t, mcpCallback)
	a := n.trade(s, q.Get("code"), "resource", "https://mcp.example/").ok(t, 200)
	claims := n.verified(t, a.str("access_token"))
	if fmt.Sprint(claims["aud"]) != "[https://mcp.example]" || claims["client_id"] != s.id || claims["scope"] != "mcp" || claims["sub"] != "u-alice" {
		t.Errorf("claims %v", claims)
	}
	if s.calls.Load() != 1 {
		t.Errorf("C8 the document was fetched %d times", s.calls.Load())
	}
	a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)
	if claims := n.verified(t, a.str("access_token")); fmt.Sprint(claims["aud"]) != "[https://mcp.example]" {
		t.Errorf("after a refresh %v", claims)
	}
	n.refreshed(s, a.str("refresh_token"), "resource", "https://mcp.example/two").want(t, 400, "invalid_target")
	a = n.refreshed(s, a.str("refresh_token")).ok(t, 200)

	t.Run("C11 it is asked each time", func(t *testing.T) {
		if page := b.open(s.wish()); page.title() != "Allow access" {
			t.Errorf("%d %s", page.StatusCode, page.body)
		}
		q := b.open(s.wish("prompt", "none")).offered(t, mcpCallback)
		if q.Get("error") != "consent_required" || q.Get("iss") != n.url {
			t.Errorf("%v", q)
		}
	})
	t.Run("it is listed, and its sessions end with it", func(t *testing.T) {
		if w := n.operatorCall("GET", "/clients/"+url.PathEscape(s.id), ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"document"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := n.operatorCall("GET", "/sessions?client_id="+url.QueryEscape(s.id), ""); w.Code != 200 || strings.Count(w.Body.String(), `"sid"`) != 1 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := n.operatorCall("POST", "/sessions/revoke", `{"client_id":"`+s.id+`","reason":"a test"}`); w.Code >= 300 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		n.dead(t, "the access token", a.str("access_token"))
		n.refreshed(s, a.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	if m := n.metrics(); strings.Contains(m, s.id) || !strings.Contains(m, `client_id="(documents)"`) || !strings.Contains(m, `jeton_client_documents_total{outcome="ok"} 1`) {
		t.Errorf("metrics name the client, or lack the figures: %s", m)
	}
}

func (n *node) clientExists(id string) bool {
	n.t.Helper()
	rec, _, err := n.store.Client(n.t.Context(), id)
	must(n.t, err)
	return rec.Exists()
}

func TestC7_AddressesThatAreNone(t *testing.T) {
	n, s := startOpen(t)
	b := n.browser()
	host := strings.TrimPrefix(s.URL, "https://")
	for _, id := range []string{
		"http://" + host + "/client.json", s.URL, s.URL + "/", s.URL + "//", s.URL + "/a/../client.json", s.URL + "/./client.json", s.URL + "/%2e%2e/client.json", s.URL + "/a/..",
		s.id + "#x", s.id + "#", "https://me@" + host + "/client.json", "https://me:pw@" + host + "/client.json", "HTTPS://" + host + "/client.json",
		"https:///client.json", "https://", "https:client.json", "https://" + host, "https://LOCALHOST/client.json", "https://app.example:443/c", "https://app.example:/c", "https://app.example./c",
		s.id + " ", s.id + "\t", s.id + strings.Repeat("x", 300), "ftp://" + host + "/client.json", s.URL + "/a\"b", "https://[::1%25eth0]/c", "https://exa mple/c",
		"https://%D0%B0pple.example/c", "https://l%EF%BD%8Fcalhost:" + host[strings.LastIndex(host, ":")+1:] + "/client.json", // a lookalike, and one that is looked up as localhost
	} {
		page := b.open(s.wish("client_id", id))
		if page.StatusCode != 400 || !strings.Contains(string(page.body), "invalid_client") && !strings.Contains(string(page.body), "invalid_request") {
			t.Errorf("%q: %d %s", id, page.StatusCode, page.body)
		}
	}
	if s.calls.Load() != 0 {
		t.Errorf("%d fetches", s.calls.Load())
	}
}

// Whatever is wrong with a document, its author is told on the page, nothing goes
// to any redirect URI, and nothing is kept.
func TestC8_C10_DocumentsThatAreRefused(t *testing.T) {
	n, s := startOpen(t)
	const private = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	for _, c := range []struct {
		what, word string
		name       string
		value      any
		serve      http.HandlerFunc
	}{
		{what: "another client_id", word: "client_id", name: "client_id", value: s.id + "?"},
		{what: "no client_id", word: "client_id", name: "client_id", value: nil},
		{what: "a secret", word: "client_secret", name: "client_secret", value: "x"},
		{what: "the end of a secret", word: "client_secret_expires_at", name: "client_secret_expires_at", value: 0},
		{what: "client_secret_basic", word: "token_endpoint_auth_method", name: "token_endpoint_auth_method", value: "client_secret_basic"},
		{what: "client_secret_jwt", word: "token_endpoint_auth_method", name: "token_endpoint_auth_method", value: "client_secret_jwt"},
		{what: "keys that are none", word: "jwks", name: "token_endpoint_auth_method", value: "private_key_jwt"},
		{what: "no redirect URI", word: "redirect_uris", name: "redirect_uris", value: nil},
		{what: "a wrong redirect URI", word: "redirect_uris", name: "redirect_uris", value: []string{"javascript:alert(1)"}},
		{what: "redirect URIs of another type", word: "redirect_uris", name: "redirect_uris", value: "https://client.example/cb"},
		{what: "no grant for it", word: "grant_types", name: "grant_types", value: []string{"client_credentials"}},
		{what: "no response type for it", word: "grant_types", name: "response_types", value: []string{"token"}},
		{what: "too large", word: "larger than 5 KiB", name: "x", value: strings.Repeat("x", 5<<10)},
		{what: "404", word: "status 404", serve: http.NotFound},
		{what: "201", word: "status 201", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }},
		{what: "a redirect", word: "status 302", serve: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }},
		{what: "HTML", word: "not JSON", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "{}")
		}},
		{what: "no JSON", word: "JSON object", serve: asJSON("{")},
		{what: "an array", word: "JSON object", serve: asJSON("[]")},
		{what: "a member twice", word: "twice", serve: asJSON(`{"client_id":"` + s.id + `","client_id":"x"}`)},
		{what: "a private key", word: "private member", serve: asJSON(`{"client_id":"` + s.id + `","redirect_uris":["` + mcpCallback + `"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + private + `]}}`)},
		{what: "keys elsewhere", word: "jwks_uri", serve: asJSON(`{"client_id":"` + s.id + `","redirect_uris":["` + mcpCallback + `"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://other.example/keys"}`)},
	} {
		n.clock.Add(10 * time.Minute) // so that nothing is too much
		b := n.browser()
		before := s.doc["grant_types"]
		was, there := s.doc[c.name]
		if c.name != "" {
			s.says(c.name, c.value)
		}
		s.answers(c.serve)
		page := b.open(s.wish())
		if page.StatusCode != 400 || !strings.Contains(string(page.body), c.word) || !strings.Contains(string(page.body), "invalid_client") || page.Header.Get("Location") != "" {
			t.Errorf("%s: %d %s", c.what, page.StatusCode, page.body)
		}
		s.answers(nil)
		if s.says(c.name, was); !there {
			s.says(c.name, nil)
		}
		s.says("grant_types", before)
		n.clock.Add(10 * time.Minute)
		if page := n.browser().open(s.wish()); page.title() != "Sign in" { // the failure was not kept
			t.Fatalf("%s, repaired: %d %s", c.what, page.StatusCode, page.body)
		}
		n.clock.Add(2 * time.Hour) // nor what came after it
	}
	if n.clientExists(s.id) {
		t.Error("a record")
	}
}

func asJSON(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
}

// None of these addresses is dialled, however it is spelt.
func TestC9_NoDocumentIsFetchedFromWithin(t *testing.T) {
	s := newSite(t)
	n := start(t, options{documents: []string{"*"}, outbound: s.client()}) // no network is allowed
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	for _, host := range []string{
		"127.0.0.1", "127.9.9.9", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0",
		"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fc00::1]", "169.254.169.254", "[fe80::1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::1]",
	} {
		n.clock.Add(10 * time.Minute)
		page := n.browser().open(s.wish("client_id", "https://"+host+":"+port+"/client.json"))
		if page.StatusCode != 400 || !strings.Contains(string(page.body), "cannot be reached") || strings.Contains(string(page.body), "allow-list") {
			t.Errorf("%s: %d %s", host, page.StatusCode, page.body)
		}
	}
	if s.calls.Load() != 0 {
		t.Errorf("%d fetches", s.calls.Load())
	}
	if !strings.Contains(n.metrics(), `jeton_client_documents_total{outcome="address"} 17`) {
		t.Errorf("%s", n.metrics())
	}
}
