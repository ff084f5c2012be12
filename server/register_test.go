package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// registering lets clients register themselves, with read and openid at most.
func registering(mode string) func(*grants.Settings) {
	return func(s *grants.Settings) {
		s.Registration = grants.Registration{Mode: mode, Scopes: []string{"openid", "read"}, UnusedTTL: time.Hour, MaxUnused: 1000}
	}
}

func startRegistering(t *testing.T) *node {
	return start(t, options{settings: registering(grants.RegistrationOpen)})
}

// register sends metadata, an object or its members.
func (n *node) register(metadata string, change ...func(*http.Request)) answer {
	n.t.Helper()
	if !strings.HasPrefix(metadata, "{") {
		metadata = "{" + metadata + "}"
	}
	return n.do("POST", "/register", "application/json", metadata, change...)
}

// theCallback is the least that a client can say of itself.
const theCallback = `"redirect_uris":["` + callback + `"]`

// own calls the address that a registered client got for itself.
func (n *node) own(method string, made answer, metadata string, change ...func(*http.Request)) answer {
	n.t.Helper()
	path := strings.TrimPrefix(made.str("registration_client_uri"), n.grants.Settings.Issuer)
	kind := ""
	if metadata != "" {
		kind = "application/json"
	}
	return n.do(method, path, kind, metadata, append([]func(*http.Request){bearerIs(made.str("registration_access_token"))}, change...)...)
}

func bearerIs(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

// initialToken makes an initial access token by the admin API.
func (n *node) initialToken(body string) string {
	n.t.Helper()
	w := n.operatorCall("POST", "/registration-tokens", body)
	var made struct{ Token string }
	must(n.t, json.Unmarshal(w.Body.Bytes(), &made))
	if w.Code != 201 || made.Token == "" {
		n.t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	return made.Token
}

func TestC1_C3_RegisteredClientSignsIn(t *testing.T) {
	n := startRegistering(t)
	a := n.register(`"client_name":"Notes",`+theCallback+`,"grant_types":["authorization_code","refresh_token"],"unknown":[1],"client_name#de":"Notizen"`).ok(t, 201)
	for name, want := range map[string]string{
		"client_id_issued_at": fmt.Sprint(n.clock.Now().Unix()), "client_secret_expires_at": "0", "redirect_uris": "[" + callback + "]",
		"token_endpoint_auth_method": "client_secret_basic", "grant_types": "[authorization_code refresh_token]", "response_types": "[code]",
		"scope": "openid read", "client_name": "Notes",
	} {
		got := fmt.Sprint(a.json[name])
		if f, ok := a.json[name].(float64); ok {
			got = fmt.Sprint(int64(f))
		}
		if got != want {
			t.Errorf("C1 %s is %s, want %s", name, got, want)
		}
	}
	id, secret := a.str("client_id"), a.str("client_secret")
	if len(secret) < 43 || len(a.str("registration_access_token")) < 43 || a.json["unknown"] != nil || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" ||
		a.str("registration_client_uri") != n.grants.Settings.Issuer+"/register/"+id {
		t.Errorf("C1 %v %s", a.Header, a.body)
	}
	if len(id) < 20 || strings.Contains(id, ":") || strings.Contains(id, "/") {
		t.Errorf("C4 client_id %q", id)
	}
	b := n.browser()
	page := b.login(b.open(ask("client_id", id)))
	if page.title() != "Allow access" || !strings.Contains(string(page.body), "registered itself on 1 March 2026") || !strings.Contains(string(page.body), "Nobody at Jeton has checked it") {
		t.Errorf("C4 the user is told nothing: %s", page.body)
	}
	code := b.submit(page, "allow").back(t, callback).Get("code")
	tokens := n.redeem(code, basic(id, secret)).ok(t, 200)
	if tokens.str("refresh_token") == "" || tokens.str("scope") != "read" {
		t.Errorf("%s", tokens.body)
	}
	n.redeem(b.code(ask("client_id", id)), basic(id, secret[1:])).want(t, 401, "invalid_client")
	// Who names no way to authenticate may use either, and who names one that alone.
	inForm := func(id, secret string) answer {
		return n.post("/token", form("grant_type", "authorization_code", "code", "x", "code_verifier", verifier, "client_id", id, "client_secret", secret))
	}
	inForm(id, secret).want(t, 400, "invalid_grant")
	strict := n.register(theCallback+`,"token_endpoint_auth_method":"client_secret_basic"`).ok(t, 201)
	inForm(strict.str("client_id"), strict.str("client_secret")).want(t, 401, "invalid_client")
	// The user is asked each time, and silence is no answer.
	if again := b.open(ask("client_id", id)); again.title() != "Allow access" {
		t.Errorf("C4 not asked again: %d %s", again.StatusCode, again.body)
	}
	if q := b.open(ask("client_id", id, "prompt", "none")).offered(t, callback); q.Get("error") != "consent_required" {
		t.Errorf("C4 prompt=none: %v", q)
	}
	if page := b.open(ask()); strings.Contains(string(page.body), "registered itself") {
		t.Error("an operator's client is said to have registered itself")
	}
	e := n.events(events.ClientCreated)
	if last := e[len(e)-2]; last.ClientID != id || last.Actor != "client:"+id || last.Source != "127.0.0.1" || last.Note != "registered itself" {
		t.Errorf("event %+v", last)
	}
	if strings.Contains(n.metrics(), id) {
		t.Error("a client that nobody vouched for has figures of its own")
	}
}

func TestC2_P5_RegistrationRefusals(t *testing.T) {
	n := startRegistering(t)
	before := n.clientCount()
	for metadata, code := range map[string]string{
		`{}`: "invalid_redirect_uri",
		`"redirect_uris":["http://app.example/cb"]`:                                         "invalid_redirect_uri",
		theCallback + `,"grant_types":["password"]`:                                         "invalid_client_metadata",
		theCallback + `,"grant_types":["authorization_code","password"]`:                    "invalid_client_metadata",
		theCallback + `,"grant_types":["client_credentials"]`:                               "invalid_client_metadata",
		theCallback + `,"grant_types":["` + storage.GrantTokenExchange + `"]`:               "invalid_client_metadata",
		theCallback + `,"grant_types":["authorization_code","client_credentials"]`:          "invalid_client_metadata",
		theCallback + `,"grant_types":["implicit"],"response_types":["token"]`:              "invalid_client_metadata",
		theCallback + `,"response_types":["id_token"]`:                                      "invalid_client_metadata",
		theCallback + `,"token_endpoint_auth_method":"client_secret_jwt"`:                   "invalid_client_metadata",
		theCallback + `,"scope":"read write"`:                                               "invalid_client_metadata",
		theCallback + `,"scope":"jeton:admin"`:                                              "invalid_client_metadata",
		theCallback + `,"scope":"jeton:events"`:                                             "invalid_client_metadata",
		theCallback + `,"client_name":"a","client_name":"b"`:                                "invalid_client_metadata",
		theCallback + `,"jwks":{"keys":[{"kty":"oct","k":"AAAA"}]}`:                         "invalid_client_metadata",
		theCallback + `,"software_statement":"x"`:                                           "invalid_software_statement",
		theCallback + `,"software_statement":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.eA"`:     "unapproved_software_statement",
		theCallback + `,"logo_uri":"http://169.254.169.254/latest"`:                         "invalid_client_metadata",
		`{` + theCallback + `}{}`:                                                           "invalid_client_metadata",
		`{"redirect_uris":["` + callback + "\xff\"]}":                                       "invalid_client_metadata",
		`{"redirect_uris":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}": "invalid_client_metadata",
	} {
		a := n.register(metadata)
		a.want(t, 400, code)
		if a.Header.Get("Cache-Control") != "no-store" || a.str("error_description") == "" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.100s: %v %s", metadata, a.Header, a.body)
		}
	}
	n.do("POST", "/register", "application/x-www-form-urlencoded", "redirect_uris=x").want(t, 400, "invalid_client_metadata")
	n.do("POST", "/register", "", "{"+theCallback+"}").want(t, 400, "invalid_client_metadata")
	n.register(theCallback+`,"x":"`+strings.Repeat("x", 64<<10)+`"`).want(t, 413, "invalid_client_metadata")
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		if a := n.do(method, "/register", "application/json", "{"+theCallback+"}"); a.StatusCode != 405 || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %d %v", method, a.StatusCode, a.Header)
		}
	}
	if after := n.clientCount(); after != before {
		t.Errorf("refusals made %d clients", after-before)
	}
	if places := n.places(); places != 0 {
		t.Errorf("refusals keep %d places", places)
	}
}

// clientCount and places look at what is in the store.
func (n *node) clientCount() (count int) {
	n.t.Helper()
	must(n.t, n.store.AllByIndex(n.t.Context(), storage.Query{Index: storage.IndexClients}, func(storage.Row) error { count++; return nil }))
	return count
}

func (n *node) places() int {
	n.t.Helper()
	page, err := n.store.List(n.t.Context(), storage.Query{Index: storage.IndexUnused, Limit: 10_000})
	must(n.t, err)
	return len(page.Rows)
}

func TestC4_RegistrationIsOffUnlessSet(t *testing.T) {
	for _, mode := range []string{"", grants.RegistrationOff} {
		n := start(t, options{settings: registering(mode)})
		n.register(theCallback).want(t, 404, "not_found")
		n.do("GET", "/register/app", "", "", bearerIs("x")).want(t, 404, "not_found")
		if n.do("GET", "/.well-known/oauth-authorization-server", "", "").json["registration_endpoint"] != nil {
			t.Error("an endpoint that is not there is published")
		}
		if w := n.operatorCall("POST", "/registration-tokens", `{"name":"x"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "client-registration") {
			t.Errorf("a token for nothing: %d %s", w.Code, w.Body)
		}
	}
}

func TestD5_RegistrationEndpointIsPublishedAndWorks(t *testing.T) {
	for _, mode := range []string{grants.RegistrationToken, grants.RegistrationOpen} {
		n := start(t, options{issuer: "https://login.example/tenant", settings: registering(mode)})
		for _, place := range places("/tenant") {
			if got := n.at("").do("GET", place, "", "").str("registration_endpoint"); got != "https://login.example/tenant/register" {
				t.Errorf("%s: %q", place, got)
			}
		}
		a := n.register(theCallback, bearerIs(n.initialToken(`{"name":"one"}`))).ok(t, 201)
		if !strings.HasPrefix(a.str("registration_client_uri"), "https://login.example/tenant/register/") {
			t.Errorf("%s", a.body)
		}
	}
}

// FuzzRegister: whatever comes, the answer is JSON with a code, no 5xx, and what
// was made is within the limits.
func FuzzRegister(f *testing.F) {
	n := start(f, options{settings: registering(grants.RegistrationOpen)})
	for _, text := range []string{"{" + theCallback + "}", `{` + theCallback + `,"scope":"read","grant_types":["authorization_code"]}`, `{"redirect_uris":["com.a:/x"],"jwks":{}}`, "[]", "", `{"a":`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := httptest.NewRequest("POST", "/register", bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		n.handler.ServeHTTP(w, r)
		if w.Code == 429 {
			n.clock.Add(time.Hour)
			return
		}
		var a struct {
			Error, Scope string
			Grants       []string `json:"grant_types"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code >= 500 || (w.Code == 201) == (a.Error != "") {
			t.Fatalf("%q: %d %s", text, w.Code, w.Body)
		}
		if slices.ContainsFunc(strings.Fields(a.Scope), func(s string) bool { return s != "openid" && s != "read" }) || slices.Contains(a.Grants, "password") {
			t.Fatalf("%q: %s", text, w.Body)
		}
	})
}
