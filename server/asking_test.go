package server_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

// Whoever asks for links holds up no sign-in, at any address, and however a name
// is typed it is one name.
func TestN10_AskingHoldsUpNoSignIn(t *testing.T) {
	n, _ := mailed(t, options{throttle: true})
	signIn := form("grant_type", "password", "client_id", "spa", "username", "alice", "password", password)
	wrong := form("grant_type", "password", "client_id", "spa", "username", "alice", "password", "wrong")
	for i := range 30 {
		if a := n.forget(fmt.Sprint("nobody", i)); a.title() != "Look into your mail" {
			t.Fatalf("%d: %d %s", i, a.StatusCode, a.body)
		}
	}
	if a := n.forget("nobody-else"); a.StatusCode != 429 {
		t.Errorf("the thirty-first at one address: %d", a.StatusCode)
	}
	n.post("/token", wrong).want(t, 400, "invalid_grant") // from where she never was
	n.post("/token", signIn).ok(t, 200)

	n, post := mailed(t, options{throttle: true})
	for i, name := range []string{"alice", "ALICE", " Alice", "aLICE ", "alicE"} {
		if a := n.forget(name); a.title() != "Look into your mail" {
			t.Fatalf("%d: %d", i, a.StatusCode)
		}
	}
	if a := n.forget("AliCe"); a.StatusCode != 429 {
		t.Errorf("a sixth spelling: %d", a.StatusCode)
	}
	post.Next(t)
	post.None(t)
}

// A stranger who asks for somebody else, as often as can be, uses up neither what
// the user may ask for at home nor, for more than an hour, anywhere.
func TestN10_NobodyUsesUpARecovery(t *testing.T) {
	n, post := mailed(t, options{throttle: true, proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	const home, away, stranger = "203.0.113.5", "192.0.2.9", "198.51.100.7"
	n.guess("alice", password, home).want(t, 200, "")
	asked := 0
	// mails asks for alice, and counts what comes of it: another user's mail, for
	// whom is asked next, comes after all of hers.
	mails := func(addr string) (came int) {
		t.Helper()
		b := n.browser()
		action, f := b.load("GET", n.url+"/forgot", nil, from(addr)).form(t)
		f.Set("username", "alice")
		if a := b.load("POST", action, f, from(addr)); a.StatusCode != 303 {
			t.Fatalf("%s: %d %s", addr, a.StatusCode, a.body)
		}
		asked++
		next := fmt.Sprint("next", asked)
		must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: next, Password: freshPassword, Claims: storage.Claims{Email: next + "@example.com"}}, accounts.Act{Operator: true})))
		n.forget(next)
		for m := post.Next(t); m.To != next+"@example.com"; m = post.Next(t) {
			if page := n.browser().load("GET", linkOf(t, m), nil); page.title() != "New password" {
				t.Errorf("%s: a link that does not count: %d %s", addr, page.StatusCode, page.title())
			}
			came++
		}
		return came
	}
	for _, step := range []struct {
		who    string
		times  int
		after  time.Duration
		wanted int
	}{
		{stranger, 5, 62 * time.Second, 5},
		{away, 1, 62 * time.Second, 0},
		{home, 5, 62 * time.Second, 3},
		{away, 2, time.Hour, 2},
		{stranger, 2, 62 * time.Second, 0},
	} {
		came := 0
		for range step.times {
			n.clock.Add(step.after)
			came += mails(step.who)
		}
		if came != step.wanted {
			t.Errorf("%+v: %d mails", step, came)
		}
	}
}
