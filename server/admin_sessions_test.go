package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

// sid is the session of an access token.
func sid(t *testing.T, a answer) string {
	t.Helper()
	s, _ := segment(t, a.str("access_token"), 1)["sid"].(string)
	if s == "" {
		t.Fatalf("no sid in %s", a.body)
	}
	return s
}

// three is a node with two sessions of alice, through app and spa, and one of
// bob through app.
func three(t *testing.T) (n *node, aliceApp, aliceSpa, bobApp answer) {
	t.Helper()
	n = start(t, options{})
	n.operator("POST", "/users", `{"username":"bob","sub":"u-bob","password":"through the looking-glass"}`).ok(t, 201)
	aliceApp = n.login()
	aliceSpa = n.post("/token", loginForm("client_id", "spa")).ok(t, 200)
	bobApp = n.post("/token", form("grant_type", "password", "username", "bob", "password", "through the looking-glass"), app).ok(t, 200)
	return n, aliceApp, aliceSpa, bobApp
}

func TestAdminListsSessions(t *testing.T) {
	n, aliceApp, aliceSpa, bobApp := three(t)
	a, s, b := sid(t, aliceApp), sid(t, aliceSpa), sid(t, bobApp)
	for query, want := range map[string][]string{
		"":                              {a, s, b},
		"?username=ALICE":               {a, s},
		"?username=sub%3Au-bob":         {b},
		"?client_id=app":                {a, b},
		"?client_id=app&username=alice": {a},
		"?client_id=spa&username=bob":   {},
		"?client_id=api":                {},
	} {
		slices.Sort(want)
		if got := column(n.operator("GET", "/sessions"+query, "").ok(t, 200).list(t), "sid"); !slices.Equal(got, want) {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"?username=missing", "?client_id=missing", "?username="} {
		n.operator("GET", "/sessions"+query, "").want(t, http.StatusNotFound, "not_found")
	}
	first := n.operator("GET", "/sessions?client_id=app&limit=1", "").ok(t, 200)
	_, next, _ := strings.Cut(first.Header.Get("Link"), "/admin/v1")
	next, _, _ = strings.Cut(next, ">")
	second := n.operator("GET", next, "").ok(t, 200)
	both := append(column(first.list(t), "sid"), column(second.list(t), "sid")...)
	if want := []string{min(a, b), max(a, b)}; !slices.Equal(both, want) || second.Header.Get("Link") != "" {
		t.Errorf("in two pages %q, want %q; Link %q", both, want, second.Header.Get("Link"))
	}
}

func TestAdminShowsSessions(t *testing.T) {
	n, aliceApp, _, _ := three(t)
	path := "/sessions/" + sid(t, aliceApp)
	a := n.operator("GET", path, "").ok(t, 200)
	if a.str("sub") != "u-alice" || a.str("username") != "alice" || a.str("client_id") != "app" || a.str("scope") != "read write" ||
		a.str("state") != "live" || a.json["live_access_tokens"] != 1.0 || a.json["generation"] != 1.0 || a.json["ended"] != nil ||
		a.str("created_at") != "2026-03-01T12:00:00Z" || a.str("expires_at") != "2026-03-16T12:00:00Z" {
		t.Errorf("live: %s", a.body)
	}
	if strings.Contains(string(a.body), "secret") || strings.Contains(string(a.body), "rot_id") {
		t.Errorf("too much is shown: %s", a.body)
	}
	n.clock.Add(time.Hour)
	n.refresh(aliceApp.str("refresh_token")).ok(t, 200)
	if a = n.operator("GET", path, "").ok(t, 200); a.json["generation"] != 2.0 || a.json["live_access_tokens"] != 1.0 || a.str("last_used_at") != "2026-03-01T13:00:00Z" {
		t.Errorf("refreshed: %s", a.body)
	}
	n.clock.Add(15 * storage.Day)
	if a = n.operator("GET", path, "").ok(t, 200); a.str("state") != "idle_expired" || a.json["live_access_tokens"] != 0.0 {
		t.Errorf("unused: %s", a.body)
	}
	for _, missing := range []string{"x", sid(t, aliceApp)[:10], "%00", strings.Repeat("x", 4000)} {
		n.operator("GET", "/sessions/"+missing, "").want(t, http.StatusNotFound, "not_found")
	}
}

func TestAdminRevokesSessions(t *testing.T) {
	t.Parallel()
	n, aliceApp, aliceSpa, bobApp := three(t)
	revoke := func(selection string) answer {
		return n.operator("POST", "/sessions/revoke", fmt.Sprintf(`{%s,"reason":"lost laptop"}`, selection))
	}
	alive := func() string {
		var s []string
		for name, a := range map[string]answer{"aliceApp": aliceApp, "aliceSpa": aliceSpa, "bobApp": bobApp} {
			if n.active(a.str("access_token")) {
				s = append(s, name)
			}
		}
		slices.Sort(s)
		return strings.Join(s, " ")
	}
	for what, body := range map[string]string{
		"nothing": `{"reason":"x"}`, "all false": `{"all":false,"reason":"x"}`, "no reason": `{"all":true}`, "blank reason": `{"all":true,"reason":"  "}`,
		"sid and all": `{"sid":"x","all":true,"reason":"x"}`, "user and all": `{"username":"alice","all":true,"reason":"x"}`,
		"sid and user": `{"sid":"x","username":"alice","reason":"x"}`, "long reason": `{"all":true,"reason":"` + strings.Repeat("x", 501) + `"}`,
		"lines": `{"all":true,"reason":"a\nb"}`,
	} {
		t.Run(what, func(t *testing.T) {
			n.operator("POST", "/sessions/revoke", body).want(t, http.StatusBadRequest, "invalid_request")
		})
	}
	for _, missing := range []string{`"sid":"x"`, `"sid":""`, `"username":"missing"`, `"username":""`, `"client_id":"missing"`, `"client_id":""`, `"username":"alice","client_id":"missing"`} {
		revoke(missing).want(t, http.StatusNotFound, "not_found")
	}
	if got := alive(); got != "aliceApp aliceSpa bobApp" {
		t.Fatalf("after refusals %s are alive", got)
	}
	for _, step := range []struct {
		selection string
		revoked   float64
		alive     string
	}{
		{`"username":"bob","client_id":"spa"`, 0, "aliceApp aliceSpa bobApp"},
		{`"username":"Alice","client_id":"spa"`, 1, "aliceApp bobApp"},
		{`"sid":"` + sid(t, aliceApp) + `"`, 1, "bobApp"},
		{`"sid":"` + sid(t, aliceApp) + `"`, 0, "bobApp"},
		{`"username":"bob"`, 1, ""},
	} {
		if a := revoke(step.selection).ok(t, 200); a.json["revoked"] != step.revoked || alive() != step.alive {
			t.Errorf("%s: %s, alive %q", step.selection, a.body, alive())
		}
	}
	aliceApp, aliceSpa = n.login(), n.post("/token", loginForm("client_id", "spa")).ok(t, 200)
	if a := revoke(`"client_id":"app"`).ok(t, 200); a.json["revoked"] != 1.0 || alive() != "aliceSpa" {
		t.Errorf("by client: %s, alive %q", a.body, alive())
	}
	if a := revoke(`"all":true`).ok(t, 200); a.json["revoked"] != 1.0 || alive() != "" {
		t.Errorf("all: %s, alive %q", a.body, alive())
	}
	a := n.operator("GET", "/sessions/"+sid(t, bobApp), "").ok(t, 200)
	ended, _ := a.json["ended"].(map[string]any)
	if a.str("state") != "ended" || a.json["live_access_tokens"] != 0.0 || ended["reason"] != "operator" || ended["by"] != "operator" || ended["note"] != "lost laptop" {
		t.Errorf("ended: %s", a.body)
	}
}
