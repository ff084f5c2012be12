package server_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/keys"
)

// boundWorld is a node with bound tokens for both of its own resources.
type boundWorld struct {
	*node
	key       jwtKey
	user, ops string
}

func startBound(t *testing.T, o options) boundWorld {
	n := startOpenID(t, o)
	w := boundWorld{node: n, key: newKey(t, "", keys.ES256)}
	must(t, n.addClient(accounts.NewClient{ID: "ops", Secret: opsSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("jeton:admin jeton:events"), Admin: accounts.To(true)}}))
	changes := map[string]any{}
	if o.nonces {
		refused := n.post("/token", loginForm(), app, withProof(n.proof(w.key, nil)))
		changes["nonce"] = refused.Header.Get("DPoP-Nonce")
	}
	w.user = n.redeem(n.browser().code(askOpenID("scope", "openid email")), func(r *http.Request) { rpClient(r); withProof(n.proof(w.key, changes))(r) },
		"redirect_uri", rp).ok(t, 200).str("access_token")
	w.ops = n.post("/token", form("grant_type", "client_credentials", "scope", "jeton:admin"), basic("ops", opsSecret), withProof(n.proof(w.key, changes))).ok(t, 200).str("access_token")
	return w
}

// proofAt is a good proof for a request with a token, with changes.
func (w boundWorld) proofAt(k jwtKey, method, path, token string, changes map[string]any) string {
	sum := sha256.Sum256([]byte(token))
	claims := map[string]any{"htm": method, "htu": w.url + path, "ath": encoded(string(sum[:]))}
	for name, value := range changes {
		claims[name] = value
	}
	return w.proof(k, claims)
}

func shown(scheme, token string, proofs ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", scheme+" "+token)
		for _, p := range proofs {
			r.Header.Add("DPoP", p)
		}
	}
}

func TestK3_B7_BoundTokensAtOurOwnResources(t *testing.T) {
	w := startBound(t, options{})
	other := newKey(t, "", keys.ES256)
	for path, tokens := range map[string]struct{ bound, plain string }{
		"/userinfo":       {w.user, w.browser().openID().str("access_token")},
		"/admin/v1/users": {w.ops, w.post("/token", form("grant_type", "client_credentials", "scope", "jeton:admin"), basic("ops", opsSecret)).ok(t, 200).str("access_token")},
	} {
		t.Run(path, func(t *testing.T) {
			do := func(with func(*http.Request)) answer { t.Helper(); return w.do("GET", path, "", "", with) }
			bound, plain := tokens.bound, tokens.plain
			good := func(changes map[string]any) string { return w.proofAt(w.key, "GET", path, bound, changes) }
			// The challenge of the scheme that was tried says what is wrong, the other
			// that it is there.
			refused := func(what string, a answer, code, scheme string) {
				t.Helper()
				c := a.Header.Values("WWW-Authenticate")
				if a.StatusCode != 401 || a.str("error") != code || len(c) != 2 || !strings.HasPrefix(c[0], scheme+" ") || !strings.Contains(c[0], `error="`+code+`"`) || strings.Contains(c[1], "error") ||
					!strings.Contains(c[0]+c[1], `DPoP algs="RS256 PS256 ES256 ES384 ES512 EdDSA Ed25519"`) || !strings.Contains(c[0]+c[1], "Bearer realm=") {
					t.Errorf("%s: %d %s %q", what, a.StatusCode, a.body, c)
				}
			}
			proof := good(nil)
			do(shown("DPoP", bound, proof)).ok(t, 200)
			refused("again", do(shown("DPoP", bound, proof)), "invalid_dpop_proof", "DPoP")
			do(shown("dpop", bound, good(map[string]any{"htu": strings.Replace(w.url, "http:", "HTTP:", 1) + path + "?x#y"}))).ok(t, 200)
			do(shown("Bearer", plain)).ok(t, 200)
			do(shown("Bearer", plain, good(nil))).ok(t, 200) // a header that nobody asked for

			refused("as Bearer", do(shown("Bearer", bound)), "invalid_token", "Bearer")
			refused("as Bearer, with a proof", do(shown("Bearer", bound, good(nil))), "invalid_token", "Bearer")
			refused("unbound, by DPoP", do(shown("DPoP", plain, w.proofAt(w.key, "GET", path, plain, nil))), "invalid_token", "DPoP")
			refused("another's key", do(shown("DPoP", bound, w.proofAt(other, "GET", path, bound, nil))), "invalid_token", "DPoP")
			refused("junk", do(shown("DPoP", "x", good(nil))), "invalid_token", "DPoP")
			for what, proofs := range map[string][]string{
				"no proof": nil, "two": {good(nil), good(nil)}, "junk": {"x"}, "forged": {forged(good(nil))},
				"no ath": {good(map[string]any{"ath": nil})}, "ath of another token": {w.proofAt(w.key, "GET", path, plain, nil)}, "ath in hex": {good(map[string]any{"ath": strings.Repeat("a", 64)})},
				"for POST": {good(map[string]any{"htm": "POST"})}, "for /token": {good(map[string]any{"htu": w.url + "/token"})}, "of before": {good(map[string]any{"iat": w.clock.Now().Add(-61 * time.Second).Unix()})},
				"no jti": {good(map[string]any{"jti": nil})}, "typ JWT": {w.typedProof(w.key, `{"typ":"JWT","alg":"ES256","jwk":`+w.key.bareJWK(t)+`}`, nil)},
			} {
				refused(what, do(shown("DPoP", bound, proofs...)), "invalid_dpop_proof", "DPoP")
			}
			if a := do(shown("DPoP", bound+" "+bound)); a.StatusCode != 400 || a.str("error") != "invalid_request" {
				t.Errorf("two tokens: %d %s", a.StatusCode, a.body)
			}
			a := do(func(*http.Request) {})
			if c := a.Header.Values("WWW-Authenticate"); a.StatusCode != 401 || len(c) != 2 || !strings.HasPrefix(c[0], "Bearer realm=") || !strings.HasPrefix(c[1], "DPoP algs=") || strings.Contains(c[0]+c[1], "error") {
				t.Errorf("without a token: %d %q", a.StatusCode, c)
			}
		})
	}
	t.Run("what stands behind it is looked up first", func(t *testing.T) {
		path := "/userinfo"
		proof := w.proofAt(w.key, "GET", path, w.user, nil)
		w.operator("POST", "/users/alice/disable", "").ok(t, 200)
		w.do("GET", path, "", "", shown("DPoP", w.user, proof)).want(t, 401, "invalid_token")
		w.clock.Add(30 * time.Second)
		w.do("GET", "/admin/v1/users", "", "", shown("DPoP", w.ops, w.proofAt(w.key, "GET", "/admin/v1/users", w.ops, nil))).ok(t, 200)
	})
	t.Run("paths with escapes, and with a body", func(t *testing.T) {
		const name = `a/b %41`
		w.operator("POST", "/users", `{"username":"a/b %41","sub":"u-odd"}`).ok(t, 201)
		path := "/admin/v1/users/" + strings.NewReplacer("/", "%2F", " ", "%20", "%", "%25").Replace(name)
		w.do("GET", path, "", "", shown("DPoP", w.ops, w.proofAt(w.key, "GET", path, w.ops, nil))).ok(t, 200)
		crooked := strings.Replace(path, "%2F", "/", 1)
		w.do("GET", path, "", "", shown("DPoP", w.ops, w.proofAt(w.key, "GET", crooked, w.ops, nil))).want(t, 401, "invalid_dpop_proof")
		w.do("PUT", path+"/roles", "application/json", `{"roles":["R"]}`, shown("DPoP", w.ops, w.proofAt(w.key, "PUT", path+"/roles", w.ops, nil))).ok(t, 200)
	})
	t.Run("reports", func(t *testing.T) {
		k := newKey(t, "", keys.EdDSA)
		token := w.post("/token", form("grant_type", "client_credentials", "scope", "jeton:events"), basic("ops", opsSecret), withProof(w.proof(k, nil))).ok(t, 200).str("access_token")
		path := strings.TrimPrefix(w.do("GET", "/.well-known/oauth-authorization-server", "", "").str("global_token_revocation_endpoint"), w.url)
		body := `{"sub_id":{"format":"opaque","id":"u-alice"}}`
		w.do("POST", path, "application/json", body, shown("Bearer", token)).want(t, 401, "invalid_token")
		w.do("POST", path, "application/json", body, shown("DPoP", token, w.proofAt(k, "POST", path, token, nil))).ok(t, 204)
	})
	if a := w.do("OPTIONS", "/userinfo", "", "", header("Origin", "https://any.example")); a.Header.Get("Access-Control-Allow-Headers") != "Authorization, DPoP" {
		t.Errorf("preflight %v", a.Header)
	}
}

func TestK3_K4_NoncesAtOurOwnResources(t *testing.T) {
	w := startBound(t, options{nonces: true})
	for path, token := range map[string]string{"/userinfo": w.user, "/admin/v1/users": w.ops} {
		do := func(nonce any) answer {
			return w.do("GET", path, "", "", shown("DPoP", token, w.proofAt(w.key, "GET", path, token, map[string]any{"nonce": nonce})))
		}
		a := do(nil)
		a.want(t, 401, "use_dpop_nonce")
		nonce := a.Header.Get("DPoP-Nonce")
		if c := a.Header.Get("WWW-Authenticate"); nonce == "" || !strings.HasPrefix(c, "DPoP ") || !strings.Contains(c, `error="use_dpop_nonce"`) {
			t.Errorf("%s: %v", path, a.Header)
		}
		if a := do(nonce).ok(t, 200); a.Header.Get("DPoP-Nonce") != "" {
			t.Error("a new nonce, and the first is fresh")
		}
		w.clock.Add(3 * time.Minute)
		if a := do(nonce).ok(t, 200); a.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s: no new nonce: %v", path, a.Header)
		}
		w.clock.Add(3 * time.Minute)
		do(nonce).want(t, 401, "use_dpop_nonce")
	}
	if a := w.do("GET", "/userinfo", "", ""); !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
		t.Errorf("%v", a.Header)
	}
}

// Of one proof at two nodes at once one is taken.
func TestK3_AProofWorksOnceOnWhicheverNode(t *testing.T) {
	w := startBound(t, options{})
	nodes := []*node{w.node, w.peer()}
	proof := w.proofAt(w.key, "GET", "/userinfo", w.user, nil)
	done := make(chan int, 20)
	for i := range 20 {
		go func() {
			done <- nodes[i%2].do("GET", "/userinfo", "", "", shown("DPoP", w.user, proof)).StatusCode
		}()
	}
	won := 0
	for range 20 {
		switch <-done {
		case 200:
			won++
		case 401:
		default:
			t.Error("neither taken nor refused")
		}
	}
	if won != 1 {
		t.Errorf("%d were taken", won)
	}
}
