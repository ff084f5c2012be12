package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
)

// again refreshes as the client rp.
func (n *node) again(token string, more ...string) answer {
	n.t.Helper()
	return n.post("/token", form(append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...), rpClient).ok(n.t, 200)
}

func (n *node) rename(name string) {
	n.t.Helper()
	_, err := n.grants.ChangeUser(n.t.Context(), "u-alice", func(u *storage.User) error { u.Claims.Name = name; return nil }, nil)
	must(n.t, err)
}

func TestO11_RefreshBringsAnIDToken(t *testing.T) {
	n := startOpenID(t, options{})
	first := n.browser().openID("scope", "openid profile read")
	was := n.verifiedAs(t, first.str("id_token"), "JWT")
	n.clock.Add(time.Hour)
	n.rename("Alice Pleasance Liddell")
	a := n.again(first.str("refresh_token"))
	id, access := n.verifiedAs(t, a.str("id_token"), "JWT"), segment(t, a.str("access_token"), 1)
	for _, same := range []string{"iss", "sub", "aud", "auth_time", "sid", "acr", "amr"} {
		if was[same] == nil || fmt.Sprint(id[same]) != fmt.Sprint(was[same]) {
			t.Errorf("%s was %v and is %v", same, was[same], id[same])
		}
	}
	sum := sha256.Sum256([]byte(a.str("access_token")))
	if _, has := id["nonce"]; has || id["iat"] != access["iat"] || id["exp"] != access["exp"] || id["iat"] == was["iat"] ||
		id["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) || id["name"] != "Alice Pleasance Liddell" {
		t.Errorf("%v", id)
	}
	if a = n.again(a.str("refresh_token"), "scope", "openid read"); n.verifiedAs(t, a.str("id_token"), "JWT")["name"] != nil {
		t.Error("a claim of a scope that was left out")
	}
	if a = n.again(a.str("refresh_token"), "scope", "read"); a.json["id_token"] != nil {
		t.Error("without the scope openid")
	}
	if a = n.again(a.str("refresh_token")); a.str("id_token") == "" {
		t.Error("with all that was granted again")
	}
	must(t, second2(n.clients.Set(t.Context(), "rp", accounts.ClientSettings{WithoutID: accounts.To(true)}, accounts.Act{Operator: true})))
	n.clock.Add(2 * time.Second)
	if a = n.again(a.str("refresh_token")); a.json["id_token"] != nil {
		t.Error("the client wants none")
	}

	t.Run("where there was none at first", func(t *testing.T) {
		n := startOpenID(t, options{})
		plain := n.browser().openID("scope", "read")
		if a := n.again(plain.str("refresh_token")); a.json["id_token"] != nil {
			t.Error("a session without openid")
		}
		must(t, second2(n.clients.Set(t.Context(), "rp", accounts.ClientSettings{Grants: accounts.To([]string{"password", "authorization_code", "refresh_token"})}, accounts.Act{Operator: true})))
		n.clock.Add(2 * time.Second)
		typed := n.post("/token", loginForm("scope", "openid"), rpClient).ok(t, 200)
		if typed.json["id_token"] != nil || n.again(typed.str("refresh_token")).json["id_token"] != nil {
			t.Error("a login that was not made at the pages")
		}
	})
}

// PS256 draws a salt for each signature, so what is equal was signed once.
func TestO11_R9_RetriesBringTheSameIDToken(t *testing.T) {
	n := startOpenID(t, options{alg: keys.PS256, settings: func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second }})
	a := n.browser().openID("scope", "openid profile")
	var wait sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		wait.Go(func() { answers[i] = n.again(a.str("refresh_token")) })
	}
	wait.Wait()
	for _, again := range answers[1:] {
		for _, token := range []string{"id_token", "access_token", "refresh_token"} {
			if again.str(token) == "" || again.str(token) != answers[0].str(token) {
				t.Errorf("the %s differs", token)
			}
		}
	}
	n.rename("Alice Pleasance Liddell")
	later := n.again(a.str("refresh_token"))
	if later.str("refresh_token") != answers[0].str("refresh_token") || later.str("access_token") != answers[0].str("access_token") ||
		n.verifiedAs(t, later.str("id_token"), "JWT")["name"] != "Alice Pleasance Liddell" {
		t.Error("a retry tells what is no longer so")
	}
}
