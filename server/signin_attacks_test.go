package server_test

import (
	"net/http"
	"testing"

	"jeton/accounts"
)

// TestO14_OneBrowserAtATime: signing out ends what came from this browser, and
// only whoever it is about can do it without being asked.
func TestO14_OneBrowserAtATime(t *testing.T) {
	n := startOpenID(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Subject: "u-bob", Password: password}, accounts.Act{Operator: true})))
	here, there, bobs := n.browser(), n.browser(), n.browser()
	mine, elsewhere := here.openID(), there.openID()
	bobs.loginAs("bob", bobs.open(askOpenID()))
	theirs := bobs.openID()
	if page := here.load("GET", n.url+"/end_session?"+form("id_token_hint", theirs.str("id_token")).Encode(), nil); page.title() != "Sign out" {
		t.Errorf("the ID token of another user: %d %s", page.StatusCode, page.body)
	}
	n.alive(t, "not signed out", mine.str("access_token"))
	here.load("GET", n.url+"/end_session?"+form("id_token_hint", elsewhere.str("id_token")).Encode(), nil)
	n.dead(t, "this browser", mine.str("access_token"))
	n.alive(t, "other browsers and users", elsewhere.str("access_token"), theirs.str("access_token"))
	if q := there.open(askOpenID("prompt", "none")).back(t, rp); q.Get("code") == "" {
		t.Errorf("the other browser: %v", q)
	}
}

// TestO10_HintsOfOtherClients: what an ID token says to one client is no hint of
// another's.
func TestO10_HintsOfOtherClients(t *testing.T) {
	n := startOpenID(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Subject: "u-bob", Password: password}, accounts.Act{Operator: true})))
	n.setApp(`{"scope":"read write openid","consent":"never"}`)
	alice, bob := n.browser(), n.browser()
	alice.openID()
	bob.loginAs("bob", bob.open(ask("scope", "openid")))
	hint := bob.redeem(bob.code(ask("scope", "openid")), app).ok(t, 200).str("id_token")
	if q := alice.open(askOpenID("prompt", "none", "id_token_hint", hint)).back(t, rp); q.Get("code") == "" {
		t.Errorf("%v", q)
	}
	if q := alice.open(ask("scope", "openid", "prompt", "none", "id_token_hint", hint)).back(t, callback); q.Get("error") != "login_required" {
		t.Errorf("its own: %v", q)
	}
}

// TestW12_CookiesAndChoicesOfOthers: a cookie that a neighbour has planted
// beside ours makes nobody signed in, and no other page chooses an account.
func TestW12_CookiesAndChoicesOfOthers(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.code(ask())
	var cookie string
	for _, c := range b.jar.Cookies(mustURL(t, n.url)) {
		if c.Name == "jeton" {
			cookie = c.Value
		}
	}
	for _, planted := range []string{"jeton=planted; jeton=" + cookie, "jeton=" + cookie + "; jeton=planted"} {
		a := n.do("GET", "/authorize?"+ask().Encode(), "", "", header("Cookie", planted))
		if a.StatusCode != http.StatusOK || a.title() != "Sign in" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
	page := b.open(ask("prompt", "select_account"))
	action, f := page.form(t)
	f.Set("decision", "continue")
	for what, token := range map[string]string{"none": "", "of another form": formTokenOf(t, b.open(ask("prompt", "consent")))} {
		f.Set("form_token", token)
		if a := b.follow(b.load("POST", action, f)); a.title() != "Choose an account" {
			t.Errorf("%s: %d %v", what, a.StatusCode, a.Header)
		}
	}
	if q := b.submit(page, "continue").back(t, callback); q.Get("code") == "" {
		t.Errorf("%v", q)
	}
}
