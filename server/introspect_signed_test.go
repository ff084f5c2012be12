package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"jeton/clients"
	"jeton/keys"
)

const signedAnswer = "application/token-introspection+jwt"

// signedClaims verifies an answer by the key set and nothing else.
func (n *node) signedClaims(t testing.TB, answer string) jwt.MapClaims {
	t.Helper()
	set, claims := n.published(t), jwt.MapClaims{}
	_, err := jwt.NewParser(jwt.WithTimeFunc(n.clock.Now)).ParseWithClaims(answer, claims, func(token *jwt.Token) (any, error) {
		k := set[token.Header["kid"].(string)]
		if k.Alg != token.Method.Alg() {
			return nil, fmt.Errorf("alg %s is not the key's", token.Method.Alg())
		}
		return k.key(t), nil
	})
	must(t, err)
	return claims
}

func accepts(media string) func(*http.Request) { return header("Accept", media) }

func TestI12_I13_I16_IntrospectionAsJWT(t *testing.T) {
	for _, alg := range []string{keys.RS256, keys.ES256, keys.PS256, keys.EdDSA} {
		n := start(t, options{alg: alg})
		token := n.login().str("access_token")
		a := n.introspect(token, api, accepts(signedAnswer)).ok(t, 200)
		head := segment(t, string(a.body), 0)
		if a.Header.Get("Content-Type") != signedAnswer || a.Header.Get("Cache-Control") != "no-store" || head["typ"] != "token-introspection+jwt" || head["alg"] != alg {
			t.Errorf("I12 %s: header %v, %v", alg, head, a.Header)
		}
		claims := n.signedClaims(t, string(a.body))
		plain := n.introspect(token, api).ok(t, 200).json
		if claims["iss"] != n.url || claims["aud"] != "api" || claims["iat"] != float64(n.clock.Now().Unix()) || len(claims) != 4 || !reflect.DeepEqual(claims["token_introspection"], any(plain)) {
			t.Errorf("I13 claims %v, plain %v", claims, plain)
		}
		for _, place := range places("") {
			listed := n.do("GET", place, "", "").ok(t, 200).json["introspection_signing_alg_values_supported"]
			if !reflect.DeepEqual(listed, any([]any{alg})) {
				t.Errorf("I16 %s lists %v", place, listed)
			}
		}
	}
	n := start(t, options{})
	token := n.login().str("access_token")
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json", "application/*": "application/json",
		signedAnswer + ", application/json": signedAnswer, "application/json, " + signedAnswer + ";q=0.9": "application/json", signedAnswer + ";q=0": "application/json",
		"Application/Token-Introspection+JWT": signedAnswer, signedAnswer + ";q=x": "application/json", "text/html, " + signedAnswer: signedAnswer,
	} {
		a := n.introspect(token, api, accepts(accept)).ok(t, 200)
		if a.Header.Get("Content-Type") != want || a.Header.Get("Vary") != "Accept" {
			t.Errorf("Accept %q: %v", accept, a.Header)
		}
	}
}

func TestI14_I17_WhatIsInactiveOrNotTheCallers(t *testing.T) {
	n := start(t, options{})
	h := n.holder()
	for what, c := range map[string]struct {
		token string
		as    func(*http.Request)
	}{"garbage": {"x", api}, "a refresh token": {h.refreshToken, api}, "another's": {h.access, other}} {
		a := n.introspect(c.token, c.as, accepts(signedAnswer)).ok(t, 200)
		text, err := json.Marshal(n.signedClaims(t, string(a.body))["token_introspection"])
		if err != nil || string(text) != `{"active":false}` {
			t.Errorf("%s: %s", what, text)
		}
	}
	// Whoever proves nothing is told nothing, in JSON.
	h.refused(t, n.introspect(h.access, accepts(signedAnswer)), 401, "invalid_client")
	h.refused(t, n.post("/introspect", form("token", h.access, "client_id", "spa"), accepts(signedAnswer)), 401, "invalid_client")
	h.refused(t, n.post("/introspect", form(), api, accepts(signedAnswer)), 400, "invalid_request")
}

func TestI15_AnAnswerIsNoToken(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("access_token")
	answer := string(n.introspect(token, api, accepts(signedAnswer)).ok(t, 200).body)
	n.introspect(answer, api).inactive(t, "as an access token")
	n.do("GET", "/admin/v1/users", "", "", header("Authorization", "Bearer "+answer)).want(t, 401, "invalid_token")
	n.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+answer)).want(t, 401, "invalid_token")
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", answer), app).want(t, 400, "invalid_grant")
	n.post("/token", form("grant_type", "client_credentials", "client_assertion", answer, "client_assertion_type", clients.AssertionType)).want(t, 401, "invalid_client")
	// And not because of something else: it is this server's, and says of which type it is.
	if names := slices.Sorted(strings.FieldsSeq("sub exp jti")); slices.ContainsFunc(names, func(name string) bool { return segment(t, answer, 1)[name] != nil }) {
		t.Errorf("claims %v", segment(t, answer, 1))
	}
}
