package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A token that is bound to a key (RFC 9449) comes with a proof that whoever sends
// the request has that key, made for this request and for no other. A thief of
// the token alone has nothing.

const (
	// proofWindow is how far iat of a proof may be from now. Until it is over the
	// proof is remembered, so that it works once.
	proofWindow = time.Minute
	// mostProofs bounds that memory, some 10 MB.
	mostProofs = 100_000
)

// proofClaims are those of RFC 9449 §4.2.
type proofClaims struct {
	ID     string   `json:"jti"`
	Method string   `json:"htm"`
	URL    string   `json:"htu"`
	Issued *float64 `json:"iat"`
	Token  string   `json:"ath"`
}

// checkProof holds a request to RFC 9449 §4.3 and §7.1: r shows that its sender
// has the key that the token is bound to.
func (v *Verifier) checkProof(r *http.Request, token, thumbprint string, now time.Time) error {
	sent := r.Header.Values("DPoP")
	if len(sent) != 1 {
		return ErrProof.because("there is not one DPoP header, but %d", len(sent))
	}
	c, err := parseCompact(sent[0], mostToken)
	if err != nil {
		return ErrProof.because("the proof: %w", bare(err))
	}
	k, err := v.proofKey(&c)
	if err != nil {
		return err
	}
	var claims proofClaims
	if _, err := c.decode(&claims); err != nil {
		return ErrProof.because("the proof: %w", bare(err))
	}
	ath := sha256.Sum256([]byte(token))
	switch window := proofWindow + v.o.Leeway; {
	case claims.ID == "" || claims.Issued == nil || !plausible(*claims.Issued):
		return ErrProof.because("the proof lacks jti or iat")
	case claims.Method != r.Method:
		return ErrProof.because("htm is not the method of the request")
	case !sameURL(claims.URL, v.urlOf(r)):
		return ErrProof.because("htu is not %s, which is what Options.URL can change", v.urlOf(r))
	case claims.Token != base64url.EncodeToString(ath[:]):
		return ErrProof.because("ath is not the hash of the access token")
	case timeOf(claims.Issued).Before(now.Add(-window)) || timeOf(claims.Issued).After(now.Add(window)):
		return ErrProof.because("iat is not within %v of now", window)
	}
	if k.thumbprint() != thumbprint {
		return ErrClaims.because("it is bound to another key than that of the proof")
	}
	return v.proofs.use(thumbprint+" "+claims.ID, timeOf(claims.Issued).Add(proofWindow+v.o.Leeway), now)
}

// bare is an error without its [Reason]: that a proof is malformed does not
// make the token so.
func bare(err error) error { return errors.New(err.Error()) }

// proofKey is the key in the header of a proof, by which its signature is right.
// Here alone is a key taken from there.
func (v *Verifier) proofKey(c *compact) (key, error) {
	if !c.isType("dpop+jwt") {
		return key{}, ErrProof.because("typ of the proof is not dpop+jwt")
	}
	if !slices.ContainsFunc(v.o.Algorithms, func(alg string) bool { return sameAlg(alg, c.alg) }) {
		return key{}, ErrProof.because("the algorithm of the proof is none of %s", strings.Join(v.o.Algorithms, ", "))
	}
	header, _, _ := strings.Cut(c.signed, ".")
	text, err := base64url.DecodeString(header)
	if err != nil {
		return key{}, ErrProof.because("the header of the proof is not base64url")
	}
	var in struct{ JWK jwk }
	if err := json.Unmarshal(text, &in); err != nil {
		return key{}, ErrProof.because("jwk of the proof is not a key")
	}
	if in.JWK.Kty == "RSA" && in.JWK.Alg == "" && c.alg == ps256 {
		in.JWK.Alg = ps256 // a key need not say what it is for: the header does
	}
	k, err := in.JWK.key()
	if err != nil || !sameAlg(k.alg, c.alg) {
		return key{}, ErrProof.because("jwk of the proof is not a public key for its algorithm")
	}
	if !k.verify(c) {
		return key{}, ErrProof.because("the signature of the proof is wrong")
	}
	return k, nil
}

// thumbprint is that of RFC 7638.
func (k key) thumbprint() string {
	var text string
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		text = `{"e":"` + base64url.EncodeToString(big.NewInt(int64(p.E)).Bytes()) + `","kty":"RSA","n":"` + base64url.EncodeToString(p.N.Bytes()) + `"}`
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil { // not one that was parsed
			return ""
		}
		text = `{"crv":"P-256","kty":"EC","x":"` + base64url.EncodeToString(point[1:33]) + `","y":"` + base64url.EncodeToString(point[33:]) + `"}`
	case ed25519.PublicKey:
		text = `{"crv":"Ed25519","kty":"OKP","x":"` + base64url.EncodeToString(p) + `"}`
	}
	sum := crypto.SHA256.New()
	sum.Write([]byte(text))
	return base64url.EncodeToString(sum.Sum(nil))
}

// urlOf is the address that the client has called.
func (v *Verifier) urlOf(r *http.Request) string {
	switch {
	case v.o.URL != nil:
		return v.o.URL(r)
	case v.origin != "":
		return v.origin + r.URL.EscapedPath()
	case r.TLS != nil:
		return "https://" + r.Host + r.URL.EscapedPath()
	}
	return "http://" + r.Host + r.URL.EscapedPath()
}

// sameURL compares by RFC 3986 §6.2.2 and §6.2.3, without query and fragment.
func sameURL(htu, own string) bool {
	a, err := url.Parse(htu)
	if err != nil || a.User != nil || a.Opaque != "" || a.Host == "" {
		return false
	}
	b, err := url.Parse(own)
	if err != nil {
		return false
	}
	slashes := func(u *url.URL) int { return strings.Count(u.EscapedPath(), "/") } // %2F is none
	path := func(u *url.URL) string { return "/" + strings.TrimPrefix(u.Path, "/") }
	return origin(&url.URL{Scheme: strings.ToLower(a.Scheme), Host: a.Host}) == origin(&url.URL{Scheme: strings.ToLower(b.Scheme), Host: b.Host}) &&
		path(a) == path(b) && (slashes(a) == slashes(b) || a.Path == "" || b.Path == "")
}

// usedProofs are the proofs of the last minutes.
type usedProofs struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time
}

// use writes a proof down, once. It forgets those that are too old by now, when
// there are many.
func (u *usedProofs) use(id string, until, now time.Time) error {
	h := sha256.Sum256([]byte(id))
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil {
		u.seen = map[[sha256.Size]byte]time.Time{}
	}
	if end, ok := u.seen[h]; ok && now.Before(end) {
		return ErrProof.because("the proof has been used before")
	}
	if len(u.seen) >= mostProofs {
		for h, end := range u.seen {
			if !now.Before(end) {
				delete(u.seen, h)
			}
		}
		if len(u.seen) >= mostProofs {
			return ErrUnavailable.because("more than %d proofs of possession in %v", mostProofs, proofWindow)
		}
	}
	u.seen[h] = until
	return nil
}
