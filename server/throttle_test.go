package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// from says that a request came from an address, by way of a trusted proxy.
func from(addr string) func(*http.Request) { return header("X-Forwarded-For", addr) }

func throttled(t *testing.T) *node {
	return start(t, options{throttle: true, proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

// guess tries a password through a public client, as people's browsers do.
func (n *node) guess(user, pw, addr string) answer {
	n.t.Helper()
	return n.post("/token", form("grant_type", "password", "client_id", "spa", "username", user, "password", pw), from(addr))
}

// slowed checks a 429 and returns how long it asks to wait.
func slowed(t *testing.T, a answer) time.Duration {
	t.Helper()
	a.want(t, http.StatusTooManyRequests, "temporarily_unavailable")
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		t.Fatalf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("a 429 may be cached")
	}
	return time.Duration(seconds) * time.Second
}

func TestT24_P9_GuessingAPasswordIsSlow(t *testing.T) {
	n := throttled(t)
	for _, user := range []string{"alice", "nobody"} { // the same for both: no hint at who exists
		addr := "198.51.100." + strconv.Itoa(len(user))
		for i := range 5 {
			if a := n.guess(user, "wrong", addr); a.StatusCode != 400 {
				t.Fatalf("%s, guess %d: %d %s", user, i, a.StatusCode, a.body)
			}
		}
		wait := slowed(t, n.guess(user, "wrong", addr))
		if a := n.guess(user, password, addr); a.StatusCode != 429 {
			t.Errorf("%s: the right password before its time: %d", user, a.StatusCode)
		}
		n.clock.Add(wait)
		n.guess(user, "wrong", addr).want(t, 400, "invalid_grant")
		if longer := slowed(t, n.guess(user, "wrong", addr)); longer <= wait {
			t.Errorf("%s: the wait went from %v to %v", user, wait, longer)
		}
	}
	if !strings.Contains(n.metrics(), `outcome="throttled_pair"`) {
		t.Error("no metric tells of it")
	}
}

// A thousand guesses from fifty places at one user: few get as far as a hash,
// and the user signs in from a known place meanwhile.
func TestT24_N6_StrangersCannotLockOut(t *testing.T) {
	n := throttled(t)
	n.guess("alice", password, "203.0.113.5").want(t, 200, "")
	hashed := 0
	for i := range 1000 {
		a := n.guess("alice", fmt.Sprintf("guess %d of many, many", i), fmt.Sprintf("198.51.100.%d", i%50))
		switch a.StatusCode {
		case 400:
			hashed++
		case 429:
		default:
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if i%100 == 50 {
			n.guess("alice", password, "203.0.113.5").want(t, 200, "")
		}
	}
	if hashed == 0 || hashed > 100 {
		t.Errorf("%d guesses were looked at", hashed)
	}
	// Another user is none of this.
	n.guess("bob", "wrong", "192.0.2.1").want(t, 400, "invalid_grant")
}

func TestT24_GuessingAClientSecretIsSlow(t *testing.T) {
	n := throttled(t)
	bad := basic("app", "not-the-secret-not-the-secret-not")
	for i := range 20 {
		a := n.post("/token", form("grant_type", "client_credentials"), bad, from("198.51.100.7"))
		if a.StatusCode == 429 {
			if i < 10 {
				t.Errorf("slowed after %d failures", i)
			}
			slowed(t, a)
			// The client itself works on, beside whoever guesses.
			for _, path := range []string{"/token", "/revoke", "/introspect"} {
				n.post(path, form("grant_type", "client_credentials", "token", "x"), app, from("198.51.100.7")).want(t, 200, "")
			}
			return
		}
		a.want(t, 401, "invalid_client")
	}
	t.Fatal("twenty wrong secrets were looked at")
}

// A backend sends all its users from one address: one user's failures are
// nobody else's.
func TestT24_UsersBehindABackend(t *testing.T) {
	n := throttled(t)
	for i := range 60 {
		n.post("/token", form("grant_type", "password", "username", fmt.Sprintf("user%d", i), "password", "wrong"), app, from("192.0.2.9")).want(t, 400, "invalid_grant")
	}
	n.post("/token", loginForm(), app, from("192.0.2.9")).want(t, 200, "")

	// Where it passes on addresses, a visitor cannot shut another out.
	n.post("/token", loginForm(), app, from("198.51.100.7")).want(t, 200, "")
	for range 20 {
		n.post("/token", form("grant_type", "password", "username", "alice", "password", "wrong"), app, from("203.0.113.9"))
	}
	slowed(t, n.post("/token", loginForm(), app, from("203.0.113.9")))
	n.post("/token", loginForm(), app, from("198.51.100.7")).want(t, 200, "")
}
