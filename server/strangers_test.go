package server_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

var linkBack = regexp.MustCompile(`<a href="([^"]*)">Go back to`)

// offered is an error that a page leaves it to the user to take to the client.
func (a answer) offered(t testing.TB, to string) url.Values {
	t.Helper()
	m := linkBack.FindSubmatch(a.body)
	if a.StatusCode != 400 || a.Header.Get("Location") != "" || m == nil {
		t.Fatalf("no page with a way back: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	link := html.UnescapeString(string(m[1]))
	if !strings.HasPrefix(link, to+"?") {
		t.Fatalf("back to %s", link)
	}
	return mustURL(t, link).Query()
}

// Who registers a client names where its errors go. A link to this server must
// not for that lead to any site there is (RFC 9700 §4.11.2).
func TestA19_ErrorsDoNotTakeUsersToSitesOfStrangers(t *testing.T) {
	n := start(t, options{settings: registering(grants.RegistrationOpen)})
	b := n.browser()
	const native = "http://127.0.0.1/cb"
	self := n.register(theCallback+`,"client_name":"A","token_endpoint_auth_method":"none"`).ok(t, 201).str("client_id")
	local := n.register(`"redirect_uris":["`+native+`"],"token_endpoint_auth_method":"none"`).ok(t, 201).str("client_id")
	vouched := n.register(theCallback, bearerIs(n.initialToken(`{"name":"one"}`))).ok(t, 201).str("client_id")
	for _, wrong := range [][2]string{{"response_type", "token"}, {"scope", "nope"}, {"prompt", "none"}, {"response_mode", "fragment"}} {
		for _, mode := range []string{"query", "form_post"} {
			f := ask("client_id", self, "response_mode", mode, wrong[0], wrong[1])
			if q := b.open(f).offered(t, callback); q.Get("error") == "" || q.Get("state") != f.Get("state") || q.Get("iss") != n.url {
				t.Errorf("%v: %v", wrong, q)
			}
		}
		b.open(ask("client_id", vouched, wrong[0], wrong[1])).back(t, callback)
		b.open(ask("client_id", local, "redirect_uri", native, wrong[0], wrong[1])).back(t, native)
	}
	// Who has read our page, and says no there, goes back at once; and an operator who
	// changes the client knows it.
	if q := b.submit(b.open(ask("client_id", self)), "deny").back(t, callback); q.Get("error") != "access_denied" {
		t.Errorf("%v", q)
	}
	must(t, second2(n.clients.Set(t.Context(), self, accounts.ClientSettings{Consent: accounts.To(storage.ConsentRemembered)}, accounts.Act{Operator: true})))
	b.open(ask("client_id", self, "prompt", "none")).back(t, callback)
}
