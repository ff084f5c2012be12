package server_test

import (
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
	"jeton/storage/chosen"
)

// TestP8_T25_SecretsStayOutOfLogAndStore sends requests of all kinds, good and
// bad, and then looks for what they carried.
func TestP8_T25_SecretsStayOutOfLogAndStore(t *testing.T) {
	n := start(t, options{})
	const (
		wrongSecret   = "a-wrong-secret-a-wrong-secret-a-wrong"
		wrongPassword = "a wrong password"
		newPassword   = "through the looking glass"
		assertion     = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhc3NlcnRpb24ifQ.c2lnbmF0dXJl"
	)
	secrets := map[string]string{
		"secret": appSecret, "other secret": apiSecret, "wrong secret": wrongSecret, "password": password,
		"wrong password": wrongPassword, "new password": newPassword, "assertion": assertion,
	}
	keep := func(what string, a answer) answer {
		for _, name := range []string{"access_token", "refresh_token"} {
			if token := a.str(name); token != "" {
				parts := strings.Split(token, ".")
				secrets[what+" "+name], secrets[what+" payload of "+name], secrets[what+" signature of "+name] = token, parts[1], parts[2]
			}
		}
		return a
	}
	first := keep("login", n.login())
	second := keep("refresh", n.refresh(first.str("refresh_token")))
	keep("spa", n.post("/token", loginForm("client_id", "spa")))
	keep("post", n.post("/token", form("grant_type", "client_credentials", "client_id", "app", "client_secret", appSecret)))
	n.post("/introspect", form("token", second.str("access_token")), basic("api", apiSecret))
	n.post("/introspect", form("token", first.str("refresh_token")), app)
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", second.str("refresh_token")), basic("other", apiSecret)) // another's
	n.revoke(second.str("access_token"))
	n.post("/revoke", form("token", second.str("access_token")), basic("other", apiSecret))
	n.refresh(second.str("refresh_token") + "x")
	n.refresh(second.str("access_token"))
	n.refresh(first.str("refresh_token")) // reuse
	n.refresh(second.str("refresh_token"))
	n.revoke(second.str("refresh_token"))
	n.post("/token", loginForm(), basic("app", wrongSecret))
	n.post("/token", form("grant_type", "client_credentials", "client_id", "app", "client_secret", wrongSecret))
	n.post("/token", loginForm("client_secret", appSecret), app)
	n.post("/token", form("grant_type", "password", "username", "alice", "password", wrongPassword), app)
	n.post("/token", form("grant_type", "password", "username", "nobody", "password", wrongPassword), app)
	n.post("/token?password="+wrongSecret, loginForm(), app)
	n.post("/token?client_secret="+wrongSecret, form("grant_type", "client_credentials"))
	n.post("/token", form("grant_type", "client_credentials", "client_assertion", assertion, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
	n.post("/token", loginForm(), header("Authorization", "Bearer "+assertion))
	n.post("/token", loginForm(), rawBasic("!"+wrongSecret))
	n.post("/token", loginForm(), b64("app"+wrongSecret))
	n.do("POST", "/token", "application/json", `{"password":"`+wrongPassword+`"}`, app)
	n.do("GET", "/token?password="+wrongSecret, "", "", app)
	n.do("GET", "/no/such/path?access_token="+wrongSecret, "", "")
	n.do("GET", "/admin/v1/users?access_token="+wrongSecret, "", "", header("Authorization", "Bearer "+first.str("access_token")))
	n.operatorCall("PUT", "/users/alice/password", `{"password":"`+newPassword+`"}`)
	_, err := n.users.SetPassword(t.Context(), "alice", newPassword, accounts.Act{Operator: true})
	must(t, err)
	_, made, err := n.clients.Add(t.Context(), accounts.NewClient{ID: "made", ClientSettings: accounts.ClientSettings{Grants: accounts.To(grants.Types()), RedirectURIs: accounts.To([]string{callback})}}, accounts.Act{Operator: true})
	must(t, err)
	secrets["made secret"] = made
	keep("made", n.post("/token", form("grant_type", "client_credentials"), basic("made", made)))

	log := n.log.String()
	for _, want := range []string{`"client_id":"app"`, `"error":"invalid_grant"`, `"level":"WARN"`, `"cause"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s: does this test look at it?", want)
		}
	}
	stored := chosen.Written(t, n.path)
	if !strings.Contains(stored, storage.ReasonReuse) || !strings.Contains(stored, `"client_id":"app"`) {
		t.Error("the store has none of the session: does this test look at it?")
	}
	for what, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("%s stands in the log", what)
		}
		if strings.Contains(stored, secret) {
			t.Errorf("%s stands in the store", what)
		}
	}
}

// What strangers send does not fill the log.
func TestT29_LogLinesAreBounded(t *testing.T) {
	n := start(t, options{})
	long := strings.Repeat("é", 25_000)
	n.post("/token", form("grant_type", long), app)
	n.post("/token", form("grant_type", "client_credentials", "scope", long), app)
	n.post("/token", form("grant_type", "client_credentials", "client_id", long, "client_secret", long))
	n.post("/token", form("grant_type", "client_credentials", "client_id", long), app)
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", long), app)
	n.post("/token", form("grant_type", "password", "username", long, "password", long), app)
	n.post("/token", form("grant_type", "client_credentials", "client_assertion", long, "client_assertion_type", long))
	n.post("/token", form(), basic(long, long))
	n.post("/revoke", form("token", long), app)
	n.post("/introspect", form("token", long), app)
	n.do(strings.Repeat("X", 25_000), "/token?"+strings.Repeat("x", 25_000), "", "")
	n.do("GET", "/"+strings.Repeat("x", 25_000), "", "")
	for _, line := range n.lines(0) {
		for name, value := range line {
			if text, ok := value.(string); ok && len(text) > 300 {
				t.Errorf("%s holds %d bytes: %.80s", name, len(text), text)
			}
		}
	}
}
