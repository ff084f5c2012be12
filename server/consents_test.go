package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// consents lists the applications of a user by client id.
func (n *node) consents(username string) map[string]map[string]any {
	n.t.Helper()
	found := map[string]map[string]any{}
	var all []map[string]any
	must(n.t, json.Unmarshal(n.operator("GET", "/consents?username="+username, "").ok(n.t, 200).body, &all))
	for _, o := range all {
		found[o["client_id"].(string)] = o
	}
	return found
}

func (n *node) disconnect(username, clientID string) answer {
	n.t.Helper()
	return n.operator("POST", "/consents/revoke", `{"username":"`+username+`","client_id":"`+clientID+`","reason":"asked by phone"}`)
}

func TestV8_V19_ConsentsAreListedAndRevoked(t *testing.T) {
	n := start(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Subject: "u-bob", Password: password + "2"}, accounts.Act{Operator: true})))
	b := n.browser()
	first := n.redeem(b.code(ask()), app).ok(t, 200)
	n.clock.Add(time.Hour)
	again := n.redeem(b.code(ask()), app).ok(t, 200) // by the consent that is remembered
	other := n.redeem(b.code(ask("client_id", "other")), basic("other", apiSecret)).ok(t, 200)
	bobs := n.post("/token", form("grant_type", "password", "username", "bob", "password", password+"2"), app).ok(t, 200)
	first = n.refresh(first.str("refresh_token")).ok(t, 200)
	got := n.consents("alice")
	if c := got["app"]; len(got) != 2 || c["sub"] != "u-alice" || c["username"] != "alice" || c["scope"] != "read" || c["granted_at"] != "2026-03-01T12:00:00Z" ||
		c["live_sessions"] != 2.0 || c["last_used_at"] != "2026-03-01T13:00:00Z" || got["other"]["live_sessions"] != 1.0 {
		t.Fatalf("listed %v", got)
	}
	if got := n.consents("sub%3Au-bob"); len(got) != 1 || got["app"]["scope"] != "" || got["app"]["granted_at"] != nil || got["app"]["live_sessions"] != 1.0 {
		t.Errorf("a session without a consent: %v", got)
	}
	underWay := b.code(ask())

	if a := n.disconnect("alice", "app").ok(t, 200); a.json["consent"] != true || a.json["revoked"] != 2.0 || a.str("sub") != "u-alice" || a.str("client_id") != "app" {
		t.Errorf("%s", a.body)
	}
	n.dead(t, "V8", first.str("access_token"), again.str("access_token"))
	n.refresh(again.str("refresh_token")).want(t, 400, "invalid_grant")
	n.redeem(underWay, app).want(t, 400, "invalid_grant")
	n.alive(t, "another client's, another user's", other.str("access_token"), bobs.str("access_token"))
	if got := n.consents("alice"); len(got) != 1 || got["other"] == nil {
		t.Errorf("after it %v", got)
	}
	e := n.events("consent_revoked")
	if len(e) != 1 || e[0].Subject != "u-alice" || e[0].ClientID != "app" || e[0].Actor != "operator" || e[0].Note != "asked by phone" {
		t.Errorf("events %+v", e)
	}
	for _, e := range n.events("session_ended") {
		if e.Reason != storage.ReasonConsentRevoked || e.Actor != "operator" || e.Note != "asked by phone" || e.ClientID != "app" || e.Subject != "u-alice" {
			t.Errorf("ended %+v", e)
		}
	}
	n.disconnect("alice", "app").want(t, http.StatusNotFound, "not_found")

	// The browser is still signed in, and is asked again.
	if q := b.open(ask("prompt", "none")).back(t, callback); q.Get("error") != "consent_required" {
		t.Errorf("prompt=none: %v", q)
	}
	if page := b.open(ask()); page.title() != "Allow access" {
		t.Errorf("%d %s", page.StatusCode, page.body)
	}
	if a := n.disconnect("bob", "app").ok(t, 200); a.json["consent"] != false || a.json["revoked"] != 1.0 {
		t.Errorf("without a consent: %s", a.body)
	}
	n.dead(t, "bob's", bobs.str("access_token"))
	if len(n.events("consent_revoked")) != 1 {
		t.Error("an event of a consent that never was")
	}
}

// Whoever has looked before a consent is taken back, and commits after, must not
// get through: of two tabs one shows the page, the other a code.
func TestV8_V19_NoCodeGoesByAConsentThatIsGone(t *testing.T) {
	n := start(t, options{})
	b := n.browser()
	b.code(ask())
	ctx := t.Context()
	req, err := n.grants.CheckAuthorize(ctx, ask(), grants.Source{})
	must(t, err)
	var cookie string
	for _, c := range b.jar.Cookies(mustURL(t, n.url)) {
		if c.Name == "jeton" {
			cookie = c.Value
		}
	}
	in, ok, err := n.grants.CurrentSignIn(ctx, cookie)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	step, err := n.grants.NextStep(ctx, req, &in)
	if err != nil || step != grants.StepCode {
		t.Fatal(step, err)
	}
	n.disconnect("alice", "app").ok(t, 200)
	code, err := n.grants.Code(ctx, req, in, grants.Source{})
	if code != "" && err == nil || !strings.Contains(err.Error(), "consent_required") {
		t.Errorf("got a code: %v", err)
	}
	// One who is never asked has nothing to take back but sessions.
	must(t, second2(n.clients.Set(ctx, "app", accounts.ClientSettings{Consent: accounts.To("never")}, accounts.Act{Operator: true})))
	n.clock.Add(2 * time.Second)
	if _, ok := n.consents("alice")["app"]; ok {
		t.Error("there is nothing")
	}
	n.redeem(b.code(ask()), app).ok(t, 200)
	if a := n.disconnect("alice", "app").ok(t, 200); a.json["consent"] != false || a.json["revoked"] != 1.0 {
		t.Errorf("%s", a.body)
	}
}

func TestConsentsOfAClientThatHadTheIDBefore(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	b := n.browser()
	n.redeem(b.code(ask("client_id", "other")), basic("other", apiSecret)).ok(t, 200)
	n.operator("DELETE", "/clients/other", "").ok(t, 204)
	if got := n.consents("alice"); len(got) != 0 {
		t.Errorf("of a client that is gone: %v", got)
	}
	n.clock.Add(time.Minute)
	must(t, n.addClient(accounts.NewClient{ID: "other", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To(grants.Types()), Scope: accounts.To("read write"), RedirectURIs: accounts.To([]string{callback})}}))
	if got := n.consents("alice"); len(got) != 0 {
		t.Errorf("of another client: %v", got)
	}
	n.disconnect("alice", "other").want(t, http.StatusNotFound, "not_found")
}

func TestConsentsThatAreAskedForWrongly(t *testing.T) {
	n := start(t, options{})
	n.login()
	for _, query := range []string{"", "?username=alice&username=alice", "?user=alice", "?username=alice&limit=5"} {
		n.operator("GET", "/consents"+query, "").want(t, http.StatusBadRequest, "invalid_request")
	}
	n.operator("GET", "/consents?username=missing", "").want(t, http.StatusNotFound, "not_found")
	for _, body := range []string{
		`{}`, `{"username":"alice","reason":"x"}`, `{"client_id":"app","reason":"x"}`, `{"username":"alice","client_id":"app"}`,
		`{"username":"alice","client_id":"app","reason":" "}`, `{"username":"alice","client_id":"app","reason":"a\nb"}`, `{"username":"alice","client_id":"app","reason":"x","all":true}`,
	} {
		n.operator("POST", "/consents/revoke", body).want(t, http.StatusBadRequest, "invalid_request")
	}
	n.disconnect("missing", "app").want(t, http.StatusNotFound, "not_found")
	n.disconnect("alice", "missing").want(t, http.StatusNotFound, "not_found")
	n.disconnect("alice", "other").want(t, http.StatusNotFound, "not_found")
	if got := n.consents("alice"); len(got) != 1 || got["app"]["live_sessions"] != 1.0 {
		t.Errorf("something was changed: %v", got)
	}
	w := httptest.NewRecorder()
	n.operate.ServeHTTP(w, httptest.NewRequest("HEAD", "/admin/v1/consents?username=alice", nil))
	if w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}
