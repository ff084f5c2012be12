package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The algorithms, all asymmetric (RFC 7518 §3.1, RFC 8037 §3.1). Ed25519, the
// name that RFC 9864 gives to EdDSA with that curve, counts as EdDSA.
const (
	rs256      = "RS256"
	ps256      = "PS256"
	es256      = "ES256"
	eddsa      = "EdDSA"
	algEd25519 = "Ed25519"
)

const (
	mostKeySet = 256 << 10
	mostKeys   = 100
)

// key is a public key with its one algorithm (RFC 8725 §3.1).
type key struct {
	alg    string
	public crypto.PublicKey
}

func sameAlg(a, b string) bool {
	return a == b || a == eddsa && b == algEd25519 || a == algEd25519 && b == eddsa
}

// verify checks a signature.
func (k key) verify(c *compact) bool {
	digest := sha256.Sum256([]byte(c.signed))
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if k.alg == ps256 {
			options := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(public, crypto.SHA256, digest[:], c.signature, &options) == nil
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], c.signature) == nil
	case *ecdsa.PublicKey:
		if len(c.signature) != 64 { // RFC 7518 §3.4
			return false
		}
		r, s := new(big.Int).SetBytes(c.signature[:32]), new(big.Int).SetBytes(c.signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, []byte(c.signed), c.signature)
	}
	return false
}

// parseKeySet reads a JWK Set (RFC 7517 §5). Keys that are of no use here are
// left out: a set may have others beside, and one that is odd must not make
// the good ones useless.
func parseKeySet(text []byte) (map[string]key, error) {
	if err := checkObject(text); err != nil {
		return nil, fmt.Errorf("the key set is %w", err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the key set has no array keys")
	}
	if len(set.Keys) > mostKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", mostKeys)
	}
	found, twice := map[string]key{}, []string{}
	for _, text := range set.Keys {
		kid, k, err := parseKey(text)
		if err != nil {
			continue
		}
		if _, ok := found[kid]; ok {
			twice = append(twice, kid)
		}
		found[kid] = k
	}
	for _, kid := range twice { // nobody knows which is meant
		delete(found, kid)
	}
	if len(found) == 0 {
		return nil, errors.New("the key set has no key to verify signatures with")
	}
	return found, nil
}

var errKey = errors.New("not a key to verify signatures with")

// jwk is a public key as it is written.
type jwk struct {
	Kty, Kid, Use, Alg, Crv, N, E, X, Y string
	D, K                                json.RawMessage
	Ops                                 []string `json:"key_ops"`
}

func parseKey(text []byte) (kid string, k key, err error) {
	var in jwk
	if err := json.Unmarshal(text, &in); err != nil {
		return "", key{}, err
	}
	if in.Kid == "" {
		return "", key{}, errKey
	}
	k, err = in.key()
	return in.Kid, k, err
}

func (in jwk) key() (k key, err error) {
	// A private key that is published is anybody's.
	if in.Use != "" && in.Use != "sig" || len(in.Ops) > 0 && !slices.Contains(in.Ops, "verify") || in.D != nil || in.K != nil {
		return key{}, errKey
	}
	switch in.Kty + in.Crv {
	case "RSA":
		k.public, err = rsaKey(in.N, in.E)
		k.alg = rs256
		if in.Alg == ps256 {
			k.alg = ps256
		}
	case "ECP-256":
		k.public, err = ecKey(in.X, in.Y)
		k.alg = es256
	case "OKPEd25519":
		k.public, err = edKey(in.X)
		k.alg = eddsa
	default:
		err = errKey
	}
	if err == nil && in.Alg != "" && !sameAlg(in.Alg, k.alg) {
		err = errKey
	}
	return k, err
}

func rsaKey(n, e string) (crypto.PublicKey, error) {
	modulus, err := base64url.DecodeString(n)
	if err != nil {
		return nil, errKey
	}
	exponent, err := base64url.DecodeString(e)
	if err != nil || len(exponent) > 4 {
		return nil, errKey
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if bits := k.N.BitLen(); bits < 2048 || bits > 8192 || k.N.Bit(0) == 0 || k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
		return nil, errKey
	}
	return k, nil
}

func ecKey(x, y string) (crypto.PublicKey, error) {
	px, err := base64url.DecodeString(x)
	if err != nil || len(px) != 32 {
		return nil, errKey
	}
	py, err := base64url.DecodeString(y)
	if err != nil || len(py) != 32 {
		return nil, errKey
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, px, py))
}

func edKey(x string) (crypto.PublicKey, error) {
	public, err := base64url.DecodeString(x)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil, errKey
	}
	return ed25519.PublicKey(public), nil
}
