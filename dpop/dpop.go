// Package dpop checks proofs of possession (RFC 9449): that whoever sends a
// request holds the private half of a key. It says which key that is; to bind a
// token to it, or to hold a token to it, is for package grants, and to find the
// header for package server. APIs have a check of their own in package verify.
package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// Type is the typ of a proof (RFC 9449 §4.2).
const Type = "dpop+jwt"

// window is how far iat may be from the store's time, on either side. Until it
// is over a proof that was used is remembered.
const window = time.Minute

// Algs are the algorithms in which proofs are taken.
func Algs() []string { return keys.AssertionAlgs() }

// Proof is a proof that was found right. Before anything follows from it, it
// has to be spent: see [Checker.Spend].
type Proof struct {
	// Thumbprint is that of the key (RFC 7638), what tokens are bound by.
	Thumbprint string
	// Nonce is a fresh one for the client to use, where it needs one soon.
	Nonce string

	id, token string
	issued    time.Time
}

// Names reports whether the proof was made for a request with this access token
// (RFC 9449 §4.3, `ath`). At a resource it has to; where tokens are asked for
// there is none yet.
func (p *Proof) Names(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return p.token == base64.RawURLEncoding.EncodeToString(sum[:])
}

// Error is why a proof is not taken. Description is for the caller; Nonce, when
// set, is what the next proof has to contain.
type Error struct{ Description, Nonce string }

func (e *Error) Error() string { return "dpop: " + e.Description }

func bad(format string, args ...any) error { return &Error{Description: fmt.Sprintf(format, args...)} }

// Checker checks proofs. Store and Master are required.
type Checker struct {
	Store  *storage.Store
	Master *keys.MasterKey
	// RequireNonce refuses proofs without a nonce of this server, so that none
	// can be made in advance (RFC 9449 §8).
	RequireNonce bool
}

// Check judges the DPoP headers of a request by a method to an address of this
// server, without query: RFC 9449 §4.3, all but the replay. No header is no
// proof, and no error.
func (c *Checker) Check(headers []string, method, address string, now time.Time) (*Proof, error) {
	switch len(headers) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, bad("there is more than one DPoP header")
	}
	p, claims, err := read(headers[0])
	if err != nil {
		return nil, err
	}
	htm, _ := claims["htm"].(string)
	htu, _ := claims["htu"].(string)
	iat, dated := claims["iat"].(float64)
	switch {
	case p.id == "":
		return nil, bad("the proof has no jti")
	case htm != method:
		return nil, bad("htm of the proof is not the method of the request")
	case !sameAddress(htu, address):
		return nil, bad("htu of the proof is not the address of the request")
	case !dated || iat < 0 || iat > 1e11:
		return nil, bad("the proof has no iat")
	}
	p.issued = time.Unix(int64(iat), 0)
	if p.issued.Before(now.Add(-window)) || p.issued.After(now.Add(window)) {
		return nil, bad("iat of the proof is not within a minute of now")
	}
	if c.RequireNonce {
		nonce, _ := claims["nonce"].(string)
		fresh, ok := c.checkNonce(nonce, now)
		if !ok {
			return nil, &Error{"the proof needs the nonce of the header DPoP-Nonce", c.newNonce(now)}
		}
		p.Nonce = fresh
	}
	return p, nil
}

// read finds the key of a proof and checks its signature by it.
func read(token string) (*Proof, jwt.MapClaims, error) {
	header, err := keys.CheckCompact(token)
	switch {
	case err != nil:
		return nil, nil, bad("the proof is not a JWT")
	case header.Type != Type:
		return nil, nil, bad("typ of the proof is not " + Type)
	case !slices.Contains(Algs(), header.Alg):
		return nil, nil, bad("alg of the proof is not one that is taken")
	}
	key, err := keyOf(token, header.Alg)
	if err != nil {
		return nil, nil, bad("jwk of the proof is not a public key for its alg")
	}
	claims := jwt.MapClaims{}
	if err := key.Verify(token, claims); err != nil {
		return nil, nil, bad("the signature of the proof is wrong")
	}
	p := new(Proof)
	p.id, _ = claims["jti"].(string)
	p.token, _ = claims["ath"].(string)
	if p.Thumbprint, err = keys.Thumbprint(key.Key); err != nil {
		return nil, nil, bad("jwk of the proof has no thumbprint")
	}
	return p, claims, nil
}

// keyOf reads the key from the header of a token that CheckCompact has passed.
// Here alone the key comes from there: the proof is that somebody has it, not
// who they are.
func keyOf(token, alg string) (keys.JWK, error) {
	part, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return keys.JWK{}, err
	}
	var header map[string]json.RawMessage // a struct would take JWK for jwk
	if err := json.Unmarshal(text, &header); err != nil {
		return keys.JWK{}, err
	}
	var said struct{ Alg string }
	if err := json.Unmarshal(header["jwk"], &said); err != nil {
		return keys.JWK{}, err
	}
	key, err := keys.ParseJWK(header["jwk"])
	if err != nil {
		return keys.JWK{}, err
	}
	// A key made for the proof need not say what it is for: the header does.
	if said.Alg == "" && alg == keys.PS256 && key.Alg == keys.RS256 {
		key.Alg = keys.PS256
	}
	if key.Alg != alg && !(key.Alg == keys.EdDSA && alg == "Ed25519") {
		return keys.JWK{}, errors.New("a key for another algorithm")
	}
	return key, nil
}

// sameAddress compares htu with an address of this server by RFC 3986 §6.2.2
// and §6.2.3, without query and fragment (RFC 9449 §4.3).
func sameAddress(htu, address string) bool {
	sent, err := url.Parse(htu)
	if err != nil || sent.User != nil || sent.Opaque != "" {
		return false
	}
	own, err := url.Parse(address)
	slashes := func(u *url.URL) int { return strings.Count(u.EscapedPath(), "/") } // %2F is none
	return err == nil && strings.EqualFold(sent.Scheme, own.Scheme) && hostOf(sent) == hostOf(own) &&
		sent.Path == own.Path && slashes(sent) == slashes(own)
}

func hostOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
