package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"jeton/accounts"
)

var shownLink = regexp.MustCompile(`<code>(http[^<]*/reset/[^<]*)</code>`)

// A form that was refused has done nothing, and may be sent again as it is; one
// that has made a link makes no other.
func TestFormForALinkIsSpentByTheLinkAlone(t *testing.T) {
	b := console(t, options{})
	asked := b.page("/console/act?act=reset-password&sub=u-alice")
	send := func(reason string) (int, string) {
		t.Helper()
		a := b.submitTo(asked, "/console/act", "reason", reason)
		if m := shownLink.FindSubmatch(a.body); m != nil {
			return a.StatusCode, string(m[1])
		}
		return a.StatusCode, ""
	}
	if status, link := send(" "); status != 400 || link != "" {
		t.Errorf("without a reason: %d %s", status, link)
	}
	must(t, second(b.users.Disable(t.Context(), "alice", accounts.Act{By: "operator"})))
	if status, link := send("forgotten"); status != 400 || link != "" {
		t.Errorf("disabled: %d %s", status, link)
	}
	must(t, second(b.users.Enable(t.Context(), "alice", accounts.Act{By: "operator"})))
	var all sync.WaitGroup
	var made, refused []string
	var mu sync.Mutex
	for range 8 {
		one := *b
		all.Go(func() {
			a := one.submitTo(asked, "/console/act", "reason", "forgotten")
			mu.Lock()
			defer mu.Unlock()
			if m := shownLink.FindSubmatch(a.body); m != nil {
				made = append(made, string(m[1]))
			} else if a.StatusCode == http.StatusConflict && strings.Contains(string(a.body), "This form was sent already") {
				refused = append(refused, "")
			} else {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	all.Wait()
	if len(made) != 1 || len(refused) != 7 || len(b.events("reset_link_made")) != 1 {
		t.Fatalf("%d made, %d refused, %d events", len(made), len(refused), len(b.events("reset_link_made")))
	}

	// What the user then types may be wrong as often as it likes: neither the link
	// nor the form is spent by it.
	user := b.node.browser()
	action, f := user.load("GET", made[0], nil).form(t)
	set := func(password, again string) answer {
		f.Set("password", password)
		f.Set("again", again)
		return user.load("POST", action, f)
	}
	for _, wrong := range [][2]string{{"xyzzy", "xyzzy"}, {freshPassword, "another"}, {"", ""}, {"alice alice alice alice", "alice alice alice alice"}} {
		if a := set(wrong[0], wrong[1]); a.StatusCode != 400 || a.title() != "New password" {
			t.Errorf("%q: %d %s", wrong, a.StatusCode, a.title())
		}
	}
	if a := set(freshPassword, freshPassword); a.StatusCode != 303 {
		t.Fatalf("the very form again: %d %s", a.StatusCode, a.body)
	}
	if a := set(freshPassword+"!", freshPassword+"!"); a.StatusCode != 400 || a.title() != "This link does not count" {
		t.Errorf("a link that was used: %d %s", a.StatusCode, a.title())
	}
}
