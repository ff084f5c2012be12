package keys

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// mostSignature is the size of the signature of RSA with 4096 bits.
const mostSignature = 512

// JSONAppender is what claims may have beside encoding/json: the same text,
// made without looking at their type. They are encoded on every request.
type JSONAppender interface {
	AppendJSON(b []byte) []byte
}

// JSONParser is what claims may have to be read the same way: it reports false
// of a text that AppendJSON would not write, and then means nothing.
type JSONParser interface {
	ParseJSON(b []byte) bool
}

func encodeClaims(claims jwt.Claims) ([]byte, error) {
	if a, ok := claims.(JSONAppender); ok {
		return a.AppendJSON(make([]byte, 0, 768)), nil
	}
	return json.Marshal(claims)
}

// encodeHeader is the header of the tokens of one key and type, as base64url.
// All three values are our own: names of algorithms, thumbprints, typ.
func encodeHeader(alg, kid, typ string) string {
	return base64url.EncodeToString([]byte(`{"alg":"` + alg + `","kid":"` + kid + `","typ":"` + typ + `"}`))
}

// ownHeader is a header that this ring writes.
type ownHeader struct{ kid, typ string }

// remember notes a header under which a signature was right, if it is spelt as
// signToken spells it. So strangers can add none: there are a few for each key.
func (r *Ring) remember(token string, k *key, typ string) {
	header, _, _ := strings.Cut(token, ".")
	if header == encodeHeader(k.Alg, k.ID, typ) {
		r.headers.Store(header, ownHeader{k.ID, typ})
	}
}

// parseOwn is [Ring.Parse] for tokens that begin as the ring's own do. Their
// signature is looked at before anything else: under a right one stands what
// signToken wrote, so nothing has to be asked of its form. Of every other token
// it says that it is not done, and the strict way finds out what is wrong.
func (r *Ring) parseOwn(now time.Time, use, token, typ string, claims jwt.Claims) (done bool, err error) {
	header, rest, _ := strings.Cut(token, ".")
	found, ok := r.headers.Load(header)
	if !ok || len(token) > MaxToken {
		return false, nil
	}
	own := found.(ownHeader)
	k := r.snap.Load().keys[own.kid]
	switch {
	case own.typ != typ:
		return true, ErrType
	case k == nil:
		return false, nil
	}
	if _, err := k.usable(now, use); err != nil {
		return true, err
	}
	body, signature, _ := strings.Cut(rest, ".")
	if !isBase64url(body) || !isBase64url(signature) {
		return false, nil
	}
	raw, err := base64url.DecodeString(signature)
	if err != nil || k.private.method().Verify(token[:len(token)-len(signature)-1], raw, k.private.public()) != nil {
		return false, nil
	}
	content, err := base64url.DecodeString(body)
	if err != nil {
		return false, nil
	}
	if p, ok := claims.(JSONParser); ok && p.ParseJSON(content) {
		return true, nil
	}
	return json.Unmarshal(content, claims) == nil, nil
}
