package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// at is a node for the same server without the path of the issuer.
func (n *node) at(path string) *node {
	root := *n
	u := mustURL(n.t, n.url)
	root.url = u.Scheme + "://" + u.Host + path
	return &root
}

// places are where an issuer's documents are, below its host.
func places(path string) []string {
	p := []string{"/.well-known/oauth-authorization-server" + path, "/.well-known/openid-configuration" + path}
	if path != "" {
		p = append(p, path+"/.well-known/openid-configuration")
	}
	return p
}

func TestD1_D2_D3_PlacesAndIssuer(t *testing.T) {
	for issuer, path := range map[string]string{
		"": "", "https://login.example": "", "https://login.example/tenant": "/tenant", "https://login.example/a/b-c_d.e~f": "/a/b-c_d.e~f",
		"https://login.example/tenant/": "/tenant", "https://login.example/": "",
	} {
		t.Run(issuer, func(t *testing.T) {
			n := bare(t, options{issuer: issuer})
			root := n.at("")
			if issuer == "" {
				issuer = n.url
			}
			for _, place := range places(path) {
				a := root.do("GET", place, "", "").ok(t, 200)
				if a.str("issuer") != issuer || a.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s: issuer %q, %v", place, a.str("issuer"), a.Header)
				}
				root.do("POST", place, "", "").want(t, 405, "invalid_request")
				for _, wrong := range []string{place + "/", place + "x", place + "/other", "/other" + place, strings.Replace(place, "/.well-known", "//.well-known", 1), place + "%2f"} {
					root.do("GET", wrong, "", "").want(t, 404, "not_found")
				}
			}
			root.do("GET", path+"/.well-known/jwks.json", "", "").ok(t, 200)
			for _, tenant := range []string{"/other", "/tenant/other", "/tenan", "/Tenant", "/tenant2"} {
				for _, place := range append(places(tenant), tenant+"/.well-known/jwks.json", tenant+"/token", tenant+"/healthz") {
					if a := root.do("GET", place, "", ""); a.StatusCode != 404 || a.str("error") != "not_found" || strings.Contains(string(a.body), "issuer") {
						t.Errorf("another tenant's %s: %d %s", place, a.StatusCode, a.body)
					}
				}
			}
			if path != "" {
				for _, place := range append(places(""), "/.well-known/jwks.json", "/token", "/revoke", "/introspect", "/admin/v1/users", "/healthz") {
					root.do("POST", place, "", "").want(t, 404, "not_found")
				}
			}
		})
	}
}

func TestD4_D5_D6_D8_D9_WhatTheDocumentsSay(t *testing.T) {
	n := bare(t, options{issuer: "https://login.example/tenant", scopes: []string{"read", "write"}})
	const all = `["client_secret_basic","client_secret_post","private_key_jwt","none"]`
	const confidential = `["client_secret_basic","client_secret_post","private_key_jwt"]`
	const algs = `["RS256","PS256","ES256","ES384","ES512","EdDSA","Ed25519"]`
	const metadata = `{"issuer":"https://login.example/tenant","token_endpoint":"https://login.example/tenant/token","revocation_endpoint":"https://login.example/tenant/revoke",
		"introspection_endpoint":"https://login.example/tenant/introspect","jwks_uri":"https://login.example/tenant/.well-known/jwks.json","status_list_aggregation_endpoint":"https://login.example/tenant/status","dpop_signing_alg_values_supported":` + algs + `,
		"global_token_revocation_endpoint":"https://login.example/tenant/admin/v1/global-token-revocation","global_token_revocation_endpoint_auth_methods_supported":["Bearer","DPoP"],"scopes_supported":["read","write"],
		"protected_resources":["https://login.example/tenant/userinfo","https://login.example/tenant/admin/v1"],
		"authorization_endpoint":"https://login.example/tenant/authorize","pushed_authorization_request_endpoint":"https://login.example/tenant/par","device_authorization_endpoint":"https://login.example/tenant/device_authorization",
		"response_types_supported":["code"],"response_modes_supported":["query","form_post"],"code_challenge_methods_supported":["S256"],"authorization_response_iss_parameter_supported":true,
		"grant_types_supported":["authorization_code","urn:ietf:params:oauth:grant-type:device_code","refresh_token","client_credentials","urn:ietf:params:oauth:grant-type:token-exchange","password"],
		"token_endpoint_auth_methods_supported":` + all + `,"token_endpoint_auth_signing_alg_values_supported":` + algs + `,
		"revocation_endpoint_auth_methods_supported":` + all + `,"revocation_endpoint_auth_signing_alg_values_supported":` + algs + `,
		"introspection_endpoint_auth_methods_supported":` + confidential + `,"introspection_endpoint_auth_signing_alg_values_supported":` + algs + `,"introspection_signing_alg_values_supported":["ES256"]`
	root := n.at("")
	same(t, root.do("GET", "/.well-known/oauth-authorization-server/tenant", "", "").ok(t, 200).body, metadata+`}`)
	for _, place := range places("/tenant")[1:] {
		same(t, root.do("GET", place, "", "").ok(t, 200).body, metadata+`,"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"],
			"userinfo_endpoint":"https://login.example/tenant/userinfo","end_session_endpoint":"https://login.example/tenant/end_session","acr_values_supported":["urn:jeton:acr:password"],"claim_types_supported":["normal"],
			"claims_supported":["sub","name","given_name","family_name","nickname","preferred_username","picture","website","locale","zoneinfo","updated_at","email","email_verified"],
			"backchannel_logout_supported":true,"backchannel_logout_session_supported":true,"claims_parameter_supported":false,"request_parameter_supported":false,"request_uri_parameter_supported":false}`)
	}
	// D9: nothing is null, and nothing empty but what has to be there.
	for name, value := range bare(t, options{}).do("GET", "/.well-known/openid-configuration", "", "").ok(t, 200).json {
		if list, ok := value.([]any); value == nil || value == "" || ok && len(list) == 0 && name != "response_types_supported" {
			t.Errorf("%s is %v", name, value)
		}
	}
}

func TestD13_TheHostHeaderChangesNothing(t *testing.T) {
	n := start(t, options{})
	spoof := []func(*http.Request){
		func(r *http.Request) { r.Host = "evil.example" }, header("X-Forwarded-Host", "evil.example"), header("X-Forwarded-Proto", "gopher"),
		header("X-Forwarded-Prefix", "/evil"), header("Forwarded", "host=evil.example;proto=gopher"), header("X-Original-URL", "/evil"), header("X-HTTP-Method-Override", "DELETE"),
	}
	for _, place := range append(places(""), "/.well-known/jwks.json") {
		plain, spoofed := n.do("GET", place, "", "").ok(t, 200), n.do("GET", place, "", "", spoof...).ok(t, 200)
		if string(plain.body) != string(spoofed.body) || plain.Header.Get("ETag") != spoofed.Header.Get("ETag") {
			t.Errorf("%s: %s", place, spoofed.body)
		}
	}
	a := n.post("/token", loginForm(), append(spoof, app)...).ok(t, 200)
	if iss := n.verified(t, a.str("access_token"))["iss"]; iss != n.url {
		t.Errorf("iss %v", iss)
	}
	if strings.Contains(a.Header.Get("Link")+a.Header.Get("Location")+string(a.body), "evil") {
		t.Errorf("%v %s", a.Header, a.body)
	}
}

func TestJ2_J3_DocumentsAreCachedAndComparable(t *testing.T) {
	n := bare(t, options{})
	for _, place := range append(places(""), "/.well-known/jwks.json") {
		a := n.do("GET", place, "", "").ok(t, 200)
		etag := a.Header.Get("ETag")
		if a.Header.Get("Cache-Control") != "public, max-age=300" || len(etag) < 4 || etag[0] != '"' || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
			a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("J3 %s: %v", place, a.Header)
		}
		for _, tags := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			b := n.do("GET", place, "", "", header("If-None-Match", tags))
			if b.StatusCode != 304 || len(b.body) != 0 || b.Header.Get("ETag") != etag || b.Header.Get("Cache-Control") == "" {
				t.Errorf("J3 %s, If-None-Match %s: %d %v", place, tags, b.StatusCode, b.Header)
			}
		}
		n.do("GET", place, "", "", header("If-None-Match", `"x"`)).ok(t, 200)
		head := n.do("HEAD", place, "", "").ok(t, 200)
		if head.Header.Get("Content-Length") != fmt.Sprint(len(a.body)) || len(head.body) != 0 || head.Header.Get("ETag") != etag {
			t.Errorf("HEAD %s: %v", place, head.Header)
		}
		if o := n.do("OPTIONS", place, "", "", header("Origin", "https://any.example"), header("Access-Control-Request-Method", "GET")); o.StatusCode != 204 || o.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("OPTIONS %s: %d %v", place, o.StatusCode, o.Header)
		}
	}
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json", "application/jwk-set+json": "application/jwk-set+json",
		"application/json, application/jwk-set+json": "application/json", "application/jwk-set+json, application/json;q=0.5": "application/jwk-set+json", "text/html": "application/json",
	} {
		a := n.do("GET", "/.well-known/jwks.json", "", "", header("Accept", accept)).ok(t, 200)
		if a.Header.Get("Content-Type") != want || a.json["keys"] == nil || a.Header.Get("Vary") != "Accept" {
			t.Errorf("J2 Accept %q: %v", accept, a.Header)
		}
	}
}
