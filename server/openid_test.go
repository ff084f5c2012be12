package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/keys"
	"jeton/storage"
)

const (
	rp       = "https://rp.example/cb"
	rpLogout = "https://rp.example/bye"
)

// startOpenID is a node with a client for OpenID Connect, and with alice's
// claims.
func startOpenID(t *testing.T, o options) *node {
	n := start(t, o)
	must(t, n.addClient(accounts.NewClient{ID: "rp", Secret: appSecret, ClientSettings: accounts.ClientSettings{Consent: accounts.To("never"),
		Grants: accounts.To([]string{"authorization_code", "refresh_token"}), Scope: accounts.To("openid profile email offline_access read"),
		RedirectURIs: accounts.To([]string{rp}), PostLogoutURIs: accounts.To([]string{rpLogout})}}))
	_, err := n.grants.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error {
		u.Claims = storage.Claims{Name: "Alice Liddell", Email: "alice@example.com"}
		return nil
	}, nil)
	must(t, err)
	return n
}

func askOpenID(pairs ...string) url.Values {
	return ask(append([]string{"client_id", "rp", "redirect_uri", rp, "scope", "openid", "nonce", "n-0S6_WzA2Mj"}, pairs...)...)
}

func rpClient(r *http.Request) { basic("rp", appSecret)(r) }

// openID walks an OpenID Connect request to its tokens.
func (b *browser) openID(pairs ...string) answer {
	b.t.Helper()
	return b.redeem(b.code(askOpenID(pairs...)), rpClient, "redirect_uri", rp).ok(b.t, 200)
}

func TestO1_O2_O3_O18_IDToken(t *testing.T) {
	for _, alg := range []string{keys.RS256, keys.ES256} {
		n := startOpenID(t, options{alg: alg})
		b := n.browser()
		a := b.openID()
		id := n.verifiedAs(t, a.str("id_token"), "JWT")
		access := segment(t, a.str("access_token"), 1)
		sum := sha256.Sum256([]byte(a.str("access_token")))
		if id["iss"] != n.url || id["sub"] != "u-alice" || id["nonce"] != "n-0S6_WzA2Mj" || id["exp"] != access["exp"] || id["iat"] != access["iat"] || id["auth_time"] == nil ||
			id["sid"] != access["sid"] || id["acr"] != "urn:jeton:acr:password" || id["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) || id["azp"] != nil {
			t.Errorf("%v", id)
		}
		if aud, _ := id["aud"].([]any); len(aud) != 1 || aud[0] != "rp" {
			t.Errorf("aud %v", id["aud"])
		}
		if h := segment(t, a.str("id_token"), 0); h["alg"] != alg || h["typ"] != "JWT" {
			t.Errorf("O2 %v", h)
		}
		if id["name"] != nil || id["email"] != nil || id["scope"] != nil {
			t.Errorf("claims that nobody asked for: %v", id)
		}
		id = n.verifiedAs(t, b.openID("nonce", "", "scope", "openid profile email").str("id_token"), "JWT")
		if _, has := id["nonce"]; has || id["name"] != "Alice Liddell" || id["preferred_username"] != "alice" || id["email"] != "alice@example.com" || id["email_verified"] != false {
			t.Errorf("%v", id)
		}
		// J18: no kind of token passes for another.
		n.do("GET", "/userinfo", "", "", header("Authorization", "Bearer "+a.str("id_token"))).want(t, 401, "invalid_token")
		n.revoke(a.str("id_token")).revoked(t, "an ID token")
		n.refresh(a.str("id_token")).want(t, 400, "invalid_grant")
		if n.active(a.str("id_token")) {
			t.Error("an ID token introspects as active")
		}
	}
}

func TestO9_J24_Userinfo(t *testing.T) {
	n := startOpenID(t, options{})
	b := n.browser()
	bearer := func(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }
	full := b.openID("scope", "openid profile email").str("access_token")
	for _, method := range []string{"GET", "POST"} {
		a := n.do(method, "/userinfo", "", "", bearer(full)).ok(t, 200)
		if a.str("sub") != "u-alice" || a.str("name") != "Alice Liddell" || a.str("email") != "alice@example.com" || a.json["email_verified"] != false || a.str("preferred_username") != "alice" ||
			a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%v %s", a.Header, a.body)
		}
	}
	if a := n.do("GET", "/userinfo", "", "", bearer(b.openID().str("access_token"))).ok(t, 200); len(a.json) != 1 {
		t.Errorf("with openid alone: %s", a.body)
	}
	n.do("GET", "/userinfo", "", "", bearer(b.openID("scope", "read").str("access_token"))).want(t, 403, "insufficient_scope")
	n.do("GET", "/userinfo", "", "", bearer(n.machine("app", appSecret))).want(t, 403, "insufficient_scope")
	none := n.do("GET", "/userinfo", "", "")
	if none.StatusCode != 401 || none.Header.Get("WWW-Authenticate") != `Bearer realm="jeton", scope="openid", resource_metadata="`+n.url+`/.well-known/oauth-protected-resource/userinfo"` {
		t.Errorf("B1 %d %v", none.StatusCode, none.Header)
	}
	for token, status := range map[string]int{"x": 401, "x y": 400, b.openID().str("refresh_token"): 401} {
		if a := n.do("GET", "/userinfo", "", "", bearer(token)); a.StatusCode != status || !strings.Contains(a.Header.Get("WWW-Authenticate"), "error=") {
			t.Errorf("%.20s: %d %v", token, a.StatusCode, a.Header)
		}
	}
	n.do("GET", "/userinfo?access_token="+full, "", "").want(t, 400, "invalid_request")
	n.revoke(full)
	n.post("/revoke", form("token", full), rpClient)
	n.do("GET", "/userinfo", "", "", bearer(full)).want(t, 401, "invalid_token")
	if a := n.do("OPTIONS", "/userinfo", "", "", header("Origin", "https://any.example")); a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Headers") != "Authorization, DPoP" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

func TestO10_IDTokenHint(t *testing.T) {
	n := startOpenID(t, options{})
	must(t, second(n.users.Add(t.Context(), accounts.NewUser{Username: "bob", Password: password + "2"}, accounts.Act{Operator: true})))
	b := n.browser()
	hint := b.openID().str("id_token")
	if q := b.open(askOpenID("prompt", "none", "id_token_hint", hint)).back(t, rp); q.Get("code") == "" {
		t.Errorf("%v", q)
	}
	n.clock.Add(time.Hour) // its age does not matter
	b.submit(b.open(askOpenID("prompt", "login")), "login", "username", "bob", "password", password+"2")
	if q := b.open(askOpenID("prompt", "none", "id_token_hint", hint)).back(t, rp); q.Get("error") != "login_required" {
		t.Errorf("O10 %v", q)
	}
	page := b.open(askOpenID("id_token_hint", hint))
	if page.title() != "Sign in" {
		t.Fatalf("%d %s", page.StatusCode, page.body)
	}
	if q := b.submit(page, "login", "username", "bob", "password", password+"2").back(t, rp); q.Get("error") != "login_required" {
		t.Errorf("another one signed in: %v", q)
	}
	if q := b.open(askOpenID("prompt", "none", "id_token_hint", "junk")).back(t, rp); q.Get("code") == "" {
		t.Errorf("%v", q)
	}
}

func TestO14_O17_EndSession(t *testing.T) {
	n := startOpenID(t, options{})
	bye := func(pairs ...string) string { return n.url + "/end_session?" + form(pairs...).Encode() }
	type world struct {
		*browser
		ends, stays answer // tokens of a session with and without the browser
	}
	begin := func() world {
		b := n.browser()
		return world{b, b.openID(), b.openID("scope", "openid offline_access")}
	}
	out := func(t *testing.T, w world, want bool) {
		t.Helper()
		if signedOut := w.open(askOpenID("prompt", "none")).Header.Get("Location"); strings.Contains(signedOut, "login_required") != want {
			t.Errorf("signed out: %s", signedOut)
		}
		if n.active(w.ends.str("access_token")) == want {
			t.Error("O17 the session that belongs to the browser")
		}
		if !n.active(w.stays.str("access_token")) {
			t.Error("O17 the session with offline_access has ended")
		}
	}
	t.Run("with a hint nobody is asked", func(t *testing.T) {
		w := begin()
		n.clock.Add(time.Hour) // expired, and good enough
		w.stays = w.openID("scope", "openid offline_access")
		a := w.load("GET", bye("id_token_hint", w.ends.str("id_token"), "post_logout_redirect_uri", rpLogout, "state", "s&t"), nil)
		if a.StatusCode != 303 || a.Header.Get("Location") != rpLogout+"?state=s%26t" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		out(t, w, true)
		n.post("/token", form("grant_type", "refresh_token", "refresh_token", w.ends.str("refresh_token")), rpClient).want(t, 400, "invalid_grant")
		n.post("/token", form("grant_type", "refresh_token", "refresh_token", w.stays.str("refresh_token")), rpClient).ok(t, 200)
	})
	t.Run("without one the user is", func(t *testing.T) {
		w := begin()
		for _, address := range []string{bye(), bye("client_id", "rp", "post_logout_redirect_uri", rpLogout), bye("id_token_hint", "junk"), bye("id_token_hint", w.ends.str("access_token"))} {
			if page := w.load("GET", address, nil); page.title() != "Sign out" {
				t.Errorf("%s: %d %s", address, page.StatusCode, page.body)
			}
		}
		out(t, w, false)
		w = begin()
		page := w.load("GET", bye("client_id", "rp", "post_logout_redirect_uri", rpLogout, "state", "x"), nil)
		if a := w.submit(page, "stay"); a.Header.Get("Location") != rpLogout+"?state=x" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		out(t, w, false)
		if a := w.submit(page, "signout"); a.Header.Get("Location") != rpLogout+"?state=x" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		out(t, w, true)
	})
	t.Run("no redirect that is not registered", func(t *testing.T) {
		w := begin()
		for _, pairs := range [][]string{
			{"post_logout_redirect_uri", rpLogout}, {"post_logout_redirect_uri", rpLogout + "/", "client_id", "rp"}, {"post_logout_redirect_uri", "https://evil.example", "client_id", "rp"}, {"post_logout_redirect_uri", rpLogout, "client_id", "app"},
		} {
			w.browser = n.browser()
			if a := w.load("GET", bye(pairs...), nil); a.StatusCode != 200 || a.title() != "Signed out" {
				t.Errorf("%v: %d %v", pairs, a.StatusCode, a.Header)
			}
		}
		if a := w.load("GET", bye("client_id", "app", "id_token_hint", w.ends.str("id_token")), nil); a.StatusCode != 400 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("a form of another site", func(t *testing.T) {
		w := begin()
		w.load("POST", n.url+"/end_session", form("decision", "signout"), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		out(t, w, false)
		if a := w.follow(w.load("POST", n.url+"/end_session", form("id_token_hint", w.ends.str("id_token")))); a.title() != "Signed out" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		out(t, w, true)
	})
	t.Run("a code that is under way ends too", func(t *testing.T) {
		w := begin()
		code := w.code(askOpenID())
		w.load("GET", bye("id_token_hint", w.ends.str("id_token")), nil)
		n.redeem(code, rpClient, "redirect_uri", rp).want(t, 400, "invalid_grant")
	})
}

func TestSignOutIsOneCommit(t *testing.T) {
	n := startOpenID(t, options{})
	b := n.browser()
	for range 5 {
		b.openID()
	}
	var cookie string
	for _, c := range b.jar.Cookies(mustURL(t, n.url)) {
		if c.Name == "jeton" {
			cookie = c.Value
		}
	}
	done := make(chan answer, 20)
	for range 10 {
		go func() {
			done <- b.node.do("GET", "/authorize?"+askOpenID().Encode(), "", "", header("Cookie", "jeton="+cookie))
		}()
	}
	ended, err := n.grants.SignOut(t.Context(), cookie, "")
	must(t, err)
	if len(ended) != 5 || !slices.ContainsFunc(ended, func(s storage.Session) bool { return s.ClientID == "rp" }) {
		t.Errorf("%d sessions ended", len(ended))
	}
	for range 10 {
		a := <-done
		if code := mustURL(t, a.Header.Get("Location")).Query().Get("code"); code != "" {
			n.redeem(code, rpClient, "redirect_uri", rp).want(t, 400, "invalid_grant")
		}
	}
}

func TestO15_WhoIsToldOfEndedSessions(t *testing.T) {
	n := startOpenID(t, options{})
	b := n.browser()
	silent := b.openID()
	must(t, second2(n.clients.Set(t.Context(), "rp", accounts.ClientSettings{BackchannelURI: accounts.To("https://rp.example/logout")}, accounts.Act{Operator: true})))
	n.clock.Add(2 * time.Second)
	told := func() []string {
		page, err := n.store.List(t.Context(), storage.Query{Index: storage.IndexLogouts, Limit: 100})
		must(t, err)
		var sids []string
		for _, row := range page.Rows {
			sids = append(sids, row.ID)
		}
		return sids
	}
	sid := func(a answer) string { return segment(t, a.str("access_token"), 1)["sid"].(string) }
	own, plain, other := b.openID(), b.openID("scope", "read"), b.openID()
	n.post("/revoke", form("token", own.str("refresh_token")), rpClient).ok(t, 200)
	n.post("/revoke", form("token", silent.str("refresh_token")), rpClient).ok(t, 200)
	if got := told(); len(got) != 0 {
		t.Errorf("told of what the client did itself: %v", got)
	}
	b.load("GET", n.url+"/end_session?"+form("id_token_hint", other.str("id_token")).Encode(), nil)
	if got := told(); !slices.Equal(got, []string{sid(other)}) {
		t.Errorf("told of %v, want %s and not %s, which is no OpenID Connect", got, sid(other), sid(plain))
	}
}

func second2[A, B any](_ A, _ B, err error) error { return err }
