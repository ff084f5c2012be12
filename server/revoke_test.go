package server_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

// revoked checks the answer of RFC 7009 §2.2: 200, nothing to read, nothing to
// keep.
func (a answer) revoked(t testing.TB, what string) {
	t.Helper()
	if a.StatusCode != 200 || len(a.body) != 0 || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("%s: %d %q, headers %v", what, a.StatusCode, a.body, a.Header)
	}
}

func other(r *http.Request) { basic("other", apiSecret)(r) }

func TestV1_V10_RevokedRefreshTokenIsDead(t *testing.T) {
	n := start(t, options{})
	a := n.login()
	n.revoke(a.str("refresh_token")).revoked(t, "refresh token")
	n.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
	if e := n.events("session_ended"); len(e) != 1 || e[0].Reason != storage.ReasonRevoked || e[0].Actor != "client:app" || e[0].Subject != "u-alice" || e[0].Source != "127.0.0.1" {
		t.Errorf("events %+v", e)
	}
}

func TestV2_DeadAndUnknownTokensAreNoError(t *testing.T) {
	n := start(t, options{})
	gone := n.login()
	n.revoke(gone.str("access_token")).revoked(t, "access token")
	n.revoke(gone.str("refresh_token")).revoked(t, "refresh token")
	ownToken := n.machine("app", appSecret)
	n.revoke(ownToken).revoked(t, "client's own token")

	h := n.holder()
	h.clock.Add(time.Minute)
	alien := start(t, options{}).login() // of another server, whose keys nobody here knows
	for what, token := range map[string]string{
		"garbage": "x", "three parts": "a.b.c", "dots": "..", "binary": "\x01\x02", "not ASCII": "é", "a space": " ",
		"long": strings.Repeat("A", 20<<10), "revoked access token": gone.str("access_token"), "revoked refresh token": gone.str("refresh_token"),
		"revoked client's own token": ownToken, "forged access token": forged(h.access), "forged refresh token": forged(h.refreshToken),
		"another server's access token": alien.str("access_token"), "another server's refresh token": alien.str("refresh_token"),
	} {
		n.revoke(token).revoked(t, what)
		n.revoke(token, "token_type_hint", "refresh_token").revoked(t, what)
	}
	if now := n.stored(); !maps.Equal(now, h.rows) {
		t.Errorf("%d rows, before %d", len(now), len(h.rows))
	}
	old := h.access
	h.clock.Add(31 * time.Minute)
	n.revoke(old).revoked(t, "expired access token")
	h.rotate(t)
	old = h.refreshToken
	h.clock.Add(16 * storage.Day)
	n.revoke(old).revoked(t, "expired refresh token")
	h.clock.Add(200 * storage.Day)
	n.revoke(old).revoked(t, "refresh token of a session that is forgotten")
}

// forged is a token with one character of its signature changed.
func forged(token string) string {
	i := strings.LastIndexByte(token, '.') + 3
	c := "A"
	if token[i] == 'A' {
		c = "B"
	}
	return token[:i] + c + token[i+1:]
}

func TestV3_TokenIsRequiredOnce(t *testing.T) {
	h := start(t, options{}).holder()
	h.refused(t, h.post("/revoke", form(), app), 400, "invalid_request")
	h.refused(t, h.post("/revoke", form("token", ""), app), 400, "invalid_request")
	h.refused(t, h.post("/revoke", form("token_type_hint", "refresh_token"), app), 400, "invalid_request")
	h.refused(t, h.post("/revoke", form("token", h.refreshToken, "token", h.refreshToken), app), 400, "invalid_request")
	h.refused(t, h.post("/revoke", form("token", h.refreshToken, "token", ""), app), 400, "invalid_request")
	h.refused(t, h.do("POST", "/revoke?token="+h.refreshToken, "application/x-www-form-urlencoded", "", app), 400, "invalid_request")
	h.refused(t, h.post("/revoke?token="+h.refreshToken, form("token", h.refreshToken), app), 400, "invalid_request")
	h.refused(t, h.do("POST", "/revoke", "application/json", `{"token":"`+h.refreshToken+`"}`, app), 400, "invalid_request")
	h.refused(t, h.do("POST", "/revoke", "", "token="+h.refreshToken, app), 400, "invalid_request")
	h.refused(t, h.revoke(strings.Repeat("A", 65<<10)), 413, "invalid_request")
}

func TestV4_BadClientCredentialsRevokeNothing(t *testing.T) {
	h := start(t, options{}).holder()
	for what, change := range map[string]func(*http.Request){
		"wrong secret": basic("app", apiSecret), "unknown client": basic("nobody", appSecret), "no secret": basic("app", ""),
		"no credentials": func(*http.Request) {}, "a bearer token": header("Authorization", "Bearer "+h.access),
		"public client with a secret": basic("spa", appSecret),
	} {
		t.Run(what, func(t *testing.T) {
			h.refused(t, h.post("/revoke", form("token", h.refreshToken), change), 401, "invalid_client")
			h.refused(t, h.post("/revoke", form("token", h.access), change), 401, "invalid_client")
		})
	}
	h.refused(t, h.post("/revoke", form("token", h.refreshToken, "client_id", "app")), 401, "invalid_client")
	h.refused(t, h.post("/revoke", form("token", h.refreshToken, "client_id", "app", "client_secret", apiSecret)), 401, "invalid_client")
}

// The answer is one that tells whether a token is another client's, which the
// token itself says, and never whether it lives (V16).
func TestV5_V16_TokensOfOtherClientsStayAlive(t *testing.T) {
	h := start(t, options{}).holder()
	own := h.machine("app", appSecret)
	for what, token := range map[string]string{"access token": h.access, "refresh token": h.refreshToken, "client's own token": own} {
		for who, as := range map[string]func(*http.Request){"another client": other, "a client that introspects": basic("api", apiSecret)} {
			a := h.post("/revoke", form("token", token), as)
			if a.want(t, 400, "invalid_grant"); h.lastLine()["level"] != "INFO" || !strings.Contains(h.log.String(), "tried to revoke the token of another client") {
				t.Errorf("%s by %s: log %v", what, who, h.lastLine())
			}
			a.wellFormed(t)
		}
		h.post("/revoke", form("token", token, "client_id", "spa")).want(t, 400, "invalid_grant")
	}
	h.alive(t, "after foreign revocations", h.access, own)
	alive := h.post("/revoke", form("token", h.refreshToken), other)
	h.rotate(t)
	first := h.refreshToken
	h.revoke(first).revoked(t, "by its owner")
	h.revoke(own).revoked(t, "by its owner")
	for _, token := range []string{first, h.access, own} {
		dead := h.post("/revoke", form("token", token), other)
		if dead.StatusCode != alive.StatusCode || string(dead.body) != string(alive.body) {
			t.Errorf("V16 of a dead token %d %s, of a live one %d %s", dead.StatusCode, dead.body, alive.StatusCode, alive.body)
		}
	}
}

func TestV6_HintsChangeNothing(t *testing.T) {
	n := start(t, options{})
	for _, hint := range []string{"access_token", "refresh_token", "foo", "id_token", ""} {
		own := n.machine("app", appSecret)
		n.revoke(own, "token_type_hint", hint).revoked(t, hint)
		n.dead(t, "client's own token, hint "+hint, own)
	}
	for _, hint := range []string{"access_token", "refresh_token", "foo"} {
		a := n.login()
		n.revoke(a.str("access_token"), "token_type_hint", hint).revoked(t, hint)
		n.dead(t, "access token, hint "+hint, a.str("access_token"))
		a = n.refresh(a.str("refresh_token")).ok(t, 200)
		n.revoke(a.str("refresh_token"), "token_type_hint", hint).revoked(t, hint)
		n.dead(t, "of refresh token, hint "+hint, a.str("access_token"))
		n.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
	}
	n.post("/revoke", form("token", "x", "token_type_hint", "a", "token_type_hint", "b"), app).want(t, 400, "invalid_request")
}

// Every kind of token there is can be revoked, so unsupported_token_type is
// never the answer, and 200 never a lie.
func TestV7_WhatIsSaidToBeRevokedIs(t *testing.T) {
	h := start(t, options{}).holder()
	loggedIn := h.access
	h.rotate(t)
	refreshed := h.access
	for _, token := range []string{loggedIn, refreshed, h.machine("app", appSecret)} {
		h.alive(t, "before", token)
		h.revoke(token).revoked(t, "access token")
		h.dead(t, "after", token)
	}
	h.revoke(h.refreshToken).revoked(t, "refresh token")
	h.refresh(h.refreshToken).want(t, 400, "invalid_grant")
}

func TestV8_V19_RevokingASessionRevokesItsAccessTokens(t *testing.T) {
	n := start(t, options{})
	bystander, own := n.login().str("access_token"), n.machine("app", appSecret)
	h := n.holder()
	tokens := []string{h.access}
	for range 3 {
		h.rotate(t)
		tokens = append(tokens, h.access)
	}
	n.alive(t, "before", tokens...)
	h.revoke(h.refreshToken).revoked(t, "V8")
	n.dead(t, "V8", tokens...)

	// The same by hand, of one session (V19: until there are pages for it).
	h = n.holder()
	h.rotate(t)
	sid := segment(t, h.access, 1)["sid"].(string)
	n.operator("POST", "/sessions/revoke", `{"sid":"`+sid+`","reason":"asked for"}`).ok(t, 200)
	n.dead(t, "V19", h.access)
	h.refresh(h.refreshToken).want(t, 400, "invalid_grant")
	n.alive(t, "others", bystander, own)
}

func TestV9_RevokingAnAccessTokenLeavesTheSession(t *testing.T) {
	h := start(t, options{}).holder()
	first := h.access
	h.rotate(t)
	second := h.access
	h.rotate(t)
	h.revoke(second).revoked(t, "access token")
	h.dead(t, "the one", second)
	h.alive(t, "its siblings", first, h.access)
	h.rotate(t)
	h.alive(t, "a later one", h.access)
	h.dead(t, "still", second)
}

func TestV11_AnotherNodeKnowsAtOnce(t *testing.T) {
	n := start(t, options{})
	p := n.peer()
	h, own := n.holder(), n.machine("app", appSecret)
	p.alive(t, "before", h.access, own) // and the peer has cached what it caches
	first := h.access
	h.rotate(t)
	n.revoke(first).revoked(t, "access token")
	n.revoke(own).revoked(t, "client's own token")
	p.dead(t, "on the peer", first, own)
	p.alive(t, "on the peer", h.access)
	n.revoke(h.refreshToken).revoked(t, "refresh token")
	p.dead(t, "on the peer", h.access)
	p.refresh(h.refreshToken).want(t, 400, "invalid_grant")
}

func TestV12_PublicClientRevokesItsOwn(t *testing.T) {
	n := start(t, options{})
	foreign := n.login()
	a := n.post("/token", loginForm("client_id", "spa")).ok(t, 200)
	spa := func(token string, more ...string) answer {
		return n.post("/revoke", form(append([]string{"token", token}, more...)...))
	}
	spa(foreign.str("refresh_token"), "client_id", "spa").want(t, 400, "invalid_grant")
	spa(foreign.str("access_token"), "client_id", "spa").want(t, 400, "invalid_grant")
	spa(a.str("refresh_token")).want(t, 401, "invalid_client")
	spa(a.str("refresh_token"), "client_id", "spa", "client_secret", "x").want(t, 401, "invalid_client")
	n.revoke(a.str("refresh_token")).want(t, 400, "invalid_grant")
	n.alive(t, "so far", a.str("access_token"), foreign.str("access_token"))
	spa(a.str("access_token"), "client_id", "spa").revoked(t, "access token")
	n.dead(t, "its own", a.str("access_token"))
	spa(a.str("refresh_token"), "client_id", "spa").revoked(t, "refresh token")
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token"), "client_id", "spa")).want(t, 400, "invalid_grant")
	n.alive(t, "the other's", foreign.str("access_token"))
}

func TestV14_PagesOfListedOriginsRevoke(t *testing.T) {
	n := start(t, options{})
	const spa, stranger = "https://spa.example", "https://evil.example"
	preflight := func(origin string) answer {
		return n.do("OPTIONS", "/revoke", "", "", header("Origin", origin), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "content-type"))
	}
	a := preflight(spa)
	if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != spa || a.Header.Get("Access-Control-Allow-Methods") != "POST" ||
		!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight: %d %v", a.StatusCode, a.Header)
	}
	answers := []answer{a}
	for _, origin := range []string{stranger, "null", "https://spa.example.evil.example", "https://SPA.example", "http://spa.example", "https://spa.exampl"} {
		a := preflight(origin)
		if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("preflight of %s: %d %v", origin, a.StatusCode, a.Header)
		}
		answers = append(answers, a)
	}
	tokens := n.post("/token", loginForm("client_id", "spa")).ok(t, 200)
	for origin, want := range map[string]string{spa: spa, stranger: "", "null": ""} {
		a := n.post("/revoke", form("token", tokens.str("access_token"), "client_id", "spa"), header("Origin", origin))
		if a.revoked(t, origin); a.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("of %s: %v", origin, a.Header)
		}
		answers = append(answers, a)
	}
	n.dead(t, "from a page", tokens.str("access_token"))
	// A client that lists no origin is not for pages, whoever else lists one.
	a = n.post("/revoke", form("token", "x"), app, header("Origin", spa))
	if a.revoked(t, "app"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("app's answer to a page: %v", a.Header)
	}
	for _, a := range append(answers, a) {
		if a.Header.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("headers %v", a.Header)
		}
	}
}

func TestV15_V16_OnlyPostRevokes(t *testing.T) {
	h := start(t, options{}).holder()
	for _, query := range []string{"", "?callback=x", "?token=" + h.refreshToken + "&client_id=app&callback=x"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
			a := h.do(method, "/revoke"+query, "", "", app)
			if a.StatusCode != 405 || a.Header.Get("Allow") != "POST" || a.Header.Get("Content-Type") != "application/json" ||
				a.Header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(string(a.body), "x(") {
				t.Errorf("%s %q: %d %v %s", method, query, a.StatusCode, a.Header, a.body)
			}
		}
	}
	a := h.do("POST", "/revoke?callback=x", "application/x-www-form-urlencoded", "token=y", app)
	a.revoked(t, "V15 POST with a callback")
	h.rotate(t)
}

func TestV17_SpentRefreshTokenOfItsOwnerEndsTheSession(t *testing.T) {
	h := start(t, options{}).holder()
	first, tokens := h.refreshToken, []string{h.access}
	for range 2 {
		h.rotate(t)
		tokens = append(tokens, h.access)
	}
	h.post("/revoke", form("token", first), other).want(t, 400, "invalid_grant")
	h.alive(t, "so far", tokens...)
	h.revoke(first).revoked(t, "spent refresh token")
	h.dead(t, "of the session", tokens...)
	h.refresh(h.refreshToken).want(t, 400, "invalid_grant")
	if e := h.events("session_ended"); len(e) != 1 || e[0].Reason != storage.ReasonRevoked {
		t.Errorf("events %+v", e)
	}
}

// Everything of one user, by hand.
func TestV18_EverythingOfOneUserIsRevoked(t *testing.T) {
	n, aliceApp, aliceSpa, bobApp := three(t)
	own := n.machine("app", appSecret)
	n.operator("POST", "/sessions/revoke", `{"username":"sub:u-alice","reason":"left"}`).ok(t, 200)
	n.dead(t, "of alice", aliceApp.str("access_token"), aliceSpa.str("access_token"))
	n.alive(t, "of others", bobApp.str("access_token"), own)
	n.refresh(aliceApp.str("refresh_token")).want(t, 400, "invalid_grant")
	n.refresh(bobApp.str("refresh_token")).ok(t, 200)
	n.login() // proves anew who she is
	n.operator("POST", "/sessions/revoke", `{"username":"sub:u-nobody","reason":"left"}`).want(t, 404, "not_found")
	n.bearer("POST", "/sessions/revoke", `{"username":"bob","reason":"x"}`, "").want(t, 401, "invalid_token")
	n.do("POST", "/revoke", "application/json", `{"sub_id":{"format":"iss_sub","iss":"`+n.url+`","sub":"u-bob"}}`, app).want(t, 400, "invalid_request")
}
