package server_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

// made lists what alice's way through the pages has left: the codes that wait,
// the sessions, the consents.
func (n *node) made() (codes, sessions, consents int) {
	n.t.Helper()
	for index, count := range map[string]*int{storage.IndexCodes: &codes, storage.IndexSessions: &sessions, storage.IndexConsents: &consents} {
		q := storage.Query{Index: index, Partition: storage.UserPartition("u-alice")}
		must(n.t, n.store.AllByIndex(n.t.Context(), q, func(storage.Row) error { *count++; return nil }))
	}
	return codes, sessions, consents
}

// nothing checks that nothing was left half done.
func (n *node) nothing(t *testing.T) {
	t.Helper()
	if codes, sessions, consents := n.made(); codes+sessions+consents != 0 {
		t.Errorf("%d codes, %d sessions, %d consents", codes, sessions, consents)
	}
}

// send sends the form of a page as the browser would, and stays where it is.
func (b *browser) send(page answer, decision string) answer {
	b.t.Helper()
	action, f := page.form(b.t)
	for name, value := range form("decision", decision, "username", "alice", "password", password) {
		f[name] = value
	}
	return b.load("POST", action, f)
}

// again is the same browser after it was closed and opened: its cookies, which
// last as long as it runs, are gone.
func (b *browser) again() {
	jar, err := cookiejar.New(nil)
	must(b.t, err)
	b.jar = jar
}

// requested are the two ways in which a request reaches the pages.
var requested = map[string]func(n *node, pairs ...string) url.Values{
	"in the address": func(_ *node, pairs ...string) url.Values { return ask(pairs...) },
	"pushed": func(n *node, pairs ...string) url.Values {
		uri := push(n, app, ask(pairs...)).ok(n.t, http.StatusCreated).str("request_uri")
		return form("client_id", "app", "request_uri", uri)
	},
}

// What people do at the pages ends with an answer to the client, or a page from
// which they get on; never with half of something.
func TestA20_EachWayThroughThePagesEndsWell(t *testing.T) {
	for how, request := range requested {
		t.Run(how, func(t *testing.T) {
			for what, try := range map[string]func(*testing.T, *browser, url.Values){
				"denied at the login": func(t *testing.T, b *browser, f url.Values) {
					b.denied(t, b.send(b.open(f), "deny"))
					b.nothing(t)
				},
				"denied, and allowed after all": func(t *testing.T, b *browser, f url.Values) {
					page := b.login(b.open(f))
					b.denied(t, b.send(page, "deny"))
					b.nothing(t)
					if page = b.open(f); page.title() != "Allow access" { // still signed in, asked again
						t.Fatalf("%d %s", page.StatusCode, page.body)
					}
					b.works(t, b.send(page, "allow"))
				},
				"closed after the login": func(t *testing.T, b *browser, f url.Values) {
					b.login(b.open(f))
					b.nothing(t)
					if page := b.open(f); page.title() != "Allow access" {
						t.Errorf("the tab again: %d %s", page.StatusCode, page.body)
					}
					b.nothing(t)
					b.again()
					b.works(t, b.send(b.login(b.open(f)), "allow"))
				},
				"the browser was closed under the login page": func(t *testing.T, b *browser, f url.Values) {
					page := b.open(f)
					b.again()
					if page = b.send(page, "login"); page.StatusCode != 400 || page.title() != "Sign in" || strings.Contains(string(page.body), password) {
						t.Fatalf("%d %s", page.StatusCode, page.body)
					}
					b.works(t, b.send(b.login(page), "allow"))
				},
				"the browser was closed under the consent page": func(t *testing.T, b *browser, f url.Values) {
					page := b.login(b.open(f))
					b.again()
					if page = b.follow(b.send(page, "allow")); page.title() != "Sign in" {
						t.Fatalf("%d %s", page.StatusCode, page.body)
					}
					b.nothing(t)
					b.works(t, b.send(b.login(page), "allow"))
				},
				"back from the client, and on again": func(t *testing.T, b *browser, f url.Values) {
					login := b.open(f)
					consent := b.login(login)
					first := b.send(consent, "allow")
					b.works(t, b.send(consent, "allow"))
					b.works(t, first)
					b.works(t, b.follow(b.send(login, "login"))) // consent is remembered
				},
				"two clicks at once": func(t *testing.T, b *browser, f url.Values) {
					login := b.open(f)
					b.twice(func(a answer) {
						if a.StatusCode != 303 {
							t.Errorf("login: %d %s", a.StatusCode, a.body)
						}
					}, login, "login")
					var codes []answer
					b.twice(func(a answer) { codes = append(codes, a) }, b.open(f), "allow")
					for _, a := range codes {
						b.works(t, a)
					}
				},
				"the same address in two tabs": func(t *testing.T, b *browser, f url.Values) {
					one, two := b.open(f), b.open(f)
					one = b.login(one)
					b.works(t, b.send(one, "allow"))
					b.works(t, b.follow(b.send(two, "login")))
				},
			} {
				t.Run(what, func(t *testing.T) {
					n := start(t, options{})
					try(t, n.browser(), request(n))
				})
			}
		})
	}
}

// denied checks that the client is told of a no.
func (b *browser) denied(t *testing.T, a answer) {
	t.Helper()
	if q := a.back(t, callback); q.Get("error") != "access_denied" || q.Get("state") != ask().Get("state") || q.Get("iss") != b.grants.Settings.Issuer || q.Has("code") {
		t.Errorf("%v", q)
	}
}

// works checks that the client has got a code that is good.
func (b *browser) works(t *testing.T, a answer) {
	t.Helper()
	b.redeem(a.back(t, callback).Get("code"), app).ok(t, 200)
}

// twice sends a form two times at once. The cookies of the later answer count,
// as in a browser.
func (b *browser) twice(each func(answer), page answer, decision string) {
	b.t.Helper()
	answers := make(chan answer, 2)
	for range 2 {
		tab := *b
		go func() { answers <- tab.send(page, decision) }()
	}
	for range 2 {
		each(<-answers)
	}
}

func TestA20_WhatChangesUnderThePages(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(*node, *browser)
		title  string // of the page that "allow" leads to, or
		code   string // what the client is told
	}{
		"the sign-in has expired":      {func(n *node, _ *browser) { n.clock.Add(3 * time.Hour) }, "Sign in", ""},
		"signed out in another tab":    {func(n *node, b *browser) { b.submit(b.load("GET", n.url+"/end_session", nil), "signout") }, "Sign in", ""},
		"signed in again in another":   {func(n *node, b *browser) { b.login(b.open(ask("prompt", "login", "state", "2"))) }, "Allow access", ""},
		"somebody else in another tab": {func(n *node, b *browser) { b.loginAs("bob", b.open(ask("prompt", "login", "state", "2"))) }, "Allow access", ""},
		"the password was changed": {func(n *node, _ *browser) {
			must(n.t, second(n.users.SetPassword(n.t.Context(), "alice", password+"!", accounts.Act{})))
		}, "Sign in", ""},
		"the user was disabled": {func(n *node, _ *browser) { must(n.t, second(n.users.Disable(n.t.Context(), "alice", accounts.Act{}))) }, "Sign in", ""},
		"the client was disabled": {func(n *node, _ *browser) {
			n.operator("POST", "/clients/app/disable", "").ok(n.t, 200)
			n.clock.Add(2 * time.Second)
		}, "This does not work", ""},
		"the address was taken off":     {func(n *node, _ *browser) { n.setApp(`{"redirect_uris":["https://app.example/new"]}`) }, "This does not work", ""},
		"the scope was taken off":       {func(n *node, _ *browser) { n.setApp(`{"scope":"write"}`) }, "", "invalid_scope"},
		"the grant was taken off":       {func(n *node, _ *browser) { n.setApp(`{"grant_types":["client_credentials"]}`) }, "", "unauthorized_client"},
		"the client has to push by now": {func(n *node, _ *browser) { n.setApp(`{"require_pushed_authorization_requests":true}`) }, "", "invalid_request"},
	} {
		t.Run(what, func(t *testing.T) {
			n := start(t, options{})
			must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Password: password}, accounts.Act{Operator: true})))
			b := n.browser()
			page := b.login(b.open(ask()))
			c.change(n, b)
			a := b.follow(b.send(page, "allow"))
			if c.code != "" {
				if q := a.back(t, callback); q.Get("error") != c.code || q.Has("code") {
					t.Errorf("%v", q)
				}
			} else if a.title() != c.title || a.Header.Get("Location") != "" {
				t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
			}
			n.nothing(t)
			if strings.Contains(what, "somebody else") && !strings.Contains(string(a.body), "<strong>bob</strong>") {
				t.Errorf("who is asked? %s", a.body)
			}
		})
	}
}

func (b *browser) loginAs(name string, page answer) answer {
	b.t.Helper()
	return b.submit(page, "login", "username", name, "password", password)
}

// setApp changes the client app, and waits until all know.
func (n *node) setApp(body string) {
	n.t.Helper()
	n.operator("PATCH", "/clients/app", body).ok(n.t, 200)
	n.clock.Add(storage.CacheAge + time.Second)
}

// Two tabs of one browser on their way at the same time get each their own
// answer, for their own request.
func TestA20_TwoTabsAtOnce(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.login(b.open(ask("prompt", "login")))
	var pages []answer
	states := []string{"one", "two", "three", "four"}
	for _, state := range states {
		pages = append(pages, b.open(ask("state", state, "scope", map[bool]string{true: "read", false: "read write"}[state == "one"])))
	}
	answers := make(chan answer, len(pages))
	for _, page := range pages {
		tab := *b
		go func() { answers <- tab.send(page, "allow") }()
	}
	var came []string
	for range pages {
		q := (<-answers).back(t, callback)
		a := n.redeem(q.Get("code"), app).ok(t, 200)
		if want := map[bool]string{true: "read", false: "read write"}[q.Get("state") == "one"]; a.str("scope") != want {
			t.Errorf("%s has %s", q.Get("state"), a.str("scope"))
		}
		came = append(came, q.Get("state"))
	}
	if slices.Sort(came); !slices.Equal(came, []string{"four", "one", "three", "two"}) {
		t.Errorf("%v", came)
	}
	if _, sessions, consents := n.made(); sessions != len(pages) || consents != 1 {
		t.Errorf("%d sessions, %d consents", sessions, consents)
	}
}
