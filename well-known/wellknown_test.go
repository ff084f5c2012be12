package wellknown

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"jeton/keys"
	"jeton/storage"
	"jeton/storage/chosen"
)

func newRing(t testing.TB) (*keys.Ring, *storage.Store) {
	t.Helper()
	b, err := chosen.Open(t.Context(), filepath.Join(t.TempDir(), "jeton.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s := storage.New(b)
	master, err := keys.NewMasterKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	r, err := keys.Open(t.Context(), s, master, keys.Config{Alg: keys.ES256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, s
}

// facts are those of a server as it is by default.
func facts(issuer string) Config {
	all := []string{storage.AuthBasic, storage.AuthPost, storage.AuthPrivateKeyJWT, storage.AuthNone}
	return Config{
		Issuer:        issuer,
		Token:         Endpoint{"/token", all},
		Revocation:    Endpoint{"/revoke", all},
		Introspection: Endpoint{"/introspect", all[:2]},
		Grants:        []string{storage.GrantRefreshToken, storage.GrantClientCredentials},
		AssertionAlgs: []string{keys.RS256, keys.ES256},
		DPoPAlgs:      []string{keys.ES256}, SignedIntrospection: true,
	}
}

// serve mounts the documents the way a server does.
func serve(t testing.TB, c Config, ring *keys.Ring) http.Handler {
	t.Helper()
	routes, err := Routes(c, ring)
	if err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	for _, r := range routes {
		router.Handle(r.Path, r.Handler)
	}
	return router
}

func ask(h http.Handler, method, path string, header ...string) *http.Response {
	req := httptest.NewRequest(method, "https://other.example"+path, nil)
	req.Host = "evil.example"
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func members(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

const (
	jwksAt   = "/.well-known/jwks.json"
	serverAt = "/.well-known/oauth-authorization-server"
	openidAt = "/.well-known/openid-configuration"
)

func TestD1_D2_D3_PlacesOfTheDocuments(t *testing.T) {
	ring, _ := newRing(t)
	for _, tt := range []struct {
		issuer    string
		here      []string
		elsewhere []string
	}{
		{"https://h.example", []string{jwksAt, serverAt, openidAt},
			[]string{serverAt + "/tenant", openidAt + "/tenant", "/tenant" + openidAt, "/tenant" + jwksAt, "/.well-known/", serverAt + "/"}},
		{"https://h.example/tenant", []string{"/tenant" + jwksAt, serverAt + "/tenant", openidAt + "/tenant", "/tenant" + openidAt},
			[]string{serverAt, openidAt, jwksAt, serverAt + "/other", openidAt + "/other", "/other" + openidAt, "/other" + jwksAt, serverAt + "/tenant/x"}},
		{"https://h.example/tenant/", []string{"/tenant" + jwksAt, serverAt + "/tenant", openidAt + "/tenant", "/tenant" + openidAt},
			[]string{serverAt, serverAt + "/tenant/"}},
		{"https://h.example/a/b.c", []string{"/a/b.c" + jwksAt, serverAt + "/a/b.c", openidAt + "/a/b.c", "/a/b.c" + openidAt},
			[]string{serverAt + "/a", "/a" + openidAt, serverAt + "/a/bxc"}},
	} {
		h := serve(t, facts(tt.issuer), ring)
		for _, path := range tt.here {
			res := ask(h, "GET", path)
			if text := body(t, res); res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("D1 %s %s: %d %s", tt.issuer, path, res.StatusCode, text)
			} else if !strings.HasSuffix(path, jwksAt) && members(t, text)["issuer"] != tt.issuer {
				t.Errorf("D1 %s %s names the issuer %v", tt.issuer, path, members(t, text)["issuer"])
			} else if at := strings.TrimSuffix(tt.issuer, "/") + "/token"; !strings.HasSuffix(path, jwksAt) && members(t, text)["token_endpoint"] != at {
				t.Errorf("D3 %s %s: the token endpoint is not at %s", tt.issuer, path, at)
			}
		}
		for _, path := range tt.elsewhere {
			if res := ask(h, "GET", path); res.StatusCode != 404 {
				t.Errorf("D3 %s %s: %d", tt.issuer, path, res.StatusCode)
			}
		}
	}
}

func TestD4_D5_D6_D8_D9_D13_Metadata(t *testing.T) {
	ring, _ := newRing(t)
	c := facts("https://h.example/tenant")
	want := map[string]string{
		"issuer":                                "https://h.example/tenant",
		"token_endpoint":                        "https://h.example/tenant/token",
		"revocation_endpoint":                   "https://h.example/tenant/revoke",
		"introspection_endpoint":                "https://h.example/tenant/introspect",
		"jwks_uri":                              "https://h.example/tenant/.well-known/jwks.json",
		"response_types_supported":              "[]",
		"grant_types_supported":                 `["refresh_token","client_credentials"]`,
		"token_endpoint_auth_methods_supported": `["client_secret_basic","client_secret_post","private_key_jwt","none"]`,
		"token_endpoint_auth_signing_alg_values_supported":      `["RS256","ES256"]`,
		"revocation_endpoint_auth_methods_supported":            `["client_secret_basic","client_secret_post","private_key_jwt","none"]`,
		"revocation_endpoint_auth_signing_alg_values_supported": `["RS256","ES256"]`,
		"introspection_endpoint_auth_methods_supported":         `["client_secret_basic","client_secret_post"]`,
		"introspection_signing_alg_values_supported":            `["ES256"]`,
		"dpop_signing_alg_values_supported":                     `["ES256"]`,
	}
	check := func(t *testing.T, path string) {
		t.Helper()
		got := members(t, body(t, ask(serve(t, c, ring), "GET", path)))
		for name, value := range got {
			text, isText := value.(string)
			if !isText {
				b, _ := json.Marshal(value)
				text = string(b)
			}
			if want[name] != text {
				t.Errorf("D10 %s is %s, want %q", name, text, want[name])
			}
		}
		if len(got) != len(want) {
			t.Errorf("D5 %d members, want %d", len(got), len(want))
		}
	}
	t.Run("D4 D5 D6 D8 D9 authorization server", func(t *testing.T) { check(t, serverAt+"/tenant") })

	c.Scopes, c.ServiceDocumentation = []string{"read"}, "https://docs.example"
	want["scopes_supported"], want["service_documentation"] = `["read"]`, "https://docs.example"
	want["subject_types_supported"], want["id_token_signing_alg_values_supported"] = `["public"]`, `["ES256"]`
	for _, name := range []string{"claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported"} {
		want[name] = "false"
	}
	t.Run("D4 openid", func(t *testing.T) { check(t, "/tenant"+openidAt) })

	c.Authorization, c.Push, c.RequirePush, c.ResponseTypes, c.ResponseModes = "/authorize", "/par", true, []string{"code"}, []string{"query"}
	c.ACRs, c.Userinfo, c.EndSession, c.Claims = []string{"urn:x"}, "/userinfo", "/end_session", []string{"sub"}
	c.Backchannel = true
	for name, value := range map[string]string{
		"backchannel_logout_supported": "true", "backchannel_logout_session_supported": "true",
		"authorization_endpoint": c.Issuer + "/authorize", "pushed_authorization_request_endpoint": c.Issuer + "/par", "require_pushed_authorization_requests": "true",
		"authorization_response_iss_parameter_supported": "true", "response_types_supported": `["code"]`, "response_modes_supported": `["query"]`, "code_challenge_methods_supported": `["S256"]`,
		"acr_values_supported": `["urn:x"]`, "userinfo_endpoint": c.Issuer + "/userinfo", "end_session_endpoint": c.Issuer + "/end_session", "claims_supported": `["sub"]`, "claim_types_supported": `["normal"]`,
	} {
		want[name] = value
	}
	t.Run("D4 D5 with an authorization endpoint", func(t *testing.T) { check(t, "/tenant"+openidAt) })

	c = Config{Issuer: "https://h.example"}
	want = map[string]string{"issuer": c.Issuer, "jwks_uri": c.Issuer + jwksAt, "response_types_supported": "[]"}
	t.Run("D9 D10 nothing there, nothing said", func(t *testing.T) { check(t, serverAt) })
}

func TestRoutesRefusesWhatIsNotTrue(t *testing.T) {
	ring, _ := newRing(t)
	for name, change := range map[string]func(*Config){
		"no issuer":               func(c *Config) { c.Issuer = "" },
		"issuer without host":     func(c *Config) { c.Issuer = "https:///x" },
		"issuer of another kind":  func(c *Config) { c.Issuer = "ftp://h.example" },
		"D1 issuer with query":    func(c *Config) { c.Issuer = "https://h.example?a=b" },
		"D1 issuer with ?":        func(c *Config) { c.Issuer = "https://h.example/?" },
		"D1 issuer with fragment": func(c *Config) { c.Issuer = "https://h.example#" },
		"issuer with user":        func(c *Config) { c.Issuer = "https://u@h.example" },
		"issuer with //":          func(c *Config) { c.Issuer = "https://h.example//" },
		"issuer with ..":          func(c *Config) { c.Issuer = "https://h.example/a/../b" },
		"issuer with %":           func(c *Config) { c.Issuer = "https://h.example/%61" },
		"issuer with {":           func(c *Config) { c.Issuer = "https://h.example/{x}" },
		"D6 none":                 func(c *Config) { c.AssertionAlgs = []string{"none"} },
		"D6 no algorithms":        func(c *Config) { c.AssertionAlgs = nil },
		"D8 no methods":           func(c *Config) { c.Token.AuthMethods = nil },
		"D8 no grants":            func(c *Config) { c.Grants = nil },
		"methods of no endpoint":  func(c *Config) { c.Revocation.Path = "" },
		"no response types":       func(c *Config) { c.Authorization = "/authorize" },
		"response types alone":    func(c *Config) { c.ResponseTypes = []string{"code"} },
		"a relative userinfo":     func(c *Config) { c.Userinfo = "userinfo" },
		"a relative path":         func(c *Config) { c.Token.Path = "token" },
	} {
		c := facts("https://h.example")
		change(&c)
		if _, err := Routes(c, ring); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestJ2_MediaTypeOfTheKeySet(t *testing.T) {
	ring, _ := newRing(t)
	h := serve(t, facts("https://h.example"), ring)
	for accept, want := range map[string]string{
		"":                         "application/json",
		"*/*":                      "application/json",
		"text/html":                "application/json",
		"application/json":         "application/json",
		"application/jwk-set+json": "application/jwk-set+json",
		"application/json, application/jwk-set+json":       "application/json",
		"application/jwk-set+json, application/json;q=0.9": "application/jwk-set+json",
		"application/json, application/jwk-set+json;q=0.5": "application/json",
		"application/jwk-set+json;q=0":                     "application/json",
		"application/jwk-set+json;q=x, ;;;,":               "application/json",
		"APPLICATION/JWK-SET+JSON, */*;q=0.1":              "application/jwk-set+json",
	} {
		res := ask(h, "GET", jwksAt, "Accept", accept)
		if got := res.Header.Get("Content-Type"); got != want || res.Header.Get("Vary") != "Accept" || body(t, res) != string(ring.KeySet().JSON) {
			t.Errorf("J2 Accept %q: %s", accept, got)
		}
		if got := ask(h, "GET", serverAt, "Accept", accept).Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("J2 Accept %q for the metadata: %s", accept, got)
		}
	}
	plain, named := ask(h, "GET", jwksAt), ask(h, "GET", jwksAt, "Accept", "application/jwk-set+json")
	if plain.Header.Get("ETag") == named.Header.Get("ETag") {
		t.Error("J3 two media types share a strong ETag")
	}
}

func TestJ3_Headers(t *testing.T) {
	ring, _ := newRing(t)
	h := serve(t, facts("https://h.example"), ring)
	for _, path := range []string{jwksAt, serverAt, openidAt} {
		res := ask(h, "GET", path)
		text, etag := body(t, res), res.Header.Get("ETag")
		for name, want := range map[string]string{
			"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("J3 %s %s: %q", path, name, got)
			}
		}
		if len(etag) < 20 || etag[0] != '"' {
			t.Errorf("J3 %s ETag %s", path, etag)
		}
		head := ask(h, "HEAD", path)
		if head.StatusCode != 200 || body(t, head) != "" || head.Header.Get("ETag") != etag || head.ContentLength != int64(len(text)) {
			t.Errorf("J3 HEAD %s: %d %v", path, head.StatusCode, head.Header)
		}
		for _, tags := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			same := ask(h, "GET", path, "If-None-Match", tags)
			if same.StatusCode != 304 || body(t, same) != "" || same.Header.Get("ETag") != etag ||
				same.Header.Get("Cache-Control") != "public, max-age=300" || same.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("J3 %s If-None-Match %s: %d %v", path, tags, same.StatusCode, same.Header)
			}
		}
		for _, tags := range []string{`"x"`, strings.Trim(etag, `"`), ""} {
			if res := ask(h, "GET", path, "If-None-Match", tags); res.StatusCode != 200 || body(t, res) != text {
				t.Errorf("J3 %s If-None-Match %s: %d", path, tags, res.StatusCode)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if res := ask(h, method, path); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" || members(t, body(t, res))["error"] == nil {
				t.Errorf("%s %s: %d %v", method, path, res.StatusCode, res.Header)
			}
		}
		preflight := ask(h, "OPTIONS", path, "Origin", "https://spa.example", "Access-Control-Request-Headers", "if-none-match")
		if preflight.StatusCode != 204 || preflight.Header.Get("Access-Control-Allow-Origin") != "*" ||
			preflight.Header.Get("Access-Control-Allow-Headers") != "If-None-Match" || preflight.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("OPTIONS %s: %d %v", path, preflight.StatusCode, preflight.Header)
		}
	}
}

func TestDocumentsFollowTheRing(t *testing.T) {
	ring, store := newRing(t)
	h := serve(t, facts("https://h.example"), ring)
	before, metadata := ask(h, "GET", jwksAt), ask(h, "GET", serverAt)
	old := body(t, before)
	if _, err := ring.Rotate(t.Context(), keys.UseSig, true); err != nil {
		t.Fatal(err)
	}
	after := ask(h, "GET", jwksAt, "If-None-Match", before.Header.Get("ETag"))
	if text := body(t, after); after.StatusCode != 200 || text == old || text != string(ring.KeySet().JSON) {
		t.Errorf("after a rotation: %d %s", after.StatusCode, text)
	}
	if again := ask(h, "GET", serverAt); again.Header.Get("ETag") != metadata.Header.Get("ETag") {
		t.Error("the metadata have changed with the keys")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{jwksAt, serverAt, openidAt} {
		if res := ask(h, "GET", path); res.StatusCode != 200 {
			t.Errorf("%s without the store: %d", path, res.StatusCode)
		}
	}
}

func TestSharedHeadersAreNotChangedByAnswers(t *testing.T) {
	ring, _ := newRing(t)
	h := serve(t, facts("https://h.example"), ring)
	wrapped := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h.ServeHTTP(w, req)
		for name := range w.Header() {
			w.Header().Add(name, "x")
		}
	})
	want := ask(h, "GET", jwksAt).Header
	ask(wrapped, "GET", jwksAt)
	for name, values := range ask(h, "GET", jwksAt).Header {
		if !slices.Equal(values, want[name]) {
			t.Errorf("%s has become %v", name, values)
		}
	}
}

// The rate over a real connection, beside that of a handler that does nothing
// but write as many bytes.
func benchmarkHandler(b *testing.B, h http.Handler) {
	server := httptest.NewServer(h)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Get(server.URL + jwksAt)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				b.Error(err)
			}
			res.Body.Close()
		}
	})
}

func BenchmarkServe(b *testing.B) {
	ring, _ := newRing(b)
	routes, err := Routes(facts("https://h.example"), ring)
	if err != nil {
		b.Fatal(err)
	}
	text := ring.KeySet().JSON
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(text)
	})
	b.Run("bare", func(b *testing.B) { benchmarkHandler(b, bare) })
	b.Run("jwks", func(b *testing.B) { benchmarkHandler(b, routes[0].Handler) })
}
