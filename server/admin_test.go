package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"jeton/server"
)

// operator calls the admin API as the operator and reads the answer.
func (n *node) operator(method, path, body string) answer {
	n.t.Helper()
	w := n.operatorCall(method, path, body)
	a := answer{Response: w.Result(), body: w.Body.Bytes()}
	json.Unmarshal(a.body, &a.json)
	if a.Header.Get("Cache-Control") != "no-store" {
		n.t.Errorf("%s %s: Cache-Control %q", method, path, a.Header.Get("Cache-Control"))
	}
	if len(a.body) > 0 && a.Header.Get("Content-Type") != "application/json" {
		n.t.Errorf("%s %s: Content-Type %q", method, path, a.Header.Get("Content-Type"))
	}
	return a
}

// ok checks the status of an answer that is no error.
func (a answer) ok(t testing.TB, status int) answer {
	t.Helper()
	a.want(t, status, "")
	return a
}

// list is the JSON array of the body.
func (a answer) list(t *testing.T) (l []map[string]any) {
	t.Helper()
	if err := json.Unmarshal(a.body, &l); err != nil || l == nil {
		t.Fatalf("%d %s is no array of objects: %v", a.StatusCode, a.body, err)
	}
	return l
}

func column(l []map[string]any, name string) (values []string) {
	for _, o := range l {
		s, _ := o[name].(string)
		values = append(values, s)
	}
	return values
}

// everyRoute is each route with the methods it takes.
var everyRoute = map[string]string{
	"/users": "GET, HEAD, POST", "/users/alice": "DELETE, GET, HEAD", "/users/alice/password": "PUT", "/users/alice/roles": "PUT",
	"/users/alice/disable": "POST", "/users/alice/enable": "POST",
	"/clients": "GET, HEAD, POST", "/clients/app": "DELETE, GET, HEAD, PATCH", "/clients/app/secret": "POST",
	"/clients/app/disable": "POST", "/clients/app/enable": "POST",
	"/sessions": "GET, HEAD", "/sessions/x": "GET, HEAD", "/sessions/revoke": "POST", "/consents": "GET, HEAD", "/consents/revoke": "POST", "/keys": "GET, HEAD", "/keys/rotate": "POST",
	"/events": "POST", "/global-token-revocation": "POST",
}

func TestAdminAnswersOtherMethodsWith405(t *testing.T) {
	n := start(t, options{})
	for path, allow := range everyRoute {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			if slices.Contains(strings.Split(allow, ", "), method) {
				continue
			}
			a := n.operator(method, path, "")
			if a.want(t, http.StatusMethodNotAllowed, "invalid_request"); a.Header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, a.Header.Get("Allow"), allow)
			}
		}
	}
}

func TestAdminAnswersUnknownPathsWithJSON404(t *testing.T) {
	n := start(t, options{})
	for _, path := range []string{"", "/", "/nothing", "/users/", "/users/alice/nothing", "/users//roles", "/users/alice/roles/", "/keys/x/y", "/sessions/x/y"} {
		n.operator("GET", path, "").want(t, http.StatusNotFound, "not_found")
	}
}

func TestAdminWithoutADoorRefusesEverything(t *testing.T) {
	n := start(t, options{})
	bare := mux.NewRouter().UseEncodedPath()
	(&server.Admin{Users: n.users, Clients: n.clients, Grants: n.grants}).Routes(bare)
	for path, allow := range everyRoute {
		for _, method := range strings.Split(allow, ", ") {
			w := httptest.NewRecorder()
			bare.ServeHTTP(w, httptest.NewRequest(method, "/admin/v1"+path, strings.NewReader("{}")))
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
}

func TestAdminBodiesAreReadStrictly(t *testing.T) {
	n := start(t, options{})
	send := func(contentType, body string) answer {
		r := httptest.NewRequest("PUT", "/admin/v1/users/alice/roles", strings.NewReader(body))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		w := httptest.NewRecorder()
		n.operate.ServeHTTP(w, r)
		a := answer{Response: w.Result(), body: w.Body.Bytes()}
		json.Unmarshal(a.body, &a.json)
		return a
	}
	const good = `{"roles":["ROLE_NEW"]}`
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ";"} {
		send(contentType, good).want(t, http.StatusUnsupportedMediaType, "invalid_request")
	}
	for what, body := range map[string]string{
		"empty": "", "no object": `["ROLE_NEW"]`, "null": "null", "cut off": good[:10], "trailing data": good + good, "trailing bracket": good + "]",
		"unknown member": `{"roles":[],"role":"x"}`, "other case": `{"Roles":[]}`, "twice": `{"roles":[],"roles":["ROLE_NEW"]}`,
		"wrong type": `{"roles":"ROLE_NEW"}`, "not UTF-8": "{\"roles\":[\"\xff\"]}", "missing": `{}`, "missing by null": `{"roles":null}`,
	} {
		t.Run(what, func(t *testing.T) { send("application/json", body).want(t, http.StatusBadRequest, "invalid_request") })
	}
	send("application/json", `{"roles":["`+strings.Repeat("x", 64<<10)+`"]}`).want(t, http.StatusRequestEntityTooLarge, "invalid_request")
	if a := send("application/json", `{"rôles":[]}`); !strings.Contains(a.str("error_description"), "there are roles") {
		t.Errorf("the unknown member is not named: %s", a.body)
	}
	if a := n.operator("GET", "/users/alice", "").ok(t, 200); !strings.Contains(string(a.body), `"roles":["ROLE_USER"]`) {
		t.Errorf("a refused body changed something: %s", a.body)
	}
	send("Application/JSON; charset=UTF-8", good).ok(t, 200)
}

func TestAdminListingsPage(t *testing.T) {
	n := bare(t, options{issuer: "https://login.example/base"})
	for _, name := range []string{"ada", "bob", "a&b=c", "zoë"} {
		n.operator("POST", "/users", `{"username":"`+name+`"}`).ok(t, 201)
	}
	var names []string
	path, pages := "/users?limit=2", 0
	for path != "" {
		a := n.operator("GET", path, "").ok(t, 200)
		names = append(names, column(a.list(t), "username")...)
		pages++
		link, more := strings.CutSuffix(a.Header.Get("Link"), `>; rel="next"`)
		if path = ""; more {
			next, ok := strings.CutPrefix(link, "<https://login.example/base/admin/v1")
			if !ok || !strings.Contains(next, "limit=2") {
				t.Fatalf("Link %q", a.Header.Get("Link"))
			}
			path = next
		}
	}
	if want := []string{"a&b=c", "ada", "bob", "zoë"}; !slices.Equal(names, want) || pages != 2 {
		t.Errorf("%d pages with %q, want 2 with %q", pages, names, want)
	}
	if a := n.operator("GET", "/users?prefix=A&limit=1", "").ok(t, 200); !strings.Contains(a.Header.Get("Link"), "prefix=A") {
		t.Errorf("the next page forgets the prefix: %q", a.Header.Get("Link"))
	}
	if a := n.operator("GET", "/clients", "").ok(t, 200); string(a.body) != "[]" {
		t.Errorf("no clients: %s", a.body)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "limit=", "limit=-1", "limit=1&limit=2", "after=x", "after=AAAA", "prefx=a", "limit=%zz", "prefix=%20"} {
		n.operator("GET", "/users?"+query, "").want(t, http.StatusBadRequest, "invalid_request")
	}
	for _, path := range []string{"/clients?prefix=a", "/clients?after=x", "/sessions?user=a", "/sessions?after=x", "/keys?limit=1"} {
		n.operator("GET", path, "").want(t, http.StatusBadRequest, "invalid_request")
	}
	if a := n.operator("HEAD", "/users", "").ok(t, 200); a.Header.Get("Content-Length") == "" {
		t.Error("HEAD tells no length")
	}
}

// What a listing cannot say in RFC 6749's characters is said in others.
func TestT10_AdminErrorDescriptionsHaveOnlyTheCharactersOfTheRFC(t *testing.T) {
	n := start(t, options{})
	for _, path := range []string{"/users/" + url.PathEscape("\"\\\n\x00ü"), "/clients/" + url.PathEscape("\"\\\n\x00ü"), "/sessions/%00%22"} {
		a := n.operator("GET", path, "")
		a.want(t, http.StatusNotFound, "not_found")
		for _, c := range a.str("error_description") {
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				t.Errorf("%s: %q has %q in it", path, a.str("error_description"), c)
			}
		}
	}
	n.operator("GET", "/users/%ff", "").want(t, http.StatusBadRequest, "invalid_request")
}

func TestAdminKeys(t *testing.T) {
	n := start(t, options{})
	before := n.operator("GET", "/keys", "").ok(t, 200).list(t)
	states := map[string]string{}
	for _, k := range before {
		states[k["use"].(string)+" "+k["state"].(string)] = k["kid"].(string)
		if k["alg"] == "" || k["created_at"] == nil || k["sealed"] != nil {
			t.Errorf("key %v", k)
		}
	}
	if states["sig current"] == "" || states["sig next"] == "" || states["refresh current"] == "" {
		t.Fatalf("keys %s", states)
	}
	a := n.operator("POST", "/keys/rotate", "").ok(t, 200)
	if a.str("kid") != states["sig next"] || a.str("activates_at") == "" || a.str("state") != "next" {
		t.Errorf("rotated %s", a.body)
	}
	if a = n.operator("POST", "/keys/rotate", `{"now":true}`).ok(t, 200); a.str("kid") != states["sig next"] || a.str("state") != "current" {
		t.Errorf("rotated at once %s", a.body)
	}
	n.operator("POST", "/keys/rotate", `{"now":"yes"}`).want(t, http.StatusBadRequest, "invalid_request")
	if told := n.events("key_rotated"); len(told) != 2 || told[1].Actor != "operator" || !strings.Contains(told[1].Note, states["sig next"]) {
		t.Errorf("events %+v", told)
	}
}

// The CLI was interrupted, the connection broke: a change that has begun is
// not left half done for that.
func TestAdminCarriesAChangeThrough(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	token := n.login().str("access_token")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	n.operate.ServeHTTP(w, httptest.NewRequest("POST", "/admin/v1/clients/app/disable", nil).WithContext(ctx))
	if w.Code != 200 || n.active(token) {
		t.Errorf("%d %s, active %t", w.Code, w.Body, n.active(token))
	}
}
