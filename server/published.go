package server

import (
	"jeton/dpop"
	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
	wellknown "jeton/well-known"
)

// Published are the facts about this server's endpoints that the documents of
// package wellknown tell. It stands beside the routes so that the two agree.
func Published(settings grants.Settings, scopes []string) wellknown.Config {
	registration := ""
	if settings.Registration.On() {
		registration = registerPath
	}
	confidential := []string{storage.AuthBasic, storage.AuthPost, storage.AuthPrivateKeyJWT}
	all := append(confidential, storage.AuthNone)
	return wellknown.Config{
		Issuer:        settings.Issuer,
		Token:         wellknown.Endpoint{Path: "/token", AuthMethods: all},
		Revocation:    wellknown.Endpoint{Path: "/revoke", AuthMethods: all},
		Introspection: wellknown.Endpoint{Path: "/introspect", AuthMethods: confidential},
		Authorization: "/authorize",
		Push:          "/par",
		RequirePush:   settings.RequirePush,
		Registration:  registration,
		Device:        "/device_authorization",
		ResponseTypes: grants.ResponseTypes(),
		ResponseModes: grants.ResponseModes(),
		ACRs:          grants.ACRs(),
		Userinfo:      "/userinfo",
		EndSession:    "/end_session",
		Backchannel:   true,
		Claims:        grants.ClaimNames(),
		StatusLists:   statusPath,

		Resources: []wellknown.Resource{
			{Path: "/userinfo", Name: "Who the user is (OpenID Connect)", Scopes: grants.OpenIDScopes()},
			{Path: adminPath, Name: "Administration", Scopes: []string{grants.AdminScope, grants.EventsScope}},
		},
		// By an access token of the scope that [grants.EventsScope] is.
		GlobalRevocation: wellknown.Endpoint{Path: globalRevocationPath, AuthMethods: []string{schemeBearer, schemeDPoP}},
		Grants:           grants.Types(),
		AssertionAlgs:    keys.AssertionAlgs(),
		DPoPAlgs:         dpop.Algs(),
		Scopes:           scopes,

		SignedIntrospection: true,
	}
}
