package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// membersChapter is the part about the admin API of docs/OPERATING.md.
func membersChapter(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "OPERATING.md"))
	must(t, err)
	_, chapter, ok := strings.Cut(string(text), "\n### Members of users and clients\n")
	if !ok {
		t.Fatal("there is no chapter about members")
	}
	chapter, _, _ = strings.Cut(chapter, "\n### ")
	return chapter
}

// The tables have the members that the server takes, and no others. It names
// them where it is sent one that it does not know.
func TestDocsNameEveryMember(t *testing.T) {
	n := start(t, options{})
	chapter := membersChapter(t)
	for noun, path := range map[string]string{"user": "/users", "client": "/clients"} {
		_, names, ok := strings.Cut(n.operator("POST", path, `{"?":1}`).str("error_description"), "there are ")
		if !ok {
			t.Fatalf("%s: the refusal names no members", path)
		}
		taken := strings.Split(names, ", ")
		_, table, ok := strings.Cut(chapter, "| member of a "+noun+" |")
		if !ok {
			t.Fatalf("there is no table of a %s", noun)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		var described []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\| ([^|]*)\\| ([^|]*)\\|$").FindAllStringSubmatch(table, -1) {
			described = append(described, m[1])
		}
		if rows := strings.Count(table, "\n| `"); rows != len(described) {
			t.Errorf("%s: %d rows of %d have four cells", noun, len(described), rows)
		}
		slices.Sort(taken)
		slices.Sort(described)
		if !slices.Equal(taken, described) {
			t.Errorf("a %s takes\n%q, described are\n%q", noun, taken, described)
		}
	}
}

// The samples do what they say, one after the other.
func TestDocsSamplesOfTheAdminAPI(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	samples := regexp.MustCompile("(?s)```http\n([A-Z]+) /admin/v1(\\S+)\n(.*?)\n```").FindAllStringSubmatch(membersChapter(t), -1)
	if len(samples) < 4 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, s := range samples {
		want := 200
		if s[1] == "POST" {
			want = 201
		}
		n.operator(s[1], s[2], s[3]).ok(t, want)
	}
	ada := n.operator("GET", "/users/ada", "").ok(t, 200)
	if string(ada.body) == "" || !strings.Contains(string(ada.body), `"roles":["ROLE_USER","ROLE_ADMIN"]`) || !strings.Contains(string(ada.body), `"name":"Ada Lovelace"`) {
		t.Errorf("%s", ada.body)
	}
	shop := n.operator("GET", "/clients/shop", "").ok(t, 200)
	if shop.str("scope") != "read" || shop.str("refresh_retry_window") != "10s" || shop.json["access_token_ttl"] != nil || shop.str("client_name") != "The shop" {
		t.Errorf("%s", shop.body)
	}
}

// What the tables say is refused is, a sample for most.
func TestDocsSayWhatIsRefused(t *testing.T) {
	n := start(t, options{})
	long := strings.Repeat("x", 256)
	for _, body := range []string{
		`{"username":""}`, `{"username":"` + long + `"}`, `{"username":"sub:x"}`, `{"username":"ada","sub":"a b"}`, `{"username":"ada","roles":["a b"]}`,
		`{"username":"ada","claims":{"name":"` + long + `"}}`, `{"username":"ada","claims":{"picture":"x"}}`, `{"username":"ada","claims":{"email_verified":true}}`,
		`{"username":"ada","password":"short"}`,
	} {
		n.operator("POST", "/users", body).want(t, 400, "invalid_request")
	}
	n.operator("POST", "/users", `{"username":"ALICE"}`).want(t, 409, "already_exists")
	n.operator("POST", "/users", `{"username":"ada","sub":"u-alice"}`).want(t, 409, "already_exists")
	for _, members := range []string{
		`"scope":"jeton:admin"`, `"scope":"a  b"`, `"audience":["a:b c"]`, `"public":true,"token_endpoint_auth_method":"private_key_jwt"`, `"client_secret":"short"`,
		`"jwks":{"keys":[]},"jwks_uri":"https://a.example/k"`, `"jwks_uri":"http://a.example/k"`, `"grant_types":["authorization_code"]`,
		`"redirect_uris":["https://a.example/#x"]`, `"redirect_uris":["http://a.example/"]`, `"redirect_uris":["app:/x"]`, `"cors_origins":["https://a.example/"]`,
		`"delivery":"cookie"`, `"cookie_name":"__Host-x"`, `"cookie_same_site":"none"`, `"cookie_path":"x"`, `"cookie_domain":"example.org"`, `"bind_agent":"prefix"`,
		`"bind_address":"family"`, `"consent":"sometimes"`, `"public":true,"introspect":true`, `"access_token_ttl":"2d"`, `"access_token_ttl":"1ms"`, `"refresh_token_ttl":"401d"`,
		`"refresh_token_ttl":"2d","session_ttl":"1d"`, `"refresh_retry_window":"2m"`, `"max_sessions":10001`, `"password_grant_networks":["10.0.0.1/8"]`,
		`"password_grant_scope":"write"`, `"password_grant_sunset":"soon"`,
	} {
		body := `{"client_id":"x","grant_types":["password"],"scope":"read",` + members + `}`
		for _, twice := range []string{"grant_types", "scope"} {
			if strings.Contains(members, `"`+twice+`"`) {
				body = regexp.MustCompile(`"`+twice+`":(\["password"\]|"read"),`).ReplaceAllString(body, "")
			}
		}
		if a := n.operator("POST", "/clients", body); a.StatusCode != 400 || a.str("error") != "invalid_request" {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
}
