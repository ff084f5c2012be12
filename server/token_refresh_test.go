package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

func TestTokenRefresh(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	operator := accounts.Act{Operator: true, By: "operator"}
	h := n.holder()
	// over checks that a session has ended for good.
	over := func(t *testing.T, h *holder) {
		t.Helper()
		a := h.refresh(h.refreshToken)
		a.want(t, 400, "invalid_grant")
		a.wellFormed(t)
		if h.active(h.access) {
			t.Error("an access token outlived its session")
		}
	}
	ended := func(t *testing.T, h *holder) storage.Session {
		t.Helper()
		ses, err := h.grants.FindSession(t.Context(), segment(t, h.access, 1)["sid"].(string))
		must(t, err)
		if ses.Value.Ended == nil {
			t.Fatal("the session has not ended")
		}
		return ses.Value
	}

	t.Run("R2 another client's token", func(t *testing.T) {
		before := len(n.lines(0))
		h.refused(t, h.post("/token", h.refreshForm(), basic("other", apiSecret)), 400, "invalid_grant")
		h.refused(t, h.post("/token", h.refreshForm("client_id", "spa")), 400, "invalid_grant")
		var warned []string
		for _, line := range n.lines(before) {
			if line["level"] == "WARN" && line["owner"] == "app" && line["source"] == "127.0.0.1" {
				warned = append(warned, line["client_id"].(string))
			}
		}
		if len(warned) != 2 || warned[0] != "other" || warned[1] != "spa" {
			t.Errorf("warnings name %q", warned)
		}
		// A spent token in foreign hands ends nothing either.
		spent := h.refreshToken
		h.rotate(t)
		h.refused(t, h.post("/token", form("grant_type", "refresh_token", "refresh_token", spent), basic("other", apiSecret)), 400, "invalid_grant")
	})

	t.Run("R6 R7 a public client's token works once", func(t *testing.T) {
		login := n.post("/token", loginForm("client_id", "spa"))
		login.want(t, 200, "")
		all := []answer{login}
		for range 3 {
			a := n.post("/token", form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", all[len(all)-1].str("refresh_token")))
			a.want(t, 200, "")
			for _, old := range all {
				if old.str("refresh_token") == a.str("refresh_token") || old.str("access_token") == a.str("access_token") {
					t.Fatal("the same token again")
				}
				if !n.active(old.str("access_token")) {
					t.Fatal("an ordinary refresh ended an older access token")
				}
			}
			all = append(all, a)
		}
		replay := form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", all[2].str("refresh_token"))
		n.post("/token", replay).want(t, 400, "invalid_grant")
		for i, a := range all {
			n.post("/token", form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", a.str("refresh_token"))).want(t, 400, "invalid_grant")
			if n.active(a.str("access_token")) {
				t.Errorf("access token %d outlived the reuse", i)
			}
		}
		spa := &holder{node: n, access: login.str("access_token")}
		if end := ended(t, spa).Ended; end.Reason != storage.ReasonReuse || end.By != "server" {
			t.Errorf("ended: %+v", end)
		}
		h.rows = h.stored()
		h.rotate(t) // the other session of the same user lives
	})

	t.Run("R14 R16 a token that is not a refresh token of ours", func(t *testing.T) {
		parts := strings.Split(h.refreshToken, ".")
		machine := n.post("/token", form("grant_type", "client_credentials"), app).str("access_token")
		forged := map[string]string{
			"an access token":         h.access,
			"a client's access token": machine,
			"garbage":                 "garbage",
			"two dots":                "..",
			"no signature":            parts[0] + "." + parts[1] + ".",
			"two parts":               parts[0] + "." + parts[1],
			"four parts":              h.refreshToken + ".x",
			"a newline":               h.refreshToken + "\n",
			"a space":                 " " + h.refreshToken,
			"padding":                 h.refreshToken + "=",
			"alg none":                encode(`{"alg":"none","typ":"rt+jwt"}`) + "." + parts[1] + ".",
			"alg none, signature":     encode(`{"alg":"none","typ":"rt+jwt"}`) + "." + parts[1] + "." + parts[2],
			"the access token's head": strings.Split(h.access, ".")[0] + "." + parts[1] + "." + parts[2],
			"a later generation":      parts[0] + "." + change(t, parts[1], "gen", 1e9) + "." + parts[2],
			"another sub":             parts[0] + "." + change(t, parts[1], "sub", "u-bob") + "." + parts[2],
			"60 KB":                   strings.Repeat("a.", 30_000),
			"NUL in base64":           encode(`{"alg":"HS256","kid":"\u0000"}`) + "." + parts[1] + "." + parts[2],
		}
		for what, token := range forged {
			t.Run(what, func(t *testing.T) { h.refused(t, h.refresh(token), 400, "invalid_grant") })
		}
		t.Run("any other byte", func(t *testing.T) {
			token := h.refreshToken
			for i := 0; i < len(token); i += 1 + len(token)/97 {
				h.post("/token", form("grant_type", "refresh_token", "refresh_token", token[:i]+flip(token[i])+token[i+1:]), app).want(t, 400, "invalid_grant")
			}
			last := len(token) - 1
			for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
				if byte(c) != token[last] {
					h.refused(t, h.refresh(token[:last]+string(c)), 400, "invalid_grant")
					token = h.refreshToken
				}
			}
		})
		for _, where := range []string{"/introspect", "/token", "/revoke"} {
			a := h.post(where, form("token", h.access, "grant_type", "client_credentials"), header("Authorization", "Bearer "+h.refreshToken))
			h.refused(t, a, 401, "invalid_client")
		}
		if a := h.do("GET", "/admin/v1/users", "", "", header("Authorization", "Bearer "+h.refreshToken)); a.StatusCode != 401 {
			t.Errorf("a refresh token at the admin API: %d", a.StatusCode)
		}
		if h.active(h.refreshToken) {
			t.Error("a refresh token is introspected as active")
		}
	})

	t.Run("R12 R17 what ends sessions ends them at once", func(t *testing.T) {
		for what, act := range map[string]func(t *testing.T, h *holder){
			"revocation": func(t *testing.T, h *holder) { h.revoke(h.refreshToken).want(t, 200, "") },
			"password": func(t *testing.T, h *holder) {
				_, err := n.users.SetPassword(t.Context(), "alice", password, operator)
				must(t, err)
			},
			"disabled": func(t *testing.T, h *holder) {
				_, err := n.users.Disable(t.Context(), "alice", operator)
				must(t, err)
				n.post("/token", loginForm(), app).want(t, 400, "invalid_grant")
				over(t, h)
				_, err = n.users.Enable(t.Context(), "alice", operator)
				must(t, err)
			},
		} {
			t.Run(what, func(t *testing.T) {
				h := n.holder()
				act(t, h)
				over(t, h)
				over(t, h)
			})
		}
	})

	t.Run("R17 the client is disabled", func(t *testing.T) {
		h := n.holder()
		_, err := n.clients.Disable(t.Context(), "app", operator)
		must(t, err)
		h.refresh(h.refreshToken).want(t, 401, "invalid_client")
		if h.active(h.access) {
			t.Error("an access token outlived its client")
		}
		_, err = n.clients.Enable(t.Context(), "app", operator)
		must(t, err)
		over(t, h)
	})
}

func TestR10_TokenLifetimes(t *testing.T) {
	n := start(t, options{settings: func(s *grants.Settings) { s.RefreshTokenTTL, s.SessionTTL = time.Hour, 3*time.Hour }})
	must(t, n.addClient(accounts.NewClient{ID: "short", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To(grants.Types()), RedirectURIs: accounts.To([]string{callback}), AccessTTL: accounts.To(storage.Duration(20 * time.Minute)),
		RefreshTTL: accounts.To(storage.Duration(30 * time.Minute)), SessionTTL: accounts.To(storage.Duration(time.Hour))}}))
	for id, c := range map[string]struct {
		idle, end, access time.Duration
	}{"app": {time.Hour, 3 * time.Hour, 30 * time.Minute}, "short": {30 * time.Minute, time.Hour, 20 * time.Minute}} {
		t.Run(id, func(t *testing.T) {
			send := func(f url.Values) answer { t.Helper(); return n.post("/token", f, basic(id, appSecret)) }
			again := func(a answer) answer {
				t.Helper()
				return send(form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token")))
			}

			idle := send(loginForm())
			n.clock.Add(c.idle)
			again(idle).want(t, 400, "invalid_grant")

			begun := n.clock.Now()
			a := send(loginForm())
			for n.clock.Now().Add(c.idle - time.Second).Before(begun.Add(c.end)) {
				n.clock.Add(c.idle - time.Second)
				a = again(a)
				a.want(t, 200, "")
				left := begun.Add(c.end).Sub(n.clock.Now())
				if want := min(c.access, left).Seconds(); a.json["expires_in"] != want {
					t.Errorf("expires_in %v, want %v", a.json["expires_in"], want)
				}
				claims := segment(t, a.str("refresh_token"), 1)
				if exp := time.Unix(int64(claims["exp"].(float64)), 0); exp.After(begun.Add(c.end)) {
					t.Errorf("a refresh token outlives its session: %v after %v", exp, begun.Add(c.end))
				}
			}
			n.clock.Add(begun.Add(c.end).Sub(n.clock.Now()))
			if n.active(a.str("access_token")) {
				t.Error("an access token outlived its session")
			}
			again(a).want(t, 400, "invalid_grant")
		})
	}
}

// encode is one part of a JWT.
func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// change sets one claim of an encoded part.
func change(t *testing.T, part, name string, value any) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	must(t, err)
	var m map[string]any
	must(t, json.Unmarshal(raw, &m))
	m[name] = value
	raw, err = json.Marshal(m)
	must(t, err)
	return encode(string(raw))
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}
