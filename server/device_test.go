package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
	"jeton/storage/chosen"
)

func (n *node) askDevice(client func(*http.Request), pairs ...string) answer {
	n.t.Helper()
	return n.post("/device_authorization", form(pairs...), client)
}

func (n *node) poll(code string, client func(*http.Request), more ...string) answer {
	n.t.Helper()
	return n.post("/token", form(append([]string{"grant_type", storage.GrantDeviceCode, "device_code", code}, more...)...), client)
}

// connect opens the address that a device shows, and signs alice in if need be.
func (b *browser) connect(asked answer) answer {
	b.t.Helper()
	b.at = ""
	a := b.follow(b.load("GET", asked.str("verification_uri_complete"), nil))
	if a.title() == "Sign in" {
		a = b.login(a)
	}
	return a
}

// allow says yes to a device.
func (b *browser) allow(asked answer) answer {
	b.t.Helper()
	page := b.connect(asked)
	if page.title() != "Connect a device" {
		b.t.Fatalf("not the page of a device: %d %s", page.StatusCode, page.body)
	}
	return b.submit(page, "allow")
}

func TestX6_DeviceAuthorization(t *testing.T) {
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "tv", ClientSettings: accounts.ClientSettings{
		Public: accounts.To(true), Grants: accounts.To([]string{storage.GrantDeviceCode, "refresh_token"}), Scope: accounts.To("openid read"), Audience: accounts.To([]string{"https://api.example"})}}))
	tv := func(*http.Request) {}
	a := n.askDevice(tv, "client_id", "tv", "scope", "openid read").ok(t, 200)
	shown := a.str("user_code")
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(shown) || len(a.str("device_code")) < 43 {
		t.Errorf("codes %s", a.body)
	}
	if a.str("verification_uri") != n.url+"/device" || a.str("verification_uri_complete") != n.url+"/device?user_code="+shown ||
		a.json["expires_in"] != 600.0 || a.json["interval"] != 5.0 || len(a.json) != 6 {
		t.Errorf("%s", a.body)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", a.Header)
	}
	if again := n.askDevice(tv, "client_id", "tv").ok(t, 200); again.str("user_code") == shown || again.str("device_code") == a.str("device_code") {
		t.Errorf("the same codes twice: %s", again.body)
	}
	t.Run("no code stands in the store", func(t *testing.T) {
		plain := strings.ReplaceAll(shown, "-", "")
		stored := chosen.Written(t, n.path)
		if strings.Contains(stored, shown) || strings.Contains(stored, plain) || strings.Contains(stored, a.str("device_code")[:43]) {
			t.Error("it does")
		}
		if !strings.Contains(stored, `"client_id":"tv"`) {
			t.Error("the store has none of the request: does this test look at it?")
		}
	})
	t.Run("refusals", func(t *testing.T) {
		n.askDevice(tv, "client_id", "spa").want(t, 400, "unauthorized_client")
		n.askDevice(tv, "client_id", "nobody").want(t, 401, "invalid_client")
		n.askDevice(tv).want(t, 401, "invalid_client")
		n.askDevice(tv, "client_id", "app").want(t, 401, "invalid_client") // has a secret
		n.askDevice(basic("app", "wrong")).want(t, 401, "invalid_client")
		n.askDevice(app, "scope", "all").want(t, 400, "invalid_scope")
		n.askDevice(app, "scope", "a  b").want(t, 400, "invalid_scope")
		n.askDevice(tv, "client_id", "tv", "resource", "https://elsewhere.example").want(t, 400, "invalid_target")
		n.askDevice(tv, "client_id", "tv", "scope", "read", "scope", "read").want(t, 400, "invalid_request")
		n.do("GET", "/device_authorization?client_id=tv", "", "").want(t, 405, "invalid_request")
		n.do("POST", "/device_authorization", "application/json", `{"client_id":"tv"}`).want(t, 400, "invalid_request")
		n.post("/device_authorization?client_secret=x", form("client_id", "tv")).want(t, 400, "invalid_request")
	})
}

func TestX7_DevicePolls(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	t.Run("a login", func(t *testing.T) {
		asked := n.askDevice(app, "scope", "read")
		code := asked.str("device_code")
		n.poll(code, app).want(t, 400, "authorization_pending")
		n.clock.Add(5 * time.Second)
		n.poll(code, app).want(t, 400, "authorization_pending")
		if page := b.allow(asked); page.title() != "Your device is connected" || page.StatusCode != 200 {
			t.Fatalf("%d %s", page.StatusCode, page.body)
		}
		signedIn := n.clock.Now().Unix()
		n.clock.Add(time.Second) // a yes is told at once, whenever it is asked for
		a := n.poll(code, app).ok(t, 200)
		if a.Header.Get("Cache-Control") != "no-store" || a.str("token_type") != "Bearer" || a.str("scope") != "read" || a.json["id_token"] != nil {
			t.Errorf("%v %s", a.Header, a.body)
		}
		claims := n.verified(t, a.str("access_token"))
		if claims["sub"] != "u-alice" || claims["client_id"] != "app" || claims["scope"] != "read" || claims["acr"] != "urn:jeton:acr:password" ||
			claims["auth_time"] != float64(signedIn) || claims["sid"] == nil || claims["status"] == nil {
			t.Errorf("claims %v", claims)
		}
		n.refresh(a.str("refresh_token")).ok(t, 200)
		n.poll(code, app).want(t, 400, "invalid_grant")
		n.poll(code, app).want(t, 400, "invalid_grant")
		n.alive(t, "a device that asks once more", a.str("access_token"))
		n.clock.Add(10 * time.Minute)
		n.poll(code, app).want(t, 400, "expired_token")
	})
	t.Run("too often", func(t *testing.T) {
		asked := n.askDevice(app)
		code := asked.str("device_code")
		n.poll(code, app).want(t, 400, "authorization_pending")
		n.clock.Add(3 * time.Second)
		n.poll(code, app).want(t, 400, "slow_down")
		n.clock.Add(5 * time.Second) // 10 s are wanted now
		n.peer().poll(code, app).want(t, 400, "slow_down")
		n.clock.Add(15 * time.Second)
		n.peer().poll(code, app).want(t, 400, "authorization_pending")
		n.clock.Add(14*time.Second + time.Millisecond) // a little early: it was long on its way
		n.poll(code, app).want(t, 400, "authorization_pending")
		for range 20 {
			n.poll(code, app).want(t, 400, "slow_down")
		}
		n.clock.Add(59 * time.Second) // it has an end
		n.poll(code, app).want(t, 400, "authorization_pending")
		b.allow(asked)
		n.poll(code, app).ok(t, 200)
	})
	t.Run("declined", func(t *testing.T) {
		asked := n.askDevice(app)
		page := b.connect(asked)
		if end := b.submit(page, "deny"); end.title() != "Nothing was allowed" {
			t.Fatalf("%d %s", end.StatusCode, end.body)
		}
		n.poll(asked.str("device_code"), app).want(t, 400, "access_denied")
		if end := b.submit(page, "allow"); end.title() != "Nothing was allowed" { // the back button
			t.Errorf("%d %s", end.StatusCode, end.body)
		}
		n.poll(asked.str("device_code"), app).want(t, 400, "access_denied")
	})
	t.Run("expired", func(t *testing.T) {
		asked := n.askDevice(app)
		n.clock.Add(599 * time.Second)
		n.poll(asked.str("device_code"), app).want(t, 400, "authorization_pending")
		page := b.connect(asked)
		n.clock.Add(2 * time.Second)
		n.poll(asked.str("device_code"), app).want(t, 400, "expired_token")
		if end := b.submit(page, "allow"); end.StatusCode != 400 || end.title() != "Connect a device" || !strings.Contains(string(end.body), "has expired") {
			t.Errorf("%d %s", end.StatusCode, end.body)
		}
		n.poll(asked.str("device_code"), app).want(t, 400, "expired_token")
	})
	t.Run("of another client", func(t *testing.T) {
		asked := n.askDevice(app)
		b.allow(asked)
		n.poll(asked.str("device_code"), basic("other", apiSecret)).want(t, 400, "invalid_grant")
		n.poll(asked.str("device_code"), app).ok(t, 200)
	})
	t.Run("what is no device code", func(t *testing.T) {
		n.poll("", app).want(t, 400, "invalid_request")
		asked := n.askDevice(app).str("device_code")
		for _, junk := range []string{"x", asked + "A", asked[:len(asked)-2], "A" + asked[1:], strings.Repeat("A", 43), strings.Repeat("A", 5000), "é", b.code(ask())} {
			n.poll(junk, app).want(t, 400, "invalid_grant")
		}
		n.post("/token?device_code="+asked, form("grant_type", storage.GrantDeviceCode, "device_code", asked), app).want(t, 400, "invalid_request")
		n.redeem(asked, app).want(t, 400, "invalid_grant")
	})
	t.Run("a client without the grant", func(t *testing.T) {
		n.post("/token", form("grant_type", storage.GrantDeviceCode, "device_code", "x", "client_id", "spa")).want(t, 400, "unauthorized_client")
	})
}

func TestX7_OneDeviceCodeAtOnce(t *testing.T) {
	n := start(t, options{})
	asked := n.askDevice(app)
	peers := []*node{n, n.peer(), n.peer()}
	storm := func() (codes []string, tokens answer) {
		answers := make(chan answer, 50)
		for i := range 50 {
			go func() { answers <- peers[i%len(peers)].poll(asked.str("device_code"), app) }()
		}
		for range 50 {
			a := <-answers
			if a.StatusCode == 200 {
				tokens = a
			}
			codes = append(codes, a.str("error"))
		}
		return codes, tokens
	}
	codes, tokens := storm()
	if tokens.Response != nil || slices.ContainsFunc(codes, func(c string) bool { return c != "authorization_pending" && c != "slow_down" }) {
		t.Fatalf("before the answer: %q", codes)
	}
	n.browser().allow(asked)
	codes, tokens = storm()
	slices.Sort(codes)
	if codes[0] != "" || codes[1] != "invalid_grant" || codes[49] != "invalid_grant" {
		t.Fatalf("%q", codes)
	}
	n.alive(t, "the session", tokens.str("access_token"))
	n.refresh(tokens.str("refresh_token")).ok(t, 200)
}

// Two tabs, and two people, who answer at once: one answer holds, and makes one
// session at most.
func TestX7_OneAnswerHolds(t *testing.T) {
	n := start(t, options{})
	_, err := n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Subject: "u-bob", Password: password}, accounts.Act{Operator: true})
	must(t, err)
	bob := n.browser()
	bob.submit(bob.open(ask()), "login", "username", "bob", "password", password)
	alice := n.browser()
	for range 10 {
		asked := n.askDevice(app)
		pages := []answer{alice.connect(asked), alice.connect(asked), bob.connect(asked), bob.connect(asked)}
		done := make(chan answer)
		for i, page := range pages {
			go func() {
				who, decision := alice, "allow"
				if i >= 2 {
					who = bob
				}
				if i == 3 {
					decision = "deny"
				}
				done <- (&browser{node: n, jar: who.jar, at: who.at}).submit(page, decision)
			}()
		}
		titles := map[string]int{}
		for range pages {
			titles[(<-done).title()]++
		}
		first := n.poll(asked.str("device_code"), app)
		switch {
		case first.StatusCode == 200 && titles["Your device is connected"] > 0 && titles["Nothing was allowed"] == 0:
		case first.str("error") == "access_denied" && titles["Nothing was allowed"] == 4:
		default:
			t.Errorf("%d %s: %v", first.StatusCode, first.body, titles)
		}
		if again := n.poll(asked.str("device_code"), app); again.StatusCode != 400 {
			t.Errorf("a second session: %d %s", again.StatusCode, again.body)
		}
	}
}

func TestX7_TheTruthIsReadAgain(t *testing.T) {
	t.Parallel()
	act := accounts.Act{Operator: true, By: "operator"}
	ending := grants.Ending{Reason: storage.ReasonOperator, By: "operator"}
	for what, end := range map[string]func(*node) error{
		"the user was disabled": func(n *node) error { return second(n.users.Disable(t.Context(), "alice", act)) },
		"the user was disabled and enabled": func(n *node) error {
			return errors.Join(second(n.users.Disable(t.Context(), "alice", act)), second(n.users.Enable(t.Context(), "alice", act)))
		},
		"there is a new password": func(n *node) error { return second(n.users.SetPassword(t.Context(), "alice", password+"!", act)) },
		"all sessions of the user were ended": func(n *node) error {
			return second(n.grants.End(t.Context(), grants.Selection{Subject: "u-alice"}, ending))
		},
		"all sessions of the client were ended": func(n *node) error {
			return second(n.grants.End(t.Context(), grants.Selection{ClientID: "app"}, ending))
		},
		"everything was ended": func(n *node) error { return second(n.grants.End(t.Context(), grants.Selection{All: true}, ending)) },
		"the application was disconnected": func(n *node) error {
			return second(n.grants.Disconnect(t.Context(), "u-alice", "app", grants.Ending{Reason: storage.ReasonConsentRevoked, By: "u-alice"}))
		},
		"the user was deleted": func(n *node) error { return n.users.Delete(t.Context(), "alice", act) },
	} {
		t.Run(what, func(t *testing.T) {
			n := start(t, options{})
			asked := n.askDevice(app)
			if end := n.browser().allow(asked); end.title() != "Your device is connected" {
				t.Fatalf("%d %s", end.StatusCode, end.body)
			}
			must(t, end(n))
			n.poll(asked.str("device_code"), app).want(t, 400, "invalid_grant")
		})
	}
	n := start(t, options{})
	t.Run("the client was disabled", func(t *testing.T) {
		asked := n.askDevice(app)
		n.browser().allow(asked)
		must(t, second(n.clients.Disable(t.Context(), "app", act)))
		n.poll(asked.str("device_code"), app).want(t, 401, "invalid_client")
		must(t, second(n.clients.Enable(t.Context(), "app", act)))
		n.poll(asked.str("device_code"), app).want(t, 400, "invalid_grant")
	})
	t.Run("who is disabled cannot allow", func(t *testing.T) {
		asked, b := n.askDevice(app), n.browser()
		page := b.connect(asked)
		must(t, second(n.users.Disable(t.Context(), "alice", act)))
		if end := b.submit(page, "allow"); end.title() != "Sign in" {
			t.Errorf("%d %s", end.StatusCode, end.body)
		}
		n.poll(asked.str("device_code"), app).want(t, 400, "authorization_pending")
		must(t, second(n.users.Enable(t.Context(), "alice", act)))
	})
	t.Run("the client lost a scope", func(t *testing.T) {
		asked, b := n.askDevice(app, "scope", "read write"), n.browser()
		b.allow(asked)
		must(t, second2(n.clients.Set(t.Context(), "app", accounts.ClientSettings{Scope: accounts.To("read")}, act)))
		if a := n.poll(asked.str("device_code"), app).ok(t, 200); a.str("scope") != "read" {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("signing out in the browser ends nothing on the device", func(t *testing.T) {
		asked, b := n.askDevice(app, "scope", "read"), n.browser()
		b.allow(asked)
		b.submit(b.load("GET", b.url+"/end_session", nil), "signout")
		a := n.poll(asked.str("device_code"), app).ok(t, 200)
		n.alive(t, "the device", a.str("access_token"))
	})
}

func TestX7_WhatTheSessionIs(t *testing.T) {
	n := start(t, options{})
	must(t, n.addClient(accounts.NewClient{ID: "tv", ClientSettings: accounts.ClientSettings{
		Public: accounts.To(true), Grants: accounts.To([]string{storage.GrantDeviceCode, "refresh_token"}), Scope: accounts.To("openid email read"),
		Audience: accounts.To([]string{"https://a.example", "https://b.example"})}}))
	b := n.browser()
	none := func(*http.Request) {}
	t.Run("openid", func(t *testing.T) {
		asked := n.askDevice(none, "client_id", "tv", "scope", "openid")
		b.allow(asked)
		a := n.poll(asked.str("device_code"), none, "client_id", "tv").ok(t, 200)
		id := segment(t, a.str("id_token"), 1)
		if id["aud"].([]any)[0] != "tv" || id["sub"] != "u-alice" || id["acr"] != "urn:jeton:acr:password" || id["nonce"] != nil || id["sid"] != segment(t, a.str("access_token"), 1)["sid"] {
			t.Errorf("%v", id)
		}
	})
	t.Run("DPoP", func(t *testing.T) {
		k := newKey(t, "k", "ES256")
		asked := n.askDevice(none, "client_id", "tv", "scope", "read")
		n.poll(asked.str("device_code"), withProof(n.proof(k, nil)), "client_id", "tv").want(t, 400, "authorization_pending")
		b.allow(asked)
		a := n.poll(asked.str("device_code"), withProof(n.proof(k, nil)), "client_id", "tv").ok(t, 200)
		if a.str("token_type") != "DPoP" || segment(t, a.str("access_token"), 1)["cnf"] == nil {
			t.Errorf("%s", a.body)
		}
		again := form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token"), "client_id", "tv")
		n.post("/token", again).want(t, 400, "invalid_grant")
		n.post("/token", again, withProof(n.proof(k, nil))).ok(t, 200)
	})
	t.Run("resource", func(t *testing.T) {
		asked := n.askDevice(none, "client_id", "tv", "resource", "https://a.example", "resource", "https://a.example")
		b.allow(asked)
		n.poll(asked.str("device_code"), none, "client_id", "tv", "resource", "https://b.example").want(t, 400, "invalid_target")
		a := n.poll(asked.str("device_code"), none, "client_id", "tv").ok(t, 200)
		if aud := segment(t, a.str("access_token"), 1)["aud"].([]any); len(aud) != 1 || aud[0] != "https://a.example" {
			t.Errorf("aud %v", aud)
		}
	})
}

func TestX7_DeviceEvents(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.allow(n.askDevice(app, "scope", "read"))
	b.submit(b.connect(n.askDevice(app, "scope", "write")), "deny")
	stranger := n.browser()
	asked := n.askDevice(app)
	page := stranger.follow(stranger.load("GET", asked.str("verification_uri_complete"), nil))
	if end := stranger.submit(page, "deny"); end.title() != "Nothing was allowed" {
		t.Errorf("%d %s", end.StatusCode, end.body)
	}
	n.poll(asked.str("device_code"), app).want(t, 400, "access_denied")
	told := map[string]int{}
	must(t, n.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		var e storage.Event
		if err := json.Unmarshal(row.Value, &e); err != nil {
			return err
		}
		if e.Type == events.DeviceAllowed && e.Note == "read" || e.Type == events.DeviceDenied && e.Note == "write" {
			if e.Subject != "u-alice" || e.Actor != "u-alice" || e.ClientID != "app" || e.Source == "" {
				t.Errorf("%+v", e)
			}
		}
		told[e.Type]++
		return nil
	}))
	if told[events.DeviceAllowed] != 1 || told[events.DeviceDenied] != 1 {
		t.Errorf("%v", told)
	}
}
