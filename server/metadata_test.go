package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/keys"
	"jeton/storage"
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
		"global_token_revocation_endpoint":"https://login.example/tenant/admin/v1/global-token-revocation","global_token_revocation_endpoint_auth_methods_supported":["Bearer"],"scopes_supported":["read","write"],
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

// truth is the published metadata, and a client for each thing it promises.
type truth struct {
	*node
	metadata map[string]any
	signers  map[string]jwtKey
}

func startTruth(t *testing.T) *truth {
	n := start(t, options{scopes: []string{"read", "write"}})
	d := &truth{n, n.do("GET", "/.well-known/oauth-authorization-server", "", "").ok(t, 200).json, make(map[string]jwtKey)}
	for _, method := range []string{storage.AuthBasic, storage.AuthPost} {
		must(t, n.addClient(accounts.NewClient{ID: method, Secret: appSecret, ClientSettings: accounts.ClientSettings{
			AuthMethod: accounts.To(method), Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("read write")}}))
	}
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"} {
		d.signers[alg] = newKey(t, alg, alg)
	}
	n.keyClient("worker", slices.Collect(func(yield func(jwtKey) bool) {
		for alg, k := range d.signers {
			if alg != "Ed25519" && !yield(k) { // its own kid would be one of two EdDSA keys
				return
			}
		}
	})...)
	d.signers["Ed25519"] = jwtKey{"EdDSA", "Ed25519", d.signers["EdDSA"].private}
	return d
}

func (d *truth) list(name string) []string {
	var l []string
	for _, v := range d.metadata[name].([]any) {
		l = append(l, v.(string))
	}
	return l
}

// send calls an endpoint by its published address.
func (d *truth) send(endpoint string, f url.Values, change ...func(*http.Request)) answer {
	d.t.Helper()
	return d.post(strings.TrimPrefix(d.metadata[endpoint].(string), d.url), f, change...)
}

var endpointForms = map[string][]string{
	"token": {"grant_type", "client_credentials"}, "revocation": {"token", "x"}, "introspection": {"token", "x"},
}

func TestD10_EveryAuthenticationMethodIsTrue(t *testing.T) {
	d := startTruth(t)
	spa := map[string][]string{"token": append([]string{"client_id", "spa"}, pairsOf(loginForm())...), "revocation": {"client_id", "spa", "token", "x"}, "introspection": {"client_id", "spa", "token", "x"}}
	for name, pairs := range endpointForms {
		tried := map[string]func() answer{
			"client_secret_basic": func() answer {
				return d.send(name+"_endpoint", form(pairs...), basic("client_secret_basic", appSecret))
			},
			"client_secret_post": func() answer {
				return d.send(name+"_endpoint", form(append(pairs, "client_id", "client_secret_post", "client_secret", appSecret)...))
			},
			"private_key_jwt": func() answer { return d.send(name+"_endpoint", d.withAssertion(d.signers["ES256"], nil, pairs...)) },
			"none":            func() answer { return d.send(name+"_endpoint", form(spa[name]...)) },
		}
		listed := d.list(name + "_endpoint_auth_methods_supported")
		for _, method := range listed {
			if tried[method] == nil {
				t.Errorf("%s: %s is listed and not tried", name, method)
			}
		}
		for method, try := range tried {
			a := try()
			if slices.Contains(listed, method) != (a.StatusCode == 200) || a.StatusCode != 200 && (a.StatusCode != 401 || a.str("error") != "invalid_client") {
				t.Errorf("%s: %s, listed %v: %d %s", name, method, slices.Contains(listed, method), a.StatusCode, a.body)
			}
		}
		// client_secret_jwt is not listed.
		hmac := jwtKey{kid: "ES256", alg: "HS256", private: []byte(appSecret)}
		d.send(name+"_endpoint", d.withAssertion(hmac, map[string]any{"iss": "app", "sub": "app"}, pairs...)).want(t, 401, "invalid_client")
		d.send(name+"_endpoint", d.withAssertion(hmac, nil, pairs...)).want(t, 401, "invalid_client")
	}
}

func TestD10_EveryAssertionAlgorithmIsTrue(t *testing.T) {
	d := startTruth(t)
	for name, pairs := range endpointForms {
		listed := d.list(name + "_endpoint_auth_signing_alg_values_supported")
		if got := slices.Sorted(slices.Values(listed)); !slices.Equal(got, slices.Sorted(maps.Keys(d.signers))) {
			t.Errorf("%s lists %v", name, listed)
		}
		for alg, k := range d.signers {
			if a := d.send(name+"_endpoint", d.withAssertion(k, nil, pairs...)); a.StatusCode != 200 {
				t.Errorf("%s: %s is listed: %d %s", name, alg, a.StatusCode, a.body)
			}
		}
		for alg, by := range map[string]string{"RS384": "RS256", "RS512": "RS256", "PS384": "PS256", "PS512": "PS256"} {
			k := jwtKey{by, alg, d.signers[by].private}
			d.send(name+"_endpoint", d.withAssertion(k, nil, pairs...)).want(t, 401, "invalid_client")
		}
		none := encoded(`{"alg":"none"}`) + "." + strings.Split(d.assertion(d.signers["ES256"], nil), ".")[1] + "."
		d.send(name+"_endpoint", asserted(none, pairs...)).want(t, 401, "invalid_client")
	}
}

func TestD10_EveryGrantScopeAndEndpointIsTrue(t *testing.T) {
	d := startTruth(t)
	a := d.send("token_endpoint", loginForm(), app).ok(t, 200)
	tried := map[string]answer{
		"password":           a,
		"refresh_token":      d.send("token_endpoint", form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token")), app),
		"client_credentials": d.send("token_endpoint", form("grant_type", "client_credentials"), app),
		"authorization_code": d.redeem(d.browser().code(ask()), app),
		storage.GrantTokenExchange: d.send("token_endpoint", form("grant_type", storage.GrantTokenExchange,
			"subject_token", a.str("access_token"), "subject_token_type", accessType), app),
		storage.GrantDeviceCode: d.device(),
	}
	for _, grant := range d.list("grant_types_supported") {
		if b, ok := tried[grant]; !ok || b.StatusCode != 200 {
			t.Errorf("%s is listed: %v", grant, b)
		}
	}
	for _, grant := range []string{
		"implicit", "Password", "device_code", "urn:ietf:params:oauth:grant-type:Device_code", "urn:ietf:params:oauth:grant-type:Token-exchange",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer", "urn:openid:params:grant-type:ciba", "__implicit", "\u00e9",
	} {
		d.send("token_endpoint", form("grant_type", grant, "code", "x", "device_code", "x", "assertion", "x", "subject_token", "x", "redirect_uri", "https://x.example"), app).want(t, 400, "unsupported_grant_type")
	}
	for _, scope := range d.list("scopes_supported") {
		if a := d.send("token_endpoint", form("grant_type", "client_credentials", "scope", scope), app); a.StatusCode != 200 || a.str("scope") != scope {
			t.Errorf("scope %s: %d %s", scope, a.StatusCode, a.body)
		}
	}
	own := d.machine("app", appSecret)
	if b := d.send("introspection_endpoint", form("token", own), api); b.json["active"] != true {
		t.Errorf("introspected %s", b.body)
	}
	d.send("revocation_endpoint", form("token", own), app).revoked(t, "own")
	d.dead(t, "own", own)
	jwks := d.do("GET", strings.TrimPrefix(d.metadata["jwks_uri"].(string), d.url), "", "").ok(t, 200)
	if jwks.json["keys"] == nil {
		t.Errorf("jwks_uri: %s", jwks.body)
	}
	// No endpoint but those there are, and no address for one.
	for name := range d.metadata {
		if strings.HasSuffix(name, "_endpoint") && !slices.Contains([]string{"token_endpoint", "revocation_endpoint", "introspection_endpoint", "status_list_aggregation_endpoint", "global_token_revocation_endpoint", "authorization_endpoint", "pushed_authorization_request_endpoint", "device_authorization_endpoint"}, name) {
			t.Errorf("%s is published and not tried", name)
		}
	}
	for _, path := range []string{"/register", "/status/", "/session"} {
		d.do("GET", path, "", "").want(t, 404, "not_found")
		d.post(path, form(), app).want(t, 404, "not_found")
	}
}

// device walks the device authorization grant by its published address.
func (d *truth) device() answer {
	asked := d.send("device_authorization_endpoint", form(), app).ok(d.t, 200)
	d.browser().allow(asked)
	return d.send("token_endpoint", form("grant_type", storage.GrantDeviceCode, "device_code", asked.str("device_code")), app)
}

// The algorithms of the discovery document are those of the published keys.
func TestD10_SigningAlgorithmsAreThoseOfTheKeys(t *testing.T) {
	n := start(t, options{alg: keys.EdDSA})
	algs := n.do("GET", "/.well-known/openid-configuration", "", "").ok(t, 200).json["id_token_signing_alg_values_supported"]
	if fmt.Sprint(algs) != "[EdDSA]" {
		t.Errorf("algorithms %v", algs)
	}
	token := n.machine("app", appSecret)
	if segment(t, token, 0)["alg"] != keys.EdDSA {
		t.Errorf("token %s", token)
	}
}

func pairsOf(f url.Values) (pairs []string) {
	for name, values := range f {
		for _, v := range values {
			pairs = append(pairs, name, v)
		}
	}
	return pairs
}
