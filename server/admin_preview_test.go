package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"jeton/grants"
)

// What would end is told, and does not: nor is anything else done.
func TestAdminPreviewsWhatAnActEnds(t *testing.T) {
	n, aliceApp, aliceSpa, bobApp := three(t)
	n.refresh(aliceApp.str("refresh_token")).ok(t, 200)
	one := sid(t, aliceApp)
	all := func() string {
		return string(n.operator("GET", "/sessions", "").body) + string(n.operator("GET", "/users", "").body) + string(n.operator("GET", "/clients", "").body)
	}
	before := all()
	for body, want := range map[string]string{
		`{"act":"revoke","sid":"` + one + `"}`:                                                    "sessions 1 1 1 2",
		`{"act":"revoke","username":"alice"}`:                                                     "sessions 2 1 2 3",
		`{"act":"revoke","client_id":"app"}`:                                                      "sessions 2 2 1 3",
		`{"act":"revoke","username":"alice","client_id":"spa"}`:                                   "sessions 1 1 1 1",
		`{"act":"revoke","all":true}`:                                                             "sessions 3 2 2 4",
		`{"act":"disable","username":"bob"}`:                                                      "sessions 1 1 1 1",
		`{"act":"delete","username":"sub:u-alice"}`:                                               "sessions 2 1 2 3",
		`{"act":"disable","client_id":"spa"}`:                                                     "sessions 1 1 1 1",
		`{"act":"delete","client_id":"app"}`:                                                      "sessions 2 2 1 3",
		`{"act":"set_password","username":"alice"}`:                                               "sessions 2 1 2 3",
		`{"act":"set_roles","username":"alice","roles":[]}`:                                       "access_tokens 2 1 2 3",
		`{"act":"set_roles","username":"alice","roles":["ROLE_USER","ROLE_X"]}`:                   "nothing 0 0 0 0",
		`{"act":"set_client","client_id":"app","settings":{"scope":"read"}}`:                      "access_tokens 2 2 1 3",
		`{"act":"set_client","client_id":"app","settings":{"client_name":"x"}}`:                   "nothing 0 0 0 0",
		`{"act":"set_client","client_id":"spa","settings":{"delivery":"cookie","scope":"write"}}`: "sessions 1 1 1 1",
		`{"act":"set_secret","client_id":"app"}`:                                                  "nothing 0 0 0 0",
	} {
		a := n.operator("POST", "/preview", body).ok(t, 200)
		if got := fmt.Sprint(a.str("ends"), " ", a.json["sessions"], " ", a.json["users"], " ", a.json["clients"], " ", a.json["access_tokens"]); got != want || a.json["more"] != false {
			t.Errorf("%s: %s, not %s", body, got, want)
		}
	}
	for body, want := range map[string]string{
		`{}`:               "act: it is one of delete, disable, revoke, set_client, set_password, set_roles, set_secret",
		`{"act":"revoke"}`: "say which sessions",
		`{"act":"revoke","all":true,"username":"alice"}`: "say which sessions",
		`{"act":"disable"}`: "one user or one client",
		`{"act":"delete","username":"alice","client_id":"app"}`:                                     "one user or one client",
		`{"act":"set_roles","username":"alice"}`:                                                    "roles: it is missing",
		`{"act":"set_client","client_id":"app"}`:                                                    "settings: it is missing",
		`{"act":"set_client","client_id":"app","settings":{"x":1}}`:                                 "there is no member 'x'",
		`{"act":"set_client","client_id":"app","settings":[]}`:                                      "not a JSON object",
		`{"act":"set_roles","client_id":"app","roles":[],"sid":"x"}`:                                "sid: set_roles is not about that; client_id: set_roles is not about that",
		`{"act":"set_client","client_id":"app","settings":{"access_token_ttl":"2w","scope":"a a"}}`: "access_token_ttl",
		`{"act":"revoke","all":true,"all":true,"x":1,"y":2,"y":3}`:                                  "the member 'all' stands there twice; the member 'y' stands there twice; there is no member 'x', 'y' here; there are act, ",
		`{"act":"revoke","all":true,"reason":"x"}`:                                                  "there is no member 'reason'",
	} {
		if a := n.operator("POST", "/preview", body); a.StatusCode != 400 || !strings.Contains(a.str("error_description"), want) {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	for _, body := range []string{`{"act":"revoke","username":"nobody"}`, `{"act":"delete","client_id":"none"}`, `{"act":"set_roles","username":"nobody","roles":[]}`, `{"act":"set_client","client_id":"none","settings":{}}`, `{"act":"set_secret","client_id":"none"}`, `{"act":"set_password","username":"nobody"}`} {
		n.operator("POST", "/preview", body).want(t, http.StatusNotFound, "not_found")
	}
	if after := all(); after != before {
		t.Errorf("something was done: %s\n%s", before, after)
	}
	for _, a := range []answer{aliceApp, aliceSpa, bobApp} {
		if !n.active(a.str("access_token")) {
			t.Error("a token ended")
		}
	}
	t.Run("as the settings say", func(t *testing.T) {
		n.grants.Settings.On = grants.Reactions{RolesLost: grants.EndAllSessions, ClientNarrowed: grants.EndSessions, ClientSecretChange: grants.EndSessions, PasswordReset: grants.DoNothing}
		for body, want := range map[string]string{
			`{"act":"set_roles","username":"alice","roles":[]}`:                  "sessions",
			`{"act":"set_client","client_id":"app","settings":{"scope":"read"}}`: "sessions",
			`{"act":"set_secret","client_id":"app"}`:                             "sessions",
			`{"act":"set_password","username":"alice"}`:                          "nothing",
		} {
			if got := n.operator("POST", "/preview", body).ok(t, 200).str("ends"); got != want {
				t.Errorf("%s: %s, not %s", body, got, want)
			}
		}
	})
	// It is as many as the act itself tells of afterwards.
	if got := n.operator("POST", "/sessions/revoke", `{"all":true,"reason":"x"}`).ok(t, 200); got.json["revoked"] != 3.0 {
		t.Errorf("%s", got.body)
	}
	if a := n.operator("POST", "/preview", `{"act":"revoke","all":true}`); a.json["sessions"] != 0.0 {
		t.Errorf("of those that ended: %s", a.body)
	}
}

// Who comes over the network foresees what may be done there, and no more.
func TestPreviewOverTheNetwork(t *testing.T) {
	n := startAdmin(t, options{})
	ops := n.opsToken("jeton:admin")
	if a := n.bearer("POST", "/preview", `{"act":"revoke","all":true}`, ops); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, body := range []string{`{"act":"delete","client_id":"ops"}`, `{"act":"set_client","client_id":"ops","settings":{"client_name":"x"}}`} {
		n.bearer("POST", "/preview", body, ops).want(t, http.StatusForbidden, "access_denied")
	}
	if a := n.bearer("POST", "/preview", `{"act":"revoke","all":true}`, n.login().str("access_token")); a.StatusCode == 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	t.Run("one's own password", func(t *testing.T) {
		token := n.consoleToken("root", "through the looking-glass")
		n.post("/token", form("grant_type", "password", "username", "root", "password", "through the looking-glass"), app).ok(t, 200)
		if a := n.bearer("POST", "/preview", `{"act":"set_password","username":"root"}`, token); a.json["sessions"] != 1.0 {
			t.Errorf("the session that goes on is counted: %s", a.body)
		}
	})
}
