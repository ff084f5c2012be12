package server_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/clients"
	"jeton/keys"
	"jeton/outbound"
)

// keyClient registers a client that authenticates with private_key_jwt.
func (n *node) keyClient(id string, of ...jwtKey) {
	n.t.Helper()
	must(n.t, n.addClient(accounts.NewClient{ID: id, ClientSettings: accounts.ClientSettings{
		JWKS: accounts.To(json.RawMessage(keySet(n.t, of...))), Grants: accounts.To([]string{"client_credentials", "password", "refresh_token", "authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}),
		RedirectURIs: accounts.To([]string{callback}), Scope: accounts.To("read"), Introspect: accounts.To(true)}}))
}

// assertion is a good one of the client worker, with changes.
func (n *node) assertion(k jwtKey, changes map[string]any) string {
	n.t.Helper()
	return n.typedAssertion(k, k.headerOf("client-authentication+jwt"), changes)
}

func (n *node) typedAssertion(k jwtKey, header string, changes map[string]any) string {
	n.t.Helper()
	claims := map[string]any{
		"iss": "worker", "sub": "worker", "aud": n.grants.Settings.Issuer, "jti": rand.Text(),
		"iat": n.clock.Now().Unix(), "exp": n.clock.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(claims)
	must(n.t, err)
	return k.sign(n.t, header, string(text))
}

func asserted(assertion string, pairs ...string) url.Values {
	return form(append([]string{"client_assertion", assertion, "client_assertion_type", clients.AssertionType}, pairs...)...)
}

func (n *node) withAssertion(k jwtKey, changes map[string]any, pairs ...string) url.Values {
	n.t.Helper()
	return asserted(n.assertion(k, changes), pairs...)
}

// endpoints are those at which clients authenticate, each with a form that is
// good.
var endpoints = map[string][]string{
	"/token":      {"grant_type", "client_credentials"},
	"/revoke":     {"token", "x"},
	"/introspect": {"token", "x"},
	"/par": {"response_type", "code", "redirect_uri", callback, "scope", "read",
		"code_challenge", challengeOf(verifier), "code_challenge_method", "S256"},
	"/device_authorization": {"scope", "read"},
}

// done is the status of a request to one of them that is right.
func done(path string) int {
	if path == "/par" {
		return 201
	}
	return 200
}

// Each endpoint at which the metadata have clients authenticate is tried: one that
// comes later and is not in the list above fails here.
func TestK10_K11_K12_EveryEndpointIsTried(t *testing.T) {
	n := start(t, options{})
	meta := n.do("GET", "/.well-known/oauth-authorization-server", "", "").ok(t, 200).json
	found := 0
	for name, value := range meta {
		// Others are for browsers, for access tokens, or for everyone.
		if !slices.Contains([]string{"token_endpoint", "revocation_endpoint", "introspection_endpoint", "pushed_authorization_request_endpoint",
			"device_authorization_endpoint", "backchannel_authentication_endpoint"}, name) {
			continue
		}
		found++
		if path := strings.TrimPrefix(value.(string), n.url); endpoints[path] == nil {
			t.Errorf("%s is published, and %s is not tried with assertions", name, path)
		}
	}
	if found != len(endpoints) {
		t.Errorf("%d endpoints are published, %d are tried", found, len(endpoints))
	}
}

func startWorker(t *testing.T) (*node, jwtKey) {
	t.Helper()
	n, key := start(t, options{}), newKey(t, "k1", keys.ES256)
	n.keyClient("worker", key)
	return n, key
}

func TestK10_AssertionsAuthenticateOnce(t *testing.T) {
	n, key := startWorker(t)
	for path, good := range endpoints {
		t.Run(path, func(t *testing.T) {
			f := n.withAssertion(key, nil, good...)
			n.post(path, f).ok(t, done(path))
			for again := range endpoints {
				n.post(again, asserted(f.Get("client_assertion"), endpoints[again]...)).want(t, 401, "invalid_client")
			}
			n.post(path, n.withAssertion(key, nil, append(good, "client_id", "worker")...)).ok(t, done(path))
			n.post(path, n.withAssertion(key, map[string]any{"iat": nil}, good...)).ok(t, done(path))
		})
	}
	a := n.post("/token", n.withAssertion(key, nil, "grant_type", "password", "username", "alice", "password", password)).ok(t, 200)
	a = n.post("/token", n.withAssertion(key, nil, "grant_type", "refresh_token", "refresh_token", a.str("refresh_token"))).ok(t, 200)
	if got := n.post("/introspect", n.withAssertion(key, nil, "token", a.str("access_token"))); got.json["active"] != true {
		t.Errorf("introspected: %s", got.body)
	}
	n.post("/revoke", n.withAssertion(key, nil, "token", a.str("refresh_token"))).revoked(t, "with an assertion")
	n.dead(t, "revoked with an assertion", a.str("access_token"))
}

func TestK10_BadAssertions(t *testing.T) {
	n, key := startWorker(t)
	now := n.clock.Now()
	thief := newKey(t, "k1", keys.ES256)
	for what, assertion := range map[string]string{
		"another's key":      n.assertion(thief, nil),
		"iss is not sub":     n.assertion(key, map[string]any{"iss": "app"}),
		"of another client":  n.assertion(key, map[string]any{"iss": "app", "sub": "app"}),
		"no iss":             n.assertion(key, map[string]any{"iss": nil}),
		"no sub":             n.assertion(key, map[string]any{"sub": nil}),
		"nobody":             n.assertion(key, map[string]any{"iss": "nobody", "sub": "nobody"}),
		"no jti":             n.assertion(key, map[string]any{"jti": nil}),
		"jti is no string":   n.assertion(key, map[string]any{"jti": 1}),
		"no exp":             n.assertion(key, map[string]any{"exp": nil}),
		"exp is no number":   n.assertion(key, map[string]any{"exp": "soon"}),
		"expired":            n.assertion(key, map[string]any{"exp": now.Add(-11 * time.Second).Unix()}),
		"expires next year":  n.assertion(key, map[string]any{"exp": now.AddDate(1, 0, 0).Unix()}),
		"issued in future":   n.assertion(key, map[string]any{"iat": now.Add(61 * time.Second).Unix()}),
		"not before a while": n.assertion(key, map[string]any{"nbf": now.Add(61 * time.Second).Unix()}),
		"unknown kid":        n.typedAssertion(key, `{"alg":"ES256","kid":"k2"}`, nil),
		"alg none":           n.typedAssertion(key, `{"alg":"none","kid":"k1"}`, nil),
		"not a JWT":          "x",
	} {
		t.Run(what, func(t *testing.T) {
			for path, good := range endpoints {
				a := n.post(path, asserted(assertion, good...))
				a.want(t, 401, "invalid_client")
				a.wellFormed(t)
			}
		})
	}
	for path, good := range endpoints {
		good := n.withAssertion(key, nil, good...)
		set := func(name, value string) url.Values {
			f := maps.Clone(good)
			f.Set(name, value)
			return f
		}
		n.post(path, set("client_id", "app")).want(t, 401, "invalid_client")
		n.post(path, set("client_secret", appSecret)).want(t, 400, "invalid_request")
		n.post(path, good, app).want(t, 400, "invalid_request")
		n.post(path, set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")).want(t, 401, "invalid_client")
		n.post(path, set("client_assertion_type", "")).want(t, 401, "invalid_client")
		n.post(path, set("client_assertion", "")).want(t, 401, "invalid_client")
		n.post(path, form("client_id", "worker")).want(t, 401, "invalid_client")
		n.post(path, form("client_id", "worker", "client_secret", appSecret)).want(t, 401, "invalid_client")
		n.post(path, good).ok(t, done(path)) // none of that has spent it
	}
	// A client with a secret does not become one with a key by sending one.
	n.post("/token", n.withAssertion(key, map[string]any{"iss": "app", "sub": "app"}, endpoints["/token"]...)).want(t, 401, "invalid_client")
}

func TestK10_FiftyUsesAtOnceAreOne(t *testing.T) {
	n, key := startWorker(t)
	nodes := []*node{n, n.peer()}
	for range 3 {
		f := n.withAssertion(key, nil, "grant_type", "client_credentials")
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				switch a := nodes[i%2].post("/token", f); {
				case a.StatusCode == 200:
					won.Add(1)
				case a.StatusCode == 401 && a.str("error") == "invalid_client":
					lost.Add(1)
				default:
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 49 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
	}
}

func TestK11_AssertionsAreForThisIssuerAlone(t *testing.T) {
	n, key := startWorker(t)
	for path, good := range endpoints {
		for _, aud := range []any{
			n.url + path, n.url + "/", n.url + "/token", []string{n.url, "https://other.example"}, []string{n.url, n.url}, []string{},
			strings.ToUpper(n.url), "worker", nil, 1, []any{1}, []any{[]string{n.url}}, map[string]string{n.url: ""}, "",
		} {
			if a := n.post(path, n.withAssertion(key, map[string]any{"aud": aud}, good...)); a.StatusCode != 401 || a.str("error") != "invalid_client" {
				t.Errorf("%s with aud %v: %d %s", path, aud, a.StatusCode, a.body)
			}
		}
		n.post(path, n.withAssertion(key, map[string]any{"aud": []string{n.url}}, good...)).ok(t, done(path))
		n.post(path, n.withAssertion(key, map[string]any{"aud": n.url}, good...)).ok(t, done(path))
	}
}

func TestK12_TypesOfAssertions(t *testing.T) {
	n, key := startWorker(t)
	for path, good := range endpoints {
		for typ, status := range map[string]int{
			`,"typ":"client-authentication+jwt"`: 200, `,"typ":"application/client-authentication+jwt"`: 200, `,"typ":"Client-Authentication+JWT"`: 200,
			`,"typ":"JWT"`: 200, `,"typ":"jwt"`: 200, ``: 200,
			`,"typ":"at+jwt"`: 401, `,"typ":"rt+jwt"`: 401, `,"typ":"dpop+jwt"`: 401, `,"typ":"oauth-authz-req+jwt"`: 401, `,"typ":"logout+jwt"`: 401,
			`,"typ":"secevent+jwt"`: 401, `,"typ":"token-introspection+jwt"`: 401, `,"typ":"statuslist+jwt"`: 401, `,"typ":1`: 401, `,"typ":null`: 401,
		} {
			a := n.post(path, asserted(n.typedAssertion(key, `{"alg":"ES256","kid":"k1"`+typ+`}`, nil), good...))
			if status == 200 {
				status = done(path)
			}
			if a.StatusCode != status {
				t.Errorf("%s with %s: %d %s, want %d", path, typ, a.StatusCode, a.body, status)
			}
		}
	}
}

// keyHost is where a client publishes its keys.
type keyHost struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request)
	calls  int
	dialed atomic.Int32
}

func newKeyHost(t *testing.T) *keyHost {
	h := new(keyHost)
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls++
		w.Header().Set("Content-Type", "application/json")
		h.answer(w, r)
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			h.dialed.Add(1)
		}
	}
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (h *keyHost) publish(body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		fmt.Fprint(w, body)
	}
}

func (h *keyHost) called() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// outward trusts the host's certificate and may call it.
func (h *keyHost) outward() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	return outbound.NewClient(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: pool, MaxBytes: keys.MaxJWKSet})
}

func (n *node) uriClient(t *testing.T, uri string) {
	t.Helper()
	n.operator("POST", "/clients", `{"client_id":"worker","jwks_uri":"`+uri+`","grant_types":["client_credentials","authorization_code","urn:ietf:params:oauth:grant-type:device_code"],"redirect_uris":["`+callback+`"],"scope":"read"}`).ok(t, 201)
}

func TestK14_KeysAreFetchedOnceAndAgainForAnUnknownKid(t *testing.T) {
	host := newKeyHost(t)
	old, young := newKey(t, "old", keys.ES256), newKey(t, "young", keys.EdDSA)
	host.publish(keySet(t, old))
	n := start(t, options{outbound: host.outward()})
	n.uriClient(t, host.URL+"/keys")
	calls := func(what string, want int) {
		t.Helper()
		if got := host.called(); got != want {
			t.Errorf("%s: fetched %d times, want %d", what, got, want)
		}
	}
	calls("registered", 0)
	for path, good := range endpoints {
		n.post(path, n.withAssertion(old, nil, good...)).ok(t, done(path))
	}
	calls("an assertion at each", 1)
	host.publish(keySet(t, old, young))
	n.clock.Add(10 * time.Second)
	for range 5 {
		n.post("/token", n.withAssertion(young, nil, endpoints["/token"]...)).want(t, 401, "invalid_client")
	}
	calls("unknown kid, a moment after", 1)
	n.clock.Add(30 * time.Second)
	for range 5 {
		n.post("/token", n.withAssertion(young, nil, endpoints["/token"]...)).ok(t, 200)
	}
	calls("unknown kid, later", 2)
	// Strangers with kids that nobody has bring about no more than that.
	thief := newKey(t, "thief", keys.ES256)
	for range 20 {
		n.post("/token", n.withAssertion(thief, nil, endpoints["/token"]...)).want(t, 401, "invalid_client")
	}
	calls("kids that nobody has", 2)
	host.publish(keySet(t, young))
	n.clock.Add(6 * time.Minute)
	n.post("/token", n.withAssertion(old, nil, endpoints["/token"]...)).want(t, 401, "invalid_client")
	calls("a key that was withdrawn", 3)
}

func TestK14_WhatIsNotFetched(t *testing.T) {
	host, elsewhere := newKeyHost(t), newKeyHost(t)
	key := newKey(t, "k1", keys.ES256)
	elsewhere.publish(keySet(t, key))
	n := start(t, options{outbound: host.outward()})
	n.uriClient(t, host.URL)
	for what, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
			fmt.Fprint(w, keySet(t, key))
		},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[` + strings.Repeat(" ", keys.MaxJWKSet)))
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, keySet(t, key))
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, keySet(t, key)) },
		"no keys":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"a secret": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[{"kty":"oct","kid":"k1","k":"AAAA"}]}`)
		},
		"hanging up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"private key": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[{"kty":"RSA","d":"AQAB"}]}`) },
	} {
		t.Run(what, func(t *testing.T) {
			n.clock.Add(2 * time.Hour)
			host.mu.Lock()
			host.answer = answer
			host.mu.Unlock()
			before := host.called()
			n.post("/token", n.withAssertion(key, nil, endpoints["/token"]...)).want(t, 401, "invalid_client")
			// net/http tries once more when a connection it kept turns out dead.
			if got := host.called() - before; got != 1 && (got != 2 || what != "hanging up") || elsewhere.called() != 0 {
				t.Errorf("fetched %d times, elsewhere %d times", got, elsewhere.called())
			}
		})
	}
	n.clock.Add(2 * time.Hour)
	host.publish(keySet(t, key))
	n.post("/token", n.withAssertion(key, nil, endpoints["/token"]...)).ok(t, 200)
}

// Without an allow-list the server calls no neighbour of its own: not even a
// connection is made.
func TestK14_PrivateAddressesAreNotCalled(t *testing.T) {
	host := newKeyHost(t)
	key := newKey(t, "k1", keys.ES256)
	host.publish(keySet(t, key))
	n := start(t, options{})
	n.uriClient(t, host.URL)
	n.post("/token", n.withAssertion(key, nil, endpoints["/token"]...)).want(t, 401, "invalid_client")
	if host.dialed.Load() != 0 {
		t.Error("the server called its neighbour")
	}
	for _, uri := range []string{"http://keys.example", "file:///etc/passwd", "https://", "https://user:pw@keys.example/", "//keys.example", "ftp://keys.example"} {
		n.operator("POST", "/clients", `{"client_id":"w","jwks_uri":"`+uri+`","grant_types":["client_credentials"],"scope":"read"}`).want(t, 400, "invalid_request")
	}
}
