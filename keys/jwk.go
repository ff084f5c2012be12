package keys

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
	"math/big"
)

// JWK is a public key (RFC 7517).
type JWK struct {
	// KeyID may be empty in a key of somebody else.
	KeyID string
	Use   string
	// Alg is the one algorithm the key is used with, never empty. Ed25519,
	// the name RFC 9864 gives to the same thing, stands here as EdDSA.
	Alg string
	// Key is an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Key crypto.PublicKey
}

// members are those of a public JWK (RFC 7518 §6, RFC 8037 §2). They stand in
// the order of RFC 7638 §3.1, so that a thumbprint is the hash of the encoding
// of the required ones.
type members struct {
	Curve   string `json:"crv,omitempty"`
	E       string `json:"e,omitempty"`
	KeyType string `json:"kty"`
	N       string `json:"n,omitempty"`
	X       string `json:"x,omitempty"`
	Y       string `json:"y,omitempty"`
}

// The values of kty.
const (
	ktyRSA = "RSA"
	ktyEC  = "EC"
	ktyOKP = "OKP"
)

var base64url = base64.RawURLEncoding.Strict()

func membersOf(key crypto.PublicKey) (members, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return members{
			KeyType: ktyRSA,
			E:       base64url.EncodeToString(big.NewInt(int64(k.E)).Bytes()),
			N:       base64url.EncodeToString(k.N.Bytes()),
		}, nil
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			return members{}, fmt.Errorf("keys: not a point of its curve: %w", err)
		}
		half := len(point) / 2
		return members{
			KeyType: ktyEC,
			Curve:   k.Curve.Params().Name,
			X:       base64url.EncodeToString(point[1 : 1+half]),
			Y:       base64url.EncodeToString(point[1+half:]),
		}, nil
	case ed25519.PublicKey:
		return members{KeyType: ktyOKP, Curve: "Ed25519", X: base64url.EncodeToString(k)}, nil
	}
	return members{}, fmt.Errorf("keys: a %T has no JWK here", key)
}

// Thumbprint is the SHA-256 thumbprint of a public key (RFC 7638).
func Thumbprint(key crypto.PublicKey) (string, error) {
	m, err := membersOf(key)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return base64url.EncodeToString(sum[:]), nil
}

// MarshalJSON writes the JWK.
func (k JWK) MarshalJSON() ([]byte, error) {
	m, err := membersOf(k.Key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		KeyID string `json:"kid,omitempty"`
		Use   string `json:"use,omitempty"`
		Alg   string `json:"alg,omitempty"`
		members
	}{k.KeyID, k.Use, k.Alg, m})
}

// naturalAlg is the algorithm of a key that does not say: the only one that
// exists for its type, or the most common.
func naturalAlg(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return RS256
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return ES256
		case elliptic.P384():
			return ES384
		case elliptic.P521():
			return ES512
		}
	case ed25519.PublicKey:
		return EdDSA
	}
	return ""
}
