package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

func api(r *http.Request) { basic("api", apiSecret)(r) }

func (n *node) introspect(token string, change ...func(*http.Request)) answer {
	n.t.Helper()
	return n.post("/introspect", form("token", token), change...)
}

// inactive checks the one answer to all that is not an active token of the
// caller's (RFC 7662 §2.2): nothing more, byte for byte.
func (a answer) inactive(t testing.TB, what string) {
	t.Helper()
	if a.StatusCode != 200 || string(a.body) != `{"active":false}` || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s, headers %v", what, a.StatusCode, a.body, a.Header)
	}
}

func TestI1_CallersProveWhoTheyAre(t *testing.T) {
	h := start(t, options{}).holder()
	h.introspect(h.access, api).ok(t, 200)
	for what, change := range map[string]func(*http.Request){
		"no credentials": func(*http.Request) {}, "wrong secret": basic("api", appSecret), "unknown client": basic("nobody", apiSecret),
		"bearer": header("Authorization", "Bearer "+h.access), "no secret": basic("api", ""),
	} {
		t.Run(what, func(t *testing.T) { h.refused(t, h.introspect(h.access, change), 401, "invalid_client") })
	}
	// A public client has proved nothing, and its own token would be an oracle
	// for whoever found one.
	h.refused(t, h.post("/introspect", form("token", h.access, "client_id", "spa")), 401, "invalid_client")
	h.refused(t, h.post("/introspect", form("token", h.access, "client_id", "api")), 401, "invalid_client")
	h.post("/introspect", form("token", h.access, "client_id", "api", "client_secret", apiSecret)).ok(t, 200)
}

func TestI2_I8_I9_ActiveTokensAreDescribed(t *testing.T) {
	n := start(t, options{})
	a := n.login("scope", "read")
	n.clock.Add(time.Minute)
	a = n.refresh(a.str("refresh_token")).ok(t, 200)
	claims := segment(t, a.str("access_token"), 1)
	got := n.introspect(a.str("access_token"), api)
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("I9: headers %v", got.Header)
	}
	login := n.clock.Now().Add(-time.Minute).Unix()
	want := fmt.Sprintf(`{"active":true,"scope":"read","client_id":"app","username":"alice","token_type":"Bearer","exp":%d,"iat":%d,"sub":"u-alice",`+
		`"aud":[%q],"iss":%q,"jti":%q,"sid":%q,"roles":["ROLE_USER"],"auth_time":%d,"amr":["pwd"]}`,
		login+60+1800, login+60, n.url, n.url, claims["jti"], claims["sid"], login)
	same(t, got.body, want)
	// What is told is what the token says.
	delete(claims, "status") // for those who do not ask
	for name, value := range claims {
		if !reflect.DeepEqual(got.json[name], value) {
			t.Errorf("%s is %v, in the token %v", name, got.json[name], value)
		}
	}
	own := n.machine("app", appSecret, "scope", "write")
	now := n.clock.Now().Unix()
	same(t, n.introspect(own, api).body, fmt.Sprintf(`{"active":true,"scope":"write","client_id":"app","token_type":"Bearer","exp":%d,"iat":%d,"sub":"app","aud":[%q],"iss":%q,"jti":%q}`,
		now+1800, now, n.url, n.url, segment(t, own, 1)["jti"]))
}

// same compares JSON with numbers as they are written: dates are integers.
func same(t *testing.T, got []byte, want string) {
	t.Helper()
	read := func(text []byte) (v map[string]any) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		must(t, d.Decode(&v))
		return v
	}
	if g, w := read(got), read([]byte(want)); !reflect.DeepEqual(g, w) {
		t.Errorf("got  %v\nwant %v", g, w)
	}
}

func TestI3_EverythingElseIsInactiveAndNothingMore(t *testing.T) {
	n := start(t, options{})
	h, alien := n.holder(), start(t, options{}).login()
	own := n.machine("app", appSecret)
	for what, token := range map[string]string{
		"garbage": "x", "three parts": "a.b.c", "a space": " ", "long": strings.Repeat("A", 20<<10), "forged": forged(h.access),
		"forged own": forged(own), "another server's": alien.str("access_token"), "with a tail": h.access + ".x", "cut off": h.access[:len(h.access)-1],
	} {
		n.introspect(token, api).inactive(t, what)
		n.introspect(token, app).inactive(t, what)
	}
	n.alive(t, "so far", h.access, own)
	n.revoke(own).revoked(t, "own")
	n.introspect(own, api).inactive(t, "revoked, client's own")
	h.clock.Add(30*time.Minute - time.Second)
	n.alive(t, "in its last second", h.access)
	h.clock.Add(time.Second)
	n.introspect(h.access, api).inactive(t, "expired")
	h.rotate(t)
	n.revoke(h.access).revoked(t, "access token")
	n.introspect(h.access, api).inactive(t, "revoked")
	h.rotate(t)
	n.revoke(h.refreshToken).revoked(t, "refresh token")
	n.introspect(h.access, api).inactive(t, "of an ended session")
}

func TestI4_TokenIsRequiredOnceByPost(t *testing.T) {
	h := start(t, options{}).holder()
	h.refused(t, h.post("/introspect", form(), api), 400, "invalid_request")
	h.refused(t, h.post("/introspect", form("token", ""), api), 400, "invalid_request")
	h.refused(t, h.post("/introspect", form("token", h.access, "token", h.access), api), 400, "invalid_request")
	h.refused(t, h.do("POST", "/introspect?token="+h.access, "application/x-www-form-urlencoded", "", api), 400, "invalid_request")
	h.refused(t, h.post("/introspect?token="+h.access, form("token", h.access), api), 400, "invalid_request")
	h.refused(t, h.do("POST", "/introspect", "application/json", `{"token":"`+h.access+`"}`, api), 400, "invalid_request")
	h.refused(t, h.introspect(strings.Repeat("A", 65<<10), api), 413, "invalid_request")
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
		a := h.do(method, "/introspect?token="+h.access, "", "", api)
		if a.StatusCode != 405 || a.Header.Get("Allow") != "POST" || strings.Contains(string(a.body), "active") {
			t.Errorf("%s: %d %v %s", method, a.StatusCode, a.Header, a.body)
		}
	}
	// An introspection is the business of servers: pages get no CORS headers,
	// not even with a refusal.
	for _, as := range []func(*http.Request){api, basic("api", appSecret)} {
		a := h.introspect(h.access, as, header("Origin", "https://spa.example"))
		if a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%d with %v", a.StatusCode, a.Header)
		}
	}
}

func TestI5_HintsChangeNothing(t *testing.T) {
	h := start(t, options{}).holder()
	for _, hint := range []string{"access_token", "refresh_token", "foo", ""} {
		a := h.post("/introspect", form("token", h.access, "token_type_hint", hint), api)
		if a.ok(t, 200); a.json["active"] != true {
			t.Errorf("hint %q: %s", hint, a.body)
		}
		h.post("/introspect", form("token", h.refreshToken, "token_type_hint", hint), api).inactive(t, "refresh token, hint "+hint)
	}
}

func TestI6_OthersTokensAreInactive(t *testing.T) {
	h := start(t, options{}).holder()
	own := h.machine("app", appSecret)
	for what, token := range map[string]string{"of a user": h.access, "of the client": own} {
		h.introspect(token, other).inactive(t, what)
		if a := h.introspect(token, app).ok(t, 200); a.json["active"] != true {
			t.Errorf("%s, asked by its own client: %s", what, a.body)
		}
	}
}

func TestI10_RefreshTokensAreNeverActive(t *testing.T) {
	h := start(t, options{}).holder()
	for what, as := range map[string]func(*http.Request){"its own client": app, "another": other, "one that introspects": api} {
		h.introspect(h.refreshToken, as).inactive(t, what)
	}
	h.rotate(t)
}

// A token whose session is forgotten is dead, though the key that signed it
// still verifies.
func TestI3_TokensOfForgottenSessions(t *testing.T) {
	h := start(t, options{}).holder()
	h.clock.Add(60 * storage.Day)
	for {
		swept, err := h.store.Sweep(t.Context(), 1000)
		if must(t, err); swept == 0 {
			break
		}
	}
	for what, as := range map[string]func(*http.Request){"api": api, "its client": app, "another client": other} {
		h.introspect(h.access, as).inactive(t, what)
		h.introspect(h.refreshToken, as).inactive(t, "refresh token, "+what)
	}
	h.revoke(h.access).revoked(t, "access token")
	h.revoke(h.refreshToken).revoked(t, "refresh token")
	h.refresh(h.refreshToken).want(t, 400, "invalid_grant")
	h.bearer("GET", "/users", "", h.access).want(t, 401, "invalid_token")
}

// Many sessions end by one commit that raises an epoch, before each is visited:
// that commit alone decides, also when the visit never comes.
func TestI3_TokensOfSessionsWhoseEndIsDecided(t *testing.T) {
	ctx := t.Context()
	for what, decide := range map[string]func(*node) error{
		"of a user": func(n *node) error {
			_, err := n.grants.ChangeUser(ctx, "u-alice", func(u *storage.User) error { u.Epoch++; return nil }, nil)
			return err
		},
		"of a client": func(n *node) error {
			_, err := n.grants.ChangeClient(ctx, "app", func(c *storage.Client) error { c.Epoch++; return nil }, nil)
			return err
		},
		"of everyone": func(n *node) error {
			_, err := n.store.Commit(ctx, storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{{Key: storage.SystemKey, Value: storage.Encode(storage.System{Epoch: 1})}}})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			n := start(t, options{})
			h := n.holder()
			must(t, decide(n))
			n.introspect(h.access, api).inactive(t, what)
			n.refresh(h.refreshToken).want(t, 400, "invalid_grant")
		})
	}
}

// Whatever ends a user's sessions ends them for good: neither enabling the user
// again nor a new user of that name brings old tokens back.
func TestI3_TokensOfUsersThatWereEnded(t *testing.T) {
	n := start(t, options{})
	h := n.holder()
	own := n.machine("app", appSecret)
	n.operator("POST", "/users/alice/disable", "").ok(t, 200)
	n.dead(t, "disabled", h.access)
	n.introspect(h.access, app).inactive(t, "disabled, asked by its client")
	n.operator("POST", "/users/alice/enable", "").ok(t, 200)
	n.dead(t, "enabled again", h.access)
	n.refresh(h.refreshToken).want(t, 400, "invalid_grant")

	second := n.holder()
	n.operator("PUT", "/users/alice/password", `{"password":"`+password+`!"}`).ok(t, 200)
	n.dead(t, "after a change of the password", second.access)
	n.operator("PUT", "/users/alice/password", `{"password":"`+password+`"}`).ok(t, 200)

	third := n.holder()
	n.operator("DELETE", "/users/alice", "").ok(t, 204)
	n.dead(t, "deleted", third.access)
	n.operator("POST", "/users", `{"username":"alice","sub":"u-alice","password":"`+password+`"}`).want(t, 409, "already_exists")
	n.operator("POST", "/users", `{"username":"alice","sub":"u-alice-2","password":"`+password+`"}`).ok(t, 201)
	n.dead(t, "of an earlier alice", h.access, second.access, third.access)
	n.refresh(third.refreshToken).want(t, 400, "invalid_grant")
	if claims := segment(t, n.login().str("access_token"), 1); claims["sub"] != "u-alice-2" {
		t.Errorf("claims %v", claims)
	}
	n.alive(t, "the client's own", own)
}

// The same for clients: one that gets the id of a deleted one gets none of its
// tokens.
func TestI3_TokensOfClientsThatWereEnded(t *testing.T) {
	t.Parallel() // each ending waits for the caches of other nodes
	n := start(t, options{})
	p := n.peer()
	ended := func(what string, a answer, own string) {
		t.Helper()
		for name, node := range map[string]*node{"this node": n, "its peer": p} {
			node.introspect(a.str("access_token"), api).inactive(t, what+", "+name)
			node.introspect(own, api).inactive(t, what+", client's own, "+name)
			if node.refresh(a.str("refresh_token")).StatusCode < 400 {
				t.Errorf("%s: %s refreshes", what, name)
			}
		}
	}
	bystander := n.machine("other", apiSecret)
	a, own := n.login(), n.machine("app", appSecret)
	p.alive(t, "before", a.str("access_token"), own)
	n.operator("POST", "/clients/app/disable", "").ok(t, 200)
	ended("disabled", a, own)
	n.introspect(own, app).want(t, 401, "invalid_client")
	n.revoke(own).want(t, 401, "invalid_client")
	n.operator("POST", "/clients/app/enable", "").ok(t, 200)
	ended("enabled again", a, own)

	a, own = n.login(), n.machine("app", appSecret)
	n.alive(t, "before", a.str("access_token"), own)
	n.operator("DELETE", "/clients/app", "").ok(t, 204)
	ended("deleted", a, own)
	must(t, n.addClient(accounts.NewClient{ID: "app", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"password", "refresh_token", "client_credentials"}), Scope: accounts.To("read write")}}))
	ended("of an earlier client of that id", a, own)
	p.alive(t, "of the new one", n.machine("app", appSecret))
	p.alive(t, "others", bystander)
}

func TestI3_TokensAfterEverythingWasEnded(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	p := n.peer()
	a, own := n.login(), n.machine("app", appSecret)
	p.alive(t, "before", a.str("access_token"), own)
	n.operator("POST", "/sessions/revoke", `{"all":true,"reason":"breach"}`).ok(t, 200)
	for name, node := range map[string]*node{"this node": n, "its peer": p} {
		node.introspect(a.str("access_token"), api).inactive(t, name)
		node.introspect(own, api).inactive(t, "client's own, "+name)
		node.refresh(a.str("refresh_token")).want(t, 400, "invalid_grant")
		again := node.login()
		node.alive(t, name+", after it", again.str("access_token"), node.machine("app", appSecret))
		node.refresh(again.str("refresh_token")).ok(t, 200)
	}
}

// Of 33 live access tokens of one session the oldest is revoked.
func TestI3_TokensPushedOutByNewerOnes(t *testing.T) {
	h := start(t, options{}).holder()
	tokens := []string{h.access}
	for range 32 {
		h.rotate(t)
		tokens = append(tokens, h.access)
	}
	h.dead(t, "the oldest", tokens[0])
	h.alive(t, "the others", tokens[1], tokens[16], tokens[32])
}

// A session ends at its absolute end, and with it a token that would have
// lived longer never says so.
func TestI3_TokensEndWithTheirSession(t *testing.T) {
	n := start(t, options{})
	n.operator("PATCH", "/clients/app", `{"session_ttl":"1h"}`).ok(t, 200)
	h := n.holder()
	n.clock.Add(50 * time.Minute)
	a := h.rotate(t)
	if a.json["expires_in"] != 600.0 || segment(t, h.access, 1)["exp"] != float64(n.clock.Now().Add(10*time.Minute).Unix()) {
		t.Errorf("expires_in %v", a.json["expires_in"])
	}
	n.clock.Add(10 * time.Minute)
	n.introspect(h.access, api).inactive(t, "at the absolute end")
	n.refresh(h.refreshToken).want(t, 400, "invalid_grant")
}
