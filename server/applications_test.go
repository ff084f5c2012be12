package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/events"
	"jeton/storage"
)

func (b *browser) see(path string) answer {
	b.t.Helper()
	return b.follow(b.load("GET", b.url+path, nil))
}

func TestV19_AccountDisconnectsApplications(t *testing.T) {
	n := start(t, options{})
	laptop, mine := n.signedIn(firefox)
	_, theirs := n.signedIn(android)
	other := n.post("/token", loginForm("scope", "read"), basic("other", apiSecret)).ok(t, 200)
	code := laptop.code(ask())
	page := laptop.see("/account/applications")
	for _, part := range []string{"<strong>app</strong>", "<strong>other</strong>", "Use read", "Allowed", "2 sessions", "1 session"} {
		if !strings.Contains(string(page.body), part) {
			t.Errorf("the page lacks %q: %s", part, page.body)
		}
	}
	if page = laptop.press(page, "/account/applications/disconnect", "client_id", "app"); !strings.Contains(string(page.body), "has lost its access") || strings.Contains(string(page.body), "<strong>app</strong>") {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	for _, dead := range []answer{mine, theirs} {
		if n.active(dead.str("access_token")) {
			t.Error("V8 a session goes on")
		}
		n.refresh(dead.str("refresh_token")).want(t, 400, "invalid_grant")
	}
	n.redeem(code, app).want(t, 400, "invalid_grant")
	if !n.active(other.str("access_token")) {
		t.Error("another application has lost its access")
	}
	if title := laptop.open(ask()).title(); title != "Allow access" {
		t.Errorf("it is not asked for again: %s", title)
	}
	for _, id := range []string{"app", "nobody", "", strings.Repeat("x", 300)} {
		if a := laptop.press(laptop.see("/account/applications"), "/account/applications/disconnect", "client_id", id); !strings.Contains(string(a.body), "had no access") {
			t.Errorf("%.20q: %d %s", id, a.StatusCode, a.body)
		}
	}
	if e := n.events("consent_revoked"); len(e) != 1 || e[0].Actor != "u-alice" || e[0].ClientID != "app" {
		t.Errorf("%+v", e)
	}
	// Somebody else's form, and no form at all.
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Password: password + "2"}, accounts.Act{Operator: true})))
	bob := n.browser()
	bob.submit(bob.account(), "login", "username", "bob", "password", password+"2")
	if page := bob.see("/account/applications"); !strings.Contains(string(page.body), "No applications") {
		t.Errorf("%s", page.body)
	}
	if a := bob.load("POST", "/account/applications/disconnect", form("client_id", "other", "form_token", "x")); a.StatusCode != 400 || !n.active(other.str("access_token")) {
		t.Errorf("%d", a.StatusCode)
	}
}

// publishHistory has the history written, as the server does in the background.
func (n *node) publishHistory(keep time.Duration) {
	n.t.Helper()
	p := events.NewPublisher(n.store, slog.New(slog.DiscardHandler))
	p.Follow(events.History{Store: n.store, Kept: keep}.Follow)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		page, err := n.store.List(n.t.Context(), storage.Query{Index: storage.IndexOutbox, Limit: 1})
		must(n.t, err)
		if len(page.Rows) == 0 {
			return
		}
	}
	n.t.Fatal("the outbox is not empty")
}

func TestAccountTellsWhatHasHappened(t *testing.T) {
	n := start(t, options{history: storage.Day})
	laptop, mine := n.signedIn(firefox)
	if page := laptop.see("/account/activity"); page.title() != "Activity" || !strings.Contains(string(page.body), "Nothing yet") {
		t.Errorf("%s", page.body)
	}
	phone, _ := n.signedIn(android)
	phone.load("POST", "/end_session", form("decision", "signout", "form_token", phone.account().forms("/end_session")[0].Get("form_token")))
	must(t, second(n.users.SetRoles(t.Context(), "alice", []string{"ROLE_USER", "ROLE_X"}, accounts.Act{By: "operator", Source: "198.51.100.9"})))
	n.refresh(mine.str("refresh_token"))
	n.refresh(mine.str("refresh_token")) // the copy
	n.publishHistory(storage.Day)
	page := laptop.see("/account/activity")
	text := string(page.body)
	for _, part := range []string{
		"You signed in at these pages", "You signed in to app", "You allowed app access", "You signed out of these pages", "A session of app ended: you signed out",
		"Your roles were changed", "A session of app ended: a copy of its token was used", "127.0.0.0/24", "1 Mar 2026, 12:00 UTC", "Your account was made",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(text, "198.51.100") || strings.Contains(text, "127.0.0.1") {
		t.Error("U10 an address is on the page")
	}
	if strings.Index(text, "Your account was made") < strings.Index(text, "You allowed app access") {
		t.Error("the latest is not first")
	}
	n.clock.Add(25 * time.Hour)
	laptop = n.browser()
	laptop.login(laptop.account())
	if page := laptop.see("/account/activity"); !strings.Contains(string(page.body), "Nothing yet") {
		t.Errorf("it is kept too long: %s", page.body)
	}
}

// Each type that is kept has words, and nothing else has.
func TestHistoryHasWords(t *testing.T) {
	n := start(t, options{history: storage.Day})
	b := n.browser()
	b.login(b.account())
	var put []storage.Put
	for _, kind := range events.Types() {
		n.clock.Add(2 * time.Minute)
		e := events.New(kind, n.clock.Now())
		e.Subject, e.Actor = "u-alice", "operator"
		put = append(put, events.Put(e))
	}
	must(t, second(n.store.Commit(t.Context(), storage.Change{Partition: storage.UserPartition("u-alice"), Puts: put})))
	n.publishHistory(storage.Day)
	page := b.see("/account/activity")
	for _, kind := range events.Types() {
		if strings.Contains(string(page.body), "<strong>"+kind+"</strong>") {
			t.Errorf("%s has no words", kind)
		}
	}
	if got := strings.Count(string(page.body), "<li>"); got < 15 {
		t.Errorf("only %d entries: %s", got, page.body)
	}
}

func TestActivityIsBounded(t *testing.T) {
	n := start(t, options{history: storage.Day})
	b := n.browser()
	b.login(b.account())
	tell := func(client, reason string) {
		e := events.New(events.SessionEnded, n.clock.Now())
		e.Subject, e.Actor, e.ClientID, e.Reason = "u-alice", "operator", client, reason
		must(t, second(n.store.Commit(t.Context(), storage.Change{Partition: storage.UserPartition("u-alice"), Puts: []storage.Put{events.Put(e)}})))
	}
	for range 30 {
		tell("app", "operator")
	}
	for i := range 60 {
		n.clock.Add(2 * time.Second)
		tell([]string{"app", "other"}[i%2], []string{"revoked", "reuse", "user_disabled"}[i/2%3])
		n.clock.Add(time.Minute)
	}
	n.publishHistory(storage.Day)
	text := string(b.see("/account/activity").body)
	if got := strings.Count(text, "<li>"); got != 50 {
		t.Errorf("%d entries", got)
	}
	b = start(t, options{}).browser()
	b.login(b.account())
	if page := b.see("/account/activity"); !strings.Contains(string(page.body), "Nothing is kept") {
		t.Errorf("%s", page.body)
	}
}
