package server_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

// The password grant can be fenced in for each client.
func TestP6_FencesOfThePasswordGrant(t *testing.T) {
	n := start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	set := func(t *testing.T, body string) {
		t.Helper()
		n.operator("PATCH", "/clients/app", body).ok(t, 200)
	}
	from := func(addr string, more ...string) answer {
		return n.post("/token", loginForm(more...), app, header("X-Forwarded-For", addr))
	}

	t.Run("networks", func(t *testing.T) {
		set(t, `{"password_grant_networks":["10.0.0.0/8","2001:db8::/32","192.0.2.7"]}`)
		for _, addr := range []string{"10.1.2.3", "2001:db8:1::1", "192.0.2.7", "::ffff:10.1.2.3"} {
			from(addr).want(t, 200, "")
		}
		token := ""
		for _, addr := range []string{"11.0.0.1", "192.0.2.8", "2001:db9::1", "127.0.0.1"} {
			a := from(addr)
			a.want(t, 400, "unauthorized_client")
			if !strings.Contains(a.str("error_description"), "from this address") {
				t.Errorf("%s", a.body)
			}
		}
		// A proxy that names nobody lets nobody in, wherever it stands itself.
		set(t, `{"password_grant_networks":["10.0.0.0/8","127.0.0.0/8"]}`)
		from("127.0.0.1").want(t, 200, "")
		for _, addr := range []string{"", "10.1.2.3, unknown"} {
			a := from(addr)
			a.want(t, 400, "unauthorized_client")
			if !strings.Contains(a.str("error_description"), "unknown address") {
				t.Errorf("%q: %s", addr, a.body)
			}
		}
		set(t, `{"password_grant_networks":["10.0.0.0/8","2001:db8::/32","192.0.2.7"]}`)
		// A wrong password outside reads the same: nothing is learnt of it.
		wrong := n.post("/token", form("grant_type", "password", "username", "alice", "password", "x"), app, header("X-Forwarded-For", "11.0.0.1"))
		if right := from("11.0.0.1"); string(wrong.body) != string(right.body) {
			t.Errorf("%s and %s", wrong.body, right.body)
		}
		// Other grants are not fenced in, and a session goes on elsewhere.
		token = from("10.1.2.3").str("refresh_token")
		n.post("/token", form("grant_type", "refresh_token", "refresh_token", token), app, header("X-Forwarded-For", "11.0.0.1")).want(t, 200, "")
		n.post("/token", form("grant_type", "client_credentials"), app, header("X-Forwarded-For", "11.0.0.1")).want(t, 200, "")
		set(t, `{"password_grant_networks":null}`)
		from("11.0.0.1").want(t, 200, "")
	})

	t.Run("scope", func(t *testing.T) {
		set(t, `{"password_grant_scope":"read"}`)
		if a := n.login(); a.str("scope") != "read" || segment(t, a.str("access_token"), 1)["scope"] != "read" {
			t.Errorf("nothing asked for: %s", a.body)
		}
		n.login("scope", "read")
		n.post("/token", loginForm("scope", "read write"), app).want(t, 400, "invalid_scope")
		n.post("/token", loginForm("scope", "write"), app).want(t, 400, "invalid_scope")
		// A refresh gives no more than the login did.
		n.refresh(n.login().str("refresh_token"), "scope", "read write").want(t, 400, "invalid_scope")
		if a := n.post("/token", form("grant_type", "client_credentials"), app); a.str("scope") != "read write" {
			t.Errorf("the cap reaches other grants: %s", a.body)
		}
		set(t, `{"password_grant_scope":""}`)
		if a := n.login(); a.str("scope") != "read write" {
			t.Errorf("%s", a.body)
		}
	})

	t.Run("sunset", func(t *testing.T) {
		day := n.clock.Now().Add(storage.Day).Truncate(storage.Day)
		set(t, `{"password_grant_sunset":"`+day.Format(time.DateOnly)+`"}`)
		header := day.Format("Mon, 02 Jan 2006 15:04:05") + " GMT"
		a := n.login()
		if got := a.Header.Get("Sunset"); got != header {
			t.Errorf("Sunset: %q, want %q", got, header)
		}
		if got := n.post("/token", form("grant_type", "password", "username", "alice", "password", "x"), app).Header.Get("Sunset"); got != header {
			t.Errorf("Sunset of a refusal: %q", got)
		}
		for _, other := range []url.Values{form("grant_type", "client_credentials"), form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token"))} {
			b := n.post("/token", other, app)
			b.want(t, 200, "")
			if b.Header.Get("Sunset") != "" {
				t.Errorf("another grant has a sunset: %v", other)
			}
		}
		if want := `jeton_password_grant_sunset_timestamp_seconds{client_id="app"} 1.7724096e+09`; !strings.Contains(n.metrics(), want) {
			t.Errorf("the metrics lack %s", want)
		}
		session := n.login().str("refresh_token")
		n.clock.Add(day.Sub(n.clock.Now()) - time.Second)
		n.login()
		n.clock.Add(time.Second)
		a = n.post("/token", loginForm(), app)
		a.want(t, 400, "unauthorized_client")
		if a.Header.Get("Sunset") != header || !strings.Contains(a.str("error_description"), "has ended for this client on "+day.Format(time.DateOnly)) {
			t.Errorf("after it: %v %s", a.Header, a.body)
		}
		n.refresh(session).want(t, 200, "") // whoever is signed in stays so
		if want := `jeton_acts_total{act="password",client_id="app",outcome="sunset"} 1`; !strings.Contains(n.metrics(), want) {
			t.Errorf("the metrics lack %s", want)
		}
		n.post("/token", loginForm(), basic("other", apiSecret)).want(t, 200, "") // another client's is its own
	})
}

// Fences that cannot be are refused, each with what is wrong.
func TestFencesThatAreRefused(t *testing.T) {
	n := start(t, options{})
	for body, want := range map[string]string{
		`{"password_grant_networks":["10.0.0.1/8"]}`:              "write 10.0.0.0/8",
		`{"password_grant_networks":["here"]}`:                    "is not an address range",
		`{"password_grant_networks":["::ffff:10.0.0.0/104"]}`:     "is not an address range",
		`{"password_grant_networks":["fe80::1%eth0"]}`:            "is not an address range",
		`{"password_grant_networks":["10.0.0.0/8","10.0.0.0/8"]}`: "twice",
		`{"password_grant_scope":"delete"}`:                       "the client has no scope 'delete'",
		`{"password_grant_scope":" read"}`:                        "one space between",
		`{"password_grant_sunset":"tomorrow"}`:                    "neither a date such as 2027-01-31",
		`{"password_grant_sunset":"2027-02-30"}`:                  "neither a date such as 2027-01-31",
		`{"scope":"read","password_grant_scope":"read write"}`:    "the client has no scope 'write'",
	} {
		a := n.operator("PATCH", "/clients/app", body)
		a.want(t, 400, "invalid_request")
		if !strings.Contains(a.str("error_description"), want) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	a := n.operator("PATCH", "/clients/app", `{"password_grant_networks":["10.0.0.0/8"],"password_grant_scope":"read","password_grant_sunset":"2027-01-31T12:00:00+01:00"}`).ok(t, 200)
	if a.str("password_grant_scope") != "read" || a.str("password_grant_sunset") != "2027-01-31T11:00:00Z" || len(a.json["password_grant_networks"].([]any)) != 1 {
		t.Errorf("%s", a.body)
	}
	must(t, n.addClient(accounts.NewClient{ID: "made", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"password"}), PasswordNetworks: accounts.To([]string{"10.0.0.0/8"})}}))
	n.post("/token", loginForm(), basic("made", appSecret)).want(t, 400, "unauthorized_client")
}
