package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestAKeyThatIsNewIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		v.accepts(t, "before", access(t, 7, nil))
		sleep(10 * time.Second)
		n := is.count(jwks)
		token := sign(t, "ES256", "other", "at+jwt", accessClaims(7), nil)
		is.set(func() { is.keys = append(is.keys, jwkOf("other", "ES256", testKeys()["other"])) })
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { v.accepts(t, "the new key", token) })
		}
		all.Wait()
		if got := is.count(jwks) - n; got != 1 {
			t.Errorf("%d requests for one key", got)
		}
		// Strangers can name any key, and cause no more than that.
		n = is.count(jwks)
		for i := range 600 {
			v.refuse(t, "a stranger's", header(t, fmt.Sprintf(`{"alg":"ES256","kid":"k%d","typ":"at+jwt"}`, i)), ErrKey)
			sleep(100 * time.Millisecond)
		}
		if got := is.count(jwks) - n; got > 31 {
			t.Errorf("%d requests in a minute", got)
		}
	})
}

func TestKeysAreRefreshedByTheirCacheControl(t *testing.T) {
	for life, want := range map[string][2]int{
		"public, max-age=300": {15, 25}, "max-age=60": {79, 121}, "max-age=0": {159, 241}, "no-store": {159, 241},
		"max-age=86400": {1, 3}, "": {15, 25}, "max-age=x": {15, 25},
	} {
		synctest.Test(t, func(t *testing.T) {
			is := newIssuer(t)
			is.life = life
			is.verifier(t, nil)
			sleep(time.Hour)
			if n := is.count(jwks); n < want[0] || n > want[1] {
				t.Errorf("%q: %d requests in an hour, want %v", life, n, want)
			}
		})
	}
}

// A key is only ever one of the key set, whatever a header says (RFC 8725 §3.10).
func TestJ12_J13_KeysInHeadersAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		v.accepts(t, "good", access(t, 7, nil))
		for kid, want := range map[string]Reason{"ES256": ErrSignature, "x": ErrKey, "../../etc/passwd": ErrKey, "' OR 1=1 --": ErrKey, "a\x00b": ErrKey, "https://evil.example/k": ErrKey} {
			token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(accessClaims(7)))
			token.Header = map[string]any{
				"alg": "ES256", "kid": kid, "typ": "at+jwt", "jku": "https://evil.example/keys", "x5u": "https://evil.example/x5u",
				"jwk": jwkOf(kid, "ES256", testKeys()["other"]), "x5c": []string{"AA"},
			}
			text, err := token.SignedString(testKeys()["other"])
			must(t, err)
			v.refuse(t, kid, text, want)
		}
		for uri := range is.asked {
			if !strings.HasPrefix(uri, "https://auth.example/") {
				t.Errorf("%s was asked for", uri)
			}
		}
	})
}

// A key that the operator removed is of no use once the set's life is over.
func TestARemovedKeyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		is.set(func() { is.keys = []map[string]any{jwkOf("EdDSA", "EdDSA", testKeys()["EdDSA"])} })
		sleep(5 * time.Minute)
		v.refuse(t, "after", token, ErrKey)
	})
}

func TestKeysWhileTheIssuerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, func(o *Options) { o.NoStatus = true })
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		is.set(func() { is.down = errDown })
		sleep(10*time.Minute - time.Second)
		v.accepts(t, "away", token)
		sleep(2 * time.Second)
		v.refuse(t, "away for long", token, ErrUnavailable)
		v.refuse(t, "another key", header(t, `{"alg":"ES256","kid":"x","typ":"at+jwt"}`), ErrUnavailable)
		if s := v.Stats().Keys; s.Failing < 10 || !errors.Is(s.Err, errDown) || s.Age() < 10*time.Minute {
			t.Errorf("%+v", s)
		}
		is.set(func() { is.down = nil })
		sleep(backoffMost + keysPause)
		v.accepts(t, "again", token)
	})
}

func TestMetadataThatAreRefused(t *testing.T) {
	for what, body := range map[string]string{
		"another issuer":     `{"issuer":"https://auth.example/tenant/","jwks_uri":"` + jwks + `"}`,
		"no issuer":          `{"jwks_uri":"` + jwks + `"}`,
		"keys without https": `{"issuer":"` + auth + `","jwks_uri":"http://auth.example/tenant/keys"}`,
		"no keys":            `{"issuer":"` + auth + `"}`,
		"no JSON":            `<html>`,
		"issuer twice":       `{"issuer":"x","issuer":"` + auth + `","jwks_uri":"` + jwks + `"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			is := newIssuer(t)
			is.spoil = func(r *http.Request, resp *http.Response) {
				if strings.Contains(r.URL.Path, "/.well-known/") {
					resp.Body = io.NopCloser(strings.NewReader(body))
				}
			}
			v := is.verifier(t, nil)
			v.refuse(t, what, access(t, 7, nil), ErrUnavailable)
			if is.count(jwks) != 0 {
				t.Errorf("%s: the keys were asked for", what)
			}
		})
	}
}

// No redirect is followed: it would leave what Options.Issuer names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		is.spoil = func(r *http.Request, resp *http.Response) {
			if r.URL.String() == jwks {
				resp.StatusCode, resp.Header = 302, http.Header{"Location": {"https://evil.example/keys"}}
			}
		}
		v := is.verifier(t, nil)
		v.refuse(t, "redirected", access(t, 7, nil), ErrUnavailable)
		if is.count("https://evil.example/keys") != 0 {
			t.Error("followed")
		}
	})
}

func TestKeysThatAreLeftOut(t *testing.T) {
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	good := jwkOf("good", "ES256", testKeys()["ES256"])
	with := func(name string, value any) map[string]any {
		k := jwkOf("bad", "ES256", testKeys()["ES256"])
		k[name] = value
		return k
	}
	point, _ := p384.PublicKey.Bytes()
	for what, bad := range map[string]map[string]any{
		"to encrypt":        with("use", "enc"),
		"for other acts":    with("key_ops", []string{"sign"}),
		"private":           with("d", "AQAB"),
		"symmetric":         {"kid": "bad", "kty": "oct", "k": "AAAA", "alg": "HS256"},
		"another algorithm": with("alg", "ES384"),
		"HS256":             with("alg", "HS256"),
		"no kid":            with("kid", ""),
		"not on the curve":  with("x", b64(make([]byte, 32))),
		"no base64url":      with("x", "="),
		"kid a number":      with("kid", 1),
		"P-384":             {"kid": "bad", "kty": "EC", "crv": "P-384", "x": b64(point[1:49]), "y": b64(point[49:])},
		"RSA of 1024 bits":  jwkOf("bad", "RS256", small),
		"Ed25519, short":    {"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
		"X25519":            {"kid": "bad", "kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))},
	} {
		text, _ := json.Marshal(map[string]any{"keys": []any{bad, good}})
		found, err := parseKeySet(text)
		if err != nil || len(found) != 1 || found["good"].public == nil {
			t.Errorf("%s: %v, %v", what, found, err)
		}
	}
	for what, text := range map[string]string{
		"none":     `{"keys":[]}`,
		"no array": `{"keys":1}`,
		"twice":    `{"keys":[],"keys":[]}`,
		"too many": `{"keys":[` + strings.Repeat("{},", mostKeys) + `{}]}`,
	} {
		if found, err := parseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: %v", what, found)
		}
	}
	one, _ := json.Marshal(good)
	if found, err := parseKeySet([]byte(fmt.Sprintf(`{"keys":[%s,%s]}`, one, one))); err == nil {
		t.Errorf("two keys of one kid: %v", found)
	}
	if _, k, err := parseKey([]byte(strings.Replace(string(one), "ES256", "", 1))); err != nil || k.alg != es256 {
		t.Errorf("a key that says nothing: %v, %v", k, err)
	}
}
