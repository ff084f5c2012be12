package server_test

import (
	"strings"
	"testing"
)

// What a page says of the form before it was told to this sign-in: no address
// that somebody else has made up says so.
func TestPagesSayOnlyWhatTheyWereTold(t *testing.T) {
	const ended = "2147483647 sessions ended"
	b := console(t, options{})
	b.node.login()
	for _, forged := range []string{
		"/console/users?done=revoked&n=2147483647", "/console/users?done=revoked&n=2147483647&told=x", "/console/keys?done=removed",
		"/account?said=others-ended", "/account?said=password-changed&told=",
	} {
		if page := b.load("GET", b.url+forged, nil); page.StatusCode != 200 || strings.Contains(string(page.body), `role="status"`) {
			t.Errorf("%s: %d %s", forged, page.StatusCode, page.body)
		}
	}
	asked := b.page("/console/act?act=revoke&sub=u-alice")
	done := b.submitTo(asked, "/console/act", "reason", "laptop stolen")
	to := done.Request.URL
	for range 2 { // the second time as after "reload"
		if page := b.page(to.String()); !strings.Contains(string(page.body), "1 session ended. Their tokens") {
			t.Errorf("%s: %s", to, page.body)
		}
	}
	more := to.Query()
	more.Set("n", "2147483647")
	if page := b.page(to.Path + "?" + more.Encode()); strings.Contains(string(page.body), ended) {
		t.Error("another number was said")
	}
	if page := b.page("/console/keys?" + to.RawQuery); strings.Contains(string(page.body), "session ended") {
		t.Error("another page said it")
	}
	other := b.node.browser()
	signIn := other.follow(other.load("GET", to.String(), nil))
	if page := other.submit(signIn, "login", "username", "root", "password", password); page.title() != "alice" || strings.Contains(string(page.body), "session ended") {
		t.Errorf("it was said to another sign-in: %d %s %s", page.StatusCode, page.title(), page.body)
	}
}
