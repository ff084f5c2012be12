package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms (RFC 7518 §3.1, RFC 8037 §3.1). A ring signs with the first four;
// ES384 and ES512 are verified for clients.
const (
	RS256 = "RS256"
	PS256 = "PS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
	ES384 = "ES384"
	ES512 = "ES512"

	algHS256   = "HS256"
	algEd25519 = "Ed25519" // the name RFC 9864 gives to EdDSA with that curve
)

// AssertionAlgs are the algorithms in which [JWK.Verify] takes a JWT.
func AssertionAlgs() []string {
	return []string{RS256, PS256, ES256, ES384, ES512, EdDSA, algEd25519}
}

// hs256Key is a secret of 256 random bits, RFC 7518 §3.2.
const hs256KeySize = 32

// private is what a key of the ring signs and verifies with.
type private struct {
	alg string
	// signer is nil for HS256, secret for all others.
	signer crypto.Signer
	secret []byte
}

// generate makes a key for an algorithm.
func generate(alg string, rsaBits int) (private, error) {
	p := private{alg: alg}
	var err error
	switch alg {
	case RS256, PS256:
		p.signer, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		p.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, p.signer, err = ed25519.GenerateKey(rand.Reader)
	case algHS256:
		p.secret = make([]byte, hs256KeySize)
		rand.Read(p.secret)
	default:
		err = errors.New("there is no such algorithm")
	}
	if err != nil {
		return private{}, fmt.Errorf("keys: making a key for %s: %w", alg, err)
	}
	if p.signer == nil {
		return p, nil
	}
	// One kid of 64 would begin with a dash, which on a command line is a flag.
	if kid, err := Thumbprint(p.signer.Public()); err != nil || kid[0] != '-' {
		return p, err
	}
	return generate(alg, rsaBits)
}

// encode is what gets sealed: PKCS #8, or the secret itself.
func (p private) encode() ([]byte, error) {
	if p.signer == nil {
		return p.secret, nil
	}
	return x509.MarshalPKCS8PrivateKey(p.signer)
}

// decodePrivate reads what encode wrote, and holds it to its algorithm.
func decodePrivate(alg string, text []byte) (private, error) {
	if alg == algHS256 {
		if len(text) != hs256KeySize {
			return private{}, fmt.Errorf("an HS256 key has %d bytes", hs256KeySize)
		}
		return private{alg: alg, secret: text}, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(text) // validates and precomputes RSA
	if err != nil {
		return private{}, err
	}
	fits := false
	switch k := key.(type) {
	case *rsa.PrivateKey:
		fits = (alg == RS256 || alg == PS256) && k.N.BitLen() >= minRSABits
	case *ecdsa.PrivateKey:
		fits = alg == ES256 && k.Curve == elliptic.P256()
	case ed25519.PrivateKey:
		fits = alg == EdDSA
	}
	if !fits {
		return private{}, fmt.Errorf("a %T is no key for %s", key, alg)
	}
	return private{alg: alg, signer: key.(crypto.Signer)}, nil
}

// public is the key to verify with: for HS256 the secret.
func (p private) public() any {
	if p.signer == nil {
		return p.secret
	}
	return p.signer.Public()
}

// rsaBits is the size of an RSA key, 0 of others.
func (p private) rsaBits() int {
	if p.signer == nil {
		return 0
	}
	if k, ok := p.signer.Public().(*rsa.PublicKey); ok {
		return k.N.BitLen()
	}
	return 0
}

// sign goes through crypto.Signer for all but HS256, where jwt's own methods
// ask for the private key itself: a signer may be a KMS or an HSM.
//
// All but PS256 sign the same text the same way each time, ES256 by RFC 6979.
func (p private) sign(text string) ([]byte, error) {
	digest := sha256.Sum256([]byte(text))
	switch p.alg {
	case algHS256:
		mac := hmac.New(sha256.New, p.secret)
		mac.Write([]byte(text))
		return mac.Sum(nil), nil
	case RS256:
		return p.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	case PS256:
		return p.signer.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case ES256:
		der, err := p.signer.Sign(nil, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return rawES256(der)
	case EdDSA:
		return p.signer.Sign(nil, []byte(text), crypto.Hash(0))
	}
	return nil, fmt.Errorf("keys: nothing signs with %s", p.alg)
}

// rawES256 turns an ASN.1 signature into the pair of RFC 7518 §3.4.
func rawES256(der []byte) ([]byte, error) {
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) > 0 || pair.R.BitLen() > 256 || pair.S.BitLen() > 256 {
		return nil, errors.New("keys: the signer gave no ECDSA signature")
	}
	raw := make([]byte, 64)
	pair.R.FillBytes(raw[:32])
	pair.S.FillBytes(raw[32:])
	return raw, nil
}

// method is how jwt names the algorithm.
func (p private) method() jwt.SigningMethod { return jwt.GetSigningMethod(p.alg) }
