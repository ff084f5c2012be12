package verify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// world is an API with a verifier.
func serve(t *testing.T, change func(o *Options), needs ...Need) (*issuer, func(set func(r *http.Request)) *httptest.ResponseRecorder) {
	is := newIssuer(t)
	v := is.verifier(t, change)
	h := v.Require(needs...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Sub", FromContext(r.Context()).Subject)
	}))
	return is, func(set func(r *http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/orders?x=1", nil)
		set(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
}

func bearer(token string) func(r *http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// refused checks a refusal as RFC 6750 §3 has it.
func refusedBy(t *testing.T, what string, w *httptest.ResponseRecorder, status int, code, challenge string) {
	t.Helper()
	var body struct {
		Error       string
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Errorf("%s: %q", what, w.Body)
	}
	h := w.Header()
	if w.Code != status || body.Error != code || body.Description == "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" || h.Get("Sub") != "" {
		t.Errorf("%s: %d %s %v", what, w.Code, w.Body, h)
	}
	got := h.Get("WWW-Authenticate")
	if challenge != "" {
		if i := strings.Index(got, `error_description="`); i >= 0 { // words may change
			j := i + len(`error_description="`)
			got = got[:i] + "…" + got[j+strings.Index(got[j:], `"`)+1:]
		}
	}
	if got != challenge {
		t.Errorf("%s: WWW-Authenticate: %s\nwant %s", what, got, challenge)
	}
}

func TestB1_B2_B3_B4_B5_B6_B9_D16_Refusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is, do := serve(t, func(o *Options) { o.Realm, o.Resource = "shop", shop+"/v1" }, Scopes("read", "write"), AnyRole("ROLE_USER", "ROLE_ADMIN"))
		const meta = `, resource_metadata="https://shop.example/.well-known/oauth-protected-resource/v1"`
		good := access(t, 7, nil)
		for _, scheme := range []string{"Bearer", "bearer", "BEARER "} {
			if w := do(func(r *http.Request) { r.Header.Set("Authorization", scheme+" "+good) }); w.Code != 200 || w.Header().Get("Sub") != "u1" {
				t.Errorf("B6 %s: %d %s", scheme, w.Code, w.Body)
			}
		}
		refusedBy(t, "B1", do(func(r *http.Request) {}), 401, "invalid_token", `Bearer realm="shop"`+meta)
		refusedBy(t, "B1 Basic", do(func(r *http.Request) { r.SetBasicAuth("a", "b") }), 401, "invalid_token", `Bearer realm="shop"`+meta)
		refusedBy(t, "B1 a cookie, not asked for", do(func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "access", Value: good}) }), 401, "invalid_token", `Bearer realm="shop"`+meta)
		invalid := `Bearer realm="shop", error="invalid_token", …` + meta
		for what, token := range map[string]string{
			"malformed": "x", "another API": access(t, 7, map[string]any{"aud": "x"}), "changed": good[:len(good)-8] + "AAAAAAAA",
			"expired": access(t, 7, map[string]any{"exp": 1}), "no status": access(t, 7, map[string]any{"status": nil}),
		} {
			refusedBy(t, "B2 "+what, do(bearer(token)), 401, "invalid_token", invalid)
		}
		refusedBy(t, "B3", do(bearer(access(t, 7, map[string]any{"scope": "read"}))), 403, "insufficient_scope", `Bearer realm="shop", error="insufficient_scope", …, scope="read write"`+meta)
		refusedBy(t, "a role", do(bearer(access(t, 7, map[string]any{"roles": []string{"ROLE_GUEST"}}))), 403, "access_denied", "")
		bad := `Bearer realm="shop", error="invalid_request", …` + meta
		for what, set := range map[string]func(r *http.Request){
			"two headers":            func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good} },
			"no token":               func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
			"two tokens":             func(r *http.Request) { r.Header.Set("Authorization", "Bearer a b") },
			"quotes":                 func(r *http.Request) { r.Header.Set("Authorization", `Bearer "a"`) },
			"B5 query":               func(r *http.Request) { r.URL.RawQuery = "access_token=" + good },
			"B5 header and query":    func(r *http.Request) { bearer(good)(r); r.URL.RawQuery = "a=b&access_token=" + good },
			"B5 query, hidden":       func(r *http.Request) { bearer(good)(r); r.URL.RawQuery = "access%5Ftoken=x" },
			"B5 query, all hidden":   func(r *http.Request) { bearer(good)(r); r.URL.RawQuery = "a=b&%61%63cess_token=x" },
			"B5 query, half of it":   func(r *http.Request) { bearer(good)(r); r.URL.RawQuery = "a=%zz&access_token" },
			"B5 query, by semicolon": func(r *http.Request) { bearer(good)(r); r.URL.RawQuery = "a=1;access_token=x" },
		} {
			refusedBy(t, "B4 "+what, do(set), 400, "invalid_request", bad)
		}
		refusedBy(t, "B5 body", do(func(r *http.Request) {
			*r = *httptest.NewRequest("POST", "/", strings.NewReader("access_token="+good))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}), 401, "invalid_token", `Bearer realm="shop"`+meta)
		is.revoke(list1, 7)
		sleep(pace)
		refusedBy(t, "B2 revoked", do(bearer(good)), 401, "invalid_token", invalid)
		// It is not the token's fault, and nobody is told to log in again.
		is.set(func() { is.down = errDown })
		w := do(bearer(access(t, 7, map[string]any{"status": statusAt(auth+"/status/2", 1)})))
		refusedBy(t, "away", w, 503, "temporarily_unavailable", "")
		if w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

func TestD15_Metadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for resource, want := range map[string]string{
			shop: "/.well-known/oauth-protected-resource", shop + "/v1": "/.well-known/oauth-protected-resource/v1", shop + "/v1/": "/.well-known/oauth-protected-resource/v1",
		} {
			v := newIssuer(t).verifier(t, func(o *Options) { o.Resource = resource })
			path, h := v.Metadata("read", "write")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			body := `{"resource":"` + resource + `","authorization_servers":["` + auth + `"],"scopes_supported":["read","write"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["RS256","PS256","ES256","EdDSA"]}`
			if path != want || w.Body.String() != body || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %s %s %v", resource, path, w.Body, w.Header())
			}
			w = httptest.NewRecorder()
			if h.ServeHTTP(w, httptest.NewRequest("POST", path, nil)); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("POST: %d", w.Code)
			}
		}
	})
}

func TestW6_W7_W8_W9_CookiesNeedMoreThanACookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, do := serve(t, func(o *Options) {
			o.Resource, o.Cookie = shop+"/v1", &Cookie{Name: "__Host-access", Origins: []string{"https://app.example"}}
		})
		good := access(t, 7, nil)
		for what, c := range map[string]struct {
			method string
			header string // name: value, …
			want   int
		}{
			"GET":                             {"GET", "", 200},
			"HEAD, of another site":           {"HEAD", "Sec-Fetch-Site: cross-site", 200},
			"W6 same origin":                  {"POST", "Sec-Fetch-Site: same-origin, X-CSRF: 1", 200},
			"W6 by the user":                  {"DELETE", "Sec-Fetch-Site: none, X-CSRF: 1", 200},
			"W6 same site":                    {"POST", "Sec-Fetch-Site: same-site, X-CSRF: 1", 403},
			"W6 a sibling that is not named":  {"POST", "Sec-Fetch-Site: same-site, Origin: https://evil.example, X-CSRF: 1", 403},
			"W6 a sibling that is named":      {"POST", "Sec-Fetch-Site: same-site, Origin: https://app.example, X-CSRF: 1", 200},
			"W6 another site":                 {"POST", "Sec-Fetch-Site: cross-site, X-CSRF: 1", 403},
			"W6 another site, with an origin": {"PATCH", "Sec-Fetch-Site: cross-site, Origin: https://app.example, X-CSRF: 1", 403},
			"W6 what nobody sends":            {"POST", "Sec-Fetch-Site: x, X-CSRF: 1", 403},
			"W7 an origin that is named":      {"PUT", "Origin: https://app.example, X-CSRF: 1", 200},
			"W7 its own origin":               {"PUT", "Origin: https://shop.example, X-CSRF: 1", 200},
			"W7 another origin":               {"POST", "Origin: https://evil.example, X-CSRF: 1", 403},
			"W7 an origin that begins so":     {"POST", "Origin: https://app.example.evil, X-CSRF: 1", 403},
			"W7 null":                         {"POST", "Origin: null, X-CSRF: 1", 403},
			"W7 neither":                      {"POST", "X-CSRF: 1", 403},
			"W8 without X-CSRF":               {"POST", "Sec-Fetch-Site: same-origin", 403},
			"W8 another X-CSRF":               {"POST", "Sec-Fetch-Site: same-origin, X-CSRF: 0", 403},
			"W8 a form":                       {"POST", "Sec-Fetch-Site: same-origin, Content-Type: application/x-www-form-urlencoded", 403},
			"a method nobody knows":           {"PURGE", "", 403},
			"W9 a WebSocket of another":       {"GET", "Upgrade: websocket, Origin: https://evil.example", 403},
			"W9 a WebSocket":                  {"GET", "Upgrade: websocket, Origin: https://app.example", 200},
			"a header beside":                 {"POST", "Authorization: Bearer " + good + ", Sec-Fetch-Site: cross-site", 200},
			"a bad header beside":             {"GET", "Authorization: Bearer x", 401},
			"a second cookie":                 {"GET", "Cookie: __Host-access=x", 400},
		} {
			w := do(func(r *http.Request) {
				r.Method = c.method
				r.AddCookie(&http.Cookie{Name: "__Host-access", Value: good})
				for line := range strings.SplitSeq(c.header, ", ") {
					if name, value, ok := strings.Cut(line, ": "); ok {
						r.Header.Add(name, value)
					}
				}
			})
			if w.Code != c.want || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, c.want)
			}
		}
		refusedBy(t, "no cookie", do(func(r *http.Request) {}), 401, "invalid_token", `Bearer realm="api", resource_metadata="https://shop.example/.well-known/oauth-protected-resource/v1"`)
	})
}
