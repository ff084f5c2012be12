package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// heldAlone is asked of every page that a test of this package is given: no
// frame may hold it, no script of a stranger run in it, no shared cache keep it,
// no page of another origin read it, and no script read its cookies.
func heldAlone(t testing.TB, a answer) {
	t.Helper()
	for _, line := range a.Header.Values("Set-Cookie") {
		if !strings.Contains(line, "; HttpOnly") || !strings.Contains(line, "; SameSite=") {
			t.Errorf("a cookie for scripts, or for other sites: %s", line)
		}
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		return
	}
	h, policy := a.Header, a.Header.Get("Content-Security-Policy")
	faults := map[string]bool{
		"framed":  h.Get("X-Frame-Options") != "DENY" || !strings.Contains(policy, "frame-ancestors 'none'"),
		"script":  !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "base-uri 'none'") || strings.Contains(policy, "unsafe"),
		"sniffed": h.Get("X-Content-Type-Options") != "nosniff",
		"told":    h.Get("Referrer-Policy") != "no-referrer",
		"cached":  !slices.Contains([]string{"no-store", "private, max-age=600"}, h.Get("Cache-Control")),
		"read":    h.Get("Access-Control-Allow-Origin") != "",
	}
	for fault, there := range faults {
		if there {
			t.Errorf("%q can be %s: %v", a.title(), fault, h)
		}
	}
}

// Whoever plants a session of theirs in a browser gets nothing of what its user
// does after a login: that has a session of its own, and theirs is over.
func TestW12_NoSessionIsFixed(t *testing.T) {
	n := start(t, options{issuer: "https://auth.shop.example"})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "mallory", Password: password}, accounts.Act{Operator: true})))
	victim := n.shop()
	thief := &shopper{node: n, held: map[string]*http.Cookie{}}
	thief.call("/session/token", form("grant_type", "password", "username", "mallory", "password", password)).want(t, 200, "")
	planted := segment(t, thief.value("access"), 1)["sid"]
	for name, c := range thief.held {
		victim.held[name] = c
	}
	victim.login()
	claims := segment(t, victim.value("access"), 1)
	if claims["sid"] == planted || claims["sub"] != "u-alice" {
		t.Errorf("%v, planted %v", claims, planted)
	}
	if n.active(thief.value("access")) {
		t.Error("the planted session lives")
	}
	thief.refresh().want(t, 400, "invalid_grant")
	// So does each login, also of the same user.
	victim.login()
	again := segment(t, victim.value("access"), 1)["sid"]
	if again == claims["sid"] {
		t.Error("a login went on with the session that was there")
	}
	// Nobody chooses the id: what a request says of it counts for nothing.
	victim.held = map[string]*http.Cookie{}
	victim.login("sid", "chosen", "session_id", "chosen", "jti", "chosen")
	if sid := segment(t, victim.value("access"), 1)["sid"]; sid == "chosen" || sid == again {
		t.Errorf("%v", sid)
	}
}

// Names of users and clients, roles, reasons and what browsers call themselves
// are text on every page on which they can stand, also with nothing between.
func TestStoredScriptsStayTextOnEveryPage(t *testing.T) {
	const evil, role = `"><img src=x onerror=alert(1)><script>alert(1)</script>'{{.}}`, `<script>alert(2)</script>`
	n := start(t, options{history: 7 * storage.Day})
	must(t, n.addClient(accounts.NewClient{ID: "loud" + role, Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Name: accounts.To(evil), Grants: accounts.To(grants.Types()), Scope: accounts.To("read"), RedirectURIs: accounts.To([]string{callback})}}))
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: evil, Subject: "u-evil", Roles: []string{role, "ROLE_ADMIN"}, Password: password}, accounts.Act{Operator: true})))
	loud := basic("loud"+role, appSecret)
	b := n.browser()
	b.agent = evil + " Firefox/1 Linux " + evil
	seen := map[string]bool{}
	check := func(a answer, named bool) answer {
		t.Helper()
		body := string(a.body)
		for _, part := range []string{"<script", "<img", "onerror=alert(1)>"} {
			if strings.Contains(body, part) {
				t.Errorf("%s is on %q: %s", part, a.title(), body)
			}
		}
		if named && !strings.Contains(body, "&lt;") {
			t.Errorf("no name is on %q, nothing was tried: %d %s", a.title(), a.StatusCode, body)
		}
		seen[a.title()] = true
		return a
	}
	consent := check(b.submit(check(b.open(ask("client_id", "loud"+role)), true), "login", "username", evil, "password", password), true)
	code := b.submit(consent, "allow").back(t, callback).Get("code")
	mine := n.redeem(code, loud).ok(t, 200)
	n.post("/token", form("grant_type", "password", "username", evil, "password", password), loud, header("User-Agent", b.agent)).ok(t, 200)
	check(b.open(ask("client_id", "loud"+role, "prompt", "select_account")), true)
	check(b.open(ask("client_id", "loud"+role, "prompt", "login", "login_hint", evil)), true)
	device := n.post("/device_authorization", form("scope", "read"), loud, header("User-Agent", b.agent)).ok(t, 200)
	check(b.see("/device?user_code="+device.str("user_code")), true)
	check(b.see("/device?user_code="+form("", evil).Encode()[1:]), false)
	n.publish(t)
	for _, path := range []string{"/account", "/account/applications", "/account/activity", "/account/password", "/end_session"} {
		check(b.see(path), true)
	}
	check(b.press(b.see("/account/applications"), "/account/applications/disconnect", "client_id", evil), true)
	sid := segment(t, mine.str("access_token"), 1)["sid"].(string)
	for _, path := range []string{"/console", "/console/user?sub=u-evil", "/console/session?sid=" + sid, "/console/events", "/console/events?" + form("user", evil).Encode(), "/console/act?act=revoke&sub=u-evil",
		"/console/clients", "/console/client?" + form("id", "loud"+role).Encode(), "/console/keys", "/console/token"} {
		check(b.page(path), true)
	}
	check(b.submitTo(b.page("/console/token"), "/console/token", "inspected", mine.str("access_token")), true)
	check(b.submitTo(b.page("/console/token"), "/console/token", "inspected", evil), true)
	b.deed("/console/act?act=revoke&sid="+sid, evil)
	n.publish(t)
	for _, path := range []string{"/console/session?sid=" + sid, "/console/events", "/account/activity"} {
		check(b.page(path), true)
	}
	if len(seen) < 17 {
		t.Errorf("only %d kinds of pages were tried: %v", len(seen), seen)
	}
}
