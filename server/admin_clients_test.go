package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestAdminAddsClients(t *testing.T) {
	n := start(t, options{})
	a := n.operator("POST", "/clients", `{"client_id":"report","grant_types":["client_credentials"],"scope":"read write","audience":["https://api.example"],"access_token_ttl":"5m"}`).ok(t, 201)
	secret := a.str("client_secret")
	if len(secret) < 43 || a.str("scope") != "read write" || a.json["public"] != false || a.str("access_token_ttl") != "5m" || a.json["refresh_retry_window"] != nil {
		t.Errorf("added %s", a.body)
	}
	n.post("/token", form("grant_type", "client_credentials"), basic("report", secret)).ok(t, 200)
	shown := n.operator("GET", "/clients/report", "").ok(t, 200)
	if shown.json["client_secret"] != nil || strings.Contains(string(shown.body), "sha256") || strings.Contains(string(shown.body), "epoch") {
		t.Errorf("shown %s", shown.body)
	}
	byHand := strings.Repeat("hand", 8)
	if a := n.operator("POST", "/clients", `{"client_id":"hand","grant_types":["client_credentials"],"client_secret":"`+byHand+`"}`).ok(t, 201); a.json["client_secret"] != nil {
		t.Errorf("a secret given by hand is shown: %s", a.body)
	}
	n.post("/token", form("grant_type", "client_credentials"), basic("hand", byHand)).ok(t, 200)
	if a := n.operator("POST", "/clients", `{"client_id":"spa2","grant_types":["password"],"public":true}`).ok(t, 201); a.json["client_secret"] != nil || a.str("token_endpoint_auth_method") != "none" {
		t.Errorf("public: %s", a.body)
	}
	n.operator("POST", "/clients", `{"client_id":"report","grant_types":["password"]}`).want(t, http.StatusConflict, "already_exists")
	n.operator("POST", "/clients", `{"client_id":"u-alice","grant_types":["password"]}`).want(t, http.StatusConflict, "already_exists")
	for what, body := range map[string]string{
		"no id":           `{"grant_types":["password"]}`,
		"no grant":        `{"client_id":"x"}`,
		"short secret":    `{"client_id":"x","grant_types":["password"],"client_secret":"short"}`,
		"unknown method":  `{"client_id":"x","grant_types":["password"],"token_endpoint_auth_method":"magic"}`,
		"negative time":   `{"client_id":"x","grant_types":["password"],"access_token_ttl":"-5m"}`,
		"time as number":  `{"client_id":"x","grant_types":["password"],"access_token_ttl":300}`,
		"unknown member":  `{"client_id":"x","grant_types":["password"],"token_ttl":"5m"}`,
		"member of Go":    `{"client_id":"x","grant_types":["password"],"ClientSettings":{}}`,
		"read-only":       `{"client_id":"x","grant_types":["password"],"disabled":true}`,
		"private in jwks": `{"client_id":"x","grant_types":["password"],"jwks":{"keys":[{"kty":"oct","k":"AAAA"}]}}`,
	} {
		t.Run(what, func(t *testing.T) {
			n.operator("POST", "/clients", body).want(t, http.StatusBadRequest, "invalid_request")
		})
	}
	ids := column(n.operator("GET", "/clients", "").ok(t, 200).list(t), "client_id")
	if want := []string{"api", "app", "hand", "other", "report", "spa", "spa2"}; !slices.Equal(ids, want) {
		t.Errorf("clients %q, want %q", ids, want)
	}
}

func TestAdminPatchesClients(t *testing.T) {
	n := start(t, options{})
	a := n.operator("PATCH", "/clients/app", `{"client_name":"App","refresh_retry_window":"0s","max_sessions":3}`).ok(t, 200)
	if a.str("client_name") != "App" || a.str("refresh_retry_window") != "0s" || a.json["max_sessions"] != 3.0 || a.str("scope") != "read write" || a.json["client_secret"] != nil {
		t.Errorf("set %s", a.body)
	}
	n.login()
	a = n.operator("PATCH", "/clients/app", `{"client_name":null,"refresh_retry_window":null,"max_sessions":null}`).ok(t, 200)
	for _, name := range []string{"client_name", "refresh_retry_window", "max_sessions"} {
		if _, is := a.json[name]; is {
			t.Errorf("%s is not cleared: %s", name, a.body)
		}
	}
	a = n.operator("PATCH", "/clients/spa", `{"public":false}`).ok(t, 200)
	n.post("/token", loginForm(), basic("spa", a.str("client_secret"))).ok(t, 200)
	n.operator("PATCH", "/clients/app", `{"client_id":"other-id"}`).want(t, http.StatusBadRequest, "invalid_request")
	n.operator("PATCH", "/clients/app", `{"scope":"a  b"}`).want(t, http.StatusBadRequest, "invalid_request")
	n.operator("PATCH", "/clients/missing", `{}`).want(t, http.StatusNotFound, "not_found")
}

func TestAdminReplacesSecrets(t *testing.T) {
	n := start(t, options{})
	a := n.operator("POST", "/clients/app/secret", "").ok(t, 200)
	n.post("/token", loginForm(), app).want(t, http.StatusUnauthorized, "invalid_client")
	n.post("/token", loginForm(), basic("app", a.str("client_secret"))).ok(t, 200)
	if a := n.operator("POST", "/clients/app/secret", `{"client_secret":"`+appSecret+`"}`).ok(t, 200); a.json["client_secret"] != nil {
		t.Errorf("a secret given by hand is shown: %s", a.body)
	}
	n.login()
	n.operator("POST", "/clients/app/secret", `{"client_secret":"short"}`).want(t, http.StatusBadRequest, "invalid_request")
	n.operator("POST", "/clients/spa/secret", "").want(t, http.StatusBadRequest, "invalid_request")
	n.operator("POST", "/clients/missing/secret", "").want(t, http.StatusNotFound, "not_found")
}

func TestAdminDisablesAndDeletesClients(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	tokens := n.login()
	if a := n.operator("POST", "/clients/app/disable", `{"reason":"leaked"}`).ok(t, 200); a.json["disabled"] != true || n.active(tokens.str("access_token")) {
		t.Errorf("disabled: %s", a.body)
	}
	n.refresh(tokens.str("refresh_token")).want(t, http.StatusUnauthorized, "invalid_client")
	n.operator("POST", "/clients/app/enable", "").ok(t, 200)
	tokens = n.login()
	n.operator("DELETE", "/clients/app", "").ok(t, 204)
	if n.active(tokens.str("access_token")) {
		t.Error("a token outlived its client")
	}
	n.refresh(tokens.str("refresh_token")).want(t, http.StatusUnauthorized, "invalid_client")
	n.operator("DELETE", "/clients/app", "").want(t, http.StatusNotFound, "not_found")
	if e := n.events("client_disabled"); len(e) != 1 || e[0].Note != "leaked" || e[0].ClientID != "app" {
		t.Errorf("events %+v", e)
	}
}
