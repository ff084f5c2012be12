package server_test

import (
	"fmt"
	"slices"
	"testing"

	"jeton/grants"
	"jeton/storage"
)

// bits waits until the published lists say of all tokens what they should.
func (n *node) bits(t testing.TB, what string, revoked bool, tokens ...string) {
	t.Helper()
	for _, token := range tokens {
		if revoked {
			within(t, what+": the bit is set", func() bool { return n.bit(t, token) })
		} else if n.bit(t, token) {
			t.Errorf("%s: the bit of a live token is set", what)
		}
	}
}

// gone checks that access tokens are inactive, and revoked in the lists.
func (n *node) gone(t testing.TB, what string, tokens ...string) {
	t.Helper()
	for i, token := range tokens {
		if n.active(token) {
			t.Errorf("%s: token %d is active", what, i)
		}
	}
	n.bits(t, what, true, tokens...)
}

// there is alive, in the lists too. Ask it after gone, which waits for the lists.
func (n *node) there(t testing.TB, what string, tokens ...string) {
	t.Helper()
	n.alive(t, what, tokens...)
	n.bits(t, what, false, tokens...)
}

func with(on grants.Reactions) options {
	return options{settings: func(s *grants.Settings) { s.On = on }}
}

func rolesOf(t testing.TB, token string) string { return fmt.Sprint(segment(t, token, 1)["roles"]) }

// After a change of roles the user stays logged in: the old access tokens are
// refused, and the next refresh brings the new roles.
func TestL11_LosingARoleRevokesAccessTokensAlone(t *testing.T) {
	n, alice, spa, bob := three(t)
	first := alice.str("access_token")
	alice = n.refresh(alice.str("refresh_token")).ok(t, 200)
	own := n.machine("app", appSecret)
	old := []string{first, alice.str("access_token"), spa.str("access_token")}
	n.operator("PUT", "/users/alice/roles", `{"roles":["ROLE_AUDITOR"]}`).ok(t, 200)
	n.gone(t, "of before", old...)
	n.there(t, "of others", bob.str("access_token"), own)
	next := n.refresh(alice.str("refresh_token")).ok(t, 200)
	if roles := rolesOf(t, next.str("access_token")); roles != "[ROLE_AUDITOR]" {
		t.Errorf("roles %s", roles)
	}
	if sid := segment(t, next.str("access_token"), 1)["sid"]; sid != segment(t, first, 1)["sid"] {
		t.Errorf("another session: %v", sid)
	}
	other := n.post("/token", form("grant_type", "refresh_token", "refresh_token", spa.str("refresh_token"), "client_id", "spa")).ok(t, 200)
	n.there(t, "of after", next.str("access_token"), other.str("access_token"), n.login().str("access_token"))
	if e := n.events("tokens_revoked"); len(e) != 1 || e[0].Subject != "u-alice" || e[0].Reason != storage.ReasonRolesChanged || e[0].Actor != "operator" {
		t.Errorf("tokens_revoked %+v", e)
	}
	if e := n.events("session_ended"); len(n.events("roles_changed")) != 1 || len(e) != 0 {
		t.Errorf("session_ended %+v", e)
	}
	// The same roles in another order are no loss.
	n.operator("PUT", "/users/alice/roles", `{"roles":["ROLE_AUDITOR","x"]}`).ok(t, 200)
	n.operator("PUT", "/users/alice/roles", `{"roles":["x","ROLE_AUDITOR"]}`).ok(t, 200)
	n.there(t, "after a gain", next.str("access_token"))
}

// Within the window a retry after a change of roles tells the truth, and repeats
// no token that was revoked.
func TestRetryAfterALostRoleBringsANewAccessToken(t *testing.T) {
	n := start(t, options{settings: func(s *grants.Settings) { s.RefreshRetryWindow = 10e9 }})
	login := n.login()
	a := n.refresh(login.str("refresh_token")).ok(t, 200)
	n.operator("PUT", "/users/alice/roles", `{"roles":[]}`).ok(t, 200)
	b := n.refresh(login.str("refresh_token")).ok(t, 200)
	if b.str("refresh_token") != a.str("refresh_token") || b.str("access_token") == a.str("access_token") {
		t.Error("not the same refresh token with a new access token")
	}
	n.gone(t, "of before", login.str("access_token"), a.str("access_token"))
	n.there(t, "of the retry", b.str("access_token"))
}

func TestReactionsToRoles(t *testing.T) {
	for name, c := range map[string]struct {
		on         grants.Reactions
		roles      string
		gone, over bool
	}{
		"gained":                    {grants.Reactions{}, `["ROLE_USER","x"]`, false, false},
		"gained, revoke":            {grants.Reactions{RolesGained: grants.RevokeAccessTokens}, `["ROLE_USER","x"]`, true, false},
		"lost, nothing":             {grants.Reactions{RolesLost: grants.DoNothing}, `[]`, false, false},
		"lost, end":                 {grants.Reactions{RolesLost: grants.EndAllSessions}, `["x"]`, true, true},
		"lost and gained":           {grants.Reactions{RolesLost: grants.DoNothing, RolesGained: grants.RevokeAccessTokens}, `["x"]`, true, false},
		"gained, the loss would do": {grants.Reactions{RolesLost: grants.EndAllSessions}, `["ROLE_USER","x"]`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, with(c.on))
			a := n.login()
			n.operator("PUT", "/users/alice/roles", `{"roles":`+c.roles+`}`).ok(t, 200)
			if c.gone {
				n.gone(t, name, a.str("access_token"))
			} else {
				n.there(t, name, a.str("access_token"))
			}
			next := n.refresh(a.str("refresh_token"))
			if c.over {
				next.want(t, 400, "invalid_grant")
				return
			}
			next.ok(t, 200)
		})
	}
}

// Who changes their own password stays logged in where they do it.
func TestReactionsToOnesOwnNewPassword(t *testing.T) {
	for name, c := range map[string]struct {
		on          grants.Reaction
		here, there bool // still alive
	}{
		"default": {"", true, false}, "end_all_sessions": {grants.EndAllSessions, false, false}, "nothing": {grants.DoNothing, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := startAdmin(t, with(grants.Reactions{PasswordChange: c.on}))
			here := n.post("/token", form("grant_type", "password", "username", "root", "password", "through the looking-glass", "scope", "jeton:admin"), basic("console", consoleSecret)).ok(t, 200)
			there := n.post("/token", form("grant_type", "password", "username", "root", "password", "through the looking-glass"), app).ok(t, 200)
			n.bearer("PUT", "/users/root/password", `{"password":"and what she found there"}`, here.str("access_token")).ok(t, 200)
			for _, s := range []struct {
				lives  bool
				tokens answer
				client func() answer
			}{
				{c.here, here, func() answer {
					return n.post("/token", form("grant_type", "refresh_token", "refresh_token", here.str("refresh_token")), basic("console", consoleSecret))
				}},
				{c.there, there, func() answer { return n.refresh(there.str("refresh_token")) }},
			} {
				if s.lives {
					n.there(t, "the session", s.tokens.str("access_token"))
					s.client().ok(t, 200)
				} else {
					n.gone(t, "the session", s.tokens.str("access_token"))
					s.client().want(t, 400, "invalid_grant")
				}
			}
			sid := segment(t, here.str("access_token"), 1)["sid"]
			e := n.events("password_changed")
			if len(e) != 1 || e[0].Actor != e[0].Subject || len(n.events("password_reset")) != 0 {
				t.Errorf("password_changed %+v", e)
			}
			if ended := n.events("sessions_ended"); c.here != c.there && (len(ended) != 1 || ended[0].Kept != sid || ended[0].Reason != storage.ReasonPasswordChanged) {
				t.Errorf("sessions_ended %+v, the session kept is %v", ended, sid)
			}
		})
	}
}

func TestReactionsToAPasswordThatSomebodyElseSets(t *testing.T) {
	for on, lives := range map[grants.Reaction]bool{"": false, grants.DoNothing: true} {
		n := start(t, with(grants.Reactions{PasswordReset: on, PasswordChange: grants.DoNothing}))
		a := n.login()
		n.operator("PUT", "/users/alice/password", `{"password":"and what she found there"}`).ok(t, 200)
		n.post("/token", loginForm(), app).want(t, 400, "invalid_grant")
		if lives {
			n.there(t, string(on), a.str("access_token"))
		} else {
			n.gone(t, string(on), a.str("access_token"))
		}
		if len(n.events("password_reset")) != 1 {
			t.Error("no event")
		}
	}
}

// A client that revokes a refresh token, and a spent one that comes back.
func TestReactionsToLogoutAndReuse(t *testing.T) {
	for name, act := range map[string]func(*node, answer){
		"logout": func(n *node, a answer) { n.revoke(a.str("refresh_token")).revoked(n.t, "logout") },
		"reuse": func(n *node, a answer) {
			n.refresh(a.str("refresh_token")).ok(n.t, 200)
			n.refresh(a.str("refresh_token")).want(n.t, 400, "invalid_grant")
		},
	} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, all %t", name, all), func(t *testing.T) {
				n, alice, spa, bob := three(t)
				if all {
					n.grants.Settings.On = grants.Reactions{Logout: grants.EndAllSessions, Reuse: grants.EndAllSessions}
				}
				act(n, alice)
				n.gone(t, "the session", alice.str("access_token"))
				if all {
					n.gone(t, "the other session", spa.str("access_token"))
				} else {
					n.there(t, "the other session", spa.str("access_token"))
				}
				n.there(t, "of others", bob.str("access_token"))
				// Once more, after a new login: that began later.
				next := n.login()
				n.revoke(alice.str("refresh_token")).revoked(t, "again")
				n.refresh(alice.str("refresh_token")).want(t, 400, "invalid_grant")
				n.there(t, "of a new login", next.str("access_token"))
				if e := n.events("sessions_ended"); (len(e) == 1) != all {
					t.Errorf("sessions_ended %+v", e)
				}
			})
		}
	}
}

func TestReactionsToANewClientSecret(t *testing.T) {
	t.Parallel()
	for on, lives := range map[grants.Reaction]bool{"": true, grants.EndSessions: false} {
		n := start(t, with(grants.Reactions{ClientSecretChange: on}))
		tokens := []string{n.login().str("access_token"), n.machine("app", appSecret)}
		n.operator("POST", "/clients/app/secret", `{"client_secret":"`+apiSecret+`"}`).ok(t, 200)
		if lives {
			n.there(t, "nothing", tokens...)
		} else {
			n.gone(t, "end_sessions", tokens...)
		}
		if len(n.events("client_secret_changed")) != 1 {
			t.Error("no event")
		}
	}
}

// A client that loses a scope or an audience: tokens that have it are revoked,
// its own too; sessions go on without.
func TestL11_NarrowingAClientRevokesItsAccessTokens(t *testing.T) {
	t.Parallel()
	n, alice, spa, bob := three(t)
	own, others := n.machine("app", appSecret), n.machine("other", apiSecret)
	n.operator("PATCH", "/clients/app", `{"scope":"read write more"}`).ok(t, 200)
	n.there(t, "after a gain", alice.str("access_token"), own)
	n.operator("PATCH", "/clients/app", `{"scope":"read"}`).ok(t, 200)
	n.gone(t, "of the client", alice.str("access_token"), own, bob.str("access_token"))
	n.there(t, "of another", spa.str("access_token"), others)
	alice = n.refresh(alice.str("refresh_token")).ok(t, 200)
	if alice.str("scope") != "read" {
		t.Errorf("scope %q", alice.str("scope"))
	}
	own = n.machine("app", appSecret)
	n.there(t, "of after", alice.str("access_token"), own)
	n.operator("PATCH", "/clients/app", `{"audience":["https://api.example"]}`).ok(t, 200)
	n.gone(t, "for the audience of before", alice.str("access_token"), own)
	alice = n.refresh(alice.str("refresh_token")).ok(t, 200)
	if aud := segment(t, alice.str("access_token"), 1)["aud"]; !slices.Equal(aud.([]any), []any{"https://api.example"}) {
		t.Errorf("aud %v", aud)
	}
	if e := n.events("tokens_revoked"); len(e) != 2 || e[0].ClientID != "app" || e[0].Subject != "" || e[0].Reason != storage.ReasonClientChanged {
		t.Errorf("tokens_revoked %+v", e)
	}
}

// RFC 7009 on a JWT access token: inactive at once, its bit set, its siblings
// and its session alive.
func TestV9_L11_OneAccessTokenAlone(t *testing.T) {
	n := start(t, options{})
	login := n.login()
	first := login.str("access_token")
	a := n.refresh(login.str("refresh_token")).ok(t, 200)
	second := a.str("access_token")
	n.revoke(first).revoked(t, "an access token")
	n.gone(t, "it", first)
	n.there(t, "its sibling", second)
	n.there(t, "of the session", n.refresh(a.str("refresh_token")).ok(t, 200).str("access_token"))
	if len(n.events("token_revoked")) != 1 || len(n.events("session_ended")) != 0 {
		t.Error("not one event")
	}
}
