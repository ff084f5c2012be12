package server_test

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// Who fetches the key set is known by address and program, behind a proxy too,
// and a rotation waits for it. Asking again with If-None-Match counts.
func TestRotationsWaitForVerifiersSeen(t *testing.T) {
	n := start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	fetch := func(address string, change ...func(*http.Request)) answer {
		return n.do("GET", "/.well-known/jwks.json", "", "", append(change, from(address))...)
	}
	rotate := func(body string) answer { return n.operator("POST", "/keys/rotate", body).ok(t, 200) }

	etag := fetch("203.0.113.1").ok(t, 200).Header.Get("ETag")
	fetch("203.0.113.2").ok(t, 200)
	n.clock.Add(10 * time.Minute)
	fetch("203.0.113.1", header("If-None-Match", etag)).ok(t, http.StatusNotModified)
	rotate(`{"now":true}`)
	n.clock.Add(10 * time.Minute)
	if a := rotate(""); a.json["gated"] != true || a.str("state") != "next" {
		t.Errorf("the rotation does not wait: %s", a.body)
	}
}
