package server_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/accounts"
	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
)

// statusClaim is what the claim status of a token has to be, from its jti.
func (n *node) statusClaim(t testing.TB, c jwt.MapClaims) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(c["jti"].(string))
	if err != nil || len(raw) != 24 {
		t.Fatalf("jti %v", c["jti"])
	}
	return map[string]any{"status_list": map[string]any{
		"uri": fmt.Sprintf("%s/status/%d", n.grants.Settings.Issuer, binary.BigEndian.Uint32(raw[16:])),
		"idx": float64(binary.BigEndian.Uint32(raw[20:])),
	}}
}

// statusOf reads the claim status of a token.
func statusOf(t testing.TB, token string) (path string, idx int) {
	t.Helper()
	claim, _ := segment(t, token, 1)["status"].(map[string]any)
	list, _ := claim["status_list"].(map[string]any)
	uri, _ := list["uri"].(string)
	i := strings.LastIndex(uri, "/status/")
	if i < 0 {
		t.Fatalf("status %v", claim)
	}
	return uri[i:], int(list["idx"].(float64))
}

// bitsOf verifies a status list by the key set alone, and inflates it.
func (n *node) bitsOf(t testing.TB, path, body string) []byte {
	t.Helper()
	set := n.published(t)
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(jwt.WithTimeFunc(n.clock.Now), jwt.WithExpirationRequired(), jwt.WithIssuedAt()).
		ParseWithClaims(body, claims, func(token *jwt.Token) (any, error) {
			kid, _ := token.Header["kid"].(string)
			return set[kid].key(t), nil
		})
	must(t, err)
	if len(parsed.Header) != 3 || parsed.Header["typ"] != "statuslist+jwt" || claims["sub"] != n.grants.Settings.Issuer+path ||
		claims["ttl"] != 15.0 || claims["exp"].(float64)-claims["iat"].(float64) != 300 || len(claims) != 5 {
		t.Errorf("header %v, claims %v", parsed.Header, claims)
	}
	list := claims["status_list"].(map[string]any)
	if list["bits"] != 1.0 || len(list) != 2 {
		t.Errorf("status_list %v", list)
	}
	raw, err := base64.RawURLEncoding.DecodeString(list["lst"].(string))
	must(t, err)
	r, err := zlib.NewReader(bytes.NewReader(raw))
	must(t, err)
	bits, err := io.ReadAll(r)
	must(t, err)
	return bits
}

// bit fetches the list of a token and says what it says of it.
func (n *node) bit(t testing.TB, token string) bool {
	t.Helper()
	path, idx := statusOf(t, token)
	bits := n.bitsOf(t, path, string(n.do("GET", path, "", "").ok(t, 200).body))
	return bits[idx/8]>>(idx%8)&1 == 1
}

// within waits until something holds that takes a moment in another goroutine
// or process.
func within(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after a minute", what)
		}
	}
}

func TestL1_L2_L3_L4_L6_L15_TheListOfAToken(t *testing.T) {
	n := start(t, options{alg: keys.RS256})
	for _, token := range []string{n.login().str("access_token"), n.machine("app", appSecret)} {
		n.verified(t, token)
		path, idx := statusOf(t, token)
		a := n.do("GET", path, "", "", header("Accept", "application/statuslist+jwt")).ok(t, 200)
		if got := a.Header.Values("Content-Type"); !slices.Equal(got, []string{"application/statuslist+jwt"}) {
			t.Errorf("L2: %v", got)
		}
		bits := n.bitsOf(t, path, string(a.body))
		if len(bits)*8 < 100_000 || idx >= len(bits)*8 || bytes.ContainsFunc(bits, func(r rune) bool { return r != 0 }) {
			t.Errorf("%d places, index %d", len(bits)*8, idx)
		}
		// The key is one of the lists' own, and no token is signed with it.
		if kid := segment(t, string(a.body), 0)["kid"]; kid == segment(t, token, 0)["kid"] {
			t.Errorf("%v signs both", kid)
		}
	}
}

// Each way of ending a token sets its bit, and no other.
func TestL5_L11_WhatEndsATokenSetsItsBit(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	op := accounts.Act{Operator: true, By: "operator"}
	end := func(sel grants.Selection) {
		_, err := n.grants.End(t.Context(), sel, grants.Ending{Reason: storage.ReasonOperator, By: "operator"})
		must(t, err)
	}
	all := []string{}
	token := func(access string) string { all = append(all, access); return access }
	session := func() (access, refresh string) {
		a := n.login()
		return token(a.str("access_token")), a.str("refresh_token")
	}
	gone := map[string]bool{}
	check := func(what string, ended ...string) {
		t.Helper()
		for _, access := range ended {
			gone[access] = true
			within(t, what, func() bool { return n.bit(t, access) })
		}
		for _, access := range all {
			if n.bit(t, access) != gone[access] {
				t.Errorf("%s: the bit of a token that ended: %v, in the list %v", what, gone[access], !gone[access])
			}
		}
	}
	one, _ := session()
	two, twoRefresh := session()
	three, threeRefresh := session()
	four, _ := session()
	own, sibling := token(n.machine("app", appSecret)), token(n.machine("app", appSecret))
	others := token(n.machine("other", apiSecret))
	check("nothing")
	n.revoke(one).revoked(t, "an access token")
	check("one access token", one)
	n.revoke(own).revoked(t, "a client's own token")
	check("one token of a client", own)
	next := token(n.refresh(twoRefresh).ok(t, 200).str("access_token"))
	n.revoke(twoRefresh).revoked(t, "a refresh token")
	check("a session", two, next)
	for range 32 {
		a := n.refresh(threeRefresh).ok(t, 200)
		threeRefresh = a.str("refresh_token")
	}
	check("the 33rd token of a session", three)
	_, err := n.clients.Disable(t.Context(), "app", op)
	must(t, err)
	check("a client that is disabled", sibling, four)
	_, err = n.clients.Enable(t.Context(), "app", op)
	must(t, err)
	again := token(n.machine("app", appSecret))
	check("a client that is enabled again")
	must(t, n.clients.Delete(t.Context(), "other", op))
	check("a client that is deleted", others)
	end(grants.Selection{All: true})
	check("all", again)
}

func TestL13_Caching(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("access_token")
	path, _ := statusOf(t, token)
	plain := header("Accept-Encoding", "identity")
	a := n.do("GET", path, "", "", plain).ok(t, 200)
	etag := a.Header.Get("ETag")
	if !strings.HasPrefix(etag, `"`) || a.Header.Get("Cache-Control") != "public, max-age=5" || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
		a.Header.Get("Vary") != "Accept-Encoding, Prefer" || a.Header.Get("Content-Encoding") != "" || a.ContentLength != int64(len(a.body)) {
		t.Errorf("headers %v", a.Header)
	}
	for _, tags := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		if b := n.do("GET", path, "", "", plain, header("If-None-Match", tags)); b.StatusCode != 304 || len(b.body) != 0 || b.Header.Get("ETag") != etag || b.Header.Get("Cache-Control") == "" {
			t.Errorf("If-None-Match %s: %d %v", tags, b.StatusCode, b.Header)
		}
	}
	n.do("GET", path, "", "", plain, header("If-None-Match", `"x"`)).ok(t, 200)
	if b := n.do("HEAD", path, "", "", plain); b.StatusCode != 200 || len(b.body) != 0 || b.Header.Get("ETag") != etag || b.Header.Get("Content-Length") != a.Header.Get("Content-Length") {
		t.Errorf("HEAD: %d %v", b.StatusCode, b.Header)
	}
	zipped := n.do("GET", path, "", "", header("Accept-Encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1")).ok(t, 200)
	r, err := gzip.NewReader(bytes.NewReader(zipped.body))
	must(t, err)
	body, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(body, a.body) || zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("ETag") == etag || len(zipped.body) >= len(body) {
		t.Errorf("gzip: %v", zipped.Header)
	}
	n.do("GET", path, "", "", header("Accept-Encoding", "gzip"), header("If-None-Match", zipped.Header.Get("ETag"))).ok(t, 304)
	for _, none := range []string{"gzip;q=0", "gzipped", "identity"} {
		if b := n.do("GET", path, "", "", header("Accept-Encoding", none)).ok(t, 200); b.Header.Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %s: %v", none, b.Header)
		}
	}
	if b := n.do("OPTIONS", path, "", "", header("Origin", "https://x.example")); b.StatusCode != 204 || b.Header.Get("Access-Control-Allow-Headers") != "If-None-Match, Prefer" {
		t.Errorf("preflight: %d %v", b.StatusCode, b.Header)
	}
	// A change is another list.
	n.revoke(token)
	within(t, "another tag", func() bool {
		return n.do("GET", path, "", "", plain, header("If-None-Match", etag)).StatusCode == 200
	})
}

func TestL17_ListsOfOtherTimes(t *testing.T) {
	n := start(t, options{})
	path, _ := statusOf(t, n.login().str("access_token"))
	for _, query := range []string{"?time=1772366400", "?time=", "?x=1&time=x"} {
		n.do("GET", path+query, "", "").want(t, 501, "invalid_request")
	}
	n.do("GET", path+"?times=1", "", "").ok(t, 200)
	for _, unknown := range []string{"/status/1", "/status/4294967295", "/status/4294967296", "/status/-1", "/status/0x1", "/status/" + "0" + strings.TrimPrefix(path, "/status/"), path + "/", path + "x"} {
		n.do("GET", unknown, "", "").want(t, 404, "not_found")
	}
}

func TestL18_Aggregation(t *testing.T) {
	n := start(t, options{issuer: "https://login.example/tenant"})
	a := n.do("GET", "/status", "", "").ok(t, 200)
	if string(a.body) != `{"status_lists":[]}` || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s, headers %v", a.body, a.Header)
	}
	path, _ := statusOf(t, n.login().str("access_token"))
	want, _ := json.Marshal(map[string][]string{"status_lists": {"https://login.example/tenant" + path}})
	within(t, "the list is listed", func() bool { return bytes.Equal(n.do("GET", "/status", "", "").ok(t, 200).body, want) })
	n.bitsOf(t, path, string(n.do("GET", path, "", "").ok(t, 200).body))
}

// A node that is cut off from its store serves what it had, and says nothing
// that would make it look fresh.
func TestL13_V13_NothingLooksFreshWhileTheStoreIsAway(t *testing.T) {
	n := start(t, options{})
	path, _ := statusOf(t, n.login().str("access_token"))
	a := n.do("GET", path, "", "").ok(t, 200)
	etag := header("If-None-Match", a.Header.Get("ETag"))
	must(t, n.store.Close())
	within(t, "the store is away", func() bool { return n.do("GET", path, "", "", etag).StatusCode == 503 })
	n.clock.Add(2 * time.Minute)
	n.do("GET", path, "", "", etag).away(t, "conditional")
	n.do("GET", path, "", "", header("If-None-Match", `"x"`)).away(t, "conditional, another tag")
	n.do("GET", path, "", "", etag, header("Prefer", "wait=50")).away(t, "waiting")
	if b := n.do("GET", path, "", "").ok(t, 200); !bytes.Equal(b.body, a.body) {
		t.Errorf("the list was signed anew: %v, before %v", segment(t, string(b.body), 1), segment(t, string(a.body), 1))
	}
	n.do("GET", "/status/1772000000", "", "").away(t, "a list that is not in memory")
}

// Two nodes on one store: what one revokes the other publishes.
func TestL11_AnotherNodePublishesTheRevocation(t *testing.T) {
	n := start(t, options{})
	p := n.peer()
	token, own := n.login().str("access_token"), n.machine("app", appSecret)
	if p.bit(t, token) || p.bit(t, own) {
		t.Fatal("revoked from birth")
	}
	n.revoke(token).revoked(t, "token")
	n.revoke(own).revoked(t, "own")
	within(t, "the other node", func() bool { return p.bit(t, token) && p.bit(t, own) })
	path, _ := statusOf(t, token)
	within(t, "one tag", func() bool {
		return n.do("GET", path, "", "").Header.Get("ETag") == p.do("GET", path, "", "").Header.Get("ETag")
	})
}

// wait sends a waiting request and returns the channel of its answer.
func (n *node) wait(path, etag, prefer string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		done <- n.do("GET", path, "", "", header("If-None-Match", etag), header("Prefer", prefer))
	}()
	return done
}

func (n *node) waiting(t testing.TB, want int) {
	t.Helper()
	within(t, fmt.Sprintf("%d wait", want), func() bool { return n.lists.Waiting() == want })
}

func TestWaitingForAChangeOfAList(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("access_token")
	path, idx := statusOf(t, token)
	etag := n.do("GET", path, "", "").Header.Get("ETag")
	asked := []<-chan answer{n.wait(path, etag, "wait=50"), n.wait(path, "W/"+etag, `respond-async, Wait="600"`)}
	n.waiting(t, len(asked))
	n.revoke(token).revoked(t, "token")
	for _, done := range asked {
		a := <-done
		a.ok(t, 200)
		bits := n.bitsOf(t, path, string(a.body))
		if a.Header.Get("Preference-Applied") != "wait=50" || !strings.Contains(a.Header.Get("Vary"), "Prefer") || bits[idx/8]>>(idx%8)&1 != 1 {
			t.Errorf("headers %v", a.Header)
		}
	}
	n.waiting(t, 0)
	// Nothing changes: the time passes.
	etag = n.do("GET", path, "", "").Header.Get("ETag")
	if a := <-n.wait(path, etag, "wait=1"); a.StatusCode != 304 || a.Header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("after the time: %d %v", a.StatusCode, a.Header)
	}
	// What is not a wait, or has nothing to wait for, is answered at once.
	for _, prefer := range []string{"wait=0", "wait=x", "wait", "wait=-1", "respond-async", "wait=1.5"} {
		if a := <-n.wait(path, etag, prefer); a.StatusCode != 304 || a.Header.Get("Preference-Applied") != "" {
			t.Errorf("%s: %d %v", prefer, a.StatusCode, a.Header)
		}
	}
	if a := <-n.wait(path, `"x"`, "wait=50"); a.StatusCode != 200 || a.Header.Get("Preference-Applied") != "" {
		t.Errorf("another tag: %d %v", a.StatusCode, a.Header)
	}
}

func TestWaitersAreReleasedAtShutdown(t *testing.T) {
	n := start(t, options{})
	path, _ := statusOf(t, n.login().str("access_token"))
	etag := n.do("GET", path, "", "").Header.Get("ETag")
	done := n.wait(path, etag, "wait=50")
	n.waiting(t, 1)
	n.lists.Release()
	if a := <-done; a.StatusCode != http.StatusNotModified {
		t.Errorf("released with %d", a.StatusCode)
	}
	if a := <-n.wait(path, etag, "wait=50"); a.Header.Get("Preference-Applied") != "" {
		t.Errorf("headers %v", a.Header)
	}
}

func TestWaitersOfOneSourceAreBounded(t *testing.T) {
	n := start(t, options{})
	path, _ := statusOf(t, n.login().str("access_token"))
	etag := n.do("GET", path, "", "").Header.Get("ETag")
	const most = 256
	answers := make(chan answer, most+1)
	for range most {
		done := n.wait(path, etag, "wait=50")
		go func() { answers <- <-done }()
	}
	n.waiting(t, most)
	if a := <-n.wait(path, etag, "wait=50"); a.StatusCode != 304 || a.Header.Get("Preference-Applied") != "" {
		t.Errorf("one too many: %d %v", a.StatusCode, a.Header)
	}
	n.lists.Release()
	for range most {
		if a := <-answers; a.StatusCode != 304 {
			t.Errorf("released with %d", a.StatusCode)
		}
	}
}
