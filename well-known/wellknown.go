// Package wellknown publishes what clients and verifiers have to know of the
// server under /.well-known: the JWK Set, the authorization server metadata of
// RFC 8414, and the same metadata at the place where OpenID Connect Discovery
// looks for it.
//
// The documents are made from a [Config] and the key ring, never from a
// request, and answered from memory: verifiers fetch them whenever they meet
// an unknown key, also while the store is away. They list what works and
// nothing else.
//
// Which endpoints exist is left to the caller, who routes them; mounting the
// [Route]s too.
package wellknown

import (
	"net/http"

	"jeton/keys"
	"jeton/storage"
)

// Route is a path, exactly as it stands, and what answers there.
type Route struct {
	Path    string
	Handler http.Handler
}

// Routes returns all documents of one issuer. No other path under /.well-known
// belongs to it, so that nobody finds it under the name of another tenant
// (RFC 8414 §3.1).
func Routes(c Config, ring *keys.Ring) ([]Route, error) {
	base, err := c.basePath()
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	metadata := &document{ring: ring, build: func(set *keys.KeySet) []byte { return storage.Encode(c.signed(c.metadata(), set.Algs)) }}
	discovery := &document{ring: ring, build: func(set *keys.KeySet) []byte { return storage.Encode(c.discovery(set.Algs)) }}
	keySet := &document{ring: ring, build: func(set *keys.KeySet) []byte { return set.JSON }, keySet: true}
	routes := []Route{
		{base + KeySetPath, keySet},
		{"/.well-known/oauth-authorization-server" + base, metadata},
		{"/.well-known/openid-configuration" + base, discovery},
	}
	if base != "" { // OpenID Connect Discovery §4 appends where RFC 8414 §3 inserts
		routes = append(routes, Route{base + "/.well-known/openid-configuration", discovery})
	}
	for _, r := range c.Resources {
		about := c.resource(r)
		routes = append(routes, Route{ResourcePath(base + r.Path), &document{ring: ring, build: func(*keys.KeySet) []byte { return storage.Encode(about) }}})
	}
	return routes, nil
}
