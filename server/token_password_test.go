package server_test

import (
	"bytes"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/events"
	"jeton/storage"
)

func TestPasswordGrant(t *testing.T) {
	n := start(t, options{})
	operator := accounts.Act{Operator: true}
	for _, name := range []string{"bob", "carol"} {
		_, err := n.users.Add(t.Context(), accounts.NewUser{Username: name, Roles: []string{"ROLE_USER"}, Password: password}, operator)
		must(t, err)
	}
	_, err := n.users.Disable(t.Context(), "bob", operator)
	must(t, err)
	must(t, n.users.Delete(t.Context(), "carol", operator))
	h := n.holder()

	t.Run("P1 what is required", func(t *testing.T) {
		for _, name := range []string{"username", "password"} {
			missing, empty := loginForm(), loginForm()
			missing.Del(name)
			empty.Set(name, "")
			h.refused(t, h.post("/token", missing, app), 400, "invalid_request")
			h.refused(t, h.post("/token", empty, app), 400, "invalid_request")
		}
		a := h.login("scope", "write")
		if a.str("scope") != "write" || a.str("refresh_token") == "" {
			t.Errorf("%s", a.body)
		}
		h.rows = h.stored()
	})

	t.Run("P2 one answer for every wrong login", func(t *testing.T) {
		answers := make(map[string]answer)
		for what, pair := range map[string][2]string{
			"wrong password":           {"alice", password + "x"},
			"cut password":             {"alice", password[:len(password)-1]},
			"password in capitals":     {"alice", strings.ToUpper(password)},
			"password beyond the cap":  {"alice", strings.Repeat("x", 50_000)},
			"impossible password":      {"alice", "\u0001"},
			"unknown user":             {"mallory", password},
			"unknown user, odd":        {"mallory", "\u0001"},
			"disabled user":            {"bob", password},
			"disabled user, wrong":     {"bob", "x"},
			"deleted user":             {"carol", password},
			"sub instead of name":      {"u-alice", password},
			"impossible name":          {" alice", password},
			"invisible characters":     {"ali\u200bce", password},
			"name beyond the cap":      {strings.Repeat("a", 50_000), password},
			"somebody else's password": {"mallory", "x"},
		} {
			a := h.post("/token", form("grant_type", "password", "username", pair[0], "password", pair[1]), app)
			h.refused(t, a, 400, "invalid_grant")
			answers[what] = a
		}
		for what, a := range answers {
			if !bytes.Equal(a.body, answers["wrong password"].body) {
				t.Errorf("%s differs: %s", what, a.body)
			}
		}
	})

	t.Run("P4 only a client that lists it", func(t *testing.T) {
		for _, f := range []string{"refresh_token", "client_credentials"} {
			must(t, h.addClient(accounts.NewClient{ID: "no-" + f, Secret: appSecret, ClientSettings: accounts.ClientSettings{Grants: accounts.To([]string{f})}}))
			h.rows = h.stored()
			h.refused(t, h.post("/token", loginForm(), basic("no-"+f, appSecret)), 400, "unauthorized_client")
			// Nor does it learn whether the password is right.
			h.refused(t, h.post("/token", form("grant_type", "password", "username", "alice", "password", "x"), basic("no-"+f, appSecret)), 400, "unauthorized_client")
		}
	})

	t.Run("P5 nobody registers by himself", func(t *testing.T) {
		body := `{"client_name":"x","grant_types":["password"]}`
		if a := h.do("POST", "/register", "application/json", body); a.StatusCode != 404 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := h.do("POST", "/admin/v1/clients", "application/json", body); a.StatusCode != 401 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})

	t.Run("P6 amr and the client's own lifetimes", func(t *testing.T) {
		must(t, h.addClient(accounts.NewClient{ID: "fenced", Secret: appSecret, ClientSettings: accounts.ClientSettings{
			Grants: accounts.To([]string{"password"}), Scope: accounts.To("read"), AccessTTL: accounts.To(storage.Duration(time.Minute))}}))
		a := h.post("/token", loginForm(), basic("fenced", appSecret))
		a.want(t, 200, "")
		claims := segment(t, a.str("access_token"), 1)
		if amr, _ := claims["amr"].([]any); len(amr) != 1 || amr[0] != "pwd" {
			t.Errorf("amr %v", claims["amr"])
		}
		if a.json["expires_in"] != 60.0 || claims["exp"].(float64)-claims["iat"].(float64) != 60 || a.str("scope") != "read" {
			t.Errorf("%s %v", a.body, claims)
		}
		if _, ok := a.json["refresh_token"]; ok {
			t.Error("a refresh token for a client that cannot use it")
		}
		h.rows = h.stored()
		h.refused(t, h.post("/token", loginForm("scope", "read write"), basic("fenced", appSecret)), 400, "invalid_scope")
	})

	t.Run("P8 audited and counted, never logged", func(t *testing.T) {
		h.login()
		h.post("/token", form("grant_type", "password", "username", "alice", "password", "a wrong guess"), app).want(t, 400, "invalid_grant")
		var last storage.Event
		must(t, h.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(r storage.Row) error {
			rec, err := storage.Decode[storage.Event](r)
			last = rec.Value
			return err
		}))
		if last.Type != events.SessionStarted || last.Subject != "u-alice" || last.ClientID != "app" || last.Source == "" || last.Session == "" {
			t.Errorf("the login's event is %+v", last)
		}
		w := httptest.NewRecorder()
		h.server.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		page, err := io.ReadAll(w.Body)
		must(t, err)
		lines := strings.Split(string(page), "\n")
		for _, want := range []string{
			`jeton_acts_total{act="password",client_id="app",outcome="ok"} 3`,
			`jeton_acts_total{act="password",client_id="fenced",outcome="ok"} 1`,
			`jeton_acts_total{act="password",client_id="no-refresh_token",outcome="unauthorized_client"} 2`,
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("the metrics have no line %s", want)
			}
		}
		line := h.lastLine()
		if line["error"] != "invalid_grant" || line["client_id"] != "app" || line["grant_type"] != "password" || line["source"] != "127.0.0.1" {
			t.Errorf("the failed login's line is %v", line)
		}
		for _, secret := range []string{password, "a wrong guess"} {
			if strings.Contains(h.log.String(), secret) || strings.Contains(string(page), secret) {
				t.Errorf("%q was logged", secret)
			}
		}
	})
}
