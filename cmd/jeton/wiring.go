package main

import (
	"jeton/clients"
	"jeton/grants"
	"jeton/keys"
	"jeton/outbound"
	"jeton/server"
	"jeton/storage"
	wellknown "jeton/well-known"
)

// server puts HTTP on the node.
func (n *node) server(s *Settings) (*server.Server, error) {
	issuer := n.grants.Settings.Issuer
	auth, err := clients.New(clients.Config{
		Store: n.store, Issuer: issuer,
		HTTP: outbound.NewClient(outbound.Config{Allow: s.OutboundAllow, MaxBytes: keys.MaxJWKSet}),
	})
	if err != nil {
		return nil, err
	}
	docs, err := wellknown.Routes(metadata(issuer), n.ring)
	if err != nil {
		return nil, err
	}
	return server.New(server.Config{Issuer: issuer, TrustedProxies: s.TrustedProxies, Log: n.log}, n.grants, auth, docs, n.accounts())
}

// metadata is what the server offers, for its documents.
func metadata(issuer string) wellknown.Config {
	proofs := []string{storage.AuthBasic, storage.AuthPost, storage.AuthPrivateKeyJWT}
	anyone := append(proofs[:len(proofs):len(proofs)], storage.AuthNone)
	return wellknown.Config{
		Issuer:     issuer,
		Token:      wellknown.Endpoint{Path: "/token", AuthMethods: anyone},
		Revocation: wellknown.Endpoint{Path: "/revoke", AuthMethods: anyone},
		// Who introspects proves who they are (RFC 7662 §2.1).
		Introspection: wellknown.Endpoint{Path: "/introspect", AuthMethods: proofs},
		Grants:        grants.Types(),
		AssertionAlgs: keys.AssertionAlgs(),
	}
}
