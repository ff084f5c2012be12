package server_test

import (
	"database/sql"
	"jeton/storage/chosen"
	"net/http"
	"testing"

	_ "modernc.org/sqlite" // a foreign program, which opens the file by itself

	"jeton/keys"
)

// away checks the answer of a server that cannot reach its store.
func (a answer) away(t testing.TB, what string) {
	t.Helper()
	if a.StatusCode != http.StatusServiceUnavailable || a.str("error") != "temporarily_unavailable" || a.Header.Get("Retry-After") != "2" ||
		a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %s, headers %v", what, a.StatusCode, a.body, a.Header)
	}
}

func TestV13_NothingIsPromisedWhileTheStoreIsAway(t *testing.T) {
	n := startAdmin(t, options{})
	key := newKey(t, "k1", keys.ES256)
	n.keyClient("worker", key)
	h, own, ops := n.holder(), n.machine("app", appSecret), n.opsToken("jeton:admin")
	// A kid that the ring would look for in the store.
	unknown := header("Authorization", "Bearer "+start(t, options{}).login().str("access_token"))
	n.revoke("x").revoked(t, "nothing, which caches the client")
	must(t, n.store.Close())

	for what, as := range map[string]func(*http.Request){"a client in the cache": app, "one that is not": other} {
		n.post("/token", loginForm(), as).away(t, "password, "+what)
		n.post("/token", form("grant_type", "refresh_token", "refresh_token", h.refreshToken), as).away(t, "refresh, "+what)
		n.post("/token", form("grant_type", "client_credentials"), as).away(t, "client_credentials, "+what)
	}
	for what, token := range map[string]string{"access token": h.access, "refresh token": h.refreshToken, "client's own token": own} {
		n.revoke(token).away(t, "revoke "+what)
		n.post("/revoke", form("token", token), other).away(t, "revoke another's "+what)
		n.introspect(token, api).away(t, "introspect "+what)
	}
	n.introspect(h.access, app).away(t, "introspect, a client in the cache")
	n.introspect(ops, basic("nobody", apiSecret)).away(t, "introspect, by whom nobody knows")
	n.post("/token", n.withAssertion(key, nil, "grant_type", "client_credentials")).away(t, "an assertion")
	n.post("/token", loginForm("client_id", "spa"), header("Origin", "https://spa.example")).away(t, "from a page")
	n.bearer("GET", "/users", "", ops).away(t, "admin")
	n.bearer("GET", "/users", "", "", unknown).away(t, "admin, unknown kid")
	n.do("GET", "/readyz", "", "").away(t, "readyz")

	n.do("GET", "/healthz", "", "").ok(t, 200)
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		a := n.do("GET", path, "", "").ok(t, 200)
		if a.json["keys"] == nil && a.str("issuer") != n.url {
			t.Errorf("%s: %s", path, a.body)
		}
		n.do("GET", path, "", "", header("If-None-Match", a.Header.Get("ETag"))).ok(t, 304)
	}
	// What needs no store is still said: it promises nothing.
	n.do("GET", "/token", "", "").want(t, 405, "invalid_request")
}

// A store that reads and does not write (its disk is full) must not have its
// silence taken for a revocation.
func TestV13_NothingIsPromisedWhileTheStoreDoesNotWrite(t *testing.T) {
	chosen.SQLiteOnly(t) // package proof has a Redis that is full
	n := start(t, options{})
	h, own := n.holder(), n.machine("app", appSecret)
	db, err := sql.Open("sqlite", n.path)
	must(t, err)
	defer db.Close()
	_, err = db.Exec(`CREATE TRIGGER full BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	must(t, err)

	n.post("/token", loginForm(), app).away(t, "password")
	n.refresh(h.refreshToken).away(t, "refresh")
	for what, token := range map[string]string{"access token": h.access, "refresh token": h.refreshToken, "client's own token": own} {
		n.revoke(token).away(t, "revoke "+what)
	}
	n.alive(t, "meanwhile", h.access, own)

	_, err = db.Exec(`DROP TRIGGER full`)
	must(t, err)
	h.rotate(t) // no token was burnt (promise 5)
	n.revoke(own).revoked(t, "own")
	n.revoke(h.refreshToken).revoked(t, "refresh token")
	n.dead(t, "at last", h.access, own)
}
