package proof_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/storage/redis/redistest"
	"jeton/verify"
)

// clocks are three servers on one Redis: one whose clock is right, and two whose
// clocks are five minutes fast and slow.
type clocks struct {
	*place
	right, fast, slow *node
	said              map[*node]*lockedBuffer
	key               *ecdsa.PrivateKey // of the client robot
}

// off is how far the two clocks are off.
const off = 5 * time.Minute

func (c *clocks) wrong() map[string]*node { return map[string]*node{"fast": c.fast, "slow": c.slow} }
func (c *clocks) all() map[string]*node {
	return map[string]*node{"fast": c.fast, "slow": c.slow, "right": c.right}
}

// TestAClockThatIsFiveMinutesOff: everything goes by the store's clock, so a
// server whose own is wrong issues, judges and counts as the others do, and says
// that it is wrong.
func TestAClockThatIsFiveMinutesOff(t *testing.T) {
	t.Parallel()
	p := newAlone(t).place
	c := &clocks{place: p, said: make(map[*node]*lockedBuffer)}
	c.run(password, "user", "add", "guessed", "--role", "ROLE_USER", "--password-stdin")
	c.run(secret, "client", "add", "brief", "--grant", "password,refresh_token", "--scope", "read", "--secret-stdin",
		"--refresh-retry-window", brief.String(), "--access-token-ttl", brief.String())
	c.run(secret, "client", "add", "idle", "--grant", "password,refresh_token", "--scope", "read", "--secret-stdin", "--refresh-token-ttl", brief.String())
	c.run(secret, "client", "add", "pages", "--grant", "authorization_code,refresh_token", "--scope", "read",
		"--redirect-uri", "https://app.example/cb", "--consent", "never", "--secret-stdin")
	c.addRobot()
	for at, by := range map[**node]time.Duration{&c.right: 0, &c.fast: off, &c.slow: -off} {
		said := new(lockedBuffer)
		*at = c.startWith(shifted(t, by), said)
		c.said[*at] = said
	}
	t.Run("tokens and lists", c.tokens)
	t.Run("refresh", c.refreshes)
	t.Run("windows and expiry", c.windows)
	t.Run("codes", c.codes)
	t.Run("assertions and proofs", c.assertions)
	t.Run("throttles", c.throttles)
	t.Run("keys", c.keys)
	t.Run("seen", c.seen)
}

// near checks a time in a token.
func near(t *testing.T, what string, unix float64, want time.Time) {
	t.Helper()
	if apart := time.Unix(int64(unix), 0).Sub(want).Abs(); apart > time.Minute {
		t.Errorf("%s is %v apart from what the store's clock says", what, apart)
	}
}

func partOf(t *testing.T, token string, part int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// verifierAt is an API that reads keys and lists from one server.
func verifierAt(t *testing.T, n *node) *verify.Verifier {
	t.Helper()
	at, err := url.Parse(n.url)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Options{Issuer: issuer, Audience: []string{issuer}, HTTP: &http.Client{Transport: via{at.Host}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// via leads all requests to one address.
type via struct{ host string }

func (v via) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Host = v.host
	return http.DefaultTransport.RoundTrip(out)
}

// Tokens of each server are good at APIs that read keys and lists from any, and
// revoked at all of them, through whichever server.
func (c *clocks) tokens(t *testing.T) {
	verifiers := make(map[string]*verify.Verifier)
	for at, n := range c.all() {
		verifiers[at] = verifierAt(t, n)
	}
	for from, n := range c.all() {
		a := n.login("strict", "user0")
		claims := partOf(t, a.Access, 1)
		near(t, from+": iat", claims["iat"].(float64), time.Now())
		near(t, from+": auth_time", claims["auth_time"].(float64), time.Now())
		near(t, from+": exp", claims["exp"].(float64), time.Now().Add(30*time.Minute))
		near(t, from+": exp of the refresh token", partOf(t, a.Token, 1)["exp"].(float64), time.Now().Add(15*24*time.Hour))
		for at, v := range verifiers {
			if _, err := v.Verify(t.Context(), a.Access); err != nil {
				t.Errorf("a token of the one that is %s, verified through the %s one: %v", from, at, err)
			}
		}
		if a := n.post("/revoke", "strict", "token", a.Token); a.status != 200 {
			t.Fatalf("%s: revoke: %+v", from, a)
		}
		for at, v := range verifiers {
			redistest.Until(t, fmt.Sprintf("the API behind the %s one has heard of a revocation at the %s one", at, from), func() bool {
				_, err := v.Verify(context.Background(), a.Access)
				return err != nil
			})
		}
		list := c.list(n, listOf(t, a.Access))
		near(t, from+": iat of the list", list["iat"].(float64), time.Now())
		near(t, from+": exp of the list", list["exp"].(float64), time.Now().Add(5*time.Minute))
	}
}

// list reads a status list from one server.
func (c *clocks) list(n *node, path string) map[string]any {
	resp, err := n.http.Get(n.url + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		c.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return partOf(c.t, string(body), 1)
}

// A session goes on through all of them, in whatever order.
func (c *clocks) refreshes(t *testing.T) {
	token := c.right.login("strict", "user0").Token
	for i, n := range []*node{c.fast, c.slow, c.fast, c.right, c.slow, c.right} {
		a := n.refresh("strict", token)
		if a.status != 200 {
			t.Fatalf("refresh %d: %+v", i, a)
		}
		token = a.Token
		for at, other := range c.all() {
			if !other.active(a.Access) {
				t.Errorf("refresh %d: the %s one does not know the token", i, at)
			}
		}
	}
}

// brief is a window, and a life, that a test can wait for.
const brief = 5 * time.Second

// What is open is open at all of them, and what is over is over at all of them.
func (c *clocks) windows(t *testing.T) {
	used := make(map[string]answer)
	before := make(map[string]answer)
	unused := make(map[string]answer)
	begun := time.Now()
	for from, n := range c.wrong() {
		before[from], unused[from] = n.login("brief", "user0"), n.login("idle", "user0")
		used[from] = n.refresh("brief", before[from].Token)
		for at, other := range c.all() {
			a := other.refresh("brief", before[from].Token)
			if time.Since(begun) > brief/2 {
				t.Log("this machine is too slow to look into the window")
			} else if a.Token != used[from].Token || !other.active(used[from].Access) {
				t.Errorf("within the window of the %s one, at the %s one: %+v", from, at, a)
			}
		}
	}
	time.Sleep(brief + time.Second)
	for from := range c.wrong() {
		for at, other := range c.all() {
			if other.active(used[from].Access) {
				t.Errorf("an access token of the %s one outlives its end at the %s one", from, at)
			}
			if a := other.refresh("idle", unused[from].Token); a.Error != "invalid_grant" {
				t.Errorf("a session of the %s one outlives its end at the %s one: %+v", from, at, a)
			}
		}
	}
	for from, n := range c.wrong() {
		if a := n.refresh("brief", before[from].Token); a.Error != "invalid_grant" {
			t.Errorf("after the window of the %s one: %+v", from, a)
		}
		if a := c.right.refresh("brief", used[from].Token); a.Error != "invalid_grant" {
			t.Errorf("the session of the %s one outlives the reuse: %+v", from, a)
		}
	}
}

// A code of one server is good at another, once.
func (c *clocks) codes(t *testing.T) {
	for _, way := range []struct{ from, to *node }{{c.fast, c.slow}, {c.slow, c.fast}} {
		code := visit(way.from, "user0").code()
		redeem := func(n *node) answer {
			return n.post("/token", "pages", "grant_type", "authorization_code", "code", code, "code_verifier", verifier, "redirect_uri", "https://app.example/cb")
		}
		a := redeem(way.to)
		if a.status != 200 {
			t.Fatalf("a code: %+v", a)
		}
		if again := redeem(c.right); again.Error != "invalid_grant" || way.from.active(a.Access) {
			t.Errorf("a code comes twice: %+v", again)
		}
	}
}

// addRobot adds a client that signs its requests.
func (c *clocks) addRobot() {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	c.key = key
	set, err := json.Marshal(map[string]any{"keys": []any{c.jwk()}})
	if err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(c.dir, "robot.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.run("", "client", "add", "robot", "--grant", "client_credentials", "--scope", "read", "--jwks", file)
}

func (c *clocks) jwk() map[string]any {
	point, err := c.key.PublicKey.Bytes()
	if err != nil {
		c.t.Fatal(err)
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "robot",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])}
}

func (c *clocks) sign(header map[string]any, claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// asRobot asks for a token with an assertion and a proof of possession.
func (c *clocks) asRobot(n *node, assertion, proof string) answer {
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	r, err := http.NewRequest(http.MethodPost, n.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	watch.Secret("assertion", assertion)
	return n.send(r)
}

// Assertions and proofs are as old as the store's clock says, and good once at
// all of them together.
func (c *clocks) assertions(t *testing.T) {
	assertion := func(at time.Time) string {
		return c.sign(map[string]any{"typ": "client-authentication+jwt", "kid": "robot"}, jwt.MapClaims{
			"iss": "robot", "sub": "robot", "aud": issuer, "jti": rand.Text(), "iat": at.Unix(), "exp": at.Add(time.Minute).Unix()})
	}
	proof := func(at time.Time) string {
		return c.sign(map[string]any{"typ": "dpop+jwt", "jwk": c.jwk()}, jwt.MapClaims{
			"jti": rand.Text(), "htm": "POST", "htu": issuer + "/token", "iat": at.Unix()})
	}
	for from, n := range c.wrong() {
		now, theirs := time.Now(), time.Now().Add(off)
		if n == c.slow {
			theirs = now.Add(-off)
		}
		good, shown := assertion(now), proof(now)
		if a := c.asRobot(n, good, shown); a.status != 200 {
			t.Fatalf("%s: %+v", from, a)
		}
		for at, other := range c.all() {
			if a := c.asRobot(other, good, proof(now)); a.status != 401 {
				t.Errorf("an assertion comes again, from the %s one to the %s one: %+v", from, at, a)
			}
			if a := c.asRobot(other, assertion(now), shown); a.Error != "invalid_dpop_proof" {
				t.Errorf("a proof comes again, from the %s one to the %s one: %+v", from, at, a)
			}
		}
		if a := c.asRobot(n, assertion(theirs), proof(now)); a.status != 401 {
			t.Errorf("%s: an assertion that is right by this clock: %+v", from, a)
		}
		if a := c.asRobot(n, assertion(now), proof(theirs)); a.Error != "invalid_dpop_proof" {
			t.Errorf("%s: a proof that is right by this clock: %+v", from, a)
		}
	}
}

// Who guesses at one waits at all of them, and as long.
func (c *clocks) throttles(t *testing.T) {
	guess := func(n *node) (status, wait int) {
		form := url.Values{"grant_type": {"password"}, "username": {"guessed"}, "password": {"wrong-wrong-wrong"}}
		r, err := http.NewRequest(http.MethodPost, n.url+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("strict", secret)
		resp, err := n.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		wait, _ = strconv.Atoi(resp.Header.Get("Retry-After"))
		return resp.StatusCode, wait
	}
	// Together, since each has to wait for those before; some are turned away
	// where the machine has too much to do.
	var long int
	redistest.Until(t, "somebody who guesses has to wait for long", func() bool {
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() { guess(c.fast) })
		}
		all.Wait()
		var status int
		status, long = guess(c.fast)
		return status == 429 && long >= 30
	})
	for at, n := range c.all() {
		redistest.Until(t, "the "+at+" one has heard of it", func() bool {
			status, wait := guess(n)
			// Guesses that it did not know enough to refuse have made it longer.
			if wait > 15*60 {
				t.Errorf("%s: to wait for %d s", at, wait)
			}
			return status == 429 && wait >= long/2
		})
	}
}

// All of them sign with the same key, from the same moment on.
func (c *clocks) keys(t *testing.T) {
	kid := func(n *node) string { return partOf(t, n.login("strict", "user0").Access, 0)["kid"].(string) }
	before := kid(c.right)
	c.run("", "key", "rotate", "--now")
	after := ""
	for at, n := range c.all() {
		redistest.Until(t, "the "+at+" one signs with the new key", func() bool {
			after = kid(n)
			return after != before
		})
	}
	for at, n := range c.all() {
		if got := kid(n); got != after {
			t.Errorf("the %s one signs with another key", at)
		}
	}
}

// The two say that they are wrong, and the other one says nothing.
func (c *clocks) seen(t *testing.T) {
	figure := regexp.MustCompile(`(?m)^jeton_store_clock_ahead_seconds (\S+)$`)
	for at, want := range map[string]time.Duration{"right": 0, "fast": -off, "slow": off} {
		n := c.all()[at]
		resp, err := n.http.Get(n.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		var ready struct {
			Ahead *float64 `json:"store_clock_ahead_seconds"`
		}
		err = json.NewDecoder(resp.Body).Decode(&ready)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || (ready.Ahead != nil) != (want != 0) || ready.Ahead != nil && math.Abs(*ready.Ahead-want.Seconds()) > 5 {
			t.Errorf("readyz of the %s one: %d %v %v", at, resp.StatusCode, ready, err)
		}
		m := figure.FindStringSubmatch(n.figures())
		if m == nil {
			t.Fatalf("the %s one has no metric", at)
		}
		if got, err := strconv.ParseFloat(m[1], 64); err != nil || math.Abs(got-want.Seconds()) > 5 {
			t.Errorf("the metric of the %s one is %s", at, m[1])
		}
		for _, message := range []string{"this machine's clock is not the store's", "expired rows stay because the clocks disagree"} {
			if strings.Contains(strings.Join(c.said[n].lines(), "\n"), message) != (want != 0) {
				t.Errorf("the log of the %s one: %q\n%s", at, message, c.said[n].lines())
			}
		}
	}
}
