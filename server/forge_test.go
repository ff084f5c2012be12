package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// jwtKey signs JWTs as a test writes them, text for text, whatever a library
// would think of them.
type jwtKey struct {
	kid, alg string
	private  any // crypto.Signer, or the secret of HS256
}

func newKey(t testing.TB, kid, alg string) jwtKey {
	t.Helper()
	k := jwtKey{kid: kid, alg: alg}
	var err error
	switch alg {
	case keys.RS256, keys.PS256, "RS384", "PS512":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case keys.ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case keys.ES384:
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case keys.ES512:
		k.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	}
	must(t, err)
	return k
}

// public is the JWK.
func (k jwtKey) public(t testing.TB) string {
	t.Helper()
	alg := k.alg
	if alg == "Ed25519" {
		alg = keys.EdDSA
	}
	text, err := keys.JWK{KeyID: k.kid, Use: "sig", Alg: alg, Key: k.private.(crypto.Signer).Public()}.MarshalJSON()
	must(t, err)
	return string(text)
}

func keySet(t testing.TB, of ...jwtKey) string {
	t.Helper()
	var all []string
	for _, k := range of {
		all = append(all, k.public(t))
	}
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// signature is that of text, in the algorithm.
func (k jwtKey) signature(t testing.TB, alg, text string) string {
	t.Helper()
	if alg == "Ed25519" {
		alg = keys.EdDSA
	}
	sig, err := jwt.GetSigningMethod(alg).Sign(text, k.private)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(sig)
}

// sign makes a token of a header and claims as they are written.
func (k jwtKey) sign(t testing.TB, header, claims string) string {
	t.Helper()
	text := encoded(header) + "." + encoded(claims)
	return text + "." + k.signature(t, k.alg, text)
}

// headerOf is the usual header.
func (k jwtKey) headerOf(typ string) string {
	return `{"alg":"` + k.alg + `","kid":"` + k.kid + `","typ":"` + typ + `"}`
}

// ringKey takes the private key that signed a token out of the store, as only a
// thief of store and master key could. What it signs is genuine but for what a
// test makes wrong, so that nothing else can be why it is refused.
func (n *node) ringKey(token string) jwtKey {
	n.t.Helper()
	kid := segment(n.t, token, 0)["kid"].(string)
	snap, err := n.store.Read(n.t.Context(), storage.KeyPartition, storage.Key{Kind: storage.KindKey, ID: kid})
	must(n.t, err)
	rec, err := storage.Decode[storage.SigningKey](snap.Rows[0])
	must(n.t, err)
	text, err := n.grants.Master.Open("signing key", rec.Value.Sealed, []byte(strings.Join([]string{rec.Value.ID, rec.Value.Use, rec.Value.Alg}, "\x00")))
	must(n.t, err)
	k := jwtKey{kid: kid, alg: rec.Value.Alg, private: text}
	if rec.Value.Use == keys.UseSig {
		k.private, err = x509.ParsePKCS8PrivateKey(text)
		must(n.t, err)
	}
	return k
}

// claimsOf are the claims of a token as text, with changes: a value of nil
// takes a claim out.
func claimsOf(t testing.TB, token string, change map[string]any) string {
	t.Helper()
	claims := segment(t, token, 1)
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	// Numbers came as float64, which json writes without exponent up to 1e21.
	text, err := json.Marshal(claims)
	must(t, err)
	return string(text)
}
