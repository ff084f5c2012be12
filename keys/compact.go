package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Why a token is refused before its claims count.
var (
	// ErrMalformed: not a compact JWS that we would read.
	ErrMalformed = errors.New("keys: the token is malformed")
	// ErrType: a token of another kind than was asked for (RFC 8725 §3.11).
	ErrType = errors.New("keys: the token is of another type")
	// ErrUnknownKey: its kid is of no key in the ring.
	ErrUnknownKey = errors.New("keys: the token's key is unknown")
	// ErrSignature: its signature, or the algorithm of it, is not the key's.
	ErrSignature = errors.New("keys: the token's signature is wrong")
)

// MaxToken is the most bytes of a token that anyone looks at.
const MaxToken = 16 << 10

// Header is the protected header of a JWS, as far as anything follows from it.
// Its jku, x5u, jwk and x5c are never a source of keys (RFC 8725 §3.10).
type Header struct {
	Alg   string
	KeyID string
	// Type is typ in lower case and without a leading "application/"; empty
	// when there is none.
	Type string
}

// CheckCompact looks at the outside of a JWT in the compact form (RFC 7515
// §7.1), strictly, and before anything else does: size and characters, three
// parts, canonical base64url, header and claims one JSON object each with no
// member twice, no crit. It says nothing about the signature. Errors wrap
// [ErrMalformed] and repeat nothing of the token.
func CheckCompact(token string) (Header, error) {
	h, err := checkCompact(token)
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return h, nil
}

func checkCompact(token string) (Header, error) {
	if len(token) > MaxToken {
		return Header{}, fmt.Errorf("it is longer than %d KiB", MaxToken>>10)
	}
	header, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	for _, part := range []string{header, claims, signature} {
		if !isBase64url(part) { // also when a fourth part follows
			return Header{}, errors.New("it is not three parts of base64url")
		}
	}
	if _, err := base64url.DecodeString(signature); err != nil {
		return Header{}, errors.New("its signature is not base64url")
	}
	text, err := base64url.DecodeString(claims)
	if err != nil {
		return Header{}, errors.New("its claims are not base64url")
	}
	if err := CheckObject(text); err != nil {
		return Header{}, fmt.Errorf("its claims: %w", err)
	}
	if text, err = base64url.DecodeString(header); err != nil {
		return Header{}, errors.New("its header is not base64url")
	}
	if err := CheckObject(text); err != nil {
		return Header{}, fmt.Errorf("its header: %w", err)
	}
	return readHeader(text)
}

// readHeader goes by exact names: encoding/json would take ALG for alg.
func readHeader(text []byte) (Header, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return Header{}, errNotObject
	}
	// No extension is understood here, so whatever crit names makes the token
	// one that must be refused, and so does an empty list (RFC 7515 §4.1.11).
	if _, ok := all["crit"]; ok {
		return Header{}, errors.New("its header has crit")
	}
	var h Header
	for name, to := range map[string]*string{"alg": &h.Alg, "kid": &h.KeyID, "typ": &h.Type} {
		value, ok := all[name]
		if !ok {
			continue
		}
		if value[0] != '"' || json.Unmarshal(value, to) != nil {
			return Header{}, fmt.Errorf("its %s is not a string", name)
		}
	}
	if h.Alg == "" {
		return Header{}, errors.New("its header lacks alg")
	}
	h.Type = mediaType(h.Type)
	return h, nil
}

// mediaType gives the spellings of one typ one form (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// isBase64url reports whether s is not empty and has only characters of the
// alphabet. The decoder alone would let line breaks pass.
func isBase64url(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}
