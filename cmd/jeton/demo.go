package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jeton/clients"
	"jeton/events"
	"jeton/grants"
	"jeton/server"
	"jeton/storage"
)

// What everybody who tries the demonstration knows. It is reached only from
// this machine, and its store is gone with it.
const (
	demoSecret   = "demo-secret"
	demoUser     = "alice"
	demoPassword = "wonderland-wonderland"
	demoMail     = "alice@example.com"
)

// serveDemo serves a store in a temporary directory, which is removed at the
// end.
func (a *app) serveDemo(ctx context.Context, s *Settings) error {
	for _, name := range []string{"store", "mark-file", "master-key-file", "admin-socket"} {
		if s.origin[name] == "--"+name {
			return usagef("--demo brings a store of its own, which is thrown away: leave out --%s, or leave out --demo to keep what you do", name)
		}
	}
	if host, _, _ := net.SplitHostPort(s.Listen.String()); !isLoopback(host) {
		return usagef("%s: the passwords of --demo are known to everyone, so it listens on this machine only: use 127.0.0.1:9096", s.source("listen"))
	}
	dir, err := os.MkdirTemp("", "jeton-demo-")
	if err != nil {
		return fmt.Errorf("cannot make a directory for the demonstration, is TMPDIR writable? %w", err)
	}
	defer os.RemoveAll(dir)
	// What the environment says is for another store.
	s.Store, s.MarkFile, s.MasterKeyFile, s.AdminSocket, s.masterKey = text("sqlite:"+filepath.Join(dir, "jeton.db")), "", "", "", ""
	if s.origin["metrics-listen"] == "" {
		s.MetricsListen = "off" // the port may be another server's
	}
	if s.origin["client-registration"] == "" {
		s.ClientRegistration.word = grants.RegistrationOpen
	}
	if s.origin["registration-scopes"] == "" {
		s.RegistrationScopes = append(s.RegistrationScopes, "read", "write")
	}
	s.printMail = a.stdout
	adminPassword := rand.Text()
	return a.serve(ctx, s, occasion{
		opened: func(ctx context.Context, n *node) (func(string), error) {
			if err := populate(ctx, n, adminPassword); err != nil {
				return nil, fmt.Errorf("cannot fill the demonstration: %w", err)
			}
			return func(string) {
				demoLines(a.stdout, n.grants.Settings.Issuer, s.Store.String(), adminPassword, s.TLSCert != "")
			}, nil
		},
	})
}

// populate makes the clients and users of the demonstration.
func populate(ctx context.Context, n *node, adminPassword string) error {
	now, err := n.store.Now(ctx)
	if err != nil {
		return err
	}
	for _, c := range []storage.Client{
		{ID: "demo", Name: "Demonstration", Scopes: []string{"read", "write"},
			Grants: []string{storage.GrantPassword, storage.GrantRefreshToken, storage.GrantClientCredentials}},
		{ID: "demo-login", Name: "Demonstration of a login", Scopes: append(grants.OpenIDScopes(), "read", "write"),
			Grants: []string{storage.GrantAuthorizationCode, storage.GrantDeviceCode, storage.GrantRefreshToken},
			// The second is where Postman itself waits for codes.
			RedirectURIs: []string{"http://127.0.0.1/callback", "https://oauth.pstmn.io/v1/callback"}, PostLogoutURIs: []string{"http://127.0.0.1/bye"}},
	} {
		c.SecretHash, c.Created, c.Updated = clients.HashSecret(demoSecret), now, now
		// Past the admin API, which would refuse a secret that short.
		if err := put(ctx, n.store, c, now); err != nil {
			return err
		}
	}
	way := &api{client: &http.Client{Transport: inProcess{n.admin()}}}
	for _, one := range []struct {
		path string
		body map[string]any
	}{
		{"/clients", map[string]any{"client_id": "demo-web", "client_name": "Demonstration in a browser", "public": true,
			// The password is for the lines to paste: a page has no business with it.
			"grant_types": []string{storage.GrantAuthorizationCode, storage.GrantPassword, storage.GrantRefreshToken}, "scope": "read write",
			"redirect_uris": exampleAddresses, "post_logout_redirect_uris": exampleAddresses,
			"delivery": storage.DeliveryCookie, "cors_origins": append([]string{demoOrigin(n.grants.Settings.Issuer)}, exampleOrigins...)}},
		{"/users", map[string]any{"username": demoUser, "roles": []string{"ROLE_USER"}, "password": demoPassword,
			"claims": map[string]any{"email": demoMail, "email_verified": true}}},
		{"/users", map[string]any{"username": "admin", "roles": []string{"ROLE_USER", "ROLE_ADMIN"}, "password": adminPassword}},
	} {
		if _, err := way.do(ctx, http.MethodPost, one.path, one.body); err != nil {
			return err
		}
	}
	return nil
}

// Where examples/browser is looked at.
var (
	exampleOrigins   = []string{"http://127.0.0.1:8080", "http://localhost:8080"}
	exampleAddresses = []string{"http://127.0.0.1:8080/", "http://localhost:8080/"}
)

// demoOrigin is the origin that the printed lines say they come from: the
// server's own, where a page can have that.
func demoOrigin(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return "http://127.0.0.1"
	}
	return u.Scheme + "://" + u.Host
}

// put writes a client as it is, with the event of a client that was added.
func put(ctx context.Context, store *storage.Store, c storage.Client, now time.Time) error {
	created := events.New(events.ClientCreated, now)
	created.ClientID, created.Actor = c.ID, string(server.ActorOperator)
	_, err := store.Commit(ctx, storage.Change{
		Partition: storage.ClientPartition(c.ID),
		Checks:    []storage.Check{{Key: storage.ClientKey(c.ID)}},
		Puts:      []storage.Put{storage.ClientPut(c), events.Put(created)},
	})
	return err
}

// demoLines writes lines that work as they are pasted into a shell, one after
// the other: each takes its token from the answer before.
func demoLines(w io.Writer, issuer, store, adminPassword string, selfSigned bool) {
	curl := "curl -s"
	if selfSigned {
		curl = "curl -sk"
	}
	lines := strings.NewReplacer("{curl}", curl, "{url}", issuer, "{origin}", demoOrigin(issuer), "{store}", quote(store), "{admin}", adminPassword, "{jeton}", self(), "{cd}", there(),
		"{secret}", demoSecret, "{alice}", demoUser, "{password}", demoPassword).Replace(`
# A demonstration: all of it is gone when the server ends.
#   clients  demo and demo-login (secret {secret}), demo-web (public, its tokens travel in cookies)
#   users    {alice} (password {password}), admin (password {admin})
# Paste these lines into another shell.

# Log in as {alice}, and keep both tokens:
T=$({curl} -u demo:{secret} -d grant_type=password -d username={alice} -d password={password} {url}/token); echo "$T"
ACCESS=$(echo "$T" | sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p')
REFRESH=$(echo "$T" | sed -n 's/.*"refresh_token": *"\([^"]*\)".*/\1/p')

# Trade the refresh token for its successor, and keep that:
T=$({curl} -u demo:{secret} -d grant_type=refresh_token -d "refresh_token=$REFRESH" {url}/token); echo "$T"
REFRESH=$(echo "$T" | sed -n 's/.*"refresh_token": *"\([^"]*\)".*/\1/p')

# Ask about the access token, end the session, and ask again:
{curl} -u demo:{secret} -d "token=$ACCESS" {url}/introspect; echo
{curl} -u demo:{secret} -d "token=$REFRESH" {url}/revoke
{curl} -u demo:{secret} -d "token=$ACCESS" {url}/introspect; echo

# A page never sees its tokens: demo-web gets them in cookies. Log in, refresh, log out:
JAR=$(mktemp)
page() { {curl} -b "$JAR" -c "$JAR" -H Origin:{origin} -H X-CSRF:1 -d client_id=demo-web "$@"; echo; }
page -d grant_type=password -d username={alice} -d password={password} {url}/session/token
grep -c HttpOnly "$JAR"
page -d grant_type=refresh_token {url}/session/token
page {url}/session/revoke
page -d grant_type=refresh_token {url}/session/token
rm "$JAR"

# A token for the client itself, the keys that verify it, and the metadata:
{curl} -u demo:{secret} -d grant_type=client_credentials -d scope=read {url}/token; echo
{curl} {url}/.well-known/jwks.json; echo
{curl} {url}/.well-known/oauth-authorization-server; echo

# An application may make itself known, and go again; until somebody signs in through it, it is gone by itself after a while:
R=$({curl} -H Content-Type:application/json -d '{"client_name":"My app","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}' {url}/register); echo "$R"
ME=$(echo "$R" | sed -n 's/.*"registration_client_uri": *"\([^"]*\)".*/\1/p')
TOKEN=$(echo "$R" | sed -n 's/.*"registration_access_token": *"\([^"]*\)".*/\1/p')
{curl} -H "Authorization: Bearer $TOKEN" "$ME"; echo
{curl} -X DELETE -H "Authorization: Bearer $TOKEN" "$ME"

# See the login pages: sign in as {alice}; the browser then looks for a program at 127.0.0.1:
#   {url}/authorize?response_type=code&client_id=demo-login&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback&scope=openid+profile+read&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256

# See the console of operators: sign in as admin, with the password above.
#   {url}/console

# See where {alice} is signed in, change the password, or forget it: mails are printed here.
#   {url}/account
#   {url}/forgot

# Use the command line on this store:
{cd}JETON_STORE={store} {jeton} session list

# Administer over the network as admin: that takes a user with ROLE_ADMIN and a client that may,
# which only the command line on this machine can make.
{cd}JETON_STORE={store} {jeton} client add demo-admin --public --admin --grant password --scope jeton:admin
T=$({curl} -d grant_type=password -d client_id=demo-admin -d scope=jeton:admin -d username=admin -d password={admin} {url}/token)
ADMIN=$(echo "$T" | sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p')
{curl} -H "Authorization: Bearer $ADMIN" {url}/admin/v1/users; echo
`)
	fmt.Fprintln(w, lines)
}
