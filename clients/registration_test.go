package clients

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"jeton/keys"
	"jeton/storage"
)

var openRules = Rules{
	Grants:      []string{storage.GrantAuthorizationCode, storage.GrantRefreshToken},
	Scopes:      []string{"openid", "read"},
	AuthMethods: []string{storage.AuthBasic, storage.AuthPost, storage.AuthPrivateKeyJWT, storage.AuthNone},
}

// described is the client that the metadata makes.
func described(text string, r Rules) (c storage.Client, err error) {
	m, err := ParseMetadata([]byte(text))
	if err == nil {
		err = m.Describe(&c, r)
	}
	return c, err
}

func TestC3_MetadataDefaults(t *testing.T) {
	c, err := described(`{"redirect_uris":["https://app.example/cb"]}`, openRules)
	if err != nil {
		t.Fatal(err)
	}
	if c.AuthMethod != "" || AuthMethod(c) != storage.AuthBasic || !slices.Equal(c.Grants, []string{"authorization_code"}) || !slices.Equal(ResponseTypes(c), []string{"code"}) ||
		!slices.Equal(c.Scopes, openRules.Scopes) || c.CORSOrigins != nil {
		t.Errorf("%+v", c)
	}
	c, err = described(`{"token_endpoint_auth_method":"none","redirect_uris":["https://APP.example:443/cb","http://localhost:6274/cb","com.example.app:/cb","https://app.example/other"]}`, openRules)
	if err != nil || !slices.Equal(c.CORSOrigins, []string{"https://app.example", "http://localhost:6274"}) {
		t.Errorf("a public client may be called from %v, %v", c.CORSOrigins, err)
	}
}

// All members that mean something come through, and what means nothing, or is
// spelt otherwise, changes nothing.
func TestC1_MetadataMembers(t *testing.T) {
	text := `{"redirect_uris":["com.example.app:/cb"],"token_endpoint_auth_method":"private_key_jwt","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
		"client_name":"Notizen","client_uri":"https://n.example","logo_uri":"https://n.example/l.png","tos_uri":"https://n.example/tos#en","policy_uri":"https://n.example/p",
		"contacts":["ops@n.example"],"scope":"read","jwks_uri":"https://n.example/jwks","software_id":"4f8f","software_version":"2.1","application_type":"native",
		"post_logout_redirect_uris":["https://n.example/bye"],"backchannel_logout_uri":"https://n.example/out","require_pushed_authorization_requests":true,"dpop_bound_access_tokens":true,
		"client_name#de":"Notizbuch","Admin":true,"introspect":true,"consent":"never","secret_hash":"x","disabled":true,"audience":["x"],"delivery":"cookie","cors_origins":["https://x.example"],
		"unknown":{"deep":[1,2,{"x":null}]},"TOKEN_ENDPOINT_AUTH_METHOD_":"none"}`
	want := storage.Client{
		RedirectURIs: []string{"com.example.app:/cb"}, AuthMethod: "private_key_jwt", Grants: []string{"authorization_code", "refresh_token"},
		Name: "Notizen", ClientURI: "https://n.example", LogoURI: "https://n.example/l.png", TermsURI: "https://n.example/tos#en", PolicyURI: "https://n.example/p",
		Contacts: []string{"ops@n.example"}, Scopes: []string{"read"}, JWKSURI: "https://n.example/jwks", SoftwareID: "4f8f", SoftwareVersion: "2.1", ApplicationType: "native",
		PostLogoutURIs: []string{"https://n.example/bye"}, BackchannelLogoutURI: "https://n.example/out", RequirePush: true, DPoPBound: true,
	}
	c, err := described(text, openRules)
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, c, want)
	}
	kept := storage.Client{ID: "x", Name: "old", LogoURI: "https://old.example", SecretHash: "h", Consent: storage.ConsentAlways, Disabled: true, MaxSessions: 3}
	m, err := ParseMetadata([]byte(`{"redirect_uris":["https://app.example/cb"],"logo_uri":null}`))
	if err == nil {
		err = m.Describe(&kept, openRules)
	}
	if err != nil || kept.ID != "x" || kept.Name != "" || kept.LogoURI != "" || kept.SecretHash != "h" || kept.Consent != storage.ConsentAlways || !kept.Disabled || kept.MaxSessions != 3 {
		t.Errorf("replaced: %+v, %v", kept, err)
	}
}

func TestC2_P5_MetadataIsJudged(t *testing.T) {
	const cb = `"redirect_uris":["https://app.example/cb"]`
	key := jwks(t, newSigner(t, "one", keys.ES256))
	private := strings.Replace(key, `"kty"`, `"d":"AAAA","kty"`, 1)
	for _, tt := range []struct{ text, code, says string }{
		{`{}`, InvalidRedirectURI, "redirect_uris"},
		{`{"redirect_uris":[]}`, InvalidRedirectURI, "redirect_uris"},
		{`{"redirect_uris":"https://app.example/cb"}`, InvalidRedirectURI, "a list of strings"},
		{`{"redirect_uris":["https://app.example/cb",7]}`, InvalidRedirectURI, "a list of strings"},
		{`{"redirect_uris":["http://app.example/cb"]}`, InvalidRedirectURI, "http is only for"},
		{`{"redirect_uris":["https://app.example/cb#x"]}`, InvalidRedirectURI, "fragment"},
		{`{"redirect_uris":["https://*.example/cb"]}`, InvalidRedirectURI, ""},
		{`{"redirect_uris":["javascript:alert(1)"]}`, InvalidRedirectURI, ""},
		{`{"redirect_uris":["data:text/html,x"]}`, InvalidRedirectURI, ""},
		{`{"redirect_uris":["https://u:p@app.example/cb"]}`, InvalidRedirectURI, "user name"},
		{`{"redirect_uris":["/cb"]}`, InvalidRedirectURI, ""},
		{`{"redirect_uris":["https://app.example/cb","https://app.example/cb"]}`, InvalidRedirectURI, "twice"},
		{`{"application_type":"web","redirect_uris":["http://localhost/cb"]}`, InvalidRedirectURI, "web"},
		{`{"application_type":"tv",` + cb + `}`, InvalidClientMetadata, "application_type"},
		{`{"grant_types":["password"]}`, InvalidClientMetadata, `"password" is not for clients`},
		{`{"grant_types":["authorization_code","password"],` + cb + `}`, InvalidClientMetadata, `"password" is not for clients`},
		{`{"grant_types":["client_credentials"]}`, InvalidClientMetadata, `"client_credentials" is not for clients`},
		{`{"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]}`, InvalidClientMetadata, "token-exchange"},
		{`{"grant_types":["implicit"],` + cb + `}`, InvalidClientMetadata, `"implicit" is not offered`},
		{`{"grant_types":["refresh_token"],` + cb + `}`, InvalidClientMetadata, "goes with authorization_code"},
		{`{"grant_types":"authorization_code",` + cb + `}`, InvalidClientMetadata, "a list of strings"},
		{`{"response_types":["token"],` + cb + `}`, InvalidClientMetadata, `"token" is not offered`},
		{`{"response_types":["code id_token"],` + cb + `}`, InvalidClientMetadata, "not offered"},
		{`{"response_types":[],` + cb + `}`, InvalidClientMetadata, "needs code"},
		{`{"response_types":["code","code"],` + cb + `}`, InvalidClientMetadata, "twice"},
		{`{"token_endpoint_auth_method":"client_secret_jwt",` + cb + `}`, InvalidClientMetadata, "token_endpoint_auth_method"},
		{`{"token_endpoint_auth_method":"tls_client_auth",` + cb + `}`, InvalidClientMetadata, "token_endpoint_auth_method"},
		{`{"token_endpoint_auth_method":"private_key_jwt",` + cb + `}`, InvalidClientMetadata, "either jwks or jwks_uri"},
		{`{"token_endpoint_auth_method":"private_key_jwt","jwks":` + private + `,` + cb + `}`, InvalidClientMetadata, "jwks"},
		{`{"token_endpoint_auth_method":"private_key_jwt","jwks":"x",` + cb + `}`, InvalidClientMetadata, "jwks: not an object"},
		{`{"token_endpoint_auth_method":"private_key_jwt","jwks":` + key + `,"jwks_uri":"https://a.example/k",` + cb + `}`, InvalidClientMetadata, "either jwks or jwks_uri"},
		{`{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://a.example/k",` + cb + `}`, InvalidClientMetadata, "only https"},
		{`{"scope":"read write",` + cb + `}`, InvalidClientMetadata, `"write" is not for clients`},
		{`{"scope":"jeton:admin",` + cb + `}`, InvalidClientMetadata, `"jeton:admin" is not for clients`},
		{`{"scope":"jeton:events",` + cb + `}`, InvalidClientMetadata, `"jeton:events" is not for clients`},
		{`{"scope":" read",` + cb + `}`, InvalidClientMetadata, "one space between"},
		{`{"scope":["read"],` + cb + `}`, InvalidClientMetadata, "scope: not a string"},
		{`{"client_name":"a\u202eb",` + cb + `}`, InvalidClientMetadata, "client_name"},
		{`{"client_name":"` + strings.Repeat("x", 256) + `",` + cb + `}`, InvalidClientMetadata, "client_name"},
		{`{"client_uri":"http://a.example",` + cb + `}`, InvalidClientMetadata, "client_uri: only https"},
		{`{"logo_uri":"javascript:alert(1)",` + cb + `}`, InvalidClientMetadata, "logo_uri"},
		{`{"logo_uri":"https://a.example/` + strings.Repeat("x", 2048) + `",` + cb + `}`, InvalidClientMetadata, "logo_uri"},
		{`{"tos_uri":"//a.example",` + cb + `}`, InvalidClientMetadata, "tos_uri"},
		{`{"policy_uri":"https:///x",` + cb + `}`, InvalidClientMetadata, "policy_uri"},
		{`{"contacts":["a\nb"],` + cb + `}`, InvalidClientMetadata, "contacts"},
		{`{"contacts":"ops@a.example",` + cb + `}`, InvalidClientMetadata, "contacts: not a list"},
		{`{"software_id":"\u0000",` + cb + `}`, InvalidClientMetadata, "software_id"},
		{`{"backchannel_logout_uri":"http://a.example",` + cb + `}`, InvalidClientMetadata, "backchannel_logout_uri"},
		{`{"require_pushed_authorization_requests":"true",` + cb + `}`, InvalidClientMetadata, "true or false"},
		{`{"software_statement":"x",` + cb + `}`, InvalidSoftwareStatement, ""},
		{`{"software_statement":7,` + cb + `}`, InvalidClientMetadata, ""},
		{`{"software_statement":"eyJhbGciOiJSUzI1NiJ9.eyJzb2Z0d2FyZV9pZCI6IngifQ.eA",` + cb + `}`, UnapprovedSoftwareStatement, "none is trusted"},
		{`{` + cb + `,"client_name":"a","client_name":"b"}`, InvalidClientMetadata, "twice"},
		{`{` + cb + `,"client_name":"a","Client_Name":"b"}`, InvalidClientMetadata, "twice"},
		{`[]`, InvalidClientMetadata, "not a JSON object"},
		{``, InvalidClientMetadata, "not a JSON object"},
		{`{` + cb + `} {}`, InvalidClientMetadata, "not a JSON object"},
		{"{\"client_name\":\"\xff\"," + cb + "}", InvalidClientMetadata, "not a JSON object"},
	} {
		c, err := described(tt.text, openRules)
		var refused *RegistrationError
		if !errors.As(err, &refused) || refused.Code != tt.code || !strings.Contains(refused.Description, tt.says) || !reflect.DeepEqual(c, storage.Client{}) {
			t.Errorf("%.120s: %v, want %s with %q; client %+v", tt.text, err, tt.code, tt.says, c)
		}
	}
	// Whatever the rules say, such scopes are not for who registers itself.
	lax := Rules{Grants: []string{storage.GrantClientCredentials}, AuthMethods: openRules.AuthMethods, Scopes: []string{adminScope, eventsScope}}
	for _, scope := range lax.Scopes {
		if _, err := described(`{"grant_types":["client_credentials"],"scope":"`+scope+`"}`, lax); err == nil || !strings.Contains(err.Error(), "not for clients") {
			t.Errorf("%s is registered: %v", scope, err)
		}
	}
	if c, err := described(`{"grant_types":["client_credentials"]}`, lax); err != nil || len(c.Scopes) > 0 {
		t.Errorf("by default %v, %v", c.Scopes, err)
	}
	// All faults at once.
	_, err := described(`{"scope":"x","grant_types":["password"],"response_types":["token"],"logo_uri":"x"}`, openRules)
	for _, says := range []string{"scope", "grant_types", "response_types", "logo_uri"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is missing in %v", says, err)
		}
	}
}

// FuzzMetadata: whatever text comes, it is refused with an error of RFC 7591, or
// it makes a client that the rules of all clients allow.
func FuzzMetadata(f *testing.F) {
	for _, text := range []string{
		`{"redirect_uris":["https://app.example/cb"]}`, `{"redirect_uris":null,"jwks":{"keys":[]}}`, `{"scope":"read","grant_types":["authorization_code"]}`,
		`{"a":{"a":1,"a":2}}`, `{"redirect_uris":["http://[::1]/"],"token_endpoint_auth_method":"none"}`, `{"jwks":null}`, `{"jwks":[]}`, `{"\u0072edirect_uris":["x:y.z:/"]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := described(string(text), openRules)
		var refused *RegistrationError
		if err != nil {
			if !errors.As(err, &refused) || refused.Code == "" || refused.Description == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		c.ID = "x"
		if c.AuthMethod != storage.AuthNone && c.AuthMethod != storage.AuthPrivateKeyJWT {
			c.SecretHash = HashSecret("x")
		}
		if err := Validate(c); err != nil || !json.Valid(text) {
			t.Fatalf("%q made %+v: %v", text, c, err)
		}
		for _, s := range c.Scopes {
			if !slices.Contains(openRules.Scopes, s) {
				t.Fatalf("%q has the scope %s", text, s)
			}
		}
		for _, g := range c.Grants {
			if !slices.Contains(openRules.Grants, g) {
				t.Fatalf("%q has the grant %s", text, g)
			}
		}
	})
}
