package server_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"jeton/events"
	"jeton/grants"
)

func TestC6_ClientManagesItself(t *testing.T) {
	t.Parallel()
	n := startRegistering(t)
	a := n.register(`"client_name":"One","client_uri":"https://app.example","contacts":["a@app.example"],"post_logout_redirect_uris":["https://app.example/bye"],"grant_types":["authorization_code","refresh_token"],`+theCallback).ok(t, 201)
	id, secret, rat := a.str("client_id"), a.str("client_secret"), a.str("registration_access_token")
	got := n.own("GET", a, "").ok(t, 200)
	if got.Header.Get("Cache-Control") != "no-store" || got.str("registration_access_token") != rat || got.json["client_secret"] != nil {
		t.Errorf("GET %v %s", got.Header, got.body)
	}
	for _, name := range []string{"client_id", "client_name", "client_uri", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "scope", "contacts", "registration_client_uri", "client_id_issued_at"} {
		if fmt.Sprint(got.json[name]) != fmt.Sprint(a.json[name]) {
			t.Errorf("%s was %v and is %v", name, a.json[name], got.json[name])
		}
	}
	b := n.browser()
	tokens := n.redeem(b.code(ask("client_id", id)), basic(id, secret)).ok(t, 200)

	for what, body := range map[string]string{
		"no client_id":          `{` + theCallback + `}`,
		"another client_id":     `{"client_id":"app",` + theCallback + `}`,
		"an access token":       `{"client_id":"` + id + `","registration_access_token":"` + rat + `",` + theCallback + `}`,
		"an address":            `{"client_id":"` + id + `","registration_client_uri":"x",` + theCallback + `}`,
		"client_id_issued_at":   `{"client_id":"` + id + `","client_id_issued_at":1,` + theCallback + `}`,
		"an expiry":             `{"client_id":"` + id + `","client_secret_expires_at":0,` + theCallback + `}`,
		"a secret of its own":   `{"client_id":"` + id + `","client_secret":"` + strings.Repeat("ab", 20) + `",` + theCallback + `}`,
		"password":              `{"client_id":"` + id + `","grant_types":["password"],` + theCallback + `}`,
		"client_credentials":    `{"client_id":"` + id + `","grant_types":["client_credentials"]}`,
		"a scope of others":     `{"client_id":"` + id + `","scope":"write",` + theCallback + `}`,
		"administration":        `{"client_id":"` + id + `","scope":"jeton:admin",` + theCallback + `}`,
		"a statement":           `{"client_id":"` + id + `","software_statement":"x",` + theCallback + `}`,
		"no redirect_uris left": `{"client_id":"` + id + `"}`,
	} {
		if r := n.own("PUT", a, body); r.StatusCode != 400 || r.str("error") == "" {
			t.Errorf("C6 PUT with %s: %d %s", what, r.StatusCode, r.body)
		}
	}
	if still := n.own("GET", a, "").ok(t, 200); still.str("client_name") != "One" {
		t.Errorf("a refused PUT changed something: %s", still.body)
	}
	put := n.own("PUT", a, `{"client_id":"`+id+`","client_secret":"`+secret+`","client_name":"Two","scope":"read","grant_types":["authorization_code","refresh_token"],`+theCallback+`}`).ok(t, 200)
	if put.str("client_name") != "Two" || put.json["contacts"] != nil || put.json["client_uri"] != nil || put.json["post_logout_redirect_uris"] != nil || put.str("scope") != "read" ||
		put.str("registration_access_token") != rat || put.json["client_secret"] != nil {
		t.Errorf("C6 replaced: %s", put.body)
	}
	tokens = n.post("/token", form("grant_type", "refresh_token", "refresh_token", tokens.str("refresh_token")), basic(id, secret)).ok(t, 200)

	// Over to public and back: what was is worth nothing, what comes is new.
	n.own("PUT", a, `{"client_id":"`+id+`","token_endpoint_auth_method":"none",`+theCallback+`}`).ok(t, 200)
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", "x"), basic(id, secret)).want(t, 401, "invalid_client")
	back := n.own("PUT", a, `{"client_id":"`+id+`",`+theCallback+`}`).ok(t, 200)
	if back.str("client_secret") == "" || back.str("client_secret") == secret || back.json["client_secret_expires_at"] != float64(0) {
		t.Errorf("C6 no new secret: %s", back.body)
	}
	if e := n.events(events.ClientChanged); len(e) != 3 || e[0].Actor != "client:"+id || e[0].Source == "" {
		t.Errorf("events %+v", e)
	}

	other := n.register(theCallback).ok(t, 201)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		for what, token := range map[string]string{"none": "", "wrong": rat[1:] + "x", "of another client": other.str("registration_access_token"), "an access token": tokens.str("access_token"), "the secret": back.str("client_secret")} {
			mine := header("Authorization", "Bearer "+token)
			if token == "" {
				mine = func(*http.Request) {}
			}
			r := n.do(method, "/register/"+id, "application/json", `{"client_id":"`+id+`",`+theCallback+`}`, mine)
			if r.want(t, 401, "invalid_token"); !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("C6 %s, %s: %v", method, what, r.Header)
			}
		}
		n.do(method, "/register/app", "", "", bearerIs(rat)).want(t, 401, "invalid_token") // an operator's client has no such address
		n.do(method, "/register/nobody", "", "", bearerIs(rat)).want(t, 401, "invalid_token")
		n.do(method, "/register/%00", "", "", bearerIs(rat)).want(t, 401, "invalid_token")
		n.do(method, "/register/"+id+"?access_token="+rat, "", "").want(t, 400, "invalid_request")
	}
	n.do("POST", "/register/"+id, "application/json", "{}", bearerIs(rat)).want(t, 405, "invalid_request")

	gone := n.own("DELETE", a, "").ok(t, 204)
	if len(gone.body) != 0 || gone.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("DELETE %v %s", gone.Header, gone.body)
	}
	n.dead(t, "C6 of a deleted client", tokens.str("access_token"))
	if n.active(tokens.str("refresh_token")) {
		t.Error("C6 its session lives")
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		n.own(method, a, `{"client_id":"`+id+`",`+theCallback+`}`).want(t, 401, "invalid_token")
	}
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", "x"), basic(id, back.str("client_secret"))).want(t, 401, "invalid_client")
	if e := n.events(events.ClientDeleted); len(e) != 1 || e[0].Actor != "client:"+id {
		t.Errorf("events %+v", e)
	}
}

// What an operator has set a client cannot undo, and one that is switched off
// does nothing at all.
func TestC6_OperatorHasTheLastWord(t *testing.T) {
	t.Parallel()
	n := startRegistering(t)
	a := n.register(theCallback).ok(t, 201)
	id := a.str("client_id")
	if w := n.operatorCall("PATCH", "/clients/"+id, `{"scope":"openid"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"taken_over":true`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := n.own("GET", a, "").ok(t, 200); got.str("scope") != "openid" {
		t.Errorf("%s", got.body)
	}
	n.own("PUT", a, `{"client_id":"`+id+`",`+theCallback+`}`).want(t, 403, "access_denied")
	b := n.register(theCallback).ok(t, 201)
	if w := n.operatorCall("POST", "/clients/"+b.str("client_id")+"/disable", "{}"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		n.own(method, b, `{"client_id":"`+b.str("client_id")+`",`+theCallback+`}`).want(t, 403, "access_denied")
	}
	if page := n.browser().open(ask("client_id", b.str("client_id"))); page.StatusCode != 400 {
		t.Errorf("a client that is switched off asks users: %d %s", page.StatusCode, page.body)
	}
	n.own("DELETE", a, "").want(t, 403, "access_denied")
	// One that an operator has let administer is the operator's alone.
	c := n.register(theCallback).ok(t, 201)
	if w := n.operatorCall("PATCH", "/clients/"+c.str("client_id"), `{"admin":true}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	n.own("DELETE", c, "").want(t, 403, "access_denied")
}

// A narrower setting holds at the next change; what a client has it keeps.
func TestC6_LimitsHoldForChanges(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationToken)})
	a := n.register(theCallback+`,"grant_types":["authorization_code","client_credentials"]`, bearerIs(n.initialToken(`{"name":"one","scope":"read","grant_types":["authorization_code","client_credentials"]}`))).ok(t, 201)
	id := a.str("client_id")
	n.own("PUT", a, `{"client_id":"`+id+`","scope":"openid",`+theCallback+`}`).want(t, 400, "invalid_client_metadata")
	n.own("PUT", a, `{"client_id":"`+id+`","grant_types":["authorization_code","refresh_token"],`+theCallback+`}`).want(t, 400, "invalid_client_metadata")
	n.own("PUT", a, `{"client_id":"`+id+`","grant_types":["client_credentials"],"scope":"read"}`).ok(t, 200)
	if w := n.operatorCall("DELETE", "/registration-tokens/one", ""); w.Code != 204 { // it is not needed any more
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	n.own("PUT", a, `{"client_id":"`+id+`","scope":"openid",`+theCallback+`}`).want(t, 400, "invalid_client_metadata")
	n.own("GET", a, "").ok(t, 200)
}

// The addresses that a stranger writes into a registration are not called, but for
// its keys, and these not in the neighbourhood of the server.
func TestC5_K14_RegisteredAddressesAreNotCalled(t *testing.T) {
	called := make(chan net.Addr, 100)
	neighbour, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { neighbour.Close() })
	go func() {
		for {
			conn, err := neighbour.Accept()
			if err != nil {
				return
			}
			called <- conn.RemoteAddr()
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(neighbour.Addr().String())
	must(t, err)
	inside := "https://127.0.0.1:" + port
	n := startRegistering(t)
	all := []string{"client_uri", "logo_uri", "tos_uri", "policy_uri", "backchannel_logout_uri"}
	var members []string
	for _, name := range all {
		members = append(members, fmt.Sprintf(`%q:%q`, name, inside+"/"+name))
	}
	for _, address := range []string{inside, "https://localhost:" + port, "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]:" + port} {
		a := n.register(theCallback+`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"`+address+`/jwks",`+strings.Join(members, ",")).ok(t, 201)
		id := a.str("client_id")
		assertion := n.assertion(newKey(t, "k", "ES256"), map[string]any{"iss": id, "sub": id})
		n.post("/token", asserted(assertion, "grant_type", "authorization_code", "code", "x", "code_verifier", verifier)).want(t, 401, "invalid_client")
		page := n.browser().open(ask("client_id", id))
		if strings.Contains(string(page.body), mustURL(t, inside).Host) {
			t.Errorf("a page has an address of the client's: %s", page.body)
		}
	}
	select {
	case from := <-called:
		t.Errorf("C5 a neighbour was called from %v", from)
	default:
	}
}

// A client that lives in a page registers itself from there, and trades its
// codes from the origin that gets them.
func TestRegistrationFromPages(t *testing.T) {
	n := startRegistering(t)
	page := header("Origin", "https://app.example")
	pre := n.do("OPTIONS", "/register", "", "", page, header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "content-type"))
	if pre.StatusCode != 204 || pre.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(pre.Header.Get("Access-Control-Allow-Headers"), "Content-Type") || pre.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight %d %v", pre.StatusCode, pre.Header)
	}
	a := n.register(theCallback+`,"token_endpoint_auth_method":"none"`, page).ok(t, 201)
	if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.json["client_secret"] != nil || a.json["client_secret_expires_at"] != nil {
		t.Errorf("%v %s", a.Header, a.body)
	}
	id := a.str("client_id")
	tokens := n.redeem(n.browser().code(ask("client_id", id)), func(r *http.Request) { page(r) }, "client_id", id).ok(t, 200)
	if tokens.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("%v", tokens.Header)
	}
	pre = n.do("OPTIONS", "/register/"+id, "", "", page, header("Access-Control-Request-Method", "PUT"), header("Access-Control-Request-Headers", "authorization"))
	if pre.StatusCode != 204 || !strings.Contains(pre.Header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("preflight %d %v", pre.StatusCode, pre.Header)
	}
	if got := n.own("GET", a, "", page).ok(t, 200); got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%v", got.Header)
	}
}

func TestClientsThatRegisteredAreShown(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationToken)})
	a := n.register(theCallback+`,"software_id":"s","software_version":"1","application_type":"web","tos_uri":"https://app.example/tos"`, bearerIs(n.initialToken(`{"name":"partner"}`))).ok(t, 201)
	w := n.operatorCall("GET", "/clients/"+a.str("client_id"), "")
	for _, says := range []string{`"registered_by":"token"`, `"initial_token":"partner"`, `"at":"2026-03-01T12:00:00Z"`, `"taken_over":false`, `"consent":"always"`, `"software_id":"s"`, `"software_version":"1"`, `"application_type":"web"`, `"tos_uri":"https://app.example/tos"`} {
		if !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s is missing in %s", says, w.Body)
		}
	}
	for _, secret := range []string{a.str("registration_access_token"), a.str("client_secret"), "access_hash", "sha256:"} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	if w := n.operatorCall("GET", "/clients/app", ""); !strings.Contains(w.Body.String(), `"registered_by":"operator"`) || strings.Contains(w.Body.String(), `"registration"`) {
		t.Errorf("%s", w.Body)
	}
	e := n.events(events.ClientCreated)
	if last := e[len(e)-1]; last.Note != "registered itself with the initial access token partner" {
		t.Errorf("event %+v", last)
	}
}
