package server_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jeton/keys"
)

// doors are all places that take tokens from outside.
type doors struct {
	*holder
	ops string // an access token that every door for access tokens takes
}

func startDoors(t *testing.T, o options) *doors {
	n := startAdmin(t, o)
	return &doors{n.holder(), n.opsToken("jeton:admin")}
}

// opens checks that an access token is taken where such tokens are.
func (d *doors) opens(t *testing.T, what, token string) {
	t.Helper()
	if !d.active(token) {
		t.Errorf("%s: not active", what)
	}
	if a := d.bearer("GET", "/users", "", token); a.StatusCode != 200 {
		t.Errorf("%s: bearer %d %s", what, a.StatusCode, a.body)
	}
}

// refused checks that a token is nothing to any door, and changes nothing.
func (d *doors) refused(t *testing.T, what, token string) {
	t.Helper()
	for _, as := range []func(*http.Request){api, basic("ops", opsSecret), app} {
		d.post("/revoke", form("token", token), as).revoked(t, what)
	}
	d.inactive(t, what, token)
}

// inactive is refused for a token that may be revoked by the client it names,
// which whoever holds the ring's keys can choose.
func (d *doors) inactive(t *testing.T, what, token string) {
	t.Helper()
	for _, as := range []func(*http.Request){api, basic("ops", opsSecret), app} {
		d.introspect(token, as).inactive(t, what)
	}
	if a := d.refresh(token); a.StatusCode != 400 || a.str("error") != "invalid_grant" {
		t.Errorf("%s: refresh %d %s", what, a.StatusCode, a.body)
	}
	if a := d.post("/token", asserted(token, "grant_type", "client_credentials")); a.StatusCode != 401 || a.str("error") != "invalid_client" {
		t.Errorf("%s: as an assertion %d %s", what, a.StatusCode, a.body)
	}
	// HTTP takes space around a header's value away, and other characters do
	// not travel in one.
	if token == strings.TrimSpace(token) && !strings.ContainsAny(token, "\r\n\t") {
		a := d.bearer("GET", "/users", "", token)
		if a.StatusCode != 401 && a.StatusCode != 400 || a.str("error") != "invalid_token" && a.str("error") != "invalid_request" {
			t.Errorf("%s: bearer %d %s", what, a.StatusCode, a.body)
		}
	}
	if now := d.stored(); !maps.Equal(now, d.rows) {
		t.Errorf("%s: the store has changed", what)
		d.rows = now
	}
}

// unharmed checks at the end that the tokens the attacks were made from work.
func (d *doors) unharmed(t *testing.T) {
	t.Helper()
	d.opens(t, "the access token", d.ops)
	d.rotate(t)
}

// kinds are an access and a refresh token, each with the key that signed it.
func (d *doors) kinds(t *testing.T, each func(t *testing.T, token, typ string, key jwtKey)) {
	for typ, token := range map[string]string{"at+jwt": d.ops, "rt+jwt": d.refreshToken} {
		t.Run(typ, func(t *testing.T) { each(t, token, typ, d.ringKey(token)) })
	}
}

func TestJ8_OnlyCanonicalCompactTokensAreRead(t *testing.T) {
	d := startDoors(t, options{})
	d.kinds(t, func(t *testing.T, token, _ string, key jwtKey) {
		p := strings.Split(token, ".")
		for what, bad := range map[string]string{
			"padding": token + "=", "padding of the header": p[0] + "=." + p[1] + "." + p[2], "padding of the claims": p[0] + "." + p[1] + "==." + p[2],
			"space before": " " + token, "space after": token + " ", "newline after": token + "\n", "CRLF after": token + "\r\n", "tab inside": p[0] + ".\t" + p[1] + "." + p[2],
			"newline in the signature": token[:len(token)-5] + "\n" + token[len(token)-5:], "newline in the claims": p[0] + "." + p[1][:8] + "\n" + p[1][8:] + "." + p[2],
			"dot after": token + ".", "dot before": "." + token, "four parts": token + "." + p[2], "two dots": p[0] + ".." + p[1] + "." + p[2],
			"two parts": p[0] + "." + p[1], "no signature": p[0] + "." + p[1] + ".", "no claims": p[0] + ".." + p[2], "no header": "." + p[1] + "." + p[2],
			"quotes": `"` + token + `"`, "braces": `{"token":"` + token + `"}`, "scheme": "Bearer " + token, "percent": token + "%20", "comma": token + "," + token,
			"flattened JSON":   `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`,
			"another alphabet": p[0] + "." + p[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(p[2]) + "+",
			"trailing bits":    p[0] + "." + p[1] + "." + trailingBits(p[2]), "an invisible character": token + "\u200b", "upper case": strings.ToUpper(token),
			"J16 a JWE":                   encoded(`{"alg":"dir","enc":"A128CBC-HS256","zip":"DEF"}`) + "..AAAA.AAAA.AAAA",
			"J16 a JWE with a password":   encoded(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AA"}`) + ".AAAA.AAAA.AAAA.AAAA",
			"claims with padding, signed": signedText(t, key, p[0]+"."+p[1]+"="), "header with space, signed": signedText(t, key, p[0]+" ."+p[1]),
		} {
			d.refused(t, what, bad)
		}
	})
	d.unharmed(t)
}

// trailingBits changes those bits of the last character that say nothing.
func trailingBits(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + alphabet[last|1:][:1]
}

func signedText(t *testing.T, k jwtKey, text string) string {
	return text + "." + k.signature(t, k.alg, text)
}

func TestJ9_J10_TheAlgorithmIsTheKeysOwn(t *testing.T) {
	for _, alg := range []string{keys.RS256, keys.ES256} {
		t.Run(alg, func(t *testing.T) {
			d := startDoors(t, options{alg: alg})
			key, rt := d.ringKey(d.ops), d.ringKey(d.refreshToken)
			p := strings.Split(d.ops, ".")
			header := func(alg, kid, typ string) string {
				return `{"alg":"` + alg + `","kid":"` + kid + `","typ":"` + typ + `"}`
			}
			attack := map[string]string{
				"refresh key for an access token": rt.sign(t, rt.headerOf("at+jwt"), claimsOf(t, d.ops, nil)),
				"access key for a refresh token":  key.sign(t, key.headerOf("rt+jwt"), claimsOf(t, d.refreshToken, nil)),
			}
			for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
				for typ, token := range map[string]string{"at+jwt": d.ops, "rt+jwt": d.refreshToken} {
					claims := strings.Split(token, ".")[1]
					kid := segment(t, token, 0)["kid"].(string)
					attack["alg "+none+" with a signature, "+typ] = encoded(header(none, kid, typ)) + "." + claims + "." + p[2]
					attack["alg "+none+", "+typ] = encoded(header(none, kid, typ)) + "." + claims + "."
				}
			}
			for what, secret := range publicForms(t, key, d.published(t)[key.kid]) {
				k := jwtKey{kid: key.kid, alg: "HS256", private: secret}
				attack["HS256 with the public key as "+what] = k.sign(t, k.headerOf("at+jwt"), claimsOf(t, d.ops, nil))
				attack["refresh by HS256 with the public key as "+what] = k.sign(t, k.headerOf("rt+jwt"), claimsOf(t, d.refreshToken, nil))
			}
			others := map[string][]string{keys.RS256: {"PS256", "RS384", "RS512", "PS512"}, keys.ES256: nil}
			for _, other := range others[alg] { // genuine signatures in an algorithm that is not the key's
				text := encoded(header(other, key.kid, "at+jwt")) + "." + p[1]
				attack["the key with "+other] = text + "." + key.signature(t, other, text)
			}
			for _, lie := range []string{"HS256", "HS512", "PS256", "ES256", "ES256K", "EdDSA", "RS256", "rs256", strings.ToLower(alg), "RS256 ", "RSA-OAEP", "dir"} {
				if lie != alg {
					text := encoded(header(lie, key.kid, "at+jwt")) + "." + p[1]
					attack["alg "+lie+", signed with "+alg] = text + "." + key.signature(t, alg, text)
				}
			}
			for _, other := range []string{"HS384", "HS512"} {
				text := encoded(header(other, rt.kid, "rt+jwt")) + "." + strings.Split(d.refreshToken, ".")[1]
				attack["the refresh key with "+other] = text + "." + rt.signature(t, other, text)
			}
			for what, token := range attack {
				d.refused(t, what, token)
			}
			d.opens(t, "the same, signed right", key.sign(t, key.headerOf("at+jwt"), claimsOf(t, d.ops, nil)))
			d.unharmed(t)
		})
	}
}

// publicForms are the texts of a public key that have been taken for secrets.
func publicForms(t *testing.T, k jwtKey, jwk publishedKey) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.private.(crypto.Signer).Public())
	must(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	modulus, err := base64.RawURLEncoding.DecodeString(jwk.N + jwk.X)
	must(t, err)
	return map[string][]byte{"DER": der, "PEM": text, "PEM without its newline": text[:len(text)-1], "JWK": []byte(k.public(t)), "number": modulus, "nothing": {}, "kid": []byte(k.kid)}
}

func TestJ11_J13_J17_J18_HeadersThatAreGenuinelySigned(t *testing.T) {
	d := startDoors(t, options{})
	d.kinds(t, func(t *testing.T, token, typ string, key jwtKey) {
		with := func(members string) string {
			return `{"alg":"` + key.alg + `","kid":"` + key.kid + `","typ":"` + typ + `"` + members + `}`
		}
		bad := map[string]string{
			"J11 crit of something": with(`,"crit":["exp"],"exp":1`), "J11 crit of nothing": with(`,"crit":[]`), "J11 crit b64": with(`,"crit":["b64"],"b64":true`),
			"J11 crit is null": with(`,"crit":null`), "J17 alg twice": with(`,"alg":"none"`), "J17 typ twice": with(`,"typ":"` + typ + `"`), "J17 kid twice": with(`,"kid":"x"`),
			"J17 case": with(`,"ALG":"none"`), "J17 escaped": with(`,"\u0061lg":"none"`), "J17 inside": with(`,"x":{"a":1,"a":2}`),
			"not an object": `["` + key.alg + `"]`, "trailing": with("") + "{}", "no alg": `{"kid":"` + key.kid + `","typ":"` + typ + `"}`, "null": "null",
			"J13 no kid": `{"alg":"` + key.alg + `","typ":"` + typ + `"}`,
		}
		for _, kid := range []string{
			`"' OR 1=1 --"`, `"../../../../etc/passwd"`, `"/dev/null"`, `"\u0000"`, `"` + key.kid + `\u0000"`, `" ` + key.kid + `"`, `"` + strings.ToUpper(key.kid) + `"`,
			`""`, `1`, `null`, `["` + key.kid + `"]`, `{"a":1}`, `"` + strings.Repeat("k", 5000) + `"`, `"` + strings.Repeat("A", 43) + `"`, `"` + strings.Repeat("A", 22) + `"`, `"-"`, `"é"`,
		} {
			bad["J13 kid "+kid[:min(len(kid), 30)]] = `{"alg":"` + key.alg + `","kid":` + kid + `,"typ":"` + typ + `"}`
		}
		for _, other := range []string{
			`"JWT"`, `""`, `"at"`, `"jwt+at"`, `"client-authentication+jwt"`, `"logout+jwt"`, `"secevent+jwt"`, `"statuslist+jwt"`, `"token-introspection+jwt"`, `"dpop+jwt"`,
			`"oauth-authz-req+jwt"`, `"application/application/` + typ + `"`, `"text/` + typ + `"`, `"` + typ + ` "`, `"` + map[string]string{"at+jwt": "rt+jwt", "rt+jwt": "at+jwt"}[typ] + `"`, `null`, `1`, `["` + typ + `"]`,
		} {
			bad["J18 typ "+other] = `{"alg":"` + key.alg + `","kid":"` + key.kid + `","typ":` + other + `}`
		}
		bad["J18 no typ"] = `{"alg":"` + key.alg + `","kid":"` + key.kid + `"}`
		claims := claimsOf(t, token, nil)
		for what, header := range bad {
			d.refused(t, what, key.sign(t, header, claims))
		}
		for what, text := range map[string]string{
			"J17 sub twice": `{"sub":"x",` + claims[1:], "J17 exp twice, in another case": claims[:len(claims)-1] + `,"Exp":99999999999}`,
			"J17 inside": claims[:len(claims)-1] + `,"x":[{"a":1,"a":1}]}`, "claims are an array": "[" + claims + "]", "claims are no JSON": claims[1:],
			"claims are not UTF-8": claims[:len(claims)-1] + ",\"x\":\"\xff\"}", "claims are of the wrong kind": strings.Replace(claims, `"client_id":`, `"client_id":1,"x":`, 1),
		} {
			d.refused(t, what, key.sign(t, key.headerOf(typ), text))
		}
	})
	key := d.ringKey(d.ops)
	for _, typ := range []string{"AT+JWT", "application/at+jwt", "Application/At+Jwt"} {
		d.opens(t, "J18 typ "+typ, key.sign(t, key.headerOf(typ), claimsOf(t, d.ops, nil)))
	}
	// Members that mean nothing are none of our business.
	for _, more := range []string{`"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000), `"cty":"x"`, `"b64":false`} {
		d.opens(t, more[:8], key.sign(t, `{"alg":"ES256","kid":"`+key.kid+`","typ":"at+jwt",`+more+`}`, claimsOf(t, d.ops, nil)))
	}
	d.unharmed(t)
}

// Each kind of token is nothing to whoever takes the others.
func TestJ18_J24_KindsOfTokensAreNotMixedUp(t *testing.T) {
	d := startDoors(t, options{})
	worker := newKey(t, "w", keys.ES256)
	d.keyClient("worker", worker)
	d.rows = d.stored()
	key := d.ringKey(d.ops)
	idToken := key.sign(t, key.headerOf("JWT"), claimsOf(t, d.ops, map[string]any{"nonce": "n", "jti": nil, "scope": nil, "client_id": nil, "aud": "ops"}))
	d.refused(t, "J24 an ID token", idToken)
	d.refused(t, "a client's assertion", d.assertion(worker, map[string]any{"aud": d.url + "/"}))
	good := d.assertion(worker, nil)
	d.introspect(good, api).inactive(t, "a good assertion")
	d.refresh(good).want(t, 400, "invalid_grant")
	d.bearer("GET", "/users", "", good).want(t, 401, "invalid_token")
	d.post("/revoke", form("token", good), app).revoked(t, "a good assertion")
	// An access token for this issuer alone, signed with a key that the client
	// has registered, says the same as an assertion.
	d.post("/token", asserted(d.typedAssertion(worker, worker.headerOf("at+jwt"), nil), "grant_type", "client_credentials")).want(t, 401, "invalid_client")
	d.introspect(d.refreshToken, app).inactive(t, "refresh token")
	d.bearer("GET", "/users", "", d.refreshToken).want(t, 401, "invalid_token")
	for _, access := range []string{d.access, d.ops} {
		d.refresh(access).want(t, 400, "invalid_grant")
		d.post("/token", asserted(access, "grant_type", "client_credentials")).want(t, 401, "invalid_client")
	}
	d.unharmed(t)
}

func TestJ12_KeysInTokensAreNeverUsed(t *testing.T) {
	fetched := make(chan string, 100)
	thief := newKey(t, "thief", keys.ES256)
	lair := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched <- r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, keySet(t, thief))
	}))
	defer lair.Close()
	outbound := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		fetched <- r.URL.String()
		return http.DefaultTransport.RoundTrip(r)
	})}
	d := startDoors(t, options{outbound: outbound})
	d.keyClient("worker", newKey(t, "w", keys.ES256))
	d.rows = d.stored()
	ours := d.ringKey(d.ops).kid
	for _, kid := range []string{"thief", ours, "w", lair.URL} {
		for what, member := range map[string]string{
			"jku": `"jku":"` + lair.URL + `/jku"`, "x5u": `"x5u":"` + lair.URL + `/x5u"`, "jwk": `"jwk":` + thief.public(t), "x5c": `"x5c":["AAAA"]`,
			"x5t": `"x5t#S256":"AAAA","jku":"` + lair.URL + `"`, "iss": `"iss":"` + lair.URL + `"`,
		} {
			header := `{"alg":"ES256","kid":"` + kid + `",` + member + `,"typ":"`
			d.refused(t, what, thief.sign(t, header+`at+jwt"}`, claimsOf(t, d.ops, nil)))
			d.refused(t, what, thief.sign(t, header+`at+jwt"}`, claimsOf(t, d.ops, map[string]any{"iss": lair.URL})))
			d.refused(t, what, thief.sign(t, header+`rt+jwt"}`, claimsOf(t, d.refreshToken, nil)))
			d.post("/token", asserted(d.typedAssertion(thief, header+`JWT"}`, nil), "grant_type", "client_credentials")).want(t, 401, "invalid_client")
		}
	}
	d.unharmed(t)
	if len(fetched) != 0 {
		t.Errorf("the server called %s", <-fetched)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestJ20_J25_ClaimsThatAreGenuinelySigned(t *testing.T) {
	d := startDoors(t, options{})
	now := d.clock.Now().Unix()
	key := d.ringKey(d.ops)
	access := func(change map[string]any) string {
		return key.sign(t, key.headerOf("at+jwt"), claimsOf(t, d.ops, change))
	}
	for what, change := range map[string]map[string]any{
		"J25 exp is now": {"exp": now}, "J25 exp is past": {"exp": now - 1}, "J25 iat in over a minute": {"iat": now + 61}, "J25 nbf in over a minute": {"nbf": now + 61},
		"no exp": {"exp": nil}, "no iat": {"iat": nil}, "exp is far below zero": {"exp": -1e300}, "exp is an object": {"exp": map[string]any{}},
		"no iss": {"iss": nil}, "J27 another iss": {"iss": "https://other.example"}, "iss with a slash": {"iss": d.url + "/"}, "iss in capitals": {"iss": strings.ToUpper(d.url)},
		"iss is a list": {"iss": []string{d.url}}, "no jti": {"jti": nil}, "a jti without a place": {"jti": "x"}, "another client": {"client_id": "other"},
		"a session that is not": {"sid": "x", "sub": "u-alice"}, "a session of another": {"sid": segment(t, d.access, 1)["sid"]},
		"a long session": {"sid": strings.Repeat("x", 9000)},
	} {
		t.Run(what, func(t *testing.T) { d.inactive(t, what, access(change)) })
	}
	for what, change := range map[string]map[string]any{
		"unchanged": nil, "J25 iat in ten seconds": {"iat": now + 10}, "J25 one second left": {"exp": now + 1}, "a claim nobody knows": {"x": "y"},
	} {
		d.opens(t, what, access(change))
	}
	refresh := d.ringKey(d.refreshToken)
	for what, change := range map[string]map[string]any{
		"no exp": {"exp": nil}, "J25 exp is past": {"exp": now - 1}, "no gen": {"gen": nil}, "gen is negative": {"gen": -1}, "gen is huge": {"gen": 1e30}, "another gen": {"gen": 2},
		"another client": {"client_id": "other"}, "another sid": {"sid": "x"}, "another sub": {"sub": "x"}, "no jti": {"jti": nil},
		"the inner MAC of nothing": {"jti": encoded(strings.Repeat("\x00", 48))}, "a short jti": {"jti": "AAAA"},
	} {
		t.Run("refresh "+what, func(t *testing.T) {
			token := refresh.sign(t, refresh.headerOf("rt+jwt"), claimsOf(t, d.refreshToken, change))
			a := d.refresh(token)
			a.want(t, 400, "invalid_grant")
			if now := d.stored(); !maps.Equal(now, d.rows) {
				t.Error("the store has changed")
			}
		})
	}
	d.unharmed(t)
}

// Two issuers with stores of their own, and one that has the other's key.
func TestJ27_KeysOfAnotherIssuer(t *testing.T) {
	d, foreign := startDoors(t, options{}), startDoors(t, options{})
	d.refused(t, "another issuer's access token", foreign.ops)
	d.refused(t, "another issuer's refresh token", foreign.refreshToken)
	key := foreign.ringKey(foreign.ops)
	d.refused(t, "another's key with our iss", key.sign(t, key.headerOf("at+jwt"), claimsOf(t, d.ops, nil)))
	stolen := key
	stolen.kid = d.ringKey(d.ops).kid
	d.refused(t, "another's key under our kid", stolen.sign(t, stolen.headerOf("at+jwt"), claimsOf(t, d.ops, nil)))
	rt := foreign.ringKey(foreign.refreshToken)
	rt.kid = d.ringKey(d.refreshToken).kid
	d.refused(t, "another's refresh key under our kid", rt.sign(t, rt.headerOf("rt+jwt"), claimsOf(t, d.refreshToken, nil)))
	ours := d.ringKey(d.ops)
	d.refused(t, "our key with another's iss", ours.sign(t, ours.headerOf("at+jwt"), claimsOf(t, d.ops, map[string]any{"iss": foreign.url})))
	// A key of the ring that does not sign yet has signed nothing.
	d.unharmed(t)
}

// A client's keys are held to the same.
func TestJ14_WeakKeysAreNotRegistered(t *testing.T) {
	n := start(t, options{})
	for what, jwk := range map[string]string{
		"RSA of 1024 bits":    `{"kty":"RSA","kid":"k","alg":"RS256","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xc1", 128))) + `"}`,
		"a point not on P256": `{"kty":"EC","crv":"P-256","kid":"k","x":"` + encoded(strings.Repeat("\x01", 32)) + `","y":"` + encoded(strings.Repeat("\x01", 32)) + `"}`,
		"P-192":               `{"kty":"EC","crv":"P-192","kid":"k","x":"AAAA","y":"AAAA"}`,
		"a secret":            `{"kty":"oct","kid":"k","k":"` + encoded(strings.Repeat("k", 32)) + `"}`,
		"alg none":            strings.Replace(newKey(t, "k", keys.ES256).public(t), `"ES256"`, `"none"`, 1),
		"alg of another type": strings.Replace(newKey(t, "k", keys.ES256).public(t), `"ES256"`, `"RS256"`, 1),
		"a private key":       strings.Replace(newKey(t, "k", keys.ES256).public(t), `{`, `{"d":"AAAA",`, 1),
	} {
		body, err := json.Marshal(map[string]any{"client_id": "w", "grant_types": []string{"client_credentials"}, "scope": "read", "jwks": json.RawMessage(`{"keys":[` + jwk + `]}`)})
		must(t, err)
		if a := n.operator("POST", "/clients", string(body)); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
}

// A token is refused in the second in which it expires, on the store's clock.
func TestJ25_ExpiryIsStrict(t *testing.T) {
	d := startDoors(t, options{})
	d.clock.Add(30*time.Minute - time.Second)
	d.opens(t, "in its last second", d.ops)
	d.clock.Add(time.Second)
	d.inactive(t, "expired", d.ops)
}
