package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

func TestC4_InitialAccessTokens(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationToken)})
	a := n.register(theCallback)
	a.want(t, 401, "invalid_token")
	if a.Header.Get("WWW-Authenticate") != `Bearer realm="jeton"` {
		t.Errorf("challenge %q", a.Header.Get("WWW-Authenticate"))
	}
	twice := n.initialToken(`{"name":"partner.1","uses":2,"scope":"read"}`)
	wrong := func(what, token string) {
		t.Helper()
		a := n.register(theCallback, bearerIs(token))
		if a.want(t, 401, "invalid_token"); !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %q", what, a.Header.Get("WWW-Authenticate"))
		}
	}
	for _, token := range []string{"x", "partner.1", "partner.1.", twice + "x", twice[1:], strings.ToUpper(twice), "nobody." + twice[10:], strings.Repeat("x", 5000), "." + twice} {
		wrong("another token", token)
	}
	wrong("an access token", n.login().str("access_token"))
	n.register(theCallback, header("Authorization", "Basic eDp5")).want(t, 401, "invalid_token")
	n.do("POST", "/register?access_token="+twice, "application/json", "{"+theCallback+"}").want(t, 400, "invalid_request")
	// A refusal costs no use.
	n.register(theCallback+`,"scope":"openid"`, bearerIs(twice)).want(t, 400, "invalid_client_metadata")
	n.register(theCallback+`,"grant_types":["client_credentials"]`, bearerIs(twice)).want(t, 400, "invalid_client_metadata")
	for range 2 {
		if a := n.register(theCallback, bearerIs(twice)).ok(t, 201); a.str("scope") != "read" {
			t.Errorf("scope %s", a.body)
		}
	}
	wrong("a token that is used up", twice)

	machine := n.initialToken(`{"name":"machine","uses":0,"grant_types":["client_credentials"],"ttl":"1h"}`)
	m := n.register(`"grant_types":["client_credentials"]`, bearerIs(machine)).ok(t, 201)
	if fmt.Sprint(m.json["response_types"]) != "[]" {
		t.Errorf("%s", m.body)
	}
	n.post("/token", form("grant_type", "client_credentials", "scope", "read"), basic(m.str("client_id"), m.str("client_secret"))).ok(t, 200)
	n.register(theCallback, bearerIs(machine)).want(t, 400, "invalid_client_metadata") // authorization_code is not among its grants
	if n.places() != 0 {
		t.Error("a client that somebody vouched for takes a place")
	}
	n.clock.Add(time.Hour)
	wrong("a token that has expired", machine)

	gone := n.initialToken(`{"name":"gone"}`)
	if w := n.operatorCall("POST", "/registration-tokens", `{"name":"gone"}`); w.Code != 409 {
		t.Errorf("the same name again: %d %s", w.Code, w.Body)
	}
	if w := n.operatorCall("DELETE", "/registration-tokens/gone", ""); w.Code != 204 {
		t.Errorf("revoke: %d %s", w.Code, w.Body)
	}
	wrong("a token that was revoked", gone)
	if w := n.operatorCall("DELETE", "/registration-tokens/gone", ""); w.Code != 404 {
		t.Errorf("revoked again: %d %s", w.Code, w.Body)
	}
	w := n.operatorCall("GET", "/registration-tokens", "")
	if text := w.Body.String(); w.Code != 200 || !strings.Contains(text, `"partner.1"`) || !strings.Contains(text, `"used":2`) || strings.Contains(text, twice[10:]) || strings.Contains(text, `"gone"`) {
		t.Errorf("list: %d %s", w.Code, text)
	}
	for body, says := range map[string]string{
		`{"name":"a b"}`: "name", `{"name":""}`: "name", `{"name":".."}`: "name", `{"name":"x","uses":-1}`: "uses", `{"name":"x","ttl":"1s"}`: "ttl", `{"name":"x","ttl":"500d"}`: "ttl",
		`{"name":"x","scope":"write"}`: "registration-scopes", `{"name":"x","scope":"jeton:admin"}`: "registration-scopes",
		`{"name":"x","grant_types":["password"]}`: "grant_types", `{"name":"x","nme":1}`: "nme",
	} {
		if w := n.operatorCall("POST", "/registration-tokens", body); w.Code != 400 || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if made, revoked := n.events(events.RegistrationTokenAdded), n.events(events.RegistrationTokenRevoked); len(made) != 3 || len(revoked) != 1 || revoked[0].Note != "gone" || revoked[0].Actor != "operator" {
		t.Errorf("events %+v %+v", made, revoked)
	}
	if strings.Contains(n.log.String(), twice[10:]) {
		t.Error("the token stands in the log")
	}
}

// What a restored store knows of initial access tokens may be long over.
func TestC4_InitialTokensEndWithARestore(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationToken)})
	old := n.initialToken(`{"name":"old","uses":0}`)
	must(t, n.grants.Forget(t.Context(), grants.Forgotten{Since: n.clock.Now(), Ending: grants.Ending{Reason: storage.ReasonStoreRestored}}))
	n.register(theCallback, bearerIs(old)).want(t, 401, "invalid_token")
	n.clock.Add(time.Second)
	n.register(theCallback, bearerIs(n.initialToken(`{"name":"new"}`))).ok(t, 201)
}

func TestC4_UnusedClientsExpireAndUsedOnesStay(t *testing.T) {
	t.Parallel()
	n := startRegistering(t)
	unused, used := n.register(theCallback).ok(t, 201), n.register(theCallback).ok(t, 201)
	disabled := n.register(theCallback).ok(t, 201)
	if n.places() != 3 {
		t.Errorf("%d places", n.places())
	}
	// What else changes the record leaves its end alone.
	n.own("PUT", unused, `{"client_id":"`+unused.str("client_id")+`",`+theCallback+`}`).ok(t, 200)
	if w := n.operatorCall("POST", "/clients/"+disabled.str("client_id")+"/disable", "{}"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w := n.operatorCall("GET", "/clients/"+unused.str("client_id"), "")
	if text := w.Body.String(); !strings.Contains(text, `"registered_by":"open"`) || !strings.Contains(text, `"unused_until":"2026-03-01T13:00:00Z"`) || !strings.Contains(text, `"source":"127.0.0.1"`) {
		t.Errorf("shown as %s", text)
	}
	b := n.browser()
	n.redeem(b.code(ask("client_id", used.str("client_id"))), basic(used.str("client_id"), used.str("client_secret"))).ok(t, 200)
	if n.places() != 2 {
		t.Errorf("%d places after a user came", n.places())
	}
	n.clock.Add(time.Hour)
	for _, gone := range []answer{unused, disabled} {
		n.own("GET", gone, "").want(t, 401, "invalid_token")
		if w := n.operatorCall("GET", "/clients/"+gone.str("client_id"), ""); w.Code != 404 {
			t.Errorf("still there: %s", w.Body)
		}
	}
	n.own("GET", used, "").ok(t, 200)
	if n.places() != 0 {
		t.Errorf("%d places at the end", n.places())
	}
	w = n.operatorCall("GET", "/clients", "")
	if text := w.Body.String(); strings.Contains(text, unused.str("client_id")) || !strings.Contains(text, used.str("client_id")) || strings.Contains(text, "unused_until") {
		t.Errorf("list %s", text)
	}
	// A page that was open when the client expired gives no code.
	late := n.register(theCallback).ok(t, 201)
	n.clock.Add(59 * time.Minute)
	page := b.open(ask("client_id", late.str("client_id")))
	if page.title() != "Allow access" {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	n.clock.Add(time.Minute) // what is cached still has it
	if a := b.submit(page, "allow"); strings.Contains(a.Header.Get("Location"), "code=") {
		t.Errorf("a code of a client that is gone: %d %v", a.StatusCode, a.Header)
	}
}

// At most so many wait for their first user, however many ask at once, by
// whichever process.
func TestC4_PlacesAreCountedOverProcesses(t *testing.T) {
	t.Parallel()
	settings := func(s *grants.Settings) {
		registering(grants.RegistrationOpen)(s)
		s.Registration.MaxUnused = 7
	}
	n := start(t, options{settings: settings})
	nodes := []*node{n, n.peer(), n.peer()}
	results := make(chan answer)
	const tries = 30
	for i := range tries {
		go func() { results <- nodes[i%len(nodes)].register(theCallback) }()
	}
	var made []answer
	for range tries {
		switch a := <-results; a.StatusCode {
		case 201:
			made = append(made, a)
		case 429:
			if a.str("error") != "temporarily_unavailable" || a.Header.Get("Retry-After") != "3600" {
				t.Errorf("full: %v %s", a.Header, a.body)
			}
		default:
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if len(made) != 7 || n.places() != 7 {
		t.Fatalf("%d clients, %d places, want 7", len(made), n.places())
	}
	// Each way to give a place back.
	n.own("DELETE", made[0], "").ok(t, 204)
	n.register(theCallback).ok(t, 201)
	if w := n.operatorCall("DELETE", "/clients/"+made[1].str("client_id"), ""); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	n.register(theCallback).ok(t, 201)
	n.browser().code(ask("client_id", made[2].str("client_id")))
	n.register(theCallback).ok(t, 201)
	n.register(theCallback).want(t, 429, "temporarily_unavailable")
	// Who was vouched for needs none.
	n.register(theCallback, bearerIs(n.initialToken(`{"name":"one"}`))).ok(t, 201)
	n.clock.Add(time.Hour)
	n.register(theCallback).ok(t, 201)
}

// The last use of a token is one client's, over processes.
func TestC4_UsesAreCountedOverProcesses(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationToken)})
	nodes := []*node{n, n.peer()}
	token := n.initialToken(`{"name":"few","uses":3}`)
	results := make(chan int)
	const tries = 20
	for i := range tries {
		go func() { results <- nodes[i%2].register(theCallback, bearerIs(token)).StatusCode }()
	}
	count := map[int]int{}
	for range tries {
		count[<-results]++
	}
	if count[201] != 3 || count[401] != tries-3 {
		t.Errorf("answers %v", count)
	}
}

func TestC4_RegistrationIsSlowedBySource(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationOpen), throttle: true, proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for range 5 {
		n.register(`{}`, from("198.51.100.1")).want(t, 400, "invalid_redirect_uri") // what is refused is not counted
	}
	made := 0
	var last answer
	for range 30 {
		if last = n.register(theCallback, from("198.51.100.1")); last.StatusCode == 201 {
			made++
		}
	}
	if slowed(t, last); made != 20 || !strings.Contains(last.str("error_description"), "registered from this address") {
		t.Errorf("%d made, %s", made, last.body)
	}
	n.register(theCallback, from("198.51.100.2")).ok(t, 201)
	n.register(theCallback, from("198.51.100.1"), bearerIs(n.initialToken(`{"name":"one"}`))).ok(t, 201)
	n.guess("alice", password, "198.51.100.1").want(t, 200, "") // and signs in as ever
	n.clock.Add(3 * time.Minute)
	n.register(theCallback, from("198.51.100.1")).ok(t, 201)
	n.register(theCallback, from("198.51.100.1")).want(t, 429, "temporarily_unavailable")
	for i := range 21 { // a /48 is one place
		last = n.register(theCallback, from(fmt.Sprintf("2001:db8:1:%x::1", i)))
	}
	slowed(t, last)
	// Guessing at tokens is slowed too.
	for range 21 {
		last = n.register(theCallback, from("198.51.100.3"), bearerIs("x.y"))
	}
	slowed(t, last)
	a := n.register(theCallback, from("198.51.100.4")).ok(t, 201)
	for range 15 {
		last = n.own("GET", a, "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, from("198.51.100.5"))
	}
	slowed(t, last)
	n.own("GET", a, "", from("198.51.100.5")).ok(t, 200) // a right one is not held up
	// Changes count as registrations do, since each is an event.
	for range 21 {
		last = n.own("PUT", a, `{"client_id":"`+a.str("client_id")+`",`+theCallback+`}`, from("198.51.100.6"))
	}
	slowed(t, last)
	if !strings.Contains(n.metrics(), `outcome="throttled_registration"`) {
		t.Error("no metric tells of it")
	}
}

// A commit that fails leaves nothing behind that counts.
func TestC4_NothingIsHalfRegistered(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationToken)})
	token := n.initialToken(`{"name":"one"}`)
	must(t, n.store.Close())
	a := n.register(theCallback, bearerIs(token))
	a.want(t, 503, "temporarily_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("%v", a.Header)
	}
	n.do("GET", "/register/x", "", "", bearerIs("x")).want(t, 503, "temporarily_unavailable")
}
