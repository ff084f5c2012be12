package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"jeton/grants"
	"jeton/storage"
)

// events returns the events of a type.
func (n *node) events(eventType string) []storage.Event {
	n.t.Helper()
	var found []storage.Event
	err := n.store.AllByIndex(n.t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		e, err := storage.Decode[storage.Event](row)
		if e.Value.Type == eventType {
			found = append(found, e.Value)
		}
		return err
	})
	must(n.t, err)
	return found
}

func TestAdminAddsAndShowsUsers(t *testing.T) {
	n := start(t, options{})
	a := n.operator("POST", "/users", `{"username":"Bob","roles":["ROLE_USER"],"password":"through the looking-glass"}`).ok(t, 201)
	sub := a.str("sub")
	if sub == "" || a.str("username") != "Bob" || a.json["has_password"] != true || a.json["disabled"] != false || a.str("password_changed_at") == "" ||
		!strings.HasSuffix(a.str("created_at"), "Z") || strings.Contains(string(a.body), "argon2") {
		t.Errorf("added %s", a.body)
	}
	for _, path := range []string{"/users/Bob", "/users/bob", "/users/sub:" + sub, "/users/sub%3A" + sub} {
		if a := n.operator("GET", path, "").ok(t, 200); a.str("sub") != sub {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := n.operator("POST", "/users", `{"username":"nobody"}`).ok(t, 201); a.json["has_password"] != false || a.json["password_changed_at"] != nil || !strings.Contains(string(a.body), `"roles":[]`) {
		t.Errorf("without password: %s", a.body)
	}
	n.operator("POST", "/users", `{"username":"BOB"}`).want(t, http.StatusConflict, "already_exists")
	n.operator("POST", "/users", `{"username":"x","sub":"u-alice"}`).want(t, http.StatusConflict, "already_exists")
	n.operator("POST", "/users", `{"username":"x","sub":"app"}`).want(t, http.StatusConflict, "already_exists")
	a = n.operator("POST", "/users", `{"username":"","roles":["a b"],"password":"short","sub":" "}`)
	a.want(t, http.StatusBadRequest, "invalid_request")
	for _, word := range []string{"name", "role", "password", "sub"} {
		if !strings.Contains(a.str("error_description"), word) {
			t.Errorf("nothing on the %s in %s", word, a.body)
		}
	}
	n.operator("GET", "/users/missing", "").want(t, http.StatusNotFound, "not_found")
	n.operator("GET", "/users/sub:missing", "").want(t, http.StatusNotFound, "not_found")
}

// A name is one segment of the path, whatever is in it.
func TestAdminTakesAnyNameInAPath(t *testing.T) {
	n := start(t, options{})
	for _, name := range []string{"a/b", "a//b", "../alice", "a b", "a%2Fb", "a?b#c", "ü@example.org", "revoke", "a+b"} {
		a := n.operator("POST", "/users", `{"username":"`+name+`"}`).ok(t, 201)
		if found := n.operator("GET", "/users/"+url.PathEscape(name), "").ok(t, 200); found.str("sub") != a.str("sub") {
			t.Errorf("%q: %s", name, found.body)
		}
		n.operator("POST", "/users/"+url.PathEscape(name)+"/disable", "").ok(t, 200)
		n.operator("DELETE", "/users/"+url.PathEscape(name), "").ok(t, 204)
	}
}

func TestAdminSetsPasswords(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("access_token")
	n.operator("PUT", "/users/alice/password", `{"password":"short"}`).want(t, http.StatusBadRequest, "invalid_request")
	a := n.operator("PUT", "/users/alice/password", `{}`)
	if a.want(t, http.StatusBadRequest, "invalid_request"); !strings.Contains(a.str("error_description"), "missing") {
		t.Errorf("no password: %s", a.body)
	}
	n.operator("PUT", "/users/alice/password", `{"password":"through the looking-glass","reason":"a\u0000b"}`).want(t, http.StatusBadRequest, "invalid_request")
	n.operator("PUT", "/users/missing/password", `{"password":"through the looking-glass"}`).want(t, http.StatusNotFound, "not_found")
	if !n.active(token) {
		t.Fatal("a refused password ended the session")
	}
	n.operator("PUT", "/users/alice/password", `{"password":"through the looking-glass","reason":"phished"}`).ok(t, 200)
	if n.active(token) {
		t.Error("the session outlived the password")
	}
	n.post("/token", loginForm(), app).want(t, http.StatusBadRequest, "invalid_grant")
	if e := n.events("password_reset"); len(e) != 1 || e[0].Note != "phished" || e[0].Actor != "operator" {
		t.Errorf("events %+v", e)
	}
	n.operator("POST", "/users", `{"username":"robert"}`).ok(t, 201)
	again := n.operator("PUT", "/users/robert/password", `{"password":"through the looking-glass"}`).ok(t, 200)
	n.grants.Settings.On.PasswordReset = grants.DoNothing
	kept := n.operator("PUT", "/users/robert/password", `{"password":"through the looking-glass"}`).ok(t, 200)
	if again.str("reaction") != "end_all_sessions" || kept.str("reaction") != "nothing" {
		t.Errorf("reactions %s, %s", again.body, kept.body)
	}
}

func TestAdminDisablesAndDeletesUsers(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("access_token")
	if a := n.operator("POST", "/users/alice/disable", `{"reason":"left"}`).ok(t, 200); a.json["disabled"] != true || n.active(token) {
		t.Errorf("disabled: %s, active %t", a.body, n.active(token))
	}
	n.post("/token", loginForm(), app).want(t, http.StatusBadRequest, "invalid_grant")
	n.operator("POST", "/users/alice/enable", `{"because":"back"}`).want(t, http.StatusBadRequest, "invalid_request")
	if a := n.operator("POST", "/users/alice/enable", `{}`).ok(t, 200); a.json["disabled"] != false {
		t.Errorf("enabled: %s", a.body)
	}
	token = n.login().str("access_token")
	if a := n.operator("DELETE", "/users/alice", "").ok(t, 204); len(a.body) != 0 || n.active(token) {
		t.Errorf("deleted: %s, active %t", a.body, n.active(token))
	}
	n.operator("DELETE", "/users/alice", "").want(t, http.StatusNotFound, "not_found")
	n.operator("POST", "/users/sub:u-alice/enable", "").want(t, http.StatusNotFound, "not_found")
	n.operator("POST", "/users", `{"username":"alice"}`).ok(t, 201)
}

func TestClaimsOfAUser(t *testing.T) {
	n := start(t, options{})
	const all = `{"name":"Alice Liddell","given_name":"Alice","locale":"en-GB","picture":"https://a.example/p.png","email":"alice@example.com","email_verified":true}`
	if w := n.operatorCall("PUT", "/users/alice/claims", all); w.Code != 200 || !strings.Contains(w.Body.String(), `"claims":`+strings.Replace(all, `"locale":"en-GB","picture":"https://a.example/p.png"`, `"picture":"https://a.example/p.png","locale":"en-GB"`, 1)) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, wrong := range []string{
		`{"email":"alice"}`, `{"email":"Alice <alice@example.com>"}`, `{"email_verified":true}`, `{"name":"a\nb"}`, `{"picture":"javascript:1"}`, `{"website":"a"}`, `{"locale":"en GB"}`, `{"nick":"x"}`, `{"name":"` + strings.Repeat("x", 256) + `"}`, `[]`,
	} {
		if w := n.operatorCall("PUT", "/users/alice/claims", wrong); w.Code != 400 {
			t.Errorf("%s: %d %s", wrong, w.Code, w.Body)
		}
	}
	if w := n.operatorCall("GET", "/users/alice", ""); !strings.Contains(w.Body.String(), `"email":"alice@example.com"`) {
		t.Errorf("a refused change changed something: %s", w.Body)
	}
	if w := n.operatorCall("PUT", "/users/alice/claims", `{}`); w.Code != 200 || strings.Contains(w.Body.String(), "claims") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := n.operatorCall("POST", "/users", `{"username":"bob","password":"`+password+`2","claims":{"email":"bob@example.com"}}`); w.Code != 201 || !strings.Contains(w.Body.String(), "bob@example.com") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := n.operatorCall("PUT", "/users/nobody/claims", `{}`); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
