package server_test

import (
	"testing"
	"time"

	"jeton/accounts"
)

// A code is worth nothing once what it stands for has ended, whoever ended it.
func TestWhatEndsACodeThatIsUnderWay(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*node, *browser){
		"sessions of the user": func(n *node, _ *browser) {
			n.operator("POST", "/sessions/revoke", `{"username":"alice","reason":"x"}`).ok(n.t, 200)
		},
		"sessions of the client": func(n *node, _ *browser) {
			n.operator("POST", "/sessions/revoke", `{"client_id":"app","reason":"x"}`).ok(n.t, 200)
		},
		"all sessions": func(n *node, _ *browser) {
			n.operator("POST", "/sessions/revoke", `{"all":true,"reason":"x"}`).ok(n.t, 200)
		},
		"the password": func(n *node, _ *browser) {
			must(n.t, second(n.users.SetPassword(n.t.Context(), "alice", password+"!", accounts.Act{})))
		},
		"the user":     func(n *node, _ *browser) { must(n.t, second(n.users.Disable(n.t.Context(), "alice", accounts.Act{}))) },
		"the client":   func(n *node, _ *browser) { must(n.t, second(n.clients.Disable(n.t.Context(), "app", accounts.Act{}))) },
		"the sign-in":  func(n *node, b *browser) { b.submit(b.load("GET", n.url+"/end_session", nil), "signout") },
		"the scope":    func(n *node, _ *browser) { n.setApp(`{"scope":"write"}`) },
		"the resource": func(n *node, _ *browser) { n.setApp(`{"audience":["https://elsewhere.example"]}`) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n := start(t, options{})
			n.setApp(`{"audience":["https://api.example"]}`)
			b := n.browser()
			code := b.code(ask("resource", "https://api.example"))
			end(n, b)
			n.clock.Add(2 * time.Second)
			if a := n.redeem(code, app); a.StatusCode < 400 || a.StatusCode > 499 || a.str("access_token") != "" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if _, sessions, _ := n.made(); sessions != 0 {
				t.Errorf("%d sessions", sessions)
			}
		})
	}
}
