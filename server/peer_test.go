package server_test

import (
	"net/http/httptest"
	"testing"

	"jeton/accounts"
	"jeton/clients"
	"jeton/dpop"
	"jeton/events/lists"
	"jeton/events/status"
	"jeton/grants"
	"jeton/keys"
	"jeton/passwords"
	"jeton/server"
	"jeton/storage"
	"jeton/storage/chosen"
	wellknown "jeton/well-known"
)

// peer is a second node on the store of n: it shares nothing else with it but
// the clock, no cache, no key in memory, no connection.
func (n *node) peer() *node {
	n.t.Helper()
	t, settings := n.t, n.grants.Settings
	p := &node{t: t, clock: n.clock, path: n.path, log: n.log}
	backend, err := chosen.Open(t.Context(), n.path, n.clock.Now)
	must(t, err)
	p.store = storage.New(backend)
	master, err := keys.NewMasterKey(make([]byte, 32))
	must(t, err)
	ring, err := keys.Open(t.Context(), p.store, master, keys.Config{Alg: keys.ES256, Now: n.clock.Now})
	must(t, err)
	pw, err := passwords.New(hashing)
	must(t, err)
	places := status.New(p.store, status.Config{})
	p.grants = &grants.Service{
		Settings: settings, Store: p.store, Keys: ring, Master: master, Places: places,
		Passwords: pw, Proofs: &dpop.Checker{Store: p.store, Master: master, RequireNonce: n.grants.Proofs.RequireNonce}, Log: n.grants.Log, Now: n.clock.Now,
	}
	auth, err := clients.New(clients.Config{Store: p.store, Issuer: settings.Issuer, Now: n.clock.Now})
	must(t, err)
	p.lists = lists.New(lists.Config{Store: p.store, Keys: ring, Issuer: settings.Issuer, Log: n.grants.Log})
	docs, err := wellknown.Routes(server.Published(settings, nil), ring)
	must(t, err)
	p.users = &accounts.Users{Store: p.store, Grants: p.grants, Passwords: pw}
	p.clients = &accounts.Clients{Store: p.store, Grants: p.grants}
	admin := &server.Admin{Users: p.users, Clients: p.clients, Grants: p.grants}
	p.server, err = server.New(server.Config{Issuer: settings.Issuer, Log: n.grants.Log, Lists: p.lists}, p.grants, auth, docs, admin)
	must(t, err)
	p.handler, p.operate = p.server.Handler(), admin.OperatorDoor()
	web := httptest.NewServer(p.handler)
	p.url, p.http = web.URL+mustURL(t, settings.Issuer).Path, n.http
	t.Cleanup(func() { p.lists.Close(); web.Close(); places.Close(); ring.Close(); p.store.Close() })
	return p
}

// revokedPlace reports whether the place of an access token stands in the index
// from which status lists are published.
func (n *node) revokedPlace(access string) bool {
	n.t.Helper()
	jti, _ := segment(n.t, access, 1)["jti"].(string)
	place, ok := status.PlaceOf(jti)
	if !ok {
		n.t.Fatalf("the jti %q has no place", jti)
	}
	found := false
	must(n.t, n.store.AllByIndex(n.t.Context(), storage.Query{Index: storage.IndexRevoked(place.List)}, func(row storage.Row) error {
		r, err := storage.Decode[storage.RevokedIndex](row)
		if r.Value.TokenID == jti && r.Value.List == place.List && r.Value.Index == place.Index {
			found = true
		}
		return err
	}))
	return found
}

// machine is a client's own token.
func (n *node) machine(id, secret string, more ...string) string {
	n.t.Helper()
	return n.post("/token", form(append([]string{"grant_type", "client_credentials"}, more...)...), basic(id, secret)).ok(n.t, 200).str("access_token")
}

// dead checks that access tokens are inactive, with their places revoked, and
// alive that they are not.
func (n *node) dead(t testing.TB, what string, tokens ...string) {
	t.Helper()
	for i, token := range tokens {
		if n.active(token) {
			t.Errorf("%s: token %d is active", what, i)
		}
		if !n.revokedPlace(token) {
			t.Errorf("%s: the place of token %d is not revoked", what, i)
		}
	}
}

func (n *node) alive(t testing.TB, what string, tokens ...string) {
	t.Helper()
	for i, token := range tokens {
		if !n.active(token) {
			t.Errorf("%s: token %d is not active", what, i)
		}
		if n.revokedPlace(token) {
			t.Errorf("%s: the place of token %d is revoked", what, i)
		}
	}
}
