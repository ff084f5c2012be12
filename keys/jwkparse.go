package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// ErrJWK is wrapped by the errors of [ParseJWK] and [ParseJWKSet].
var ErrJWK = errors.New("not a usable public key (JWK)")

// errForeign marks keys that are well made and of no use to us, such as one to
// encrypt with.
var errForeign = errors.New("not a key for signatures that are verified here")

// Bounds of what strangers may give.
const (
	// MaxJWKSet is the most bytes of a JWK Set.
	MaxJWKSet  = 256 << 10
	maxSetKeys = 100
	minRSABits = 2048
	maxRSABits = 8192
)

// inbound is a JWK of somebody else, as written.
type inbound struct {
	members
	KeyID string   `json:"kid"`
	Use   string   `json:"use"`
	Ops   []string `json:"key_ops"`
	Alg   string   `json:"alg"`
}

// ParseJWKSet reads the public keys that a client signs with (RFC 7517 §5).
//
// Keys for other uses, and of types unknown here, are left out, since sets
// have them side by side. Everything else that is wrong refuses the whole set,
// because its owner has to know: a private or symmetric key (which is lost by
// being shown), a weak or damaged one, two keys of one kid, no key at all.
func ParseJWKSet(text []byte) ([]JWK, error) {
	if len(text) > MaxJWKSet {
		return nil, fmt.Errorf("%w: the set is larger than %d KiB", ErrJWK, MaxJWKSet>>10)
	}
	if err := CheckObject(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJWK, err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("%w: a key set is an object with the array keys: %w", ErrJWK, err)
	}
	if len(set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("%w: the set has more than %d keys", ErrJWK, maxSetKeys)
	}
	var found []JWK
	for i, text := range set.Keys {
		k, err := ParseJWK(text)
		if errors.Is(err, errForeign) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i+1, err)
		}
		if k.KeyID != "" && slices.ContainsFunc(found, func(o JWK) bool { return o.KeyID == k.KeyID }) {
			return nil, fmt.Errorf("%w: two keys of the set have one kid", ErrJWK)
		}
		found = append(found, k)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: the set has no key to verify signatures with", ErrJWK)
	}
	return found, nil
}

// ParseJWK reads one public key for signatures.
func ParseJWK(text []byte) (JWK, error) {
	if err := CheckObject(text); err != nil {
		return JWK{}, fmt.Errorf("%w: %w", ErrJWK, err)
	}
	var all map[string]json.RawMessage
	var in inbound
	if err := errors.Join(json.Unmarshal(text, &all), json.Unmarshal(text, &in)); err != nil {
		return JWK{}, fmt.Errorf("%w: %w", ErrJWK, err)
	}
	if in.KeyType == "oct" {
		return JWK{}, fmt.Errorf("%w: a symmetric key cannot be shared this way: register a key pair's public half", ErrJWK)
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := all[name]; ok {
			return JWK{}, fmt.Errorf("%w: it has the private member %q: make a new key pair and give out only the public half", ErrJWK, name)
		}
	}
	if in.Use != "" && in.Use != UseSig || len(in.Ops) > 0 && !slices.Contains(in.Ops, "verify") {
		return JWK{}, fmt.Errorf("%w: %w", ErrJWK, errForeign)
	}
	key, err := in.publicKey()
	if err != nil {
		return JWK{}, fmt.Errorf("%w: %w", ErrJWK, err)
	}
	alg, err := in.algorithm(key)
	if err != nil {
		return JWK{}, fmt.Errorf("%w: %w", ErrJWK, err)
	}
	return JWK{KeyID: in.KeyID, Use: UseSig, Alg: alg, Key: key}, nil
}

// algorithm is the one the key is good for: one key, one algorithm (RFC 8725
// §3.1). An RSA key that means PS256 has to say so.
func (in inbound) algorithm(key crypto.PublicKey) (string, error) {
	natural := naturalAlg(key)
	switch in.Alg {
	case "", natural:
		return natural, nil
	case PS256:
		if natural == RS256 {
			return PS256, nil
		}
	case algEd25519:
		if natural == EdDSA {
			return EdDSA, nil
		}
	}
	return "", fmt.Errorf("alg %.20q is not one for this key: it may be %s", in.Alg, natural)
}

func (in inbound) publicKey() (crypto.PublicKey, error) {
	switch in.KeyType {
	case ktyRSA:
		return in.rsa()
	case ktyEC:
		return in.ec()
	case ktyOKP:
		if in.Curve != "Ed25519" {
			return nil, errForeign
		}
		x, err := decodeMember("x", in.X, ed25519.PublicKeySize)
		return ed25519.PublicKey(x), err
	case "":
		return nil, errors.New("it lacks kty")
	}
	return nil, errForeign
}

func (in inbound) rsa() (crypto.PublicKey, error) {
	n, err := decodeUint("n", in.N)
	if err != nil {
		return nil, err
	}
	e, err := decodeUint("e", in.E)
	if err != nil {
		return nil, err
	}
	switch bits := n.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return nil, fmt.Errorf("an RSA key has %d to %d bits, this one %d", minRSABits, maxRSABits, bits)
	case n.Bit(0) == 0:
		return nil, errors.New("an RSA modulus is odd")
	case e.BitLen() > 31 || e.Bit(0) == 0 || e.Int64() < 3:
		return nil, errors.New("an RSA exponent is odd, at least 3 and below 2^31")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func (in inbound) ec() (crypto.PublicKey, error) {
	var curve elliptic.Curve
	switch in.Curve {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, errForeign
	}
	size := (curve.Params().BitSize + 7) / 8
	x, err := decodeMember("x", in.X, size)
	if err != nil {
		return nil, err
	}
	y, err := decodeMember("y", in.Y, size)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("x and y are no point of %s", in.Curve)
	}
	return key, nil
}

// decodeMember reads base64url of exactly size bytes (any number when 0).
func decodeMember(name, text string, size int) ([]byte, error) {
	if !isBase64url(text) {
		return nil, fmt.Errorf("%s is base64url without padding and not empty", name)
	}
	b, err := base64url.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s is base64url without padding", name)
	}
	if size > 0 && len(b) != size {
		return nil, fmt.Errorf("%s has %d bytes, not %d", name, size, len(b))
	}
	return b, nil
}

// decodeUint reads a Base64urlUInt (RFC 7518 §2), which has no leading zeros.
func decodeUint(name, text string) (*big.Int, error) {
	b, err := decodeMember(name, text, 0)
	if err != nil {
		return nil, err
	}
	if b[0] == 0 || len(b) > maxRSABits/8 {
		return nil, fmt.Errorf("%s has leading zeros or is too long", name)
	}
	return new(big.Int).SetBytes(b), nil
}
