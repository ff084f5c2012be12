package grants

import (
	"net/url"
	"strings"
	"testing"

	"jeton/storage"
)

// FuzzRedirect: what is not registered as it stands passes only on a literal
// loopback address, and differs in its port alone.
func FuzzRedirect(f *testing.F) {
	registered := []string{"https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]:8/cb?x=1", "com.example.app:/cb", "http://localhost/cb"}
	for _, seed := range append(registered, "http://127.0.0.1:80/cb", "http://[::1]/cb?x=1", "http://127.0.0.1:1@evil.example/cb", "http://127.0.0.1:00001/cb", "https://app.example:443/cb") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if !redirectAllowed(storage.Client{RedirectURIs: registered}, uri) {
			return
		}
		for _, r := range registered {
			if uri == r {
				return
			}
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || strings.Contains(uri, "#") {
			t.Fatalf("%q passes: %v", uri, err)
		}
		switch u.Hostname() + u.RequestURI() {
		case "127.0.0.1/cb", "::1/cb?x=1":
		default:
			t.Fatalf("%q passes", uri)
		}
	})
}
