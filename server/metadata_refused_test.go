package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
)

// TestD10_WhatIsNotAdvertisedIsRefused tries what the registries of OAuth and
// OpenID Connect have beside what the metadata list. A value that is listed one
// day is no longer tried here, and has to be exercised there.
func TestD10_WhatIsNotAdvertisedIsRefused(t *testing.T) {
	d := startTruth(t, keys.ES256)
	for member, c := range refusals {
		listed := d.values(member)
		for _, value := range c.values {
			if slices.Contains(listed, value) {
				continue
			}
			t.Run(member+" "+value, func(t *testing.T) { c.refused(d.in(t), value) })
		}
	}
	var published []string
	for member := range d.metadata {
		published = append(published, d.values(member)...)
	}
	for _, path := range []string{
		"/register", "/bc-authorize", "/authorize-challenge", "/connect", "/checksession", "/session", "/status/", "/introspection", "/oauth2/token", "/credential",
	} {
		if slices.Contains(published, path) {
			continue
		}
		d.do("GET", path, "", "").want(t, 404, "not_found")
		d.post(path, form(), app).want(t, 404, "not_found")
	}
}

// refusals try values that a member of the metadata may list and does not.
var refusals = map[string]refusal{
	"grant_types_supported": {
		[]string{
			"implicit", "Password", "device_code", "urn:ietf:params:oauth:grant-type:Device_code", "urn:ietf:params:oauth:grant-type:Token-exchange", "urn:openid:params:grant-type:ciba",
			"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer", "urn:ietf:params:oauth:grant-type:pre-authorized_code", "__implicit", "é",
		},
		func(d *truth, grant string) {
			d.post("/token", form("grant_type", grant, "code", "x", "device_code", "x", "assertion", "x", "subject_token", "x", "redirect_uri", callback), app).want(d.t, 400, "unsupported_grant_type")
		},
	},
	"response_types_supported": {
		[]string{"token", "id_token", "none", "id_token token", "code token", "code id_token", "code id_token token", "code code", "Code"},
		func(d *truth, kind string) {
			refusedAs("unsupported_response_type", "response_type", kind)(d)
		},
	},
	"response_modes_supported": {
		[]string{"fragment", "web_message", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt", "Query"},
		func(d *truth, mode string) { refusedAs("invalid_request", "response_mode", mode)(d) },
	},
	"code_challenge_methods_supported": {
		[]string{"plain", "s256", "S384", "S512", "none"},
		func(d *truth, method string) { refusedAs("invalid_request", "code_challenge_method", method)(d) },
	},
	"token_endpoint_auth_methods_supported":                    notAMethod("/token"),
	"revocation_endpoint_auth_methods_supported":               notAMethod("/revoke"),
	"introspection_endpoint_auth_methods_supported":            notAMethod("/introspect"),
	"token_endpoint_auth_signing_alg_values_supported":         notAnAlg("/token"),
	"revocation_endpoint_auth_signing_alg_values_supported":    notAnAlg("/revoke"),
	"introspection_endpoint_auth_signing_alg_values_supported": notAnAlg("/introspect"),
	"dpop_signing_alg_values_supported": {
		otherAlgs,
		func(d *truth, alg string) {
			jwk := d.signers[keyFor[alg[:2]]].bareJWK(d.t)
			proof := d.typedProof(d.signer(alg), fmt.Sprintf(`{"typ":"dpop+jwt","alg":%q,"jwk":%s}`, alg, jwk), nil)
			d.post("/token", loginForm(), app, withProof(proof)).want(d.t, 400, "invalid_dpop_proof")
		},
	},
	"acr_values_supported": {
		[]string{"urn:mace:incommon:iap:silver", "phr", "0"},
		func(d *truth, acr string) {
			if id := segment(d.t, d.visitor.openID("acr_values", acr).str("id_token"), 1); id["acr"] == acr {
				d.t.Errorf("%v", id)
			}
		},
	},
	"claims_supported": {
		[]string{"middle_name", "profile", "gender", "birthdate", "phone_number", "phone_number_verified", "address", "roles", "password_hash"},
		func(d *truth, name string) {
			a := d.visitor.openID("scope", "openid profile email", "claims", `{"userinfo":{"`+name+`":null}}`)
			info := d.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+a.str("access_token"))).ok(d.t, 200)
			if id := segment(d.t, a.str("id_token"), 1); id[name] != nil || info.json[name] != nil {
				d.t.Errorf("%s is %v, and at /userinfo %v", name, id[name], info.json[name])
			}
		},
	},
}

type refusal struct {
	values  []string
	refused func(*truth, string)
}

func notAMethod(path string) refusal {
	return refusal{[]string{"client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none"}, func(d *truth, method string) {
		d.authenticated(path, method).want(d.t, 401, "invalid_client")
	}}
}

// keyFor is whose key stands in a proof, by how the algorithm begins.
var keyFor = map[string]string{"RS": "RS256", "PS": "PS256", "HS": "ES256", "no": "ES256"}

// otherAlgs are those of RFC 7518 that clients may not sign with.
var otherAlgs = []string{"RS384", "RS512", "PS384", "PS512", "HS256", "none"}

func notAnAlg(path string) refusal {
	return refusal{otherAlgs, func(d *truth, alg string) {
		assertion := d.assertion(d.signer(alg), nil)
		d.post(path, asserted(assertion, endpoints[path]...)).want(d.t, 401, "invalid_client")
	}}
}

// signer is one of the worker's keys, used with an algorithm that is not its
// own; none leaves the signature out.
func (d *truth) signer(alg string) jwtKey {
	switch alg[:2] {
	case "RS", "PS":
		kid := alg[:2] + "256"
		return jwtKey{kid, alg, d.signers[kid].private}
	case "HS":
		return jwtKey{"ES256", alg, []byte(appSecret)}
	}
	return jwtKey{"ES256", alg, jwt.UnsafeAllowNoneSignatureType}
}
