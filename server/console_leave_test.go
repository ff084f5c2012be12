package server_test

import (
	"testing"
	"time"
)

// Who looks at the console all day uses it, and is not signed out as one who is
// away.
func TestConsoleIsUsedByLookingAtIt(t *testing.T) {
	b := console(t, options{})
	for range 4 {
		b.clock.Add(90 * time.Minute)
		if a := b.page("/console/events"); a.title() != "Events" {
			t.Fatalf("%d %s", a.StatusCode, a.title())
		}
	}
	b.clock.Add(2*time.Hour + time.Second)
	if a := b.page("/console/events"); a.title() != "Sign in" {
		t.Errorf("after two hours without use: %d %s", a.StatusCode, a.title())
	}
}

// The list of users may be kept by the browser, so that it has to be told when
// to forget it. The page that the form stood on is forgotten with the page after
// the answer.
func TestSigningOutForgetsThePagesOfAnOperator(t *testing.T) {
	const forget = `"cache"`
	b := console(t, options{})
	out := b.press(b.page("/console/users"), "/end_session", "decision", "signout")
	if out.title() != "Signed out" || out.Header.Get("Clear-Site-Data") != forget {
		t.Errorf("%d %s %v", out.StatusCode, out.title(), out.Header)
	}
	const next = "/end_session?left=console"
	if to := out.Header.Get("Refresh"); to != "0; url="+b.base()+next {
		t.Errorf("it leads on to %q", to)
	}
	if a := b.page(next); a.title() != "Signed out" || a.Header.Get("Clear-Site-Data") != forget || a.Header.Get("Refresh") != "" {
		t.Errorf("%d %s %v", a.StatusCode, a.title(), a.Header)
	}
	t.Run("nobody else waits for that", func(t *testing.T) {
		b := b.node.browser()
		b.at = b.url
		b.submit(b.page("/account"), "login", "username", "alice", "password", password)
		if a := b.page(next); a.title() == "Signed out" || a.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("by the address alone: %s %v", a.title(), a.Header)
		}
		a := b.press(b.page("/account"), "/end_session", "decision", "signout")
		if a.title() != "Signed out" || a.Header.Get("Clear-Site-Data") != "" || a.Header.Get("Refresh") != "" {
			t.Errorf("%d %s %v", a.StatusCode, a.title(), a.Header)
		}
	})
}
