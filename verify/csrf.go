package verify

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Cookie says from which cookie a token is taken. Browsers send cookies by
// themselves, also when a page of somebody else makes them, so methods that
// change something also need what such a page cannot send: a request of the
// same origin by Sec-Fetch-Site, or an allowed Origin, and the header X-CSRF: 1
// (RFC 10017 §6.1.3.3).
type Cookie struct {
	// Name is the cookie's name, such as "__Host-access".
	Name string
	// Origins are those whose pages may change something, such as
	// "https://app.example.com", beside that of Options.Resource.
	Origins []string
}

// csrf is what cookie requests are held to.
type csrf struct{ origins []string }

var crossSite = &refusal{status: http.StatusForbidden, code: "access_denied", description: "A page of another origin may not do this."}

// noHeader says how to do it right.
var noHeader = &refusal{status: http.StatusForbidden, code: "access_denied", description: "A request that is authenticated by a cookie and changes something needs the header X-CSRF: 1."}

// completeHTTP checks the options that are about requests to the API.
func (v *Verifier) completeHTTP() error {
	o := &v.o
	if !quotable(o.Realm) {
		return fmt.Errorf("Options.Realm %q has characters that cannot stand in a header", o.Realm)
	}
	if o.Resource != "" {
		u, err := url.Parse(o.Resource)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || !quotable(o.Resource) {
			return fmt.Errorf("Options.Resource %q is not a URL such as https://api.example.com", o.Resource)
		}
		v.origin = origin(u)
		v.csrf.origins = append(v.csrf.origins, v.origin)
		if v.metadataURL, err = metadataURL(o.Resource, resourceDocument); err != nil {
			return err
		}
	}
	if o.Cookie == nil {
		return nil
	}
	if (&http.Cookie{Name: o.Cookie.Name, Value: "x"}).Valid() != nil {
		return fmt.Errorf("Options.Cookie.Name %q is not the name of a cookie", o.Cookie.Name)
	}
	for _, text := range o.Cookie.Origins {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || origin(u) != text {
			return fmt.Errorf("Options.Cookie.Origins: %q is not an origin such as https://app.example.com", text)
		}
		v.csrf.origins = append(v.csrf.origins, text)
	}
	return nil
}

// fromCookie finds the token of a request without an Authorization header.
func (v *Verifier) fromCookie(r *http.Request) (string, error) {
	if v.o.Cookie == nil {
		return "", noToken
	}
	sent := r.CookiesNamed(v.o.Cookie.Name)
	switch {
	case len(sent) == 0 || sent[0].Value == "":
		return "", noToken
	case len(sent) > 1: // a sibling domain can add one of its own
		return "", badRequest("There is more than one cookie with the access token.")
	}
	if err := v.csrf.check(r); err != nil {
		return "", err
	}
	return sent[0].Value, nil
}

// check refuses what the page of a stranger may have caused.
func (c *csrf) check(r *http.Request) error {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	upgrade := r.Header.Get("Upgrade") != "" // a WebSocket begins with GET, and no CORS guards it
	if safe && !upgrade {
		return nil
	}
	from := r.Header.Get("Origin")
	allowed := from != "" && slices.Contains(c.origins, from)
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
	case "same-site", "": // siblings, and browsers that do not say: only those that are named
		if !allowed {
			return crossSite
		}
	default:
		return crossSite
	}
	if !safe && r.Header.Get("X-CSRF") != "1" {
		return noHeader
	}
	return nil
}
