package keys

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestSignInEveryAlgorithm(t *testing.T) {
	for _, alg := range []string{RS256, PS256, ES256, EdDSA} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			r, c := newRing(t, Config{Alg: alg})
			token, kid := sign(t, r, c.Now(), UseSig, typAccess)

			var header map[string]string
			text, _ := base64url.DecodeString(strings.Split(token, ".")[0])
			if err := json.Unmarshal(text, &header); err != nil {
				t.Fatal(err)
			}
			if len(header) != 3 || header["alg"] != alg || header["typ"] != typAccess || header["kid"] != kid {
				t.Errorf("J19 header %s", text)
			}

			var claims jwt.RegisteredClaims
			if err := r.Parse(t.Context(), c.Now(), UseSig, token, typAccess, &claims); err != nil || claims.Subject != "u1" {
				t.Errorf("got %+v, %v", claims, err)
			}

			// What others see is enough to verify it.
			set, err := ParseJWKSet(r.KeySet().JSON)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range set {
				if err := k.Verify(token, &claims); (err == nil) != (k.KeyID == kid) {
					t.Errorf("key %s verifies the token of %s: %v", k.KeyID, kid, err)
				}
				if thumb, _ := Thumbprint(k.Key); thumb != k.KeyID || k.Alg != alg {
					t.Errorf("J6 kid %s of %s, thumbprint %s", k.KeyID, k.Alg, thumb)
				}
			}

			again, err := r.SignWith(t.Context(), kid, UseSig, typAccess, testClaims())
			if err != nil || alg != PS256 && again != token {
				t.Errorf("the same claims give another token (%v)", err)
			}

			i := strings.LastIndexByte(token, '.')
			signature, _ := base64url.DecodeString(token[i+1:])
			for _, at := range []int{0, len(signature) / 2, len(signature) - 1} {
				signature[at] ^= 1
				if err := parse(r, c.Now(), UseSig, typAccess, token[:i+1]+base64url.EncodeToString(signature)); !errors.Is(err, ErrSignature) {
					t.Errorf("signature changed at %d: %v", at, err)
				}
				signature[at] ^= 1
			}
		})
	}
}

func TestRefreshKeysSignAlikeAndStayInside(t *testing.T) {
	r, c := newRing(t, Config{})
	token, kid := sign(t, r, c.Now(), UseRefresh, typRefresh)
	if err := parse(r, c.Now(), UseRefresh, typRefresh, token); err != nil {
		t.Fatal(err)
	}
	if again, err := r.SignWith(t.Context(), kid, UseRefresh, typRefresh, testClaims()); again != token || err != nil {
		t.Errorf("got another token (%v)", err)
	}
	if strings.Contains(string(r.KeySet().JSON), kid) {
		t.Error("a refresh key is published")
	}
	for _, k := range r.snap.Load().all {
		if k.Use == UseRefresh && (len(k.private.secret) != 32 || k.Alg != "HS256" || k.Public != "") {
			t.Errorf("J14 refresh key %+v", k.SigningKey)
		}
	}
	if _, err := r.SignWith(t.Context(), kid, UseSig, typAccess, testClaims()); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key of another use signs: %v", err)
	}
	if _, err := r.SignWith(t.Context(), "nobody", UseSig, typAccess, testClaims()); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an unknown key signs: %v", err)
	}
}

func TestJ18_OneKindIsNotTakenForAnother(t *testing.T) {
	r, c := newRing(t, Config{})
	access, _ := sign(t, r, c.Now(), UseSig, typAccess)
	refresh, _ := sign(t, r, c.Now(), UseRefresh, typRefresh)
	for name, tt := range map[string]struct {
		token, use, typ string
		want            error
	}{
		"access token":                     {access, UseSig, "application/AT+JWT", nil},
		"access as refresh token":          {access, UseRefresh, typRefresh, ErrType},
		"refresh as access token":          {refresh, UseSig, typAccess, ErrType},
		"access token as ID token":         {access, UseSig, "JWT", ErrType},
		"access token as of no type":       {access, UseSig, "", ErrType},
		"refresh key for an access token":  {signAs(t, r, c.Now(), UseRefresh, typAccess), UseSig, typAccess, ErrUnknownKey},
		"signing key for a refresh token":  {signAs(t, r, c.Now(), UseSig, typRefresh), UseRefresh, typRefresh, ErrUnknownKey},
		"status list as access token":      {signAs(t, r, c.Now(), UseSig, "statuslist+jwt"), UseSig, typAccess, ErrType},
		"client assertion as access token": {signAs(t, r, c.Now(), UseSig, "client-authentication+jwt"), UseSig, typAccess, ErrType},
	} {
		if err := parse(r, c.Now(), tt.use, tt.typ, tt.token); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func signAs(t *testing.T, r *Ring, now time.Time, use, typ string) string {
	token, _ := sign(t, r, now, use, typ)
	return token
}

func TestJ9_J10_TheKeyChoosesTheAlgorithm(t *testing.T) {
	r, c := newRing(t, Config{Alg: RS256})
	_, kid := sign(t, r, c.Now(), UseSig, typAccess)
	k := r.snap.Load().keys[kid]
	signer := k.private.signer.(*rsa.PrivateKey)

	head := func(alg string) string {
		return encode(`{"alg":"`+alg+`","kid":"`+kid+`","typ":"at+jwt"}`) + "." + encode(goodClaims)
	}
	hs256 := func(secret []byte) string {
		text := head("HS256")
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + base64url.EncodeToString(mac.Sum(nil))
	}
	der, _ := x509.MarshalPKIXPublicKey(&signer.PublicKey)
	jwkText, _ := JWK{Key: &signer.PublicKey}.MarshalJSON()
	ps256, err := private{alg: PS256, signer: signer}.sign(head(PS256))
	if err != nil {
		t.Fatal(err)
	}
	forged := map[string]string{
		"J9 none":                       head("none") + "." + encode("x"),
		"J9 HS256 by the public key":    hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"J9 HS256 by its DER":           hs256(der),
		"J9 HS256 by its modulus":       hs256(signer.N.Bytes()),
		"J9 HS256 by its JWK":           hs256(jwkText),
		"J10 PS256 by an RS256 key":     head(PS256) + "." + base64url.EncodeToString(ps256),
		"J9 RS512":                      head("RS512") + "." + encode("x"),
		"J9 an algorithm of no one":     head("XX") + "." + encode("x"),
		"J9 RS256, but of another case": head("rs256") + "." + encode("x"),
	}
	jwk := JWK{KeyID: kid, Alg: RS256, Key: &signer.PublicKey}
	for name, token := range forged {
		if err := parse(r, c.Now(), UseSig, typAccess, token); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		if err := jwk.Verify(token, &jwt.RegisteredClaims{}); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, as an assertion: %v", name, err)
		}
	}
	jwk.Alg = PS256 // the same bits, registered for PS256, take only that
	if err := jwk.Verify(forged["J10 PS256 by an RS256 key"], &jwt.RegisteredClaims{}); err != nil {
		t.Error(err)
	}
}

func TestJ12_HeadersAreNoSourceOfKeys(t *testing.T) {
	var visits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer server.Close()
	r, c := newRing(t, Config{Alg: ES256})
	_, kid := sign(t, r, c.Now(), UseSig, typAccess)

	attacker, err := generate(ES256, 0)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := JWK{KeyID: kid, Alg: ES256, Key: attacker.signer.Public()}.MarshalJSON()
	for _, source := range []string{`"jwk":` + string(own), `"jku":"` + server.URL + `"`, `"x5u":"` + server.URL + `"`, `"x5c":["AA"]`} {
		text := encode(`{"alg":"ES256","typ":"at+jwt","kid":"`+kid+`",`+source+`}`) + "." + encode(goodClaims)
		signature, err := attacker.sign(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := parse(r, c.Now(), UseSig, typAccess, text+"."+base64url.EncodeToString(signature)); !errors.Is(err, ErrSignature) {
			t.Errorf("J12 %s: %v", source, err)
		}
	}
	if visits.Load() != 0 {
		t.Errorf("J12 %d fetches were made", visits.Load())
	}
}

func TestJ13_StrangeKeyIDsAreUnknown(t *testing.T) {
	r, c := newRing(t, Config{})
	r.look = nil
	for _, kid := range []string{``, `' OR 1=1 --`, `../../../../dev/null`, `\u0000`, `a\u0000b`, strings.Repeat("k", 8000), `%s%n`, `${jndi:ldap://x}`} {
		token := compact(`{"alg":"ES256","typ":"at+jwt","kid":"`+kid+`"}`, goodClaims, "s")
		if err := parse(r, c.Now(), UseSig, typAccess, token); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("J13 kid %.20q: %v", kid, err)
		}
	}
	if r.look != nil {
		t.Error("J13 a kid that no ring could have made led to the store")
	}
	token := compact(`{"alg":"ES256","typ":"at+jwt"}`, goodClaims, "s")
	if err := parse(r, c.Now(), UseSig, typAccess, token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("no kid: %v", err)
	}
}

func TestClaimsOfTheWrongKindAreMalformed(t *testing.T) {
	r, c := newRing(t, Config{})
	for _, claims := range []string{`{"exp":"soon"}`, `{"sub":1}`, `{"aud":{}}`, `{"iat":[]}`} {
		var raw jwt.MapClaims
		if err := json.Unmarshal([]byte(claims), &raw); err != nil {
			t.Fatal(err)
		}
		token, _, err := r.Sign(t.Context(), c.Now(), UseSig, typAccess, raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := parse(r, c.Now(), UseSig, typAccess, token); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

func TestJ15_BothNamesOfEd25519AreTaken(t *testing.T) {
	p, err := generate(EdDSA, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{EdDSA, algEd25519} {
		text, _ := JWK{Alg: alg, Key: p.signer.Public()}.MarshalJSON()
		k, err := ParseJWK(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range []string{EdDSA, algEd25519} {
			head := encode(`{"alg":"`+named+`"}`) + "." + encode(goodClaims)
			signature, _ := p.sign(head)
			var claims jwt.RegisteredClaims
			if err := k.Verify(head+"."+base64url.EncodeToString(signature), &claims); err != nil || claims.Subject != "u" {
				t.Errorf("J15 key of %s, token of %s: %v", alg, named, err)
			}
		}
	}
}

func TestAssertionAlgsAreVerified(t *testing.T) {
	for _, alg := range AssertionAlgs() {
		if alg == algEd25519 {
			registerEd25519()
		}
		if jwt.GetSigningMethod(alg) == nil {
			t.Errorf("nothing verifies %s", alg)
		}
	}
}

func TestSignNothingForACallerThatLeft(t *testing.T) {
	r, c := newRing(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Sign(ctx, c.Now(), UseSig, typAccess, testClaims()); !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	r, c := newRing(f, Config{})
	access, kid := sign(f, r, c.Now(), UseSig, typAccess)
	refresh, _ := sign(f, r, c.Now(), UseRefresh, typRefresh)
	for _, seed := range []string{
		access, refresh, "", "..", "a.b.c", access + ".", access[:len(access)-1] + "A",
		compact(`{"alg":"none"}`, goodClaims, "s"),
		compact(`{"alg":"ES256","typ":"at+jwt","kid":"`+kid+`"}`, `{"exp":1e400}`, "s"),
		compact(`{"alg":"ES256","typ":"at+jwt","kid":"`+kid+`"}`, `{"exp":-1e300,"aud":[[]]}`, strings.Repeat("s", 64)),
		compact(`{"alg":"ES256","crit":[]}`, `{"a":{"b":[{}]},"a":1}`, "s"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		h, err := CheckCompact(token)
		if err != nil && !errors.Is(err, ErrMalformed) || err == nil && h.Alg == "" {
			t.Fatalf("%+v, %v", h, err)
		}
		for _, want := range []string{access, refresh} {
			use, typ := UseSig, typAccess
			if want == refresh {
				use, typ = UseRefresh, typRefresh
			}
			if err := parse(r, c.Now(), use, typ, token); err == nil && token != want {
				t.Errorf("a token that nobody signed is taken: %s", token)
			}
		}
	})
}

func benchmarkRing(b *testing.B, config Config, use, typ string) {
	r, c := newRing(b, config)
	token, _ := sign(b, r, c.Now(), use, typ)
	b.Run("Sign", func(b *testing.B) {
		for b.Loop() {
			sign(b, r, c.Now(), use, typ)
		}
	})
	b.Run("Parse", func(b *testing.B) {
		for b.Loop() {
			if err := parse(r, c.Now(), use, typ, token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("CheckCompact", func(b *testing.B) {
		for b.Loop() {
			if _, err := CheckCompact(token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHS256(b *testing.B) { benchmarkRing(b, Config{}, UseRefresh, typRefresh) }
func BenchmarkRS256(b *testing.B) { benchmarkRing(b, Config{Alg: RS256}, UseSig, typAccess) }

// BenchmarkRS256Bare is the signature alone.
func BenchmarkRS256Bare(b *testing.B) {
	p, err := generate(RS256, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	for b.Loop() {
		if _, err := p.signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}
