package server_test

import (
	"strings"
	"testing"
)

// Whatever is wrong with a body is told at once: members that there are none of,
// values of another kind, values that are refused, and what does not go together.
func TestAllThatIsWrongWithABodyIsToldAtOnce(t *testing.T) {
	n := start(t, options{})
	for _, c := range []struct {
		method, path, body string
		says, not          []string
	}{
		{"POST", "/clients", `{"client_id":"x","grant_types":["password"],"client_nmae":"X","access_token_ttl":"soon","max_sessions":"many","refresh_token_ttl":"401d","scope":"a  b","scope":"c"}`,
			[]string{"access_token_ttl: ", "max_sessions: a JSON string is not what belongs here", "refresh_token_ttl: ", "there is no member 'client_nmae' here", "the member 'scope' stands there twice"},
			[]string{"storage:", "Go ", "grant_types"}},
		{"POST", "/clients", `{"client_id":7,"grant_types":{},"audience":["a:b c"]}`,
			[]string{"client_id: a JSON number is not", "grant_types: a JSON object is not", "audience: "}, []string{"client_id: it is empty", "name at least one"}},
		{"PATCH", "/clients/app", `{"bind_agent":"prefix","cookie_same_site":"none","session_tll":"1d","jwks":7}`,
			[]string{"bind_agent: ", "cookie_same_site: ", "there is no member 'session_tll'"}, nil},
		{"POST", "/preview", `{"act":"set_client","client_id":"app","settings":{"bind_agent":"prefix","x":1}}`, []string{"bind_agent: ", "there is no member 'x'"}, nil},
		{"POST", "/users", `{"username":"","roles":["a b"],"email":"x@example.com","password":"short"}`,
			[]string{"the user name is empty", "the role 'a b'", "too short", "there is no member 'email'"}, nil},
		{"PUT", "/users/alice/roles", `{"roles":"x","reasons":"y"}`, []string{"roles: a JSON string is not", "there is no member 'reasons'"}, nil},
	} {
		a := n.operator(c.method, c.path, c.body)
		said := a.str("error_description")
		if a.StatusCode != 400 || a.str("error") != "invalid_request" {
			t.Errorf("%s: %d %s", c.body, a.StatusCode, a.body)
		}
		for _, says := range c.says {
			if !strings.Contains(said, says) {
				t.Errorf("%s\n%q is not in %q", c.body, says, said)
			}
		}
		for _, not := range c.not {
			if strings.Contains(strings.Split(said, "there is no member")[0], not) {
				t.Errorf("%s\n%q is in %q", c.body, not, said)
			}
		}
	}
	if c := n.operatorCall("GET", "/clients/x", ""); c.Code != 404 {
		t.Errorf("a client came of it: %d", c.Code)
	}
	for body, says := range map[string]string{
		"[]": "not a JSON object", "{": "not JSON", `{"roles":[]} {}`: "not JSON", `{"roles":[],}`: "not JSON", `{"roles":[1}`: "not JSON", `{roles:[]}`: "not JSON", "{}": "roles is missing", "\ufeff{}": "not a JSON object",
	} {
		if a := n.operator("PUT", "/users/alice/roles", body); a.StatusCode != 400 || !strings.Contains(a.str("error_description"), says) {
			t.Errorf("%q: %d %s", body, a.StatusCode, a.body)
		}
	}
}
