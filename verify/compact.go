package verify

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

const (
	// mostToken is the most bytes of an access token that anyone looks at.
	mostToken = 16 << 10
	// mostHeader bounds what is parsed before a signature was checked.
	mostHeader = 2 << 10
)

var base64url = base64.RawURLEncoding.Strict()

// compact is a JWS in the compact form (RFC 7515 §7.1), of which nothing is
// known to be true but its shape.
type compact struct {
	alg, kid, typ string
	signed        string // header and claims, as they were signed
	claims        string // base64url
	signature     []byte
}

// parseCompact looks at the outside of a token, strictly. A key is never taken
// from the header (RFC 8725 §3.10): jku, x5u, jwk and x5c are not read.
func parseCompact(token string, most int) (compact, error) {
	if len(token) > most {
		return compact{}, ErrMalformed.because("it is longer than %d bytes", most)
	}
	header, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	if len(header) > mostHeader || !isBase64url(header) || !isBase64url(claims) || !isBase64url(signature) { // also when a fourth part follows
		return compact{}, ErrMalformed.because("it is not three parts of base64url")
	}
	c := compact{signed: token[:len(header)+1+len(claims)], claims: claims}
	var err error
	if c.signature, err = base64url.DecodeString(signature); err != nil {
		return compact{}, ErrMalformed.because("its signature is not base64url")
	}
	text, err := base64url.DecodeString(header)
	if err != nil {
		return compact{}, ErrMalformed.because("its header is not base64url")
	}
	if err := checkObject(text); err != nil {
		return compact{}, ErrMalformed.because("its header is %w", err)
	}
	var h struct {
		Alg, Kid, Typ string
		Crit          json.RawMessage
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return compact{}, ErrMalformed.because("its header has a member of another type than RFC 7515 says")
	}
	// No extension is understood here, so whatever crit names makes the token
	// one that must be refused, and so does an empty list (RFC 7515 §4.1.11).
	if h.Crit != nil {
		return compact{}, ErrMalformed.because("its header has crit")
	}
	c.alg, c.kid, c.typ = h.Alg, h.Kid, h.Typ
	return c, nil
}

// isType compares typ as RFC 7515 §4.1.9 wants it.
func (c *compact) isType(typ string) bool {
	return strings.TrimPrefix(strings.ToLower(c.typ), "application/") == typ
}

// decode reads the claims. It is for tokens whose signature was right.
func (c *compact) decode(into any) ([]byte, error) {
	text, err := base64url.DecodeString(c.claims)
	if err != nil {
		return nil, ErrMalformed.because("its claims are not base64url")
	}
	if err := checkObject(text); err != nil {
		return nil, ErrMalformed.because("its claims are %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, ErrClaims.because("a claim has another type than it should: %w", err)
	}
	return text, nil
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
