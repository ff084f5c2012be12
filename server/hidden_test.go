package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// hashes are how many passwords were hashed so far.
func (n *node) hashes() uint64 { count, _, _ := n.grants.Passwords.Timings().Hash.Read(); return count }

// From an address that is used up nobody can ask which users sign in from there;
// and who does, gets in.
func TestT24_P2_AUsedUpAddressTellsNobody(t *testing.T) {
	const addr = "198.51.100.7"
	n := throttled(t)
	n.guess("alice", password, addr).want(t, 200, "")
	for i := range 30 {
		n.guess(fmt.Sprint("invented", i), "wrong", addr).want(t, 400, "invalid_grant")
	}
	before := n.hashes()
	for i := range 10 {
		known, unknown := n.guess("alice", "wrong", addr), n.guess("nobody", "wrong", addr)
		if slowed(t, known) != slowed(t, unknown) || string(known.body) != string(unknown.body) {
			t.Fatalf("%d: %v %s\n%v %s", i, known.Header, known.body, unknown.Header, unknown.body)
		}
	}
	if got := n.hashes() - before; got != 0 {
		t.Errorf("%d were hashed, which takes time that tells", got)
	}

	n = throttled(t)
	n.guess("alice", password, addr).want(t, 200, "")
	for i := range 40 {
		n.guess(fmt.Sprint("invented", i), "wrong", addr)
	}
	n.guess("alice", "wrong", addr).want(t, 429, "temporarily_unavailable")
	n.guess("alice", password, addr).want(t, 200, "")
}

// The same where it is the account that is besieged, from elsewhere.
func TestT24_P2_ABesiegedAccountTellsNobody(t *testing.T) {
	const home = "203.0.113.5"
	n := throttled(t)
	n.guess("alice", password, home).want(t, 200, "")
	for _, user := range []string{"alice", "nobody"} {
		for i := range 15 {
			n.guess(user, "wrong", fmt.Sprint("198.51.100.", i))
		}
	}
	n.guess("alice", password, home).want(t, 200, "")
	// Of a stranger the right one counts for nothing either.
	n.guess("alice", password, "192.0.2.9").want(t, 429, "temporarily_unavailable")
	for i := range 8 {
		before := n.hashes()
		known := n.guess("alice", "wrong", home)
		middle := n.hashes()
		unknown := n.guess("nobody", "wrong", home)
		if slowed(t, known) != slowed(t, unknown) || string(known.body) != string(unknown.body) {
			t.Fatalf("%d: %v %s\n%v %s", i, known.Header, known.body, unknown.Header, unknown.body)
		}
		if k, u := middle-before, n.hashes()-middle; k != u {
			t.Fatalf("%d: %d hashes for who is known, %d for who is not", i, k, u)
		}
	}
}

// The pages go by the same rules, by the same counters.
func TestT24_P2_AUsedUpAddressTellsNobodyAtThePages(t *testing.T) {
	n := start(t, options{throttle: true})
	b := n.browser()
	try := func(name, pass string) answer {
		return b.submit(b.open(ask()), "login", "username", name, "password", pass)
	}
	laptop, _ := n.signedIn(firefox)
	for i := range 40 {
		n.post("/token", form("grant_type", "password", "client_id", "spa", "username", fmt.Sprint("invented", i), "password", "wrong"))
	}
	known, unknown := try("alice", "wrong"), try("nobody", "wrong")
	if known.StatusCode != http.StatusTooManyRequests || unknown.StatusCode != http.StatusTooManyRequests || known.Header.Get("Retry-After") != unknown.Header.Get("Retry-After") ||
		strings.ReplaceAll(string(known.body), "alice", "") != strings.ReplaceAll(string(unknown.body), "nobody", "") {
		t.Errorf("%d %s\n%d %s", known.StatusCode, known.body, unknown.StatusCode, unknown.body)
	}
	action, f := laptop.load("GET", n.url+"/account/password", nil).form(t)
	for name, value := range map[string]string{"current": "wrong", "password": freshPassword, "again": freshPassword} {
		f.Set(name, value)
	}
	if a := laptop.load("POST", action, f); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != unknown.Header.Get("Retry-After") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := try("alice", password); a.StatusCode != http.StatusSeeOther {
		t.Errorf("with the right password: %d %s", a.StatusCode, a.body)
	}
}
