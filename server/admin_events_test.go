package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"jeton/grants"
	"jeton/storage"
)

const hrSecret = "hr-secret-hr-secret-hr-secret-hr-"

// reporting is a node with two sessions of alice, one of bob, and the token of
// a client that may report events.
func reporting(t *testing.T) (n *node, alice, spa, bob answer, hr string) {
	t.Helper()
	n, alice, spa, bob = three(t)
	n.operator("POST", "/clients", `{"client_id":"hr","client_secret":"`+hrSecret+`","grant_types":["client_credentials"],"scope":"jeton:events"}`).ok(t, 201)
	return n, alice, spa, bob, n.machine("hr", hrSecret, "scope", "jeton:events")
}

func (n *node) report(token, body string) answer {
	n.t.Helper()
	return n.bearer("POST", "/events", body, token)
}

// What each report does, by default and by another setting.
func TestReportedEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on       grants.Reactions
		body     string // SID is that of alice's session through app
		reaction grants.Reaction
		app, spa string // access, session: whether token and session live
		disabled bool
		event    string
	}{
		"password, nobody kept":  {grants.Reactions{}, `{"type":"password_changed","sub":"u-alice"}`, grants.EndOtherSessions, "- -", "- -", false, "password_changed"},
		"password, one kept":     {grants.Reactions{}, `{"type":"password_changed","sid":"SID"}`, grants.EndOtherSessions, "a s", "- -", false, "password_changed"},
		"password, nothing":      {grants.Reactions{PasswordChange: grants.DoNothing}, `{"type":"password_changed","username":"alice"}`, grants.DoNothing, "a s", "a s", false, "password_changed"},
		"password, all":          {grants.Reactions{PasswordChange: grants.EndAllSessions}, `{"type":"password_changed","sid":"SID"}`, grants.EndAllSessions, "- -", "- -", false, "password_changed"},
		"reset":                  {grants.Reactions{}, `{"type":"password_reset","username":"Alice"}`, grants.EndAllSessions, "- -", "- -", false, "password_reset"},
		"roles":                  {grants.Reactions{}, `{"type":"roles_changed","sub":"u-alice"}`, grants.RevokeAccessTokens, "- s", "- s", false, "roles_changed"},
		"logout of a session":    {grants.Reactions{}, `{"type":"logout","sid":"SID"}`, grants.EndSession, "- -", "a s", false, "logout"},
		"logout of all":          {grants.Reactions{Logout: grants.EndAllSessions}, `{"type":"logout","sid":"SID"}`, grants.EndAllSessions, "- -", "- -", false, "logout"},
		"logout of a user":       {grants.Reactions{}, `{"type":"logout","sub":"u-alice"}`, grants.EndAllSessions, "- -", "- -", false, "logout"},
		"disabled":               {grants.Reactions{}, `{"type":"account_disabled","sub":"u-alice"}`, grants.DisableUser, "- -", "- -", true, "account_disabled"},
		"disabled, only ended":   {grants.Reactions{AccountDisabled: grants.EndAllSessions}, `{"type":"account_disabled","sub":"u-alice"}`, grants.EndAllSessions, "- -", "- -", false, "account_disabled"},
		"compromised":            {grants.Reactions{}, `{"type":"account_compromised","sid":"SID"}`, grants.EndAllSessions, "- -", "- -", false, "account_compromised"},
		"compromised, disable":   {grants.Reactions{AccountCompromised: grants.DisableUser}, `{"type":"account_compromised","sub":"u-alice"}`, grants.DisableUser, "- -", "- -", true, "account_compromised"},
		"client compromised":     {grants.Reactions{}, `{"type":"client_compromised","client_id":"app"}`, grants.DisableClient, "- -", "a s", false, "client_compromised"},
		"client, only ended":     {grants.Reactions{ClientCompromised: grants.EndSessions}, `{"type":"client_compromised","client_id":"app"}`, grants.EndSessions, "- -", "a s", false, "client_compromised"},
		"with all there is more": {grants.Reactions{}, `{"type":"logout","sid":"SID","id":"a-1","reason":"left the building","occurred_at":"2026-03-01T11:59:30+00:00"}`, grants.EndSession, "- -", "a s", false, "logout"},
	} {
		t.Run(name, func(t *testing.T) {
			n, alice, spa, bob, hr := reporting(t)
			n.grants.Settings.On = c.on
			sid, _ := segment(t, alice.str("access_token"), 1)["sid"].(string)
			a := n.report(hr, strings.ReplaceAll(c.body, "SID", sid)).ok(t, 200)
			if a.str("reaction") != string(c.reaction) || a.json["repeated"] != false || a.str("event") == "" {
				t.Errorf("answer %s", a.body)
			}
			for _, s := range []struct {
				tokens answer
				want   string
				again  func() answer
			}{
				{alice, c.app, func() answer { return n.refresh(alice.str("refresh_token")) }},
				{spa, c.spa, func() answer {
					return n.post("/token", form("grant_type", "refresh_token", "refresh_token", spa.str("refresh_token"), "client_id", "spa"))
				}},
			} {
				if strings.HasPrefix(s.want, "a") {
					n.there(t, "access token", s.tokens.str("access_token"))
				} else {
					n.gone(t, "access token", s.tokens.str("access_token"))
				}
				if again := s.again(); (again.StatusCode == 200) != strings.HasSuffix(s.want, "s") {
					t.Errorf("refresh: %d %s", again.StatusCode, again.body)
				}
			}
			if !strings.Contains(c.body, "client") {
				n.there(t, "of others", bob.str("access_token"))
			}
			u, _, err := n.store.User(t.Context(), "u-alice")
			must(t, err)
			if u.Value.Disabled != c.disabled || len(n.events("user_disabled")) != map[bool]int{true: 1}[c.disabled] {
				t.Errorf("disabled %t, events %+v", u.Value.Disabled, n.events("user_disabled"))
			}
			e := n.events(c.event)
			if len(e) != 1 || e[0].ID != a.str("event") || e[0].Actor != "client:hr" || (e[0].Subject != "u-alice") == (e[0].ClientID != "app") {
				t.Errorf("event %+v", e)
			}
			if strings.Contains(c.body, "a-1") && (e[0].Report != "a-1" || e[0].Note != "left the building" || e[0].Occurred.Minute() != 59) {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// A report with an id is taken once, however often it is sent.
func TestReportsWithAnIDAreTakenOnce(t *testing.T) {
	n, _, _, _, hr := reporting(t)
	body := `{"type":"account_compromised","sub":"u-alice","id":"incident-7"}`
	first := n.report(hr, body).ok(t, 200)
	next := n.login()
	for range 3 {
		a := n.report(hr, body).ok(t, 200)
		if a.json["repeated"] != true || a.str("event") != first.str("event") || a.str("reaction") != "end_all_sessions" {
			t.Errorf("answer %s", a.body)
		}
	}
	n.there(t, "of a login after it", next.str("access_token"))
	if e := n.events("account_compromised"); len(e) != 1 {
		t.Errorf("events %+v", e)
	}
	// The id is the reporter's, the user's, and that of one event.
	n.report(hr, `{"type":"password_reset","sub":"u-alice","id":"incident-7"}`).want(t, http.StatusConflict, "already_exists")
	n.there(t, "after a refusal", next.str("access_token"))
	n.report(hr, `{"type":"account_compromised","username":"bob","id":"incident-7"}`).ok(t, 200)
	if a := n.operator("POST", "/events", body).ok(t, 200); a.json["repeated"] != false {
		t.Errorf("another reporter's: %s", a.body)
	}
	n.gone(t, "another reporter's", next.str("access_token"))
	// Many at once.
	next = n.login()
	answers := make(chan answer, 10)
	for range cap(answers) {
		go func() { answers <- n.report(hr, `{"type":"logout","sub":"u-alice","id":"crowd"}`) }()
	}
	fresh := 0
	for range cap(answers) {
		if a := <-answers; a.ok(t, 200).json["repeated"] == false {
			fresh++
		}
	}
	if n.gone(t, "the crowd's", next.str("access_token")); fresh != 1 || len(n.events("logout")) != 1 {
		t.Errorf("%d were taken, events %+v", fresh, n.events("logout"))
	}
	// A session that is over: nothing is told.
	sid := segment(t, next.str("access_token"), 1)["sid"]
	if a := n.report(hr, fmt.Sprintf(`{"type":"logout","sid":"%v"}`, sid)).ok(t, 200); a.json["event"] != nil || len(n.events("logout")) != 1 {
		t.Errorf("answer %s", a.body)
	}
}

func TestReportsThatAreRefusedDoNothing(t *testing.T) {
	n, alice, spa, bob, hr := reporting(t)
	before := n.stored()
	for body, want := range map[string]string{
		``:                                   "415 invalid_request",
		`[]`:                                 "400 invalid_request",
		`{}`:                                 "400 invalid_request",
		`{"type":"logout"}`:                  "400 invalid_request",
		`{"type":"made_up","sub":"u-alice"}`: "400 invalid_request",
		`{"type":"user_disabled","sub":"u-alice"}`:                                  "400 invalid_request",
		`{"type":"account_enabled","sub":"u-alice"}`:                                "400 invalid_request",
		`{"type":"logout","sub":"u-alice","username":"alice"}`:                      "400 invalid_request",
		`{"type":"logout","client_id":"app"}`:                                       "400 invalid_request",
		`{"type":"client_compromised","sub":"u-alice"}`:                             "400 invalid_request",
		`{"type":"client_compromised","sub":"u-alice","client_id":"app"}`:           "400 invalid_request",
		`{"type":"logout","sub":"u-alice","roles":["ROLE_ADMIN"]}`:                  "400 invalid_request",
		`{"type":"logout","sub":"u-alice","id":"a b"}`:                              "400 invalid_request",
		`{"type":"logout","sub":"u-alice","id":"` + strings.Repeat("x", 256) + `"}`: "400 invalid_request",
		`{"type":"logout","sub":"u-alice","occurred_at":"yesterday"}`:               "400 invalid_request",
		`{"type":"logout","sub":"u-alice","occurred_at":"2026-03-01T12:02:00Z"}`:    "400 invalid_request",
		`{"type":"logout","sub":"u-alice","occurred_at":"2026-01-29T12:00:00Z"}`:    "400 invalid_request",
		`{"type":"logout","sub":"u-alice","reason":"a\nb"}`:                         "400 invalid_request",
		`{"type":"logout","sub":"u-nobody"}`:                                        "404 not_found",
		`{"type":"logout","username":"nobody"}`:                                     "404 not_found",
		`{"type":"logout","sid":"nothing"}`:                                         "404 not_found",
		`{"type":"logout","sid":"\u0000"}`:                                          "404 not_found",
		`{"type":"client_compromised","client_id":"nobody"}`:                        "404 not_found",
	} {
		a := n.report(hr, body)
		if got := fmt.Sprint(a.StatusCode, " ", a.str("error")); got != want {
			t.Errorf("%s: %s %s, want %s", body, got, a.str("error_description"), want)
		}
	}
	if after := n.stored(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("a refused report changed the store")
	}
	n.there(t, "after refusals", alice.str("access_token"), spa.str("access_token"), bob.str("access_token"))
	if text := n.metrics(); !strings.Contains(text, `jeton_reports_total{client_id="hr",outcome="not_found",type="logout"} 4`) || strings.Contains(text, "made_up") {
		t.Error("not counted, or by a label of the reporter's choice")
	}
}

// Whoever may report may do nothing else, and who may is for an operator to say.
func TestV18_ReportersDoNothingElse(t *testing.T) {
	n, _, _, _, hr := reporting(t)
	for _, route := range []string{"GET /users", "GET /users/alice", "DELETE /users/alice", "PUT /users/alice/password", "GET /clients", "GET /sessions", "POST /sessions/revoke", "GET /keys", "POST /keys/rotate"} {
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if method != "GET" && method != "DELETE" {
			body = `{"x":1}`
		}
		n.bearer(method, path, body, hr).want(t, http.StatusForbidden, "insufficient_scope")
	}
	report := `{"type":"logout","sub":"u-alice"}`
	if aud := fmt.Sprint(segment(t, hr, 1)["aud"]); aud != "["+n.url+"/admin/v1]" {
		t.Errorf("aud %s", aud)
	}
	for name, a := range map[string]answer{
		"no token": n.report("", report), "a token for another": n.report(n.machine("app", appSecret), report), "rubbish": n.report("x", report),
		"no token, of all": n.bearer("POST", "/global-token-revocation", `{}`, ""),
	} {
		a.want(t, http.StatusUnauthorized, "invalid_token")
		// What is missing is named, for programs and for people.
		if c := a.Header.Get("WWW-Authenticate"); !strings.Contains(c, `scope="jeton:events"`) || !strings.HasSuffix(a.str("error_description"), "the scope jeton:events") {
			t.Errorf("%s: %q %s", name, c, a.body)
		}
	}
	if a := n.bearer("GET", "/users", "", ""); !strings.Contains(a.Header.Get("WWW-Authenticate"), `scope="jeton:admin"`) {
		t.Errorf("elsewhere: %q", a.Header.Get("WWW-Authenticate"))
	}
	// It has to be asked for, alone, and never comes with a user.
	n.operator("PATCH", "/clients/hr", `{"scope":"read jeton:events"}`).ok(t, 200)
	if a := n.post("/token", form("grant_type", "client_credentials"), basic("hr", hrSecret)).ok(t, 200); a.str("scope") != "read" {
		t.Errorf("scope %q", a.str("scope"))
	}
	n.post("/token", form("grant_type", "client_credentials", "scope", "read jeton:events"), basic("hr", hrSecret)).want(t, 400, "invalid_scope")
	n.operator("PATCH", "/clients/hr", `{"grant_types":["client_credentials","password"]}`).want(t, 400, "invalid_request")
	n.operator("PATCH", "/clients/spa", `{"scope":"jeton:events"}`).want(t, 400, "invalid_request")
	// Over the network nobody gives the right, or takes over who has it.
	admin := startAdmin(t, options{})
	ops := admin.opsToken("jeton:admin")
	admin.bearer("POST", "/clients", `{"client_id":"x","grant_types":["client_credentials"],"scope":"jeton:events"}`, ops).want(t, 403, "access_denied")
	admin.bearer("POST", "/events", report, ops).ok(t, 200)
	admin.operator("POST", "/events", report).ok(t, 200)
	// The right is that of now.
	n.grants.Settings.On.ClientNarrowed = grants.DoNothing
	n.report(hr, report).ok(t, 200)
	n.operator("PATCH", "/clients/hr", `{"scope":"read"}`).ok(t, 200)
	n.report(hr, report).want(t, http.StatusForbidden, "access_denied")
}

// draft-parecki-oauth-global-token-revocation §3, §5.
func TestV18_GlobalTokenRevocation(t *testing.T) {
	n, alice, spa, bob, hr := reporting(t)
	n.operator("POST", "/users", `{"username":"Carol@Example.org","sub":"u-carol","password":"`+password+`"}`).ok(t, 201)
	carol := n.post("/token", form("grant_type", "password", "username", "carol@example.org", "password", password), app).ok(t, 200)
	endpoint, _ := n.do("GET", "/.well-known/oauth-authorization-server", "", "").ok(t, 200).json["global_token_revocation_endpoint"].(string)
	path, ok := strings.CutPrefix(endpoint, n.url+"/admin/v1")
	if methods := n.do("GET", "/.well-known/oauth-authorization-server", "", "").json["global_token_revocation_endpoint_auth_methods_supported"]; !ok || fmt.Sprint(methods) != "[Bearer DPoP]" {
		t.Fatalf("endpoint %q, methods %v", endpoint, methods)
	}
	revoke := func(subject, token string) answer {
		return n.bearer("POST", path, `{"sub_id":`+subject+`}`, token)
	}
	for subject, want := range map[string]string{
		`{"format":"iss_sub","iss":"` + n.url + `","sub":"u-nobody"}`:        "404 not_found",
		`{"format":"iss_sub","iss":"https://other.example","sub":"u-alice"}`: "404 not_found",
		`{"format":"opaque","id":"alice"}`:                                   "404 not_found",
		`{"format":"email","email":"alice@example.org"}`:                     "404 not_found",
		`{"format":"email","email":"alice"}`:                                 "400 invalid_request",
		`{"format":"email","email":"sub:u-alice@x"}`:                         "400 invalid_request",
		`{"format":"iss_sub","sub":"u-alice"}`:                               "400 invalid_request",
		`{"format":"iss_sub","iss":"` + n.url + `"}`:                         "400 invalid_request",
		`{"format":"opaque","id":""}`:                                        "400 invalid_request",
		`{"format":"opaque","id":"u-alice","sub":"u-bob"}`:                   "400 invalid_request",
		`{"format":"opaque","id":"u-alice","x":1}`:                           "400 invalid_request",
		`{"format":"phone_number","phone_number":"+12065550100"}`:            "400 invalid_request",
		`{"format":"account","uri":"acct:alice@example.org"}`:                "400 invalid_request",
		`{"id":"u-alice"}`: "400 invalid_request",
		`"u-alice"`:        "400 invalid_request",
		`null`:             "400 invalid_request",
		`[]`:               "400 invalid_request",
	} {
		if a := revoke(subject, hr); fmt.Sprint(a.StatusCode, " ", a.str("error")) != want {
			t.Errorf("%s: %d %s, want %s", subject, a.StatusCode, a.body, want)
		}
	}
	n.bearer("POST", path, `{}`, hr).want(t, 400, "invalid_request")
	n.bearer("POST", path, `{"sub_id":{"format":"opaque","id":"u-alice"},"sub":"u-bob"}`, hr).want(t, 400, "invalid_request")
	good := `{"format":"iss_sub","iss":"` + n.url + `","sub":"u-alice"}`
	revoke(good, "").want(t, 401, "invalid_token")
	revoke(good, "x").want(t, 401, "invalid_token")
	n.there(t, "so far", alice.str("access_token"), spa.str("access_token"), bob.str("access_token"), carol.str("access_token"))

	if a := revoke(good, hr); a.StatusCode != 204 || len(a.body) != 0 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	n.gone(t, "of alice", alice.str("access_token"), spa.str("access_token"))
	n.refresh(alice.str("refresh_token")).want(t, 400, "invalid_grant")
	n.there(t, "of others", bob.str("access_token"), carol.str("access_token"))
	n.there(t, "of a login after it", n.login().str("access_token"))
	if e := n.events("sessions_ended"); len(e) != 1 || e[0].Reason != storage.ReasonGlobal || e[0].Actor != "client:hr" {
		t.Errorf("events %+v", e)
	}
	revoke(`{"format":"opaque","id":"u-bob"}`, hr).ok(t, 204)
	revoke(`{"format":"email","email":"carol@example.org"}`, hr).ok(t, 204)
	n.gone(t, "of both", bob.str("access_token"), carol.str("access_token"))
	if !strings.Contains(n.metrics(), `jeton_reports_total{client_id="hr",outcome="ok",type="global_revocation"} 3`) {
		t.Error("not counted")
	}
}
