package server_test

import (
	"net/http"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/keys"
	"jeton/storage"
)

// Every act that changes what is there takes a reason, and the event has it.
func TestEveryActTakesAReason(t *testing.T) {
	t.Parallel()
	n := start(t, options{alg: "ES256"})
	n.operator("POST", "/keys/rotate", `{"now":true}`).ok(t, 200)
	acts := []struct{ method, path, body, event string }{
		{"PUT", "/users/alice/roles", `{"roles":["ROLE_READER"],`, "roles_changed"},
		{"PUT", "/users/alice/password", `{"password":"` + freshPassword + `",`, "password_reset"},
		{"POST", "/users/alice/reset-link", `{`, "reset_link_made"},
		{"POST", "/users/alice/disable", `{`, "user_disabled"},
		{"POST", "/users/alice/enable", `{`, "user_enabled"},
		{"DELETE", "/users/alice", `{`, "user_deleted"},
		{"PATCH", "/clients/app", `{"client_name":"App",`, "client_changed"},
		{"POST", "/clients/app/secret", `{"keep_former_for":"1d",`, "client_secret_changed"},
		{"DELETE", "/clients/app/former-secret", `{`, "client_secret_changed"},
		{"POST", "/clients/spa/disable", `{`, "client_disabled"},
		{"POST", "/clients/spa/enable", `{`, "client_enabled"},
		{"DELETE", "/clients/other", `{`, "client_deleted"},
		{"POST", "/keys/rotate", `{"now":true,`, "key_rotated"},
		{"DELETE", "/keys/" + n.ring(keys.UseSig)[keys.Retired], `{`, "key_removed"},
	}
	for _, act := range acts {
		before := len(n.events(act.event))
		for _, bad := range []string{`"reason":"two\nlines"}`, `"reason":"` + strings.Repeat("x", 501) + `"}`, `"reason":7}`, `"because":"x"}`, "\"reason\":\"\u200b\"}", `"reason":"left \u202e right"}`} {
			if a := n.operator(act.method, act.path, act.body+bad); a.StatusCode != http.StatusBadRequest || len(n.events(act.event)) != before {
				t.Errorf("%s %s %.60s: %d %s", act.method, act.path, bad, a.StatusCode, a.body)
			}
		}
		a := n.operator(act.method, act.path, act.body+`"reason":"why not"}`)
		e := n.events(act.event)
		if a.StatusCode/100 != 2 || len(e) != before+1 || !strings.HasSuffix(e[len(e)-1].Note, "why not") {
			t.Errorf("%s %s: %d %s, events %+v", act.method, act.path, a.StatusCode, a.body, e)
		}
	}
	// A body that is announced and is none is none.
	if a := n.operator("DELETE", "/clients/api", ""); a.StatusCode != 204 {
		t.Errorf("without a body: %d %s", a.StatusCode, a.body)
	}
}

// Roles are changed by whoever saw those that there are, with the reason.
func TestConsoleChangesRolesWithAReason(t *testing.T) {
	b := console(t, options{})
	asked := b.page("/console/act?act=roles&sub=u-alice&roles=ROLE_AUDITOR")
	roles := func() string {
		u, err := b.users.Find(t.Context(), "alice")
		must(t, err)
		return strings.Join(u.Roles, " ")
	}
	for reason, says := range map[string]string{" ": "The reason is missing", "\u00a0": "The reason is missing", "\u200b": "visible characters", "because \u202e": "visible characters"} {
		if a := b.submitTo(asked, "/console/act", "reason", reason); a.StatusCode != 400 || roles() != "ROLE_USER" || !strings.Contains(string(a.body), says) {
			t.Errorf("%q: %d %s %s", reason, a.StatusCode, roles(), a.body)
		}
	}
	seen := accounts.RolesTag(storage.User{Roles: []string{"ROLE_USER"}})
	must(t, second(b.users.SetRoles(t.Context(), "alice", []string{"ROLE_OTHER"}, accounts.Act{By: "operator"})))
	if a := b.submitTo(asked, "/console/act", "reason", "x"); a.StatusCode != 409 || roles() != "ROLE_OTHER" {
		t.Errorf("%d %s", a.StatusCode, roles())
	}
	// At the same moment, after the page had been compared.
	if _, err := b.users.SetRoles(t.Context(), "alice", []string{"ROLE_AUDITOR"}, accounts.Act{By: "operator", Seen: seen}); err == nil || roles() != "ROLE_OTHER" {
		t.Errorf("%v %s", err, roles())
	}
	got := b.sameMoment(8, b.page("/console/act?act=roles&sub=u-alice&roles=ROLE_AUDITOR"), "reason", "audits")
	e := b.events("roles_changed")
	if len(got[200]) != 1 || len(got[409]) != 7 || roles() != "ROLE_AUDITOR" || e[len(e)-1].Note != "from [ROLE_OTHER] to [ROLE_AUDITOR]: audits" {
		t.Errorf("%d did, %d were refused: %s, %+v", len(got[200]), len(got[409]), roles(), e)
	}
}
