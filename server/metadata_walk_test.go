package server_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/accounts"
	"jeton/events/backchannel"
	"jeton/keys"
	"jeton/storage"
)

// truth is a server with what its metadata say, and a client for each thing
// that they promise.
type truth struct {
	*node
	metadata map[string]any
	signers  map[string]jwtKey
	// visitor is signed in, once somebody has asked for a login.
	visitor *browser
	// site has a client that nobody registered.
	site *site
}

func startTruth(t *testing.T, alg string) *truth {
	site := newSite(t)
	n := startOpenID(t, options{scopes: []string{"read", "write"}, alg: alg, documents: []string{"127.0.0.1"}, outbound: site.client(loopbackNets...)})
	d := &truth{node: n, site: site, metadata: make(map[string]any), signers: make(map[string]jwtKey), visitor: n.browser()}
	for _, place := range places("") {
		maps.Copy(d.metadata, n.do("GET", place, "", "").ok(t, 200).json)
	}
	for _, method := range []string{storage.AuthBasic, storage.AuthPost} {
		must(t, n.addClient(accounts.NewClient{ID: method, Secret: appSecret, ClientSettings: accounts.ClientSettings{
			AuthMethod: accounts.To(method), Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("read write")}}))
	}
	if alg == keys.ES256 { // with others only what follows from our own keys is tried
		for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
			d.signers[alg] = newKey(t, alg, alg)
		}
		n.keyClient("worker", slices.Collect(maps.Values(d.signers))...)
		d.signers["Ed25519"] = jwtKey{"EdDSA", "Ed25519", d.signers["EdDSA"].private} // one key has both names
	}
	must(t, n.addClient(accounts.NewClient{ID: "hr", Secret: hrSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("jeton:events")}}))
	_, err := n.grants.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error {
		u.Claims = storage.Claims{Name: "Alice Liddell", GivenName: "Alice", FamilyName: "Liddell", Nickname: "Al", Picture: "https://pictures.example/alice", Website: "https://alice.example",
			Locale: "en-GB", Zoneinfo: "Europe/London", Email: "alice@example.com", EmailVerified: true}
		return nil
	}, nil)
	must(t, err)
	return d
}

// in is d for a subtest.
func (d *truth) in(t *testing.T) *truth {
	n := *d.node
	n.t = t
	return &truth{&n, d.metadata, d.signers, &browser{node: &n, jar: d.visitor.jar}, d.site}
}

// values are what a member of the metadata says, addresses without the issuer.
func (d *truth) values(member string) (out []string) {
	switch v := d.metadata[member].(type) {
	case []any:
		for _, one := range v {
			out = append(out, strings.TrimPrefix(fmt.Sprint(one), d.url))
		}
	case string:
		out = []string{strings.TrimPrefix(v, d.url)}
	case nil:
	default:
		out = []string{fmt.Sprint(v)}
	}
	return out
}

// TestD10_EveryAdvertisedValueIsExercised walks both documents: what they say
// has its proof in [exercises], and nothing stands there that they do not say.
func TestD10_EveryAdvertisedValueIsExercised(t *testing.T) {
	tried := make(map[string]bool)
	for _, alg := range []string{keys.ES256, keys.RS256, keys.PS256, keys.EdDSA} {
		d := startTruth(t, alg)
		for member := range d.metadata {
			for _, value := range d.values(member) {
				if tried[member+" "+value] {
					continue // only what follows from the keys is told differently
				}
				tried[member+" "+value] = true
				try := exercises[member][value]
				if try == nil {
					t.Errorf("the metadata say %s: %q, and nothing in exercises tries it", member, value)
					continue
				}
				t.Run(alg+" "+member+" "+value, func(t *testing.T) { try(d.in(t)) })
			}
		}
	}
	for member, values := range exercises {
		for value := range values {
			if !tried[member+" "+value] {
				t.Errorf("exercises has %s: %q, which the metadata do not say", member, value)
			}
		}
	}
}

// exercises prove what the metadata say: by member and value, with addresses
// without the issuer. A value is proven by what it does and not by being there.
var exercises = map[string]map[string]func(*truth){
	"issuer": {"": func(d *truth) {
		if iss := d.verified(d.t, d.login().str("access_token"))["iss"]; iss != d.metadata["issuer"] {
			d.t.Errorf("iss %v", iss)
		}
	}},
	"authorization_endpoint":                {"/authorize": (*truth).codeFlow},
	"pushed_authorization_request_endpoint": {"/par": (*truth).pushed},
	"device_authorization_endpoint":         {"/device_authorization": (*truth).deviceFlow},
	"token_endpoint":                        {"/token": (*truth).codeFlow},
	"revocation_endpoint": {"/revoke": func(d *truth) {
		own := d.machine("app", appSecret)
		d.post("/revoke", form("token", own), app).revoked(d.t, "own")
		d.dead(d.t, "own", own)
	}},
	"introspection_endpoint": {"/introspect": func(d *truth) {
		if !d.active(d.machine("app", appSecret)) {
			d.t.Error("not active")
		}
	}},
	"userinfo_endpoint":    {"/userinfo": func(d *truth) { d.claim("sub") }},
	"end_session_endpoint": {"/end_session": (*truth).signsOut},
	"jwks_uri":             {"/.well-known/jwks.json": func(d *truth) { d.verified(d.t, d.machine("app", appSecret)) }},
	"status_list_aggregation_endpoint": {"/status": func(d *truth) {
		list, _ := statusOf(d.t, d.machine("app", appSecret))
		if a := d.do("GET", "/status", "", "").ok(d.t, 200); !strings.Contains(string(a.body), `"`+d.url+list+`"`) {
			d.t.Errorf("%s is not in %s", list, a.body)
		}
	}},
	"global_token_revocation_endpoint":                        {"/admin/v1/global-token-revocation": (*truth).globallyRevoked},
	"global_token_revocation_endpoint_auth_methods_supported": {"Bearer": (*truth).globallyRevoked, "DPoP": (*truth).globallyRevokedWithAProof},

	"scopes_supported":         {"read": scoped("read"), "write": scoped("write")},
	"response_types_supported": {"code": (*truth).codeFlow},
	"response_modes_supported": {"query": (*truth).codeFlow, "form_post": func(d *truth) {
		d.visitor.code(ask())
		if _, fields := d.visitor.open(ask("response_mode", "form_post")).form(d.t); fields.Get("code") == "" || fields.Get("iss") != d.url {
			d.t.Errorf("%v", fields)
		}
	}},
	"code_challenge_methods_supported": {"S256": (*truth).codeFlow},
	"grant_types_supported": {
		"authorization_code":    (*truth).codeFlow,
		"password":              func(d *truth) { d.login() },
		"refresh_token":         func(d *truth) { d.refresh(d.login().str("refresh_token")).ok(d.t, 200) },
		"client_credentials":    func(d *truth) { d.machine("app", appSecret) },
		storage.GrantDeviceCode: (*truth).deviceFlow,
		storage.GrantTokenExchange: func(d *truth) {
			d.post("/token", form("grant_type", storage.GrantTokenExchange, "subject_token", d.login().str("access_token"), "subject_token_type", accessType), app).ok(d.t, 200)
		},
	},
	"authorization_response_iss_parameter_supported": {"true": func(d *truth) {
		for _, q := range []url.Values{d.visitor.through(ask()), d.visitor.open(ask("scope", "nope")).back(d.t, callback)} {
			if q.Get("iss") != d.url {
				d.t.Errorf("%v", q)
			}
		}
	}},

	"token_endpoint_auth_methods_supported":                    methods("/token", "client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
	"revocation_endpoint_auth_methods_supported":               methods("/revoke", "client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
	"introspection_endpoint_auth_methods_supported":            methods("/introspect", "client_secret_basic", "client_secret_post", "private_key_jwt"),
	"token_endpoint_auth_signing_alg_values_supported":         algs("/token"),
	"revocation_endpoint_auth_signing_alg_values_supported":    algs("/revoke"),
	"introspection_endpoint_auth_signing_alg_values_supported": algs("/introspect"),
	"dpop_signing_alg_values_supported": each(signingAlgs, func(d *truth, alg string) {
		k := newKey(d.t, "", alg)
		a := d.post("/token", loginForm(), app, withProof(d.proof(k, nil))).ok(d.t, 200)
		if cnf := d.verified(d.t, a.str("access_token"))["cnf"]; a.str("token_type") != "DPoP" || fmt.Sprint(cnf) != "map[jkt:"+k.thumbprint(d.t)+"]" {
			d.t.Errorf("%s, cnf %v", a.str("token_type"), cnf)
		}
	}),
	"introspection_signing_alg_values_supported": each(ringAlgs, func(d *truth, alg string) {
		a := d.introspect(d.machine("app", appSecret), api, accepts(signedAnswer)).ok(d.t, 200)
		if d.signedClaims(d.t, string(a.body)); segment(d.t, string(a.body), 0)["alg"] != alg {
			d.t.Errorf("%s", a.body)
		}
	}),
	"id_token_signing_alg_values_supported": each(ringAlgs, func(d *truth, alg string) {
		a := d.visitor.openID()
		for _, name := range []string{"id_token", "access_token"} { // libraries take the list for both
			if head := segment(d.t, a.str(name), 0); head["alg"] != alg {
				d.t.Errorf("%s: %v", name, head)
			}
		}
		left := sha256.New
		if alg == keys.EdDSA { // OpenID Connect Core §3.1.3.6 by the hash of Ed25519
			left = sha512.New
		}
		h := left()
		h.Write([]byte(a.str("access_token")))
		if sum := h.Sum(nil); segment(d.t, a.str("id_token"), 1)["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]) {
			d.t.Errorf("at_hash of %s", alg)
		}
	}),

	"subject_types_supported": {"public": func(d *truth) {
		b := d.visitor.redeem(d.visitor.code(ask()), app).ok(d.t, 200)
		if one, two := d.visitor.openID().str("access_token"), b.str("access_token"); segment(d.t, one, 1)["sub"] != segment(d.t, two, 1)["sub"] {
			d.t.Error("two clients know the user by two names")
		}
	}},
	"acr_values_supported": {"urn:jeton:acr:password": func(d *truth) {
		if id := segment(d.t, d.visitor.openID("acr_values", "urn:jeton:acr:password").str("id_token"), 1); id["acr"] != "urn:jeton:acr:password" {
			d.t.Errorf("%v", id)
		}
	}},
	"claim_types_supported": {"normal": func(d *truth) { d.claim("name") }},
	"claims_supported": each([]string{"sub", "name", "given_name", "family_name", "nickname", "preferred_username", "picture", "website", "locale", "zoneinfo", "updated_at", "email", "email_verified"},
		func(d *truth, name string) { d.claim(name) }),
	"backchannel_logout_supported": {"true": func(d *truth) { d.logoutToken() }},
	"backchannel_logout_session_supported": {"true": func(d *truth) {
		if told, sid := d.logoutToken(); told["sid"] != sid || sid == "" {
			d.t.Errorf("told of %v, not of %s", told["sid"], sid)
		}
	}},
	"claims_parameter_supported": {"false": func(d *truth) {
		a := d.visitor.openID("claims", `{"id_token":{"email":{"essential":true}}}`)
		if id := segment(d.t, a.str("id_token"), 1); id["email"] != nil {
			d.t.Errorf("%v", id)
		}
	}},
	"client_id_metadata_document_supported": {"true": func(d *truth) {
		d.trade(d.site, d.visitor.through(d.site.wish()).Get("code")).ok(d.t, 200)
	}},
	"protected_resources":             {"/userinfo": describes("/userinfo"), "/admin/v1": describes("/admin/v1")},
	"request_parameter_supported":     {"false": refusedAs("request_not_supported", "request", "e30.e30.")},
	"request_uri_parameter_supported": {"false": refusedAs("request_uri_not_supported", "request_uri", "https://client.example/request")},
}

// signingAlgs are those that clients sign with, ringAlgs those of our keys.
var (
	signingAlgs = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
	ringAlgs    = []string{keys.RS256, keys.ES256, keys.PS256, keys.EdDSA}
)

// each is the same proof for several values.
func each(values []string, try func(*truth, string)) map[string]func(*truth) {
	out := make(map[string]func(*truth))
	for _, value := range values {
		out[value] = func(d *truth) { try(d, value) }
	}
	return out
}

// methods are ways to authenticate at an endpoint.
func methods(path string, names ...string) map[string]func(*truth) {
	return each(names, func(d *truth, method string) { d.authenticated(path, method).ok(d.t, 200) })
}

// authenticated sends a good form to an endpoint by one way to authenticate.
func (d *truth) authenticated(path, method string) answer {
	pairs := endpoints[path]
	switch method {
	case "client_secret_basic":
		return d.post(path, form(pairs...), basic(method, appSecret))
	case "client_secret_post":
		return d.post(path, form(append(pairs, "client_id", method, "client_secret", appSecret)...))
	case "private_key_jwt":
		return d.post(path, d.withAssertion(d.signers["ES256"], nil, pairs...))
	case "client_secret_jwt":
		hmac := jwtKey{kid: "ES256", alg: "HS256", private: []byte(appSecret)}
		return d.post(path, d.withAssertion(hmac, map[string]any{"iss": "app", "sub": "app"}, pairs...))
	case "none":
		if path == "/token" {
			return d.post(path, loginForm("client_id", "spa"))
		}
		return d.post(path, form(append(pairs, "client_id", "spa")...))
	}
	return d.post(path, form(append(pairs, "client_id", "app")...)) // by what TLS or a header may say
}

// algs are those of assertions.
func algs(path string) map[string]func(*truth) {
	return each(signingAlgs, func(d *truth, alg string) {
		d.post(path, d.withAssertion(d.signers[alg], nil, endpoints[path]...)).ok(d.t, 200)
	})
}

func scoped(scope string) func(*truth) {
	return func(d *truth) {
		if a := d.post("/token", form("grant_type", "client_credentials", "scope", scope), app).ok(d.t, 200); a.str("scope") != scope {
			d.t.Errorf("%s", a.body)
		}
	}
}

// describes is an API of the server that says where its metadata are.
func describes(api string) func(*truth) {
	return func(d *truth) {
		a := d.do("GET", api+map[string]string{"/admin/v1": "/users"}[api], "", "")
		m := resourceMetadata.FindStringSubmatch(a.Header.Get("WWW-Authenticate"))
		if m == nil || d.do("GET", strings.TrimPrefix(m[1], d.url), "", "").ok(d.t, 200).str("resource") != d.url+api {
			d.t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
}

// refusedAs is an authorization request that goes back with an error.
func refusedAs(code string, pairs ...string) func(*truth) {
	return func(d *truth) {
		if q := d.visitor.open(ask(pairs...)).back(d.t, callback); q.Get("error") != code || q.Get("code") != "" {
			d.t.Errorf("%v", q)
		}
	}
}

func (d *truth) codeFlow() {
	a := d.redeem(d.visitor.code(ask()), app).ok(d.t, 200)
	if d.verified(d.t, a.str("access_token")); !d.active(a.str("access_token")) {
		d.t.Error("not active")
	}
}

func (d *truth) deviceFlow() {
	asked := d.askDevice(app).ok(d.t, 200)
	d.visitor.allow(asked)
	a := d.poll(asked.str("device_code"), app).ok(d.t, 200)
	if d.verified(d.t, a.str("access_token")); !d.active(a.str("access_token")) {
		d.t.Error("not active")
	}
}

func (d *truth) pushed() {
	uri := push(d.node, app, ask("state", "pushed")).ok(d.t, http.StatusCreated).str("request_uri")
	f := form("client_id", "app", "request_uri", uri, "redirect_uri", callback)
	if q := d.visitor.through(f); q.Get("state") != "pushed" || q.Get("code") == "" {
		d.t.Errorf("%v", q)
	}
}

// claim finds a claim of alice's in the ID token and at /userinfo.
func (d *truth) claim(name string) {
	d.t.Helper()
	a := d.visitor.openID("scope", "openid profile email")
	info := d.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+a.str("access_token"))).ok(d.t, 200)
	if id := segment(d.t, a.str("id_token"), 1); id[name] == nil || fmt.Sprint(id[name]) != fmt.Sprint(info.json[name]) {
		d.t.Errorf("%s is %v, and at /userinfo %v", name, id[name], info.json[name])
	}
}

func (d *truth) signsOut() {
	a := d.visitor.openID()
	d.visitor.load("GET", d.url+"/end_session?"+form("id_token_hint", a.str("id_token")).Encode(), nil)
	d.dead(d.t, "signed out", a.str("access_token"))
}

func (d *truth) globallyRevoked() {
	a := d.login()
	hr := d.machine("hr", hrSecret, "scope", "jeton:events")
	d.do("POST", "/admin/v1/global-token-revocation", "application/json", `{"sub_id":{"format":"opaque","id":"u-alice"}}`, header("Authorization", "Bearer "+hr)).ok(d.t, http.StatusNoContent)
	d.dead(d.t, "globally revoked", a.str("access_token"))
}

// globallyRevokedWithAProof does so by a token that is bound to a key.
func (d *truth) globallyRevokedWithAProof() {
	const path = "/admin/v1/global-token-revocation"
	a, w := d.login(), boundWorld{node: d.node, key: newKey(d.t, "", keys.ES256)}
	hr := d.post("/token", form("grant_type", "client_credentials", "scope", "jeton:events"), basic("hr", hrSecret), withProof(d.proof(w.key, nil))).ok(d.t, 200).str("access_token")
	d.do("POST", path, "application/json", `{"sub_id":{"format":"opaque","id":"u-alice"}}`, shown("DPoP", hr, w.proofAt(w.key, "POST", path, hr, nil))).ok(d.t, http.StatusNoContent)
	d.dead(d.t, "globally revoked", a.str("access_token"))
}

// logoutToken is what a client is told of a session that ends by signing out.
func (d *truth) logoutToken() (told jwt.MapClaims, sid string) {
	got := make(chan string, 10)
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case got <- r.FormValue("logout_token"):
		case <-r.Context().Done(): // there were more, and nobody reads them any more
		}
	}))
	defer receiver.Close()
	must(d.t, second2(d.clients.Set(d.t.Context(), "rp", accounts.ClientSettings{BackchannelURI: accounts.To(receiver.URL)}, accounts.Act{Operator: true})))
	d.clock.Add(2 * time.Second)
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	notifier := &backchannel.Notifier{Store: d.store, Keys: d.grants.Keys, Issuer: d.url, HTTP: receiver.Client(), Log: d.grants.Log}
	go func() { notifier.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	a := d.visitor.openID()
	sid, _ = segment(d.t, a.str("access_token"), 1)["sid"].(string)
	d.visitor.load("GET", d.url+"/end_session?"+form("id_token_hint", a.str("id_token")).Encode(), nil)
	for told["sid"] != sid { // other sessions of the browser may be told of first
		select {
		case token := <-got:
			told = d.verifiedAs(d.t, token, backchannel.Type)
		case <-time.After(time.Minute):
			d.t.Fatal("nobody was told")
		}
	}
	return told, sid
}
