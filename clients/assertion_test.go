package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// signer is a client's key.
type signer struct {
	kid, alg string
	private  crypto.Signer
}

func newSigner(t testing.TB, kid, alg string) signer {
	t.Helper()
	s := signer{kid: kid, alg: alg}
	var err error
	switch alg {
	case keys.RS256, keys.PS256:
		s.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case keys.ES256:
		s.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case keys.ES384:
		s.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case keys.EdDSA:
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func jwks(t testing.TB, signers ...signer) string {
	t.Helper()
	set := struct {
		Keys []keys.JWK `json:"keys"`
	}{}
	for _, s := range signers {
		set.Keys = append(set.Keys, keys.JWK{KeyID: s.kid, Use: "sig", Alg: s.alg, Key: s.private.Public()})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sign makes a token; a header or claim of nil is left out.
func (s signer) sign(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.GetSigningMethod(s.alg), jwt.MapClaims(claims))
	tok.Header["kid"] = s.kid
	for name, value := range header {
		tok.Header[name] = value
	}
	maps.DeleteFunc(tok.Header, func(_ string, v any) bool { return v == nil })
	text, err := tok.SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claims are those of a good assertion, with changes.
func (r *rig) claims(changes map[string]any) map[string]any {
	c := map[string]any{"iss": "api", "sub": "api", "aud": issuer, "jti": rand.Text(), "iat": r.now().Unix(), "exp": r.now().Add(time.Minute).Unix()}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func presented(token string) Credentials {
	return Credentials{Method: storage.AuthPrivateKeyJWT, Assertion: token, AssertionType: AssertionType}
}

func (r *rig) keyClient(s ...signer) {
	r.put(storage.Client{ID: "api", AuthMethod: storage.AuthPrivateKeyJWT, JWKS: jwks(r, s...)})
}

func TestK10_PrivateKeyJWT(t *testing.T) {
	for _, alg := range []string{keys.RS256, keys.PS256, keys.ES256, keys.ES384, keys.EdDSA} {
		t.Run(alg, func(t *testing.T) {
			r := newRig(t, nil)
			key := newSigner(t, "one", alg)
			r.keyClient(key)
			token := key.sign(t, nil, r.claims(nil))
			r.accepted("first use", presented(token))
			r.refused("second use", presented(token))
			withID := presented(key.sign(t, nil, r.claims(nil)))
			withID.ClientID = "api"
			r.accepted("with client_id", withID)
		})
	}
}

// RFC 9864 names what RFC 8037 calls EdDSA.
func TestK10_Ed25519ByItsOwnName(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.EdDSA)
	r.keyClient(key)
	r.accepted("Ed25519", presented(key.sign(t, map[string]any{"alg": "Ed25519"}, r.claims(nil))))
}

func TestK10_K11_Claims(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	r.put(storage.Client{ID: "other", AuthMethod: storage.AuthPrivateKeyJWT, JWKS: jwks(t, newSigner(t, "one", keys.ES256))})
	at := func(d time.Duration) int64 { return r.now().Add(d).Unix() }
	for _, tt := range []struct {
		name    string
		changes map[string]any
		ok      bool
	}{
		{"K10 no iss", map[string]any{"iss": nil}, false},
		{"K10 no sub", map[string]any{"sub": nil}, false},
		{"K10 iss is another", map[string]any{"iss": "other"}, false},
		{"K10 sub is another", map[string]any{"sub": "other"}, false},
		{"K10 both another's", map[string]any{"iss": "other", "sub": "other"}, false},
		{"K10 both nobody's", map[string]any{"iss": "nobody", "sub": "nobody"}, false},
		{"K10 iss is no string", map[string]any{"iss": 1, "sub": 1}, false},
		{"K10 sub with NUL", map[string]any{"iss": "a\x00", "sub": "a\x00"}, false},
		{"K10 no exp", map[string]any{"exp": nil}, false},
		{"K10 exp is no number", map[string]any{"exp": "2026"}, false},
		{"K10 exp is endless", map[string]any{"exp": 1e300}, false},
		{"K10 exp is negative", map[string]any{"exp": -1e300}, false},
		{"K10 expired", map[string]any{"exp": at(-time.Minute)}, false},
		{"J25 expired by the leeway", map[string]any{"exp": at(-10 * time.Second)}, false},
		{"J25 expired within the leeway", map[string]any{"exp": at(-9 * time.Second)}, true},
		{"K10 exp ten minutes ahead", map[string]any{"exp": at(10 * time.Minute)}, true},
		{"K10 exp too far ahead", map[string]any{"exp": at(10*time.Minute + 11*time.Second)}, false},
		{"K10 no jti", map[string]any{"jti": nil}, false},
		{"K10 empty jti", map[string]any{"jti": ""}, false},
		{"K10 jti is no string", map[string]any{"jti": 7}, false},
		{"K10 long jti with NUL", map[string]any{"jti": strings.Repeat("\x00", 2000)}, true},
		{"J25 iat 10 s ahead", map[string]any{"iat": at(10 * time.Second)}, true},
		{"J25 iat 60 s ahead", map[string]any{"iat": at(60 * time.Second)}, true},
		{"J25 iat 61 s ahead", map[string]any{"iat": at(61 * time.Second)}, false},
		{"J25 nbf 10 s ahead", map[string]any{"nbf": at(10 * time.Second)}, true},
		{"J25 nbf 61 s ahead", map[string]any{"nbf": at(61 * time.Second)}, false},
		{"J25 nbf is no date", map[string]any{"nbf": "now"}, false},
		{"no iat", map[string]any{"iat": nil}, true},
		{"unknown claims", map[string]any{"foo": map[string]any{"bar": 1}}, true},
		{"K11 aud in an array", map[string]any{"aud": []string{issuer}}, true},
		{"K11 no aud", map[string]any{"aud": nil}, false},
		{"K11 empty aud", map[string]any{"aud": []string{}}, false},
		{"K11 the token endpoint", map[string]any{"aud": issuer + "/token"}, false},
		{"K11 with a slash", map[string]any{"aud": issuer + "/"}, false},
		{"K11 a second value", map[string]any{"aud": []string{issuer, issuer + "/token"}}, false},
		{"K11 twice", map[string]any{"aud": []string{issuer, issuer}}, false},
		{"K11 nested", map[string]any{"aud": [][]string{{issuer}}}, false},
		{"K11 not a string", map[string]any{"aud": map[string]any{issuer: true}}, false},
		{"names of another case", map[string]any{"exp": nil, "EXP": at(time.Minute)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.T = t
			c := presented(key.sign(t, nil, r.claims(tt.changes)))
			if tt.ok {
				r.accepted("assertion", c)
			} else {
				r.refused("assertion", c)
			}
		})
	}
}

func TestK10_K12_Header(t *testing.T) {
	r := newRig(t, nil)
	key, second := newSigner(t, "one", keys.ES256), newSigner(t, "two", keys.RS256)
	stranger := newSigner(t, "one", keys.ES256)
	r.keyClient(key, second)
	for _, tt := range []struct {
		name   string
		key    signer
		header map[string]any
		ok     bool
	}{
		{"K12 client-authentication+jwt", key, map[string]any{"typ": "client-authentication+jwt"}, true},
		{"K12 with application/", key, map[string]any{"typ": "application/Client-Authentication+JWT"}, true},
		{"K12 JWT", key, map[string]any{"typ": "JWT"}, true},
		{"K12 absent", key, map[string]any{"typ": nil}, true},
		{"K12 access token", key, map[string]any{"typ": "at+jwt"}, false},
		{"K12 request object", key, map[string]any{"typ": "oauth-authz-req+jwt"}, false},
		{"K12 anything", key, map[string]any{"typ": "x"}, false},
		{"kid of the other key", key, map[string]any{"kid": "two"}, false},
		{"kid of no key", key, map[string]any{"kid": "three"}, false},
		{"J13 kid with NUL and path", key, map[string]any{"kid": "../../\x00'; --"}, false},
		{"no kid, one key fits", key, map[string]any{"kid": nil}, true},
		{"empty kid, one key fits", key, map[string]any{"kid": ""}, true},
		{"a stranger's key", stranger, nil, false},
		{"a stranger's key and kid", stranger, map[string]any{"kid": nil}, false},
		{"J9 alg is not the key's", second, map[string]any{"alg": "PS256"}, false},
		{"J9 alg is not taken", second, map[string]any{"alg": "RS512"}, false},
		{"J11 crit", key, map[string]any{"crit": []string{"x"}, "x": 1}, false},
		{"J12 jwk in the header", stranger, map[string]any{"jwk": json.RawMessage(jwks(t, stranger))}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.T = t
			c := presented(tt.key.sign(t, tt.header, r.claims(nil)))
			if tt.ok {
				r.accepted("assertion", c)
			} else {
				r.refused("assertion", c)
			}
		})
	}
	t.Run("no kid, two keys fit", func(t *testing.T) {
		r := newRig(t, nil)
		third := newSigner(t, "three", keys.ES256)
		r.keyClient(key, third)
		for _, k := range []signer{key, third} {
			r.refused("ambiguous", presented(k.sign(t, map[string]any{"kid": nil}, r.claims(nil))))
			r.accepted("by kid", presented(k.sign(t, nil, r.claims(nil))))
		}
	})
}

func TestK10_SymmetricAndUnsigned(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.RS256)
	r.keyClient(key)
	secret := []byte(jwks(t, key))
	hs, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(r.claims(nil))).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	r.refused("J9 HS256", presented(hs))
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(r.claims(nil))).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	r.refused("J9 none", presented(none))
	good := key.sign(t, nil, r.claims(nil))
	for name, token := range map[string]string{
		"J8 padding":       good + "=",
		"J8 fourth part":   good + ".x",
		"J8 whitespace":    good + "\n",
		"no signature":     good[:strings.LastIndex(good, ".")+1],
		"cut":              good[:len(good)-1],
		"empty":            "",
		"two dots":         "..",
		"larger than ever": strings.Repeat("x", 1<<20),
		"claims are a list": "eyJhbGciOiJSUzI1NiJ9." +
			base64.RawURLEncoding.EncodeToString([]byte("[]")) + ".eA",
		"J17 a claim twice": "eyJhbGciOiJSUzI1NiJ9." +
			base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"api","iss":"api","sub":"api"}`)) + ".eA",
	} {
		r.refused(name, presented(token))
	}
	r.accepted("the untouched one", presented(good))
}

func TestK10_FormParameters(t *testing.T) {
	r := newRig(t, nil)
	key := newSigner(t, "one", keys.ES256)
	r.keyClient(key)
	secret := NewSecret()
	r.put(storage.Client{ID: "basic", SecretHash: HashSecret(secret), JWKS: jwks(t, key)})
	change := func(f func(*Credentials)) Credentials {
		c := presented(key.sign(t, nil, r.claims(nil)))
		f(&c)
		return c
	}
	r.refused("no client_assertion_type", change(func(c *Credentials) { c.AssertionType = "" }))
	r.refused("SAML", change(func(c *Credentials) {
		c.AssertionType = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
	}))
	r.refused("client_id of another", change(func(c *Credentials) { c.ClientID = "basic" }))
	r.refused("a secret beside it", change(func(c *Credentials) { c.Secret = secret }))
	r.refused("T20 client registered for a secret", change(func(c *Credentials) {
		c.Assertion = key.sign(t, nil, r.claims(map[string]any{"iss": "basic", "sub": "basic"}))
	}))
	r.put(storage.Client{ID: "api", AuthMethod: storage.AuthPrivateKeyJWT, JWKS: "damaged"})
	r.refused("keys that cannot be read", presented(key.sign(t, nil, r.claims(map[string]any{"sub": "api"}))))
}
