package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// publishedKey is a JWK as a verifier reads it that knows nothing of Jeton.
type publishedKey struct {
	Kid, Kty, Use, Alg, Crv, N, E, X, Y string
}

// published fetches the key set.
func (n *node) published(t testing.TB) map[string]publishedKey {
	t.Helper()
	var set struct{ Keys []publishedKey }
	must(t, json.Unmarshal(n.do("GET", "/.well-known/jwks.json", "", "").ok(t, 200).body, &set))
	byKid := make(map[string]publishedKey)
	for _, k := range set.Keys {
		byKid[k.Kid] = k
	}
	if len(byKid) != len(set.Keys) || len(byKid) == 0 {
		t.Fatalf("%d kids of %d keys", len(byKid), len(set.Keys))
	}
	return byKid
}

func (k publishedKey) key(t testing.TB) crypto.PublicKey {
	t.Helper()
	read := func(text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text)
		must(t, err)
		return b
	}
	switch k.Kty {
	case "RSA":
		return &rsa.PublicKey{N: new(big.Int).SetBytes(read(k.N)), E: int(new(big.Int).SetBytes(read(k.E)).Int64())}
	case "EC":
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, read(k.X), read(k.Y)))
		must(t, err)
		return key
	case "OKP":
		return ed25519.PublicKey(read(k.X))
	}
	t.Fatalf("kty %q", k.Kty)
	return nil
}

// thumbprint is RFC 7638 §3, spelt out.
func (k publishedKey) thumbprint() string {
	text := map[string]string{
		"RSA": fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k.E, k.N),
		"EC":  fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Crv, k.X, k.Y),
		"OKP": fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, k.Crv, k.X),
	}[k.Kty]
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// verified verifies an access token by the key set and nothing else.
func (n *node) verified(t testing.TB, token string) jwt.MapClaims {
	t.Helper()
	return n.verifiedAs(t, token, "at+jwt")
}

func (n *node) verifiedAs(t testing.TB, token, typ string) jwt.MapClaims {
	t.Helper()
	set := n.published(t)
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(jwt.WithTimeFunc(n.clock.Now), jwt.WithIssuer(n.grants.Settings.Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt()).
		ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
			kid, _ := t.Header["kid"].(string)
			k, ok := set[kid]
			if !ok || k.Alg != t.Method.Alg() {
				return nil, fmt.Errorf("kid %q with alg %s is not in the set", kid, t.Method.Alg())
			}
			return k.key(n.t), nil
		})
	must(t, err)
	if len(parsed.Header) != 3 || parsed.Header["typ"] != typ {
		t.Errorf("header %v", parsed.Header)
	}
	return claims
}

var compact = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// What each algorithm issues, verified by the published keys alone.
func TestJOSEOfIssuedTokens(t *testing.T) {
	for alg, kty := range map[string]string{keys.RS256: "RSA", keys.PS256: "RSA", keys.ES256: "EC", keys.EdDSA: "OKP"} {
		t.Run(alg, func(t *testing.T) {
			n := start(t, options{alg: alg})
			t.Run("J1 J6 J14 the key set", func(t *testing.T) { n.checkKeySet(t, alg, kty) })
			a := n.login("scope", "read")
			n.clock.Add(time.Minute)
			refreshed := n.refresh(a.str("refresh_token")).ok(t, 200)
			own := n.machine("app", appSecret)
			t.Run("J8 compact and canonical", func(t *testing.T) {
				for _, token := range []string{a.str("access_token"), a.str("refresh_token"), refreshed.str("access_token"), own} {
					if !compact.MatchString(token) {
						t.Errorf("token %q", token)
					}
				}
			})
			t.Run("J19 J20 J21 J23 a user's tokens", func(t *testing.T) { n.checkUserTokens(t, a, refreshed) })
			t.Run("J22 a client's own token", func(t *testing.T) {
				now := float64(n.clock.Now().Unix())
				c := n.verified(t, own)
				n.expect(t, c, jwt.MapClaims{"iss": n.url, "sub": "app", "client_id": "app", "aud": []any{n.url}, "scope": "read write", "iat": now, "exp": now + 1800, "jti": c["jti"], "status": n.statusClaim(t, c)})
			})
		})
	}
}

func (n *node) checkKeySet(t *testing.T, alg, kty string) {
	var set map[string][]map[string]any
	must(t, json.Unmarshal(n.do("GET", "/.well-known/jwks.json", "", "").ok(t, 200).body, &set))
	if len(set) != 1 || len(set["keys"]) != 4 {
		t.Fatalf("%d members, %d keys; want the current and the next one, for tokens and for lists", len(set), len(set["keys"]))
	}
	members := map[string][]string{"RSA": {"alg", "e", "kid", "kty", "n", "use"}, "EC": {"alg", "crv", "kid", "kty", "use", "x", "y"}, "OKP": {"alg", "crv", "kid", "kty", "use", "x"}}
	for _, k := range set["keys"] {
		if got := slices.Sorted(maps.Keys(k)); !slices.Equal(got, members[kty]) || k["kty"] != kty || k["use"] != "sig" || k["alg"] != alg {
			t.Errorf("J1: %v", k)
		}
	}
	for kid, k := range n.published(t) {
		if kid != k.thumbprint() {
			t.Errorf("J6: kid %s of a key with thumbprint %s", kid, k.thumbprint())
		}
		if public, ok := k.key(t).(*rsa.PublicKey); ok && (public.N.BitLen() < 2048 || public.E != 65537) {
			t.Errorf("J14: RSA of %d bits with e %d", public.N.BitLen(), public.E)
		}
	}
}

func (n *node) checkUserTokens(t *testing.T, login, refreshed answer) {
	first, second := n.verified(t, login.str("access_token")), n.verified(t, refreshed.str("access_token"))
	at := float64(n.clock.Now().Unix())
	want := jwt.MapClaims{
		"iss": n.url, "sub": "u-alice", "client_id": "app", "aud": []any{n.url}, "scope": "read", "roles": []any{"ROLE_USER"},
		"iat": at - 60, "exp": at - 60 + 1800, "auth_time": at - 60, "amr": []any{"pwd"}, "jti": first["jti"], "sid": first["sid"], "status": n.statusClaim(t, first),
	}
	n.expect(t, first, want)
	want["iat"], want["exp"], want["jti"], want["status"] = at, at+1800, second["jti"], n.statusClaim(t, second)
	n.expect(t, second, want)
	if first["jti"] == second["jti"] {
		t.Error("J20: two tokens with one jti")
	}
	for _, c := range []jwt.MapClaims{first, second} {
		for _, name := range []string{"jti", "sid"} {
			if raw, err := base64.RawURLEncoding.DecodeString(c[name].(string)); err != nil || len(raw) < 16 {
				t.Errorf("%s %v is not 128 random bits", name, c[name])
			}
		}
	}
}

func (n *node) expect(t *testing.T, got, want jwt.MapClaims) {
	t.Helper()
	if g, w := fmt.Sprint(map[string]any(got)), fmt.Sprint(map[string]any(want)); g != w {
		t.Errorf("claims\n%s, want\n%s", g, w)
	}
}

// The client says for which APIs its tokens are; one that may administer gets
// a token for that API alone.
func TestJ23_AudienceIsNeverEmpty(t *testing.T) {
	t.Parallel()
	n := startAdmin(t, options{})
	n.operator("PATCH", "/clients/app", `{"audience":["https://orders.example","https://stock.example"]}`).ok(t, 200)
	h := n.holder()
	for _, token := range []string{h.access, n.machine("app", appSecret)} {
		if aud := fmt.Sprint(n.verified(t, token)["aud"]); aud != "[https://orders.example https://stock.example]" {
			t.Errorf("aud %s", aud)
		}
	}
	if aud := fmt.Sprint(n.verified(t, n.opsToken("jeton:admin"))["aud"]); aud != "["+n.url+"/admin/v1]" {
		t.Errorf("aud of a token that administers: %s", aud)
	}
	n.operator("PATCH", "/clients/app", `{"audience":null}`).ok(t, 200)
	if aud := fmt.Sprint(n.verified(t, n.machine("app", appSecret))["aud"]); aud != "["+n.url+"]" {
		t.Errorf("aud by default: %s", aud)
	}
}

func TestJ22_NoUserHasTheSubjectOfAClient(t *testing.T) {
	n := start(t, options{})
	n.operator("POST", "/users", `{"username":"x","sub":"app"}`).want(t, 409, "already_exists")
	n.operator("POST", "/clients", `{"client_id":"u-alice","grant_types":["client_credentials"],"scope":"read"}`).want(t, 409, "already_exists")
	n.operator("DELETE", "/users/alice", "").ok(t, 204)
	n.operator("POST", "/clients", `{"client_id":"u-alice","grant_types":["client_credentials"],"scope":"read"}`).want(t, 409, "already_exists")
}

// A verifier that fetched the set 300 s ago, with a clock 60 s off, knows every
// key that signs, and none leaves while a token under it lives.
func TestJ4_KeysArePublishedBeforeTheySignAndUntilTheirLastTokenIsDead(t *testing.T) {
	n := start(t, options{})
	type shot struct {
		at   time.Time
		kids map[string]publishedKey
	}
	var seen []shot
	alive := make(map[string]time.Time) // by kid, the latest exp
	began, kids := n.clock.Now(), make(map[string]bool)
	for i := range 120 {
		// The second time in the first moment that the young key may be told to.
		if i == 3 || i == 13 {
			n.operator("POST", "/keys/rotate", "").ok(t, 200)
		}
		now := n.clock.Now()
		seen = append(seen, shot{now, n.published(t)})
		token := n.machine("app", appSecret)
		n.verified(t, token)
		kid := segment(t, token, 0)["kid"].(string)
		kids[kid], alive[kid] = true, now.Add(30*time.Minute)
		for _, s := range seen {
			if age := now.Sub(s.at); age <= 360*time.Second {
				if _, ok := s.kids[kid]; !ok {
					t.Fatalf("after %s: kid %s was not in the set %s before", now.Sub(began), kid, age)
				}
			}
		}
		for kid, until := range alive {
			if _, ok := seen[len(seen)-1].kids[kid]; !ok && now.Before(until.Add(360*time.Second)) {
				t.Fatalf("after %s: kid %s left the set before its tokens were dead", now.Sub(began), kid)
			}
		}
		n.clock.Add(30 * time.Second)
		_, err := n.grants.Keys.Sweep(t.Context())
		must(t, err)
	}
	if len(kids) != 3 {
		t.Errorf("%d keys signed, want three: nothing was rotated", len(kids))
	}
	n.clock.Add(2 * storage.Day)
	_, err := n.grants.Keys.Sweep(t.Context())
	must(t, err)
	gone := 0
	for kid := range kids {
		if _, ok := n.published(t)[kid]; !ok {
			gone++
		}
	}
	if gone != 2 {
		t.Errorf("%d of the keys have left in the end, want the first two", gone)
	}
}

func TestJ5_ForcedRotationSignsWithTheNextKeyAtOnce(t *testing.T) {
	n := start(t, options{})
	h := n.holder()
	before := n.published(t)
	next := n.operator("POST", "/keys/rotate", `{"now":true}`).ok(t, 200).str("kid")
	own := n.machine("app", appSecret)
	if kid := segment(t, own, 0)["kid"]; kid != next || segment(t, h.access, 0)["kid"] == next {
		t.Errorf("signed by %v, want %s", kid, next)
	}
	if _, ok := before[next]; !ok {
		t.Error("the next key was not published before")
	}
	n.verified(t, own)
	n.verified(t, h.access)
	n.alive(t, "of both keys", own, h.access)
	h.rotate(t)
}

func TestJ5_RemovedKeyEndsItsTokensAtOnce(t *testing.T) {
	n := start(t, options{})
	h := n.holder()
	own := n.machine("app", appSecret)
	leaked := segment(t, h.access, 0)["kid"].(string)
	a := n.operator("DELETE", "/keys/"+leaked, "").ok(t, 200)
	if a.str("kid") != leaked || a.str("state") != "current" || a.str("signing_kid") == leaked {
		t.Errorf("%s", a.body)
	}
	if _, ok := n.published(t)[leaked]; ok {
		t.Error("the key is still published")
	}
	if n.active(own) || n.active(h.access) {
		t.Error("a token of the removed key is active")
	}
	h.rotate(t) // the session goes on, under the key that signs now
	if kid := segment(t, h.access, 0)["kid"]; kid != a.str("signing_kid") {
		t.Errorf("signed by %v", kid)
	}
	n.verified(t, h.access)
	n.alive(t, "of the new key", h.access)
	if e := n.events("key_removed"); len(e) != 1 || e[0].Actor != "operator" || !strings.Contains(e[0].Note, leaked) {
		t.Errorf("events %+v", e)
	}
	n.operator("DELETE", "/keys/"+leaked, "").want(t, 404, "not_found")
}

func TestKeysAreImportedByOperatorsOnly(t *testing.T) {
	n := startAdmin(t, options{})
	before := len(n.published(t))
	n.bearer("POST", "/keys/import", `{"pem":"x"}`, n.opsToken("jeton:admin")).want(t, 403, "access_denied")
	n.operator("POST", "/keys/import", `{"pem":"x"}`).want(t, 400, "invalid_request")
	if len(n.published(t)) != before || len(n.events("key_imported")) != 0 {
		t.Error("a refused key changed the ring")
	}
}
