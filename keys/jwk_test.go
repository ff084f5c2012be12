package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
)

// The key of RFC 7638 §3.1 and that of RFC 8037 A.2.
const (
	rfcModulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	rfcRSA     = `{"kty":"RSA","n":"` + rfcModulus + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	rfcEdX     = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	rfcEd25519 = `{"kty":"OKP","crv":"Ed25519","x":"` + rfcEdX + `"}`
)

func TestJ7_ThumbprintVectors(t *testing.T) {
	for name, tt := range map[string]struct{ jwk, want string }{
		"J7 RFC 7638 §3.1": {rfcRSA, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"J7 RFC 8037 A.3":  {rfcEd25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		k, err := ParseJWK([]byte(tt.jwk))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := Thumbprint(k.Key); got != tt.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, tt.want)
		}
	}
}

func TestJ6_ThumbprintMembersOfEC(t *testing.T) {
	// RFC 7638 has no vector for EC: this is its rule, written out once more.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, y := make([]byte, 32), make([]byte, 32)
	point, _ := key.PublicKey.Bytes()
	copy(x, point[1:33])
	copy(y, point[33:])
	text := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, base64url.EncodeToString(x), base64url.EncodeToString(y))
	h := crypto.SHA256.New()
	h.Write([]byte(text))
	if got, _ := Thumbprint(&key.PublicKey); got != base64url.EncodeToString(h.Sum(nil)) {
		t.Errorf("got %s", got)
	}
}

func TestJWKComesBackAsItWas(t *testing.T) {
	var pubs []crypto.PublicKey
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pubs = append(pubs, &k.PublicKey)
	}
	ed, _, _ := ed25519.GenerateKey(rand.Reader)
	n, _ := decodeUint("n", rfcModulus)
	pubs = append(pubs, ed, &rsa.PublicKey{N: n, E: 65537})
	for _, pub := range pubs {
		want := JWK{KeyID: "k", Use: UseSig, Alg: naturalAlg(pub), Key: pub}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseJWK(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

// ecJWK is a P-256 key with members of one's choice.
func ecJWK(x, y string) string {
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}`, x, y)
}

func TestParseJWKRefuses(t *testing.T) {
	odd := func(bits int) string { // a modulus of that size
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return base64url.EncodeToString(n.SetBit(n, 0, 1).Bytes())
	}
	rsaJWK := func(n, e string) string { return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, n, e) }
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	goodEC, err := JWK{Key: &ec.PublicKey}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseJWK(goodEC); err != nil {
		t.Fatal(err)
	}
	zero := base64url.EncodeToString(make([]byte, 32))
	one := base64url.EncodeToString(append(make([]byte, 31), 1))
	for name, text := range map[string]string{
		"J14 RSA of 2047 bits":        rsaJWK(odd(2047), "AQAB"),
		"RSA of 8193 bits":            rsaJWK(odd(8193), "AQAB"),
		"RSA of a million bits":       rsaJWK(strings.Repeat("_", 160_000), "AQAB"),
		"RSA with even modulus":       rsaJWK(base64url.EncodeToString(append([]byte{0x80}, make([]byte, 255)...)), "AQAB"),
		"RSA with exponent 1":         rsaJWK(rfcModulus, "AQ"),
		"RSA with exponent 0":         rsaJWK(rfcModulus, "AA"),
		"RSA with even exponent":      rsaJWK(rfcModulus, "Ag"),
		"RSA with exponent 2^33-1":    rsaJWK(rfcModulus, "Af____8"),
		"RSA without exponent":        rsaJWK(rfcModulus, ""),
		"RSA with leading zero":       rsaJWK("AN"+rfcModulus[1:], "AQAB"),
		"J14 point not on the curve":  ecJWK(one, one),
		"J14 point at infinity":       ecJWK(zero, zero),
		"J8 padded coordinate":        ecJWK(zero+"=", zero),
		"J8 coordinate with newline":  ecJWK(zero[:10]+`\n`+zero[10:], zero),
		"J8 alphabet of plain base64": ecJWK("+"+zero[1:], zero),
		"short coordinate":            ecJWK("AA", zero),
		"EC without y":                `{"kty":"EC","crv":"P-256","x":"` + zero + `"}`,
		"Ed25519 of 31 bytes":         `{"kty":"OKP","crv":"Ed25519","x":"` + zero[:41] + `"}`,
		"private RSA":                 strings.Replace(rfcRSA, `{`, `{"d":"AQAB",`, 1),
		"private Ed25519":             strings.Replace(rfcEd25519, `{`, `{"d":"AQAB",`, 1),
		"symmetric":                   `{"kty":"oct","k":"AAAA"}`,
		"J9 alg HS256":                strings.Replace(rfcRSA, "RS256", "HS256", 1),
		"J9 alg none":                 strings.Replace(rfcRSA, "RS256", "none", 1),
		"J9 alg of another type":      strings.Replace(rfcRSA, "RS256", "ES256", 1),
		"J9 alg of another curve":     strings.Replace(string(goodEC), "{", `{"alg":"ES384",`, 1),
		"J17 member twice":            strings.Replace(rfcRSA, `{`, `{"kty":"RSA",`, 1),
		"no kty":                      `{"n":"AQAB"}`,
		"kty a number":                `{"kty":1}`,
		"array":                       `[]`,
		"null":                        `null`,
		"nothing":                     ``,
		"two values":                  rfcRSA + rfcRSA,
	} {
		if k, err := ParseJWK([]byte(text)); !errors.Is(err, ErrJWK) {
			t.Errorf("%s: taken as %+v (%v)", name, k, err)
		}
		if _, err := ParseJWKSet([]byte(`{"keys":[` + text + `]}`)); !errors.Is(err, ErrJWK) {
			t.Errorf("%s: taken in a set (%v)", name, err)
		}
	}
}

func TestParseJWKSet(t *testing.T) {
	const foreign = `{"kty":"OKP","crv":"X25519","x":"AA"},{"kty":"EC","crv":"secp256k1"},{"kty":"LWE"},` +
		`{"kty":"RSA","use":"enc","n":"AA","e":"AQAB"},{"kty":"RSA","key_ops":["encrypt"],"n":"AA","e":"AQAB"}`
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"one", `{"keys":[` + rfcRSA + `]}`, 1},
		{"two without kid", `{"keys":[` + rfcEd25519 + `,` + rfcEd25519 + `]}`, 2},
		{"one among foreign keys", `{"keys":[` + foreign + `,` + rfcRSA + `]}`, 1},
		{"only foreign keys", `{"keys":[` + foreign + `]}`, 0},
		{"two of one kid", `{"keys":[` + rfcRSA + `,` + rfcRSA + `]}`, 0},
		{"one private among good ones", `{"keys":[` + rfcRSA + `,{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}`, 0},
		{"empty", `{"keys":[]}`, 0},
		{"no keys", `{}`, 0},
		{"keys not an array", `{"keys":{}}`, 0},
		{"no object", `[` + rfcRSA + `]`, 0},
		{"too large", `{"keys":[` + rfcRSA + `],"x":"` + strings.Repeat("x", MaxJWKSet) + `"}`, 0},
		{"too many", `{"keys":[` + strings.Repeat(rfcEd25519+",", 100) + rfcEd25519 + `]}`, 0},
	} {
		got, err := ParseJWKSet([]byte(tt.text))
		if len(got) != tt.want || (err == nil) != (tt.want > 0) || err != nil && !errors.Is(err, ErrJWK) {
			t.Errorf("%s: got %d keys, %v, want %d", tt.name, len(got), err, tt.want)
		}
	}
}

func FuzzParseJWKSet(f *testing.F) {
	for _, text := range []string{`{"keys":[` + rfcRSA + `,` + rfcEd25519 + `]}`, `{"keys":[{"kty":"oct"}]}`, `{"keys":[[`, `{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := ParseJWKSet(text)
		if err != nil {
			return
		}
		for _, k := range set { // what is taken can be named and written
			if _, err := Thumbprint(k.Key); err != nil || k.Alg == "" {
				t.Errorf("%+v: %v", k, err)
			}
		}
	})
}
