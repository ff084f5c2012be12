package server_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/events"
	"jeton/grants"
	"jeton/server"
	"jeton/storage"
)

// inspect pastes a token and returns what the page says.
func (b *browser) inspect(token string) string {
	b.t.Helper()
	a := b.submitTo(b.page("/console/token"), "/console/token", "inspected", "\n "+token+" ")
	if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" {
		b.t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	if strings.Contains(string(a.body), token) {
		b.t.Errorf("the token is on the page: %s", a.body)
	}
	return string(a.body)
}

func (b *browser) tells(page string, parts ...string) {
	b.t.Helper()
	for _, part := range parts {
		if !strings.Contains(page, part) {
			b.t.Errorf("%q is not on the page: %s", part, page)
		}
	}
}

func TestConsoleTellsWhatATokenIs(t *testing.T) {
	b := console(t, options{})
	login := b.node.login()
	access, refresh := login.str("access_token"), login.str("refresh_token")
	b.tells(b.inspect(access), "An access token", "<dd>lives", "It lives", "u-alice", "The session began")
	b.tells(b.inspect(refresh), "A refresh token", "it is the current one", "It lives")
	next := b.node.refresh(refresh)
	b.tells(b.inspect(refresh), "does not live: it is spent: if it is used once more, its session ends", "It was refreshed", "With the password (<code>pwd</code>)")
	if !b.active(access) || b.node.refresh(next.str("refresh_token")).StatusCode != 200 {
		t.Fatal("looking at a spent token ended its session")
	}
	forged := access[:len(access)-4] + "AAAA"
	b.tells(b.inspect(forged), "Not one of ours", "was changed")
	b.tells(b.inspect("hello"), "Not a token")
	if page := b.submitTo(b.page("/console/token"), "/console/token", "inspected", " "); !strings.Contains(string(page.body), "Nothing was pasted") {
		t.Errorf("%s", page.body)
	}
	machine := b.node.post("/token", form("grant_type", "client_credentials"), app).str("access_token")
	b.tells(b.inspect(machine), "An access token", "<dd>lives")
	for _, secret := range []string{access, refresh, next.str("refresh_token"), machine} {
		if strings.Contains(b.log.String(), secret) {
			t.Error("a token is in the log")
		}
	}
}

// What is still good for a retry is told from what would end its session.
func TestConsoleTellsOfTheRetryWindow(t *testing.T) {
	b := console(t, options{settings: func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second }})
	spent := b.node.login().str("refresh_token")
	b.node.refresh(spent)
	b.tells(b.inspect(spent), "<dd>lives: it is spent, and so lately that it still returns its successor")
	b.clock.Add(11 * time.Second)
	b.tells(b.inspect(spent), "does not live: it is spent: if it is used once more, its session ends")
}

func TestConsoleTellsOfCodesAndIDTokens(t *testing.T) {
	b := console(t, options{})
	must(t, b.addClient(accounts.NewClient{ID: "oidc", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To(grants.Types()), Scope: accounts.To("openid read"), RedirectURIs: accounts.To([]string{callback})}}))
	user := b.node.browser()
	code := user.code(ask("client_id", "oidc", "scope", "openid read"))
	b.tells(b.inspect(code), "An authorization code", "it has not been redeemed")
	answer := b.node.redeem(code, basic("oidc", apiSecret))
	b.tells(b.inspect(code), "does not live: it became a session", "It lives")
	b.tells(b.inspect(answer.str("id_token")), "An ID token", "it opens nothing", "It lives")
}

// Why somebody was logged out stands on one page.
func TestConsoleTellsWhyOneWasLoggedOut(t *testing.T) {
	t.Parallel()
	const linux, mac = "Firefox/1 Linux", "Safari/1 Mac OS X"
	spend := func(b *browser, agent string, wait time.Duration) string {
		token := b.login2(t, linux).str("refresh_token")
		must1 := b.node.post("/token", form("grant_type", "refresh_token", "refresh_token", token), app, header("User-Agent", linux))
		if must1.StatusCode != 200 {
			t.Fatal(must1.StatusCode)
		}
		b.clock.Add(wait)
		b.node.post("/token", form("grant_type", "refresh_token", "refresh_token", token), app, header("User-Agent", agent)).want(t, 400, "invalid_grant")
		return token
	}
	for name, c := range map[string]struct {
		do   func(*testing.T, *browser) string
		says []string
	}{
		"theft":         {func(t *testing.T, b *browser) string { return spend(b, mac, time.Hour) }, []string{"A spent refresh token came back", "another program: likely stolen"}},
		"a second tab":  {func(t *testing.T, b *browser) string { return spend(b, linux, time.Second) }, []string{"A spent refresh token came back", "came back 1s after", "likely a second tab"}},
		"a lost answer": {func(t *testing.T, b *browser) string { return spend(b, linux, time.Hour) }, []string{"came back 1h0m0s after", "likely an answer that was lost"}},
		"idle": {func(t *testing.T, b *browser) string {
			token := b.node.login().str("refresh_token")
			b.clock.Add(16 * storage.Day)
			return token
		}, []string{"It was not used for too long", "it was not used until it expired"}},
		"the end": {func(t *testing.T, b *browser) string {
			login := b.node.login()
			for range 7 {
				b.clock.Add(13 * storage.Day)
				if next := b.node.refresh(login.str("refresh_token")); next.StatusCode == 200 {
					login = next
				}
			}
			return login.str("refresh_token")
		}, []string{"It reached its absolute end"}},
		"a logout": {func(t *testing.T, b *browser) string {
			token := b.node.login().str("refresh_token")
			b.node.revoke(token)
			return token
		}, []string{"Its client ended it", "By the client app"}},
		"an operator": {func(t *testing.T, b *browser) string {
			token := b.node.login().str("refresh_token")
			b.deed("/console/act?act=revoke&sub=u-alice", "laptop stolen")
			return token
		}, []string{"An operator ended it", "By root.", "Said about it: laptop stolen."}},
		"a role": {func(t *testing.T, b *browser) string {
			token := b.node.login().str("access_token")
			b.deed("/console/act?act=roles&sub=u-alice&roles=", "left")
			return token
		}, []string{"does not live: revoked, or pushed out by newer ones", "It lives"}},
		"disabled": {func(t *testing.T, b *browser) string {
			token := b.node.login().str("access_token")
			b.deed("/console/act?act=disable-user&sub=u-alice", "left the company")
			return token
		}, []string{"The user was disabled", "left the company"}},
		"a client": {func(t *testing.T, b *browser) string {
			token := b.node.login().str("access_token")
			b.deed("/console/act?act=disable-client&id=app", "retired")
			return token
		}, []string{"The client was disabled", "retired"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := console(t, options{})
			token := c.do(t, b)
			b.reloginIfOver(t)
			b.tells(b.inspect(token), c.says...)
		})
	}
}

// reloginIfOver signs root in once more if the sign-in is over.
func (b *browser) reloginIfOver(t *testing.T) {
	t.Helper()
	if a := b.page("/console/keys"); a.title() == "Sign in" {
		b.submit(a, "login", "username", "root", "password", password)
	}
}

// A reason that the console has no words for would be shown as it stands on the
// wire.
func TestConsoleHasWordsForEveryEnding(t *testing.T) {
	source, err := os.ReadFile("../storage/records.go")
	must(t, err)
	reasons := regexp.MustCompile(`(?m)^\tReason[A-Za-z]+ += "([a-z_]+)"`).FindAllSubmatch(source, -1)
	if len(reasons) < 20 {
		t.Fatalf("%d reasons were found", len(reasons))
	}
	for _, m := range reasons {
		if server.WordsOfEnding(string(m[1])) == "" {
			t.Errorf("no words for %s", m[1])
		}
	}
}

// publish empties the outbox as a running server does.
func (n *node) publish(t *testing.T) {
	t.Helper()
	p := events.NewPublisher(n.store, n.grants.Log)
	p.Follow(events.History{Store: n.store, Kept: 7 * storage.Day}.Follow)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	for {
		page, err := n.store.List(t.Context(), storage.Query{Index: storage.IndexOutbox, Limit: 1})
		must(t, err)
		if len(page.Rows) == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond) // the publisher's own goroutine is awaited
	}
	stop()
	<-done
}

func TestConsoleShowsEvents(t *testing.T) {
	t.Parallel()
	b := console(t, options{history: 7 * storage.Day})
	b.tells(string(b.page("/console/events").body), "Nothing happened yet")
	token := b.node.login().str("access_token")
	b.deed("/console/act?act=revoke&client=app", "laptop stolen")
	b.node.publish(t)
	page := string(b.page("/console/events").body)
	b.tells(page, "session started", "sessions ended", "session ended", "operator: laptop stolen", ">alice</a>", ">app</a>", ">root</td>", "127.0.0.1")
	if strings.Index(page, "sessions ended") > strings.Index(page, "session started") {
		t.Error("the latest is not the first")
	}
	only := string(b.page("/console/events?user=alice").body)
	if strings.Contains(only, "sessions ended") || !strings.Contains(only, "session ended") || strings.Contains(only, "signed in") {
		t.Errorf("of alice: %s", only)
	}
	b.tells(string(b.page("/console/events?client=app").body), "sessions ended", "session started")
	b.tells(string(b.page("/console/events?client=nowhere").body), "Nothing happened")
	if a := b.page("/console/events?user=nobody"); a.StatusCode != 404 {
		t.Errorf("nobody: %d", a.StatusCode)
	}
	if a := b.page("/console/events?after=x"); a.StatusCode != 400 {
		t.Errorf("a cursor: %d", a.StatusCode)
	}
	if a := b.page("/console/events"); a.Header.Get("Refresh") != "" {
		t.Error("it reloads without being asked")
	}
	if a := b.page("/console/events?live=true"); a.Header.Get("Refresh") != "5" || !strings.Contains(string(a.body), "Stop following") || a.StatusCode != http.StatusOK {
		t.Errorf("live: %v %s", a.Header, a.body)
	}
	b.tells(b.inspect(token), "An operator ended it", "laptop stolen")
}
