package server_test

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
)

// bareJWK is a public key with the members of its kind alone, as proofs have it.
func (k jwtKey) bareJWK(t testing.TB) string {
	var all map[string]any
	must(t, json.Unmarshal([]byte(k.public(t)), &all))
	delete(all, "kid")
	delete(all, "use")
	delete(all, "alg")
	text, err := json.Marshal(all)
	must(t, err)
	return string(text)
}

func (k jwtKey) thumbprint(t testing.TB) string {
	s, err := keys.Thumbprint(k.private.(crypto.Signer).Public())
	must(t, err)
	return s
}

// proof is a good one for POST /token, with changes of its claims.
func (n *node) proof(k jwtKey, changes map[string]any) string {
	return n.typedProof(k, fmt.Sprintf(`{"typ":"dpop+jwt","alg":%q,"jwk":%s}`, k.alg, k.bareJWK(n.t)), changes)
}

func (n *node) typedProof(k jwtKey, header string, changes map[string]any) string {
	n.t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": n.url + "/token", "iat": n.clock.Now().Unix()}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(claims)
	must(n.t, err)
	return k.sign(n.t, header, string(text))
}

func withProof(proof string) func(*http.Request) { return header("DPoP", proof) }

func TestK1_I7_TokensAreBoundToTheKeyOfTheProof(t *testing.T) {
	n := start(t, options{})
	for _, alg := range []string{keys.RS256, keys.PS256, keys.ES256, keys.ES384, keys.ES512, keys.EdDSA, "Ed25519"} {
		k := newKey(t, "", alg)
		for what, f := range map[string]map[string][]string{"login": loginForm(), "client_credentials": form("grant_type", "client_credentials")} {
			a := n.post("/token", f, app, withProof(n.proof(k, nil))).ok(t, 200)
			want := map[string]any{"jkt": k.thumbprint(t)}
			if cnf := n.verified(t, a.str("access_token"))["cnf"]; a.str("token_type") != "DPoP" || fmt.Sprint(cnf) != fmt.Sprint(want) {
				t.Errorf("%s, %s: token_type %s, cnf %v", alg, what, a.str("token_type"), cnf)
			}
			in := n.introspect(a.str("access_token"), api).ok(t, 200)
			if in.str("token_type") != "DPoP" || fmt.Sprint(in.json["cnf"]) != fmt.Sprint(want) {
				t.Errorf("introspected %s", in.body)
			}
		}
	}
	signed := n.post("/token", loginForm("client_id", "spa", "scope", "read"), withProof(n.proof(newKey(t, "", keys.ES256), nil))).ok(t, 200)
	n.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+signed.str("access_token"))).want(t, 401, "invalid_token")
	if a := n.login(); a.str("token_type") != "Bearer" || n.verified(t, a.str("access_token"))["cnf"] != nil {
		t.Errorf("without a proof: %s", a.body)
	}
	meta := n.do("GET", "/.well-known/oauth-authorization-server", "", "").ok(t, 200).json["dpop_signing_alg_values_supported"]
	if fmt.Sprint(meta) != "[RS256 PS256 ES256 ES384 ES512 EdDSA Ed25519]" {
		t.Errorf("metadata %v", meta)
	}
	must(t, n.addClient(accounts.NewClient{ID: "admin", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("jeton:admin"), Admin: accounts.To(true)}}))
	a := n.post("/token", form("grant_type", "client_credentials", "scope", "jeton:admin"), basic("admin", apiSecret), withProof(n.proof(newKey(t, "", keys.ES256), nil))).ok(t, 200)
	n.do("GET", "/admin/v1/users", "", "", header("Authorization", "Bearer "+a.str("access_token"))).want(t, 401, "invalid_token")
}

func TestK2_DefectsOfProofs(t *testing.T) {
	n := start(t, options{})
	k, other := newKey(t, "", keys.ES256), newKey(t, "", keys.ES256)
	head := func(typ, alg, jwk string) string { return fmt.Sprintf(`{"typ":%q,"alg":%q,"jwk":%s}`, typ, alg, jwk) }
	own := k.bareJWK(t)
	send := func(proofs ...string) answer {
		var with []func(*http.Request)
		for _, p := range proofs {
			with = append(with, withProof(p))
		}
		return n.post("/token", loginForm(), append(with, app)...)
	}
	hmac := jwtKey{alg: "HS256", private: []byte(appSecret)}
	bad := map[string]string{
		"empty": "", "garbage": "x", "no jti": n.proof(k, map[string]any{"jti": nil}), "empty jti": n.proof(k, map[string]any{"jti": ""}),
		"no htm": n.proof(k, map[string]any{"htm": nil}), "another htm": n.proof(k, map[string]any{"htm": "GET"}), "htm in lower case": n.proof(k, map[string]any{"htm": "post"}),
		"no htu": n.proof(k, map[string]any{"htu": nil}), "no iat": n.proof(k, map[string]any{"iat": nil}), "iat as text": n.proof(k, map[string]any{"iat": "1"}),
		"too old": n.proof(k, map[string]any{"iat": n.clock.Now().Add(-61 * time.Second).Unix()}), "too new": n.proof(k, map[string]any{"iat": n.clock.Now().Add(61 * time.Second).Unix()}),
		"typ JWT": n.typedProof(k, head("JWT", "ES256", own), nil), "no jwk": n.typedProof(k, `{"typ":"dpop+jwt","alg":"ES256"}`, nil),
		"another key": n.typedProof(k, head("dpop+jwt", "ES256", other.bareJWK(t)), nil), "another alg": n.typedProof(k, head("dpop+jwt", "ES384", own), nil),
		"none":                    encoded(head("dpop+jwt", "none", own)) + "." + strings.Split(n.proof(k, nil), ".")[1] + ".",
		"HMAC":                    n.typedProof(hmac, head("dpop+jwt", "HS256", `{"kty":"oct","k":"`+encoded(appSecret)+`"}`), nil),
		"HMAC under a public key": n.typedProof(hmac, head("dpop+jwt", "HS256", own), nil),
		"a private key":           n.typedProof(k, head("dpop+jwt", "ES256", strings.Replace(own, `{`, `{"d":"AAAA",`, 1)), nil),
		"jwk null":                n.typedProof(k, head("dpop+jwt", "ES256", "null"), nil), "jwk a list": n.typedProof(k, head("dpop+jwt", "ES256", "[]"), nil),
		"JWK in capitals": n.typedProof(k, `{"typ":"dpop+jwt","alg":"ES256","JWK":`+own+`}`, nil), "forged": forged(n.proof(k, nil)),
	}
	for _, htu := range []string{"/token", n.url, n.url + "/token/", n.url + "/revoke", n.url + "/Token", n.url + "/x/../token", n.url + "/%2ftoken", "https://evil.example/token", strings.Replace(n.url, "http:", "https:", 1) + "/token", strings.Replace(n.url, "//", "//a@", 1) + "/token"} {
		bad["htu "+htu] = n.proof(k, map[string]any{"htu": htu})
	}
	for what, p := range bad {
		a := send(p)
		if a.want(t, 400, "invalid_dpop_proof"); t.Failed() {
			t.Fatal(what)
		}
		a.wellFormed(t)
	}
	send(n.proof(k, nil), n.proof(k, nil)).want(t, 400, "invalid_dpop_proof")
	for _, htu := range []string{n.url + "/token?a=b", n.url + "/token#x", n.url + "/%74oken", strings.Replace(n.url, "http:", "HTTP:", 1) + "/token"} {
		send(n.proof(k, map[string]any{"htu": htu})).ok(t, 200)
	}
	t.Run("a proof works once", func(t *testing.T) {
		p := n.proof(k, nil)
		refused := n.post("/token", form("grant_type", "password", "username", "alice", "password", "wrong"), app, withProof(p))
		refused.want(t, 400, "invalid_grant") // and has stored nothing
		var wait sync.WaitGroup
		codes := make([]int, 20)
		for i := range codes {
			wait.Go(func() {
				codes[i] = n.post("/token", form("grant_type", "client_credentials"), app, withProof(p)).StatusCode
			})
		}
		wait.Wait()
		won := 0
		for _, c := range codes {
			if c == 200 {
				won++
			} else if c != 400 {
				t.Errorf("status %d", c)
			}
		}
		if won != 1 {
			t.Errorf("%d of 20 were taken", won)
		}
		n.clock.Add(2 * time.Minute)
		send(p).want(t, 400, "invalid_dpop_proof")
	})
}

func TestK4_Nonces(t *testing.T) {
	n := start(t, options{nonces: true})
	k := newKey(t, "", keys.ES256)
	spa := func(p string) answer {
		return n.post("/token", loginForm("client_id", "spa"), withProof(p), header("Origin", "https://spa.example"))
	}
	a := spa(n.proof(k, nil))
	a.want(t, 400, "use_dpop_nonce")
	nonce := a.Header.Get("DPoP-Nonce")
	if nonce == "" || !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
		t.Fatalf("headers %v", a.Header)
	}
	for _, bad := range []string{"", "x", nonce + "A", nonce[:len(nonce)-1], strings.Repeat("A", 5000)} {
		spa(n.proof(k, map[string]any{"nonce": bad})).want(t, 400, "use_dpop_nonce")
	}
	if a := spa(n.proof(k, map[string]any{"nonce": nonce})).ok(t, 200); a.Header.Get("DPoP-Nonce") != "" {
		t.Error("a new nonce, and the first is fresh")
	}
	n.clock.Add(3 * time.Minute)
	next := spa(n.proof(k, map[string]any{"nonce": nonce})).ok(t, 200).Header.Get("DPoP-Nonce")
	n.clock.Add(3 * time.Minute)
	spa(n.proof(k, map[string]any{"nonce": nonce})).want(t, 400, "use_dpop_nonce")
	spa(n.proof(k, map[string]any{"nonce": next})).ok(t, 200)
	n.login() // who sends no proof needs no nonce
	o := n.do("OPTIONS", "/token", "", "", header("Origin", "https://spa.example"), header("Access-Control-Request-Method", "POST"))
	if !strings.Contains(o.Header.Get("Access-Control-Allow-Headers"), "DPoP") {
		t.Errorf("preflight %v", o.Header)
	}
}

func TestK5_RefreshTokensOfPublicClientsAreBound(t *testing.T) {
	n := start(t, options{})
	k, other := newKey(t, "", keys.ES256), newKey(t, "", keys.ES256)
	refresh := func(token string, with ...func(*http.Request)) answer {
		return n.post("/token", form("grant_type", "refresh_token", "refresh_token", token, "client_id", "spa"), with...)
	}
	a := n.post("/token", loginForm("client_id", "spa"), withProof(n.proof(k, nil))).ok(t, 200)
	token := a.str("refresh_token")
	for range 3 { // nothing is spent, and nothing ends
		refresh(token).want(t, 400, "invalid_grant")
		refresh(token, withProof(n.proof(other, nil))).want(t, 400, "invalid_grant")
	}
	a = refresh(token, withProof(n.proof(k, nil))).ok(t, 200)
	if a.str("token_type") != "DPoP" || fmt.Sprint(n.verified(t, a.str("access_token"))["cnf"]) != "map[jkt:"+k.thumbprint(t)+"]" {
		t.Errorf("refreshed: %s", a.body)
	}
	refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
	refresh(token, withProof(n.proof(other, nil))).want(t, 400, "invalid_grant")
	a = refresh(a.str("refresh_token"), withProof(n.proof(k, nil))).ok(t, 200)
	refresh(token, withProof(n.proof(k, nil))).want(t, 400, "invalid_grant") // that was reuse, by the right key
	refresh(a.str("refresh_token"), withProof(n.proof(k, nil))).want(t, 400, "invalid_grant")

	t.Run("bound from the first proof on", func(t *testing.T) {
		a := n.post("/token", loginForm("client_id", "spa")).ok(t, 200)
		a = refresh(a.str("refresh_token"), withProof(n.proof(k, nil))).ok(t, 200)
		refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	t.Run("a confidential client changes keys as it likes", func(t *testing.T) {
		a := n.post("/token", loginForm(), app, withProof(n.proof(k, nil))).ok(t, 200)
		f := form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token"))
		a = n.post("/token", f, app, withProof(n.proof(other, nil))).ok(t, 200)
		if fmt.Sprint(n.verified(t, a.str("access_token"))["cnf"]) != "map[jkt:"+other.thumbprint(t)+"]" {
			t.Error("it is bound to the key of before")
		}
	})
	t.Run("a retry gets the same token, and one of another key another", func(t *testing.T) {
		n := start(t, options{settings: func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second }})
		a := n.post("/token", loginForm(), app, withProof(n.proof(k, nil))).ok(t, 200)
		f := form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token"))
		first := n.post("/token", f, app, withProof(n.proof(k, nil))).ok(t, 200)
		again := n.post("/token", f, app, withProof(n.proof(k, nil))).ok(t, 200)
		moved := n.post("/token", f, app, withProof(n.proof(other, nil))).ok(t, 200)
		if again.str("access_token") != first.str("access_token") || moved.str("refresh_token") != first.str("refresh_token") ||
			fmt.Sprint(n.verified(t, moved.str("access_token"))["cnf"]) != "map[jkt:"+other.thumbprint(t)+"]" {
			t.Error("the retries are not what they should be")
		}
	})
}

func TestK7_ClientsThatMustSendProofs(t *testing.T) {
	n := start(t, options{})
	n.operator("PATCH", "/clients/app", `{"dpop_bound_access_tokens":true}`).ok(t, 200)
	n.clock.Add(2 * time.Second)
	k := newKey(t, "", keys.ES256)
	n.post("/token", loginForm(), app).want(t, 400, "invalid_dpop_proof")
	n.post("/token", form("grant_type", "client_credentials"), app).want(t, 400, "invalid_dpop_proof")
	a := n.post("/token", loginForm(), app, withProof(n.proof(k, nil))).ok(t, 200)
	n.refresh(a.str("refresh_token")).want(t, 400, "invalid_dpop_proof")
	n.post("/token", form("grant_type", storage.GrantTokenExchange, "subject_token", a.str("access_token"), "subject_token_type", accessType), app).want(t, 400, "invalid_dpop_proof")
	x := n.post("/token", form("grant_type", storage.GrantTokenExchange, "subject_token", a.str("access_token"), "subject_token_type", accessType), app, withProof(n.proof(k, nil))).ok(t, 200)
	if x.str("token_type") != "DPoP" || n.verified(t, x.str("access_token"))["cnf"] == nil {
		t.Errorf("exchanged %s", x.body)
	}
}
