package verify

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	auth  = "https://auth.example/tenant"
	shop  = "https://shop.example"
	jwks  = auth + "/keys"
	list1 = auth + "/status/1"
)

// testKeys are made once: an RSA key takes its time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	p, _ := rsa.GenerateKey(rand.Reader, 2048)
	e, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	o, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, d, _ := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{"RS256": r, "PS256": p, "ES256": e, "EdDSA": d, "other": o}
})

func b64(b []byte) string { return base64url.EncodeToString(b) }

func jwkOf(kid, alg string, s crypto.Signer) map[string]any {
	k := map[string]any{"kid": kid, "alg": alg, "use": "sig"}
	switch p := s.Public().(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(p.N.Bytes()), b64(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := p.Bytes()
		k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", b64(p)
	}
	return k
}

// issuer is an authorization server made by hand. It is a RoundTripper, so that
// its time is that of the test.
type issuer struct {
	t       testing.TB
	mu      sync.Mutex
	keys    []map[string]any
	life    string // Cache-Control of the key set
	lists   map[string]*published
	asked   map[string]int
	prefers []string      // each Prefer header that came
	down    error         // instead of all answers
	waits   bool          // whether Prefer: wait is known
	cut     time.Duration // after which a proxy ends requests, if not 0
	spoil   func(r *http.Request, resp *http.Response)
}

// published is a status list of the issuer.
type published struct {
	bits    []byte
	changed chan struct{}
	issue   func(uri string, bits []byte) string // instead of the usual
	version int
}

func newIssuer(t testing.TB) *issuer {
	is := &issuer{t: t, waits: true, life: "public, max-age=300", asked: map[string]int{}, lists: map[string]*published{}}
	for kid, s := range testKeys() {
		if kid != "other" {
			is.keys = append(is.keys, jwkOf(kid, kid, s))
		}
	}
	is.publish(list1, make([]byte, 128))
	return is
}

func (is *issuer) publish(uri string, bits []byte) *published {
	p := &published{bits: bits, changed: make(chan struct{})}
	is.lists[uri] = p
	return p
}

// change sets the bits of a list, and wakes who waits.
func (is *issuer) change(uri string, change func(p *published)) {
	is.mu.Lock()
	defer is.mu.Unlock()
	p := is.lists[uri]
	change(p)
	p.version++
	close(p.changed)
	p.changed = make(chan struct{})
}

func (is *issuer) revoke(uri string, idx int) {
	is.change(uri, func(p *published) { p.bits[idx/8] |= 1 << (idx % 8) })
}

func (is *issuer) set(change func()) {
	is.mu.Lock()
	defer is.mu.Unlock()
	change()
}

func (is *issuer) count(uri string) int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.asked[uri]
}

var errDown = errors.New("connection refused")

func (is *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	is.mu.Lock()
	defer is.mu.Unlock()
	uri := r.URL.String()
	is.asked[uri]++
	if is.down != nil {
		return nil, is.down
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{"Cache-Control": {is.life}}, Request: r, Body: http.NoBody}
	body := ""
	switch {
	case uri == "https://auth.example/.well-known/oauth-authorization-server/tenant":
		body = fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, auth, jwks)
	case uri == jwks:
		text, _ := json.Marshal(map[string]any{"keys": is.keys})
		body = string(text)
	case is.lists[uri] != nil:
		if err := is.list(r, uri, resp, &body); err != nil {
			return nil, err
		}
	default:
		resp.StatusCode = 404
	}
	if is.down != nil { // while it waited
		return nil, is.down
	}
	resp.Body = io.NopCloser(strings.NewReader(body))
	if is.spoil != nil {
		is.spoil(r, resp)
	}
	return resp, nil
}

// list answers as package server does.
func (is *issuer) list(r *http.Request, uri string, resp *http.Response, body *string) error {
	p := is.lists[uri]
	tag := func() string { return fmt.Sprintf(`"%d.%d"`, p.version, time.Now().Unix()/10) }
	same := func() bool {
		return strings.HasPrefix(r.Header.Get("If-None-Match"), fmt.Sprintf(`"%d.`, p.version))
	}
	resp.Header.Set("Vary", "Accept-Encoding, Prefer")
	if !is.waits {
		resp.Header.Del("Vary")
	}
	if prefer := r.Header.Get("Prefer"); prefer != "" {
		is.prefers = append(is.prefers, prefer)
		if is.waits && same() {
			resp.Header.Set("Preference-Applied", prefer)
			changed, cut := p.changed, make(<-chan time.Time)
			if is.cut > 0 {
				cut = time.After(is.cut)
			}
			is.mu.Unlock()
			err := error(nil)
			select {
			case <-cut:
				err = errDown
			case <-changed:
			case <-time.After(50 * time.Second):
			case <-r.Context().Done():
				err = r.Context().Err()
			}
			is.mu.Lock()
			if err != nil {
				return err
			}
		}
	}
	resp.Header.Set("ETag", tag())
	if r.Header.Get("If-None-Match") == tag() {
		resp.StatusCode = 304
		return nil
	}
	resp.Header.Set("Content-Type", "application/statuslist+jwt")
	if p.issue != nil {
		*body = p.issue(uri, p.bits)
	} else {
		*body = listToken(is.t, uri, p.bits, nil)
	}
	return nil
}

// sign makes a JWT; what is nil in change goes.
func sign(_ testing.TB, alg, kid, typ string, claims, change map[string]any) string {
	all := maps.Clone(claims)
	for name, value := range change {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(all))
	token.Header = map[string]any{"alg": alg, "kid": kid, "typ": typ}
	s, err := token.SignedString(testKeys()[kid])
	if err != nil { // also in the goroutines of a fuzz target, where t may not be used
		panic(err)
	}
	return s
}

func accessClaims(idx int) map[string]any {
	return map[string]any{
		"iss": auth, "sub": "u1", "aud": []string{shop}, "client_id": "app", "jti": "j1", "scope": "read write",
		"roles": []string{"ROLE_USER"}, "sid": "s1", "amr": []string{"pwd"}, "auth_time": time.Now().Unix(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(30 * time.Minute).Unix(), "status": statusAt(list1, idx),
	}
}

func statusAt(uri string, idx any) map[string]any {
	return map[string]any{"status_list": map[string]any{"idx": idx, "uri": uri}}
}

// access makes an access token at a place of list1.
func access(t testing.TB, idx int, change map[string]any) string {
	return sign(t, "ES256", "ES256", "at+jwt", accessClaims(idx), change)
}

func pack(bits []byte) string {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(bits)
	w.Close()
	return b64(out.Bytes())
}

func listToken(t testing.TB, uri string, bits []byte, change map[string]any) string {
	now := time.Now().Truncate(10 * time.Second)
	return sign(t, "EdDSA", "EdDSA", "statuslist+jwt", map[string]any{
		"sub": uri, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "ttl": 15,
		"status_list": map[string]any{"bits": 1, "lst": pack(bits)},
	}, change)
}

// verifier is one for the issuer, which ends with the test.
func (is *issuer) verifier(t testing.TB, change func(o *Options)) *Verifier {
	t.Helper()
	o := Options{Issuer: auth, Audience: []string{shop}, HTTP: &http.Client{Transport: is}, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	v, err := New(o)
	must(t, err)
	t.Cleanup(v.Close)
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// accepts and refuses verify a token.
func (v *Verifier) accepts(t testing.TB, what, token string) *Token {
	t.Helper()
	got, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return got
}

func (v *Verifier) refuse(t testing.TB, what, token string, want Reason) error {
	t.Helper()
	got, err := v.Verify(context.Background(), token)
	if !errors.Is(err, want) || got != nil {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
	return err
}
