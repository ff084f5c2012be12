package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// The two ways to a token that administers: ops has one of its own, console
// gets it for users.
const (
	opsSecret     = "ops-secret-ops-secret-ops-secret-"
	consoleSecret = "console-secret-console-secret-12"
)

func startAdmin(t *testing.T, o options) *node {
	n := start(t, o)
	n.operator("POST", "/clients", `{"client_id":"ops","client_secret":"`+opsSecret+`","grant_types":["client_credentials"],"scope":"read jeton:admin","admin":true}`).ok(t, 201)
	n.operator("POST", "/clients", `{"client_id":"console","client_secret":"`+consoleSecret+`","grant_types":["password","refresh_token"],"scope":"read jeton:admin","admin":true}`).ok(t, 201)
	n.operator("POST", "/users", `{"username":"root","sub":"u-root","roles":["ROLE_ADMIN"],"password":"through the looking-glass"}`).ok(t, 201)
	return n
}

func (n *node) opsToken(scope string) string {
	n.t.Helper()
	return n.post("/token", form("grant_type", "client_credentials", "scope", scope), basic("ops", opsSecret)).ok(n.t, 200).str("access_token")
}

func (n *node) consoleToken(username, password string) string {
	n.t.Helper()
	return n.post("/token", form("grant_type", "password", "username", username, "password", password, "scope", "jeton:admin"),
		basic("console", consoleSecret)).ok(n.t, 200).str("access_token")
}

// bearer calls the admin API over the network.
func (n *node) bearer(method, path, body, token string, change ...func(*http.Request)) answer {
	n.t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	if token != "" {
		change = append(change, header("Authorization", "Bearer "+token))
	}
	a := n.do(method, "/admin/v1"+path, contentType, body, change...)
	if a.Header.Get("Cache-Control") != "no-store" {
		n.t.Errorf("B9 %s %s: Cache-Control %q", method, path, a.Header.Get("Cache-Control"))
	}
	if c := a.Header.Values("WWW-Authenticate"); len(c) != 0 && (len(c) != 2 || !challenge.MatchString(c[0]) || !challenge.MatchString(c[1])) {
		n.t.Errorf("B9 %s %s: WWW-Authenticate %q", method, path, c)
	}
	return a
}

// challenge is Bearer or DPoP with quoted parameters in T10's characters (B9).
var challenge = regexp.MustCompile(`^(?:Bearer|DPoP) [a-z_]+="[ !#-\[\]-~]*"(, [a-z_]+="[ !#-\[\]-~]*")*$`)

// challenges checks the parameters of a challenge, each of which is there once.
func (a answer) challenges(t *testing.T, want ...string) {
	t.Helper()
	got := a.Header.Get("WWW-Authenticate")
	for _, w := range want {
		if strings.Count(got, w) != 1 {
			t.Errorf("WWW-Authenticate %q has %s %d times", got, w, strings.Count(got, w))
		}
	}
	for _, name := range []string{"realm=", "error=", "error_description=", "scope="} {
		if strings.Count(got, name) > 1 {
			t.Errorf("WWW-Authenticate %q has %s twice", got, name)
		}
	}
}

func TestB1_NoCredentialsAreChallengedWithoutAnError(t *testing.T) {
	n := startAdmin(t, options{})
	for path, allow := range everyRoute {
		for _, method := range append(strings.Split(allow, ", "), "OPTIONS") {
			a := n.bearer(method, path, "", "")
			if a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s: %d", method, path, a.StatusCode)
			}
			if a.challenges(t, "realm="); strings.Contains(a.Header.Get("WWW-Authenticate"), "error") {
				t.Errorf("%s %s: WWW-Authenticate %q", method, path, a.Header.Get("WWW-Authenticate"))
			}
		}
	}
	for _, other := range []string{"Basic YTpi", "DPoPx y", "", "x"} {
		if a := n.bearer("GET", "/users", "", "", header("Authorization", other)); a.StatusCode != 401 || strings.Contains(a.Header.Get("WWW-Authenticate"), "error") {
			t.Errorf("Authorization %q: %d %q", other, a.StatusCode, a.Header.Get("WWW-Authenticate"))
		}
	}
	n.bearer("GET", "/nothing", "", "").challenges(t, "realm=")
}

func TestB2_BadTokensAreInvalidToken(t *testing.T) {
	n := startAdmin(t, options{})
	good := n.opsToken("jeton:admin")
	n.bearer("GET", "/users", "", good).ok(t, 200)
	invalid := func(what, token string) {
		t.Helper()
		a := n.bearer("GET", "/users", "", token)
		if a.StatusCode != 401 || a.str("error") != "invalid_token" {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
		a.challenges(t, `error="invalid_token"`, "realm=")
	}
	parts := strings.Split(good, ".")
	flipped := "A"
	if parts[2][0] == 'A' {
		flipped = "B"
	}
	invalid("malformed", "x")
	invalid("bad signature", parts[0]+"."+parts[1]+"."+flipped+parts[2][1:])
	invalid("no signature", "eyJhbGciOiJub25lIn0."+parts[1]+".")
	invalid("wrong audience, of a client that may", n.opsToken("read"))
	invalid("wrong audience, of a user", n.login().str("access_token"))
	invalid("refresh token", n.login().str("refresh_token"))
	revoked := n.opsToken("jeton:admin")
	n.post("/revoke", form("token", revoked), basic("ops", opsSecret)).ok(t, 200)
	invalid("revoked", revoked)
	n.clock.Add(30 * time.Minute)
	invalid("expired", good)
}

// A token for the admin API without its scope is not handed out. Should one
// ever be (a client that was given the audience by other means), it is refused.
func TestB3_MissingScopeIsInsufficient(t *testing.T) {
	n := startAdmin(t, options{})
	must(t, n.setAudience("ops", n.grants.Settings.AdminAudience()))
	a := n.bearer("GET", "/users", "", n.opsToken("read"))
	a.want(t, http.StatusForbidden, "insufficient_scope")
	a.challenges(t, `error="insufficient_scope"`, `scope="jeton:admin"`)
}

func TestB4_MalformedHeadersAreInvalidRequests(t *testing.T) {
	n := startAdmin(t, options{})
	token := n.opsToken("jeton:admin")
	bad := func(change ...func(*http.Request)) {
		t.Helper()
		a := n.bearer("GET", "/users", "", "", change...)
		a.want(t, http.StatusBadRequest, "invalid_request")
		a.challenges(t, `error="invalid_request"`)
	}
	bad(header("Authorization", "Bearer "+token), header("Authorization", "Bearer "+token))
	bad(header("Authorization", "Basic YTpi"), header("Authorization", "Bearer "+token))
	for _, malformed := range []string{"Bearer", "Bearer ", "Bearer =", "Bearer " + token + " x", "Bearer " + token + ",x", `Bearer "` + token + `"`, "Bearer " + token + "\u00e9"} {
		bad(header("Authorization", malformed))
	}
	// A second token in the body is no token, and a form no body.
	n.do("POST", "/admin/v1/users", "application/x-www-form-urlencoded", "access_token="+token, header("Authorization", "Bearer "+token)).want(t, http.StatusUnsupportedMediaType, "invalid_request")
	n.bearer("POST", "/users", `{"username":"bob","access_token":"`+token+`"}`, token).want(t, http.StatusBadRequest, "invalid_request")
}

func TestB5_TokensOutsideTheHeaderAreRefused(t *testing.T) {
	n := startAdmin(t, options{})
	token := n.opsToken("jeton:admin")
	n.bearer("GET", "/users?access_token="+token, "", "").want(t, http.StatusBadRequest, "invalid_request")
	for _, query := range []string{"access_token=", "%61ccess_token=", "a=b&access%5ftoken=", "a=b;access_token=", "a=%zz&access_token="} {
		a := n.bearer("GET", "/users?"+query+token, "", token)
		a.want(t, http.StatusBadRequest, "invalid_request")
		if said := a.str("error_description"); !strings.Contains(said, "revoke it") { // and not that the parameter is unknown
			t.Errorf("%s: %s", query, said)
		}
	}
	n.do("POST", "/admin/v1/users", "application/x-www-form-urlencoded", "access_token="+token).want(t, http.StatusUnauthorized, "invalid_token")
}

func TestB6_TheSchemeHasNoCase(t *testing.T) {
	n := startAdmin(t, options{})
	token := n.opsToken("jeton:admin")
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "bEaReR   "} {
		n.bearer("GET", "/users", "", "", header("Authorization", scheme+token)).ok(t, 200)
	}
}

// What a token may do is looked up at each call: taking a right away works at
// once, whatever tokens are about.
func TestBearerRightsAreThoseInTheStore(t *testing.T) {
	n := startAdmin(t, options{settings: func(s *grants.Settings) { // so that the tokens outlive the rights
		s.On = grants.Reactions{RolesLost: grants.DoNothing, ClientNarrowed: grants.DoNothing}
	}})
	ops, root := n.opsToken("jeton:admin"), n.consoleToken("root", "through the looking-glass")
	n.bearer("GET", "/users", "", ops).ok(t, 200)
	n.bearer("GET", "/users", "", root).ok(t, 200)
	n.bearer("GET", "/users", "", n.consoleToken("alice", password)).want(t, http.StatusForbidden, "access_denied")

	n.operator("PUT", "/users/root/roles", `{"roles":["ROLE_USER","ROLE_ADMINISTRATOR"]}`).ok(t, 200)
	n.bearer("GET", "/users", "", root).want(t, http.StatusForbidden, "access_denied")
	n.operator("PUT", "/users/root/roles", `{"roles":["ROLE_ADMIN"]}`).ok(t, 200)
	n.bearer("GET", "/users", "", root).ok(t, 200)

	n.operator("PATCH", "/clients/console", `{"admin":false,"scope":"read"}`).ok(t, 200)
	n.bearer("GET", "/users", "", root).want(t, http.StatusForbidden, "access_denied")
	n.operator("PATCH", "/clients/ops", `{"admin":false,"scope":"read"}`).ok(t, 200)
	n.bearer("GET", "/users", "", ops).want(t, http.StatusForbidden, "access_denied")
	n.operator("POST", "/users/root/disable", "").ok(t, 200)
	n.bearer("GET", "/users", "", root).want(t, http.StatusUnauthorized, "invalid_token")
}

// DESIGN §6: clients that administer are made and changed over the socket.
func TestBearerCannotMakeItselfPermanent(t *testing.T) {
	n := startAdmin(t, options{})
	token := n.consoleToken("root", "through the looking-glass")
	for what, call := range map[string][3]string{
		"a new client that administers":  {"POST", "/clients", `{"client_id":"x","grant_types":["client_credentials"],"scope":"jeton:admin","admin":true}`},
		"a new client with the flag":     {"POST", "/clients", `{"client_id":"x","grant_types":["client_credentials"],"admin":true}`},
		"the flag for a client":          {"PATCH", "/clients/app", `{"admin":true}`},
		"the scope for a client":         {"PATCH", "/clients/app", `{"admin":true,"scope":"jeton:admin"}`},
		"no flag for a client any more":  {"PATCH", "/clients/ops", `{"admin":null,"scope":"read"}`},
		"the secret of one that has it":  {"POST", "/clients/ops/secret", `{}`},
		"a longer life for one":          {"PATCH", "/clients/ops", `{"access_token_ttl":"24h"}`},
		"one that has it gone":           {"DELETE", "/clients/ops", ""},
		"one that has it public instead": {"PATCH", "/clients/console", `{"public":true}`},
	} {
		t.Run(what, func(t *testing.T) {
			n.bearer(call[0], call[1], call[2], token).want(t, http.StatusForbidden, "access_denied")
		})
	}
	n.bearer("PATCH", "/clients/app", `{"scope":"jeton:admin"}`, token).want(t, http.StatusBadRequest, "invalid_request")
	n.bearer("GET", "/clients/x", "", token).want(t, http.StatusNotFound, "not_found")
	n.opsToken("jeton:admin")
	if a := n.bearer("PATCH", "/clients/app", `{"client_name":"fine","admin":false}`, token).ok(t, 200); a.str("client_name") != "fine" {
		t.Errorf("an ordinary change: %s", a.body)
	}
}

func TestBearerActsInItsOwnName(t *testing.T) {
	n := startAdmin(t, options{})
	n.bearer("POST", "/users", `{"username":"bob"}`, n.opsToken("jeton:admin")).ok(t, 201)
	n.bearer("POST", "/users/alice/disable", `{"reason":"left"}`, n.consoleToken("root", "through the looking-glass")).ok(t, 200)
	if e := n.events("user_created"); e[len(e)-1].Actor != "client:ops" {
		t.Errorf("events %+v", e)
	}
	if e := n.events("user_disabled"); len(e) != 1 || e[0].Actor != "u-root" || e[0].Note != "left" || e[0].Source != "127.0.0.1" {
		t.Errorf("events %+v", e)
	}
}

func TestBearerRoutesLieBelowTheIssuer(t *testing.T) {
	n := startAdmin(t, options{issuer: "https://login.example/tenant/a"})
	token := n.opsToken("jeton:admin")
	n.bearer("GET", "/users/alice", "", token).ok(t, 200)
	n.bearer("POST", "/users", `{"username":"a/b"}`, token).ok(t, 201)
	n.bearer("GET", "/users/a%2Fb", "", token).ok(t, 200)
	n.bearer("GET", "/nothing", "", token).want(t, http.StatusNotFound, "not_found")
	n.bearer("PUT", "/users", "{}", token).want(t, http.StatusMethodNotAllowed, "invalid_request")
}

// A session may end itself, and its token with it.
func TestBearerMayEndEverything(t *testing.T) {
	t.Parallel()
	n := startAdmin(t, options{})
	token := n.consoleToken("root", "through the looking-glass")
	n.bearer("POST", "/sessions/revoke", `{"all":true,"reason":"breach"}`, token).ok(t, 200)
	n.bearer("GET", "/users", "", token).want(t, http.StatusUnauthorized, "invalid_token")
}

func TestAdminAnswers503WhenTheStoreIsAway(t *testing.T) {
	n := startAdmin(t, options{})
	token := n.opsToken("jeton:admin")
	must(t, n.store.Close())
	for _, a := range []answer{n.bearer("GET", "/users", "", token), n.operator("GET", "/users", ""), n.operator("POST", "/users", `{"username":"bob"}`)} {
		if a.want(t, http.StatusServiceUnavailable, "temporarily_unavailable"); a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

// setAudience writes what no door would.
func (n *node) setAudience(id, audience string) error {
	_, err := n.grants.ChangeClient(n.t.Context(), id, func(c *storage.Client) error {
		c.Audience = []string{audience}
		return nil
	}, nil)
	return err
}
