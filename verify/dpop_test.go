package verify

import (
	"crypto"
	"crypto/sha256"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// proofJWK is a key as proofs have it.
func proofJWK(name string) map[string]any {
	k := jwkOf(name, name, testKeys()[name])
	for _, extra := range []string{"kid", "alg", "use"} {
		delete(k, extra)
	}
	return k
}

func thumbprintOf(t *testing.T, name string) string {
	in := jwk{}
	for member, to := range map[string]*string{"kty": &in.Kty, "crv": &in.Crv, "n": &in.N, "e": &in.E, "x": &in.X, "y": &in.Y} {
		*to, _ = proofJWK(name)[member].(string)
	}
	k, err := in.key()
	must(t, err)
	return k.thumbprint()
}

// boundTo is an access token that is bound to a key.
func boundTo(t *testing.T, name string, idx int) string {
	return access(t, idx, map[string]any{"cnf": map[string]string{"jkt": thumbprintOf(t, name)}})
}

var proofs int

// proofOf is a good proof for GET https://shop.example/orders, with changes of
// header and claims.
func proofOf(name, token string, header, change map[string]any) string {
	proofs++
	ath := sha256.Sum256([]byte(token))
	claims := jwt.MapClaims{"jti": strings.Repeat("j", proofs), "htm": "GET", "htu": shop + "/orders", "iat": time.Now().Unix(), "ath": b64(ath[:])}
	for member, value := range change {
		if claims[member] = value; value == nil {
			delete(claims, member)
		}
	}
	alg := name
	if name == "other" {
		alg = "ES256"
	}
	p := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
	p.Header = map[string]any{"typ": "dpop+jwt", "alg": alg, "jwk": proofJWK(name)}
	maps.Copy(p.Header, header)
	s, err := p.SignedString(testKeys()[name])
	if err != nil {
		panic(err)
	}
	return s
}

// by sends a token by the scheme DPoP, with proofs.
func by(token string, proofs ...string) func(r *http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header["Dpop"] = proofs
	}
}

func TestK3_B7_BoundTokensNeedTheirProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is, do := serve(t, func(o *Options) { o.Realm, o.Resource = "shop", shop }, Scopes("read"))
		const meta = `, resource_metadata="https://shop.example/.well-known/oauth-protected-resource"`
		const scheme = `DPoP algs="RS256 PS256 ES256 EdDSA", realm="shop"`
		for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
			token := boundTo(t, alg, 7)
			if w := do(by(token, proofOf(alg, token, nil, nil))); w.Code != 200 || w.Header().Get("Sub") != "u1" {
				t.Errorf("%s: %d %s %v", alg, w.Code, w.Body, w.Header())
			}
		}
		token := boundTo(t, "ES256", 7)
		own := func(change map[string]any) string { return proofOf("ES256", token, nil, change) }
		badToken, badProof := scheme+`, error="invalid_token", …`+meta, scheme+`, error="invalid_dpop_proof", …`+meta
		refusedBy(t, "downgrade: a bound token as Bearer", do(bearer(token)), 401, "invalid_token", badToken)
		refusedBy(t, "downgrade, the proof beside it", do(func(r *http.Request) { by("", own(nil))(r); bearer(token)(r) }), 401, "invalid_token", badToken)
		plain := access(t, 7, nil)
		refusedBy(t, "a bearer token by DPoP", do(by(plain, proofOf("ES256", plain, nil, nil))), 401, "invalid_token", badToken)
		refusedBy(t, "another's key", do(by(token, proofOf("other", token, nil, nil))), 401, "invalid_token", badToken)
		for what, p := range map[string]string{
			"no jti": own(map[string]any{"jti": nil}), "no iat": own(map[string]any{"iat": nil}), "no htm": own(map[string]any{"htm": nil}), "no htu": own(map[string]any{"htu": nil}),
			"no ath": own(map[string]any{"ath": nil}), "ath of another token": proofOf("ES256", plain, nil, nil), "POST": own(map[string]any{"htm": "POST"}),
			"another path": own(map[string]any{"htu": shop + "/order"}), "another host": own(map[string]any{"htu": "https://evil.example/orders"}), "http": own(map[string]any{"htu": "http://shop.example/orders"}),
			"a user in it": own(map[string]any{"htu": "https://a@shop.example/orders"}), "no URL": own(map[string]any{"htu": "/orders"}), "an escaped slash": own(map[string]any{"htu": shop + "%2forders"}),
			"old": own(map[string]any{"iat": time.Now().Unix() - 71}), "of tomorrow": own(map[string]any{"iat": time.Now().Unix() + 71}), "iat as text": own(map[string]any{"iat": "1"}),
			"garbage": "x", "empty": "", "typ": proofOf("ES256", token, map[string]any{"typ": "JWT"}, nil), "no jwk": proofOf("ES256", token, map[string]any{"jwk": nil}, nil),
			"jwk of another": proofOf("ES256", token, map[string]any{"jwk": proofJWK("other")}, nil), "alg of another": proofOf("ES256", token, map[string]any{"jwk": proofJWK("RS256")}, nil),
			"none": proofOf("ES256", token, map[string]any{"alg": "none"}, nil), "HMAC": proofOf("ES256", token, map[string]any{"alg": "HS256"}, nil), "crit": proofOf("ES256", token, map[string]any{"crit": []string{"x"}}, nil),
			"the access token itself": token,
			"a private key":           proofOf("ES256", token, map[string]any{"jwk": func() map[string]any { k := proofJWK("ES256"); k["d"] = "AAAA"; return k }()}, nil),
		} {
			refusedBy(t, what, do(by(token, p)), 401, "invalid_dpop_proof", badProof)
		}
		refusedBy(t, "no proof", do(by(token)), 401, "invalid_dpop_proof", badProof)
		refusedBy(t, "two proofs", do(by(token, own(nil), own(nil))), 401, "invalid_dpop_proof", badProof)
		for _, htu := range []string{shop + "/orders?y=2#z", "HTTPS://SHOP.example:443/orders", shop + "/%6frders"} {
			if w := do(by(token, own(map[string]any{"htu": htu}))); w.Code != 200 {
				t.Errorf("%s: %d %s", htu, w.Code, w.Body)
			}
		}
		// Once, however long it takes.
		p := own(nil)
		if w := do(by(token, p)); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for _, later := range []time.Duration{0, 30 * time.Second, 39 * time.Second, 2 * time.Second} {
			sleep(later)
			refusedBy(t, "again", do(by(token, p)), 401, "invalid_dpop_proof", badProof)
		}
		refusedBy(t, "scope", do(func(r *http.Request) {
			weak := access(t, 7, map[string]any{"scope": "x", "cnf": map[string]string{"jkt": thumbprintOf(t, "ES256")}})
			by(weak, proofOf("ES256", weak, nil, nil))(r)
		}), 403, "insufficient_scope", scheme+`, error="insufficient_scope", …, scope="read"`+meta)
		is.revoke(list1, 7)
		sleep(pace)
		refusedBy(t, "revoked", do(by(token, own(nil))), 401, "invalid_token", badToken)
	})
}

func TestK3_WhereTheClientHasCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, c := range map[string]struct {
			change func(o *Options)
			htu    string
		}{
			"the request's host": {func(*Options) {}, "http://example.com/orders"},
			"of the resource":    {func(o *Options) { o.Resource = "https://shop.example/v1" }, "https://shop.example/orders"},
			"as told":            {func(o *Options) { o.URL = func(*http.Request) string { return "https://front.example/api/orders" } }, "https://front.example/api/orders"},
		} {
			_, do := serve(t, c.change)
			token := boundTo(t, "ES256", 7)
			if w := do(by(token, proofOf("ES256", token, nil, map[string]any{"htu": c.htu}))); w.Code != 200 {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
			if w := do(by(token, proofOf("ES256", token, nil, map[string]any{"htu": c.htu + "x"}))); w.Code != 401 {
				t.Errorf("%s, another: %d %s", what, w.Code, w.Body)
			}
		}
	})
}

func TestUsedProofsAreBounded(t *testing.T) {
	var u usedProofs
	now := time.Now()
	for i := range mostProofs {
		must(t, u.use(strconv.Itoa(i), now.Add(time.Minute), now))
	}
	if err := u.use("one more", now.Add(time.Minute), now); reasonOf(err) != ErrUnavailable {
		t.Errorf("one more: %v", err)
	}
	w := httptest.NewRecorder()
	if newIssuer(t).verifier(t, nil).Refuse(w, u.use("and one", now, now)); w.Code != 503 {
		t.Errorf("status %d", w.Code)
	}
	must(t, u.use("one more", now.Add(3*time.Minute), now.Add(2*time.Minute)))
	if len(u.seen) != 1 {
		t.Errorf("%d are kept", len(u.seen))
	}
}

// The example of RFC 7638 §3.1.
func TestThumbprint(t *testing.T) {
	in := jwk{Kty: "RSA", E: "AQAB", N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
	k, err := in.key()
	must(t, err)
	if got := k.thumbprint(); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" || crypto.SHA256.Size() != 32 {
		t.Errorf("thumbprint %s", got)
	}
}
