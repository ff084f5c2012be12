package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"jeton/grants"
	"jeton/storage"
)

// visit is one request of a browser on its way through an authorization
// request. The request itself travels in the query of every address on that
// way, and is judged anew each time: nothing is stored for who has not signed
// in, any page can be loaded again, and tabs do not know of each other.
type visit struct {
	w http.ResponseWriter
	r *http.Request
	// query is the authorization request in one fixed spelling.
	query string
	req   grants.AuthorizeRequest
	// in is who is signed in, nil for nobody; cookie is what says so.
	in     *grants.SignedIn
	cookie string
	// asked is what a device wants, where the way is that of /device; then req only
	// has the client, and a name.
	asked *grants.DeviceAsked
}

// home is where a page leads back to, and what metrics call the way.
func (v *visit) home() string {
	if v.asked != nil {
		return "device"
	}
	return "authorize"
}

// mostQuery bounds an authorization request in a URL.
const mostQuery = 8 << 10

// visited wraps the handlers of that way. What is wrong with the request is
// told before they run.
func (s *Server) visited(handle func(*visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r}
		noteOf(r.Context()).grantType = storage.GrantAuthorizationCode
		sent, repeated, err := parseQuery(r.URL.RawQuery)
		if err == nil {
			foreign(sent)
			v.query = sent.Encode()
			noteOf(r.Context()).clientID = sent.Get("client_id")
			v.req, err = s.grants.CheckAuthorize(r.Context(), sent, s.sourceOf(r))
		}
		if v.req.Client.Exists() {
			noteOf(r.Context()).client = &v.req.Client.Value
		}
		if len(repeated) > 0 && (err == nil || v.req.Trusted()) {
			err = badRequest("a parameter was sent more than once")
			if slices.ContainsFunc(repeated, func(name string) bool { return slices.Contains(placing, name) }) {
				v.req.RedirectURI = "" // which of the two?
			}
		}
		if err == nil {
			v.cookie, v.in, err = s.whoIs(r)
		}
		if err != nil {
			s.refuseVisit(v, err)
			return
		}
		handle(v)
	})
}

// placing are the parameters that say where an answer goes, and what makes the
// client recognise it.
var placing = []string{"client_id", "redirect_uri", "request_uri", "response_mode", "state"}

// foreign takes out what no authorization request has, and no form may have in
// its address ([parseForm]): a parameter that means nothing is ignored (RFC 6749
// §3.1), and must not come in the way later.
func foreign(sent url.Values) {
	for _, name := range bodyOnly {
		sent.Del(name)
	}
}

// parseQuery reads the query of a URL as [parseForm] does a form, but for
// repeated parameters, which it names: they are told to the client.
func parseQuery(raw string) (sent url.Values, repeated []string, err error) {
	switch {
	case len(raw) > mostQuery:
		return nil, nil, badRequest("the request is too long: push it (RFC 9126)")
	case strings.Count(raw, "&") >= mostFormFields:
		return nil, nil, badRequest("the request has too many parameters")
	}
	sent, err = url.ParseQuery(raw)
	if err != nil {
		return nil, nil, badRequest("the request is malformed")
	}
	for name, values := range sent {
		if len(values) > 1 && name != "resource" {
			repeated = append(repeated, name)
		}
		for _, value := range values {
			if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				return nil, nil, badRequest("a parameter is not UTF-8 text")
			}
		}
		if sent[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(sent[name]) == 0 {
			delete(sent, name)
		}
	}
	return sent, repeated, nil
}

// whoIs finds who is signed in in this browser.
func (s *Server) whoIs(r *http.Request) (cookie string, in *grants.SignedIn, err error) {
	cookie = s.cookie(r, signInCookie)
	if cookie == "" {
		return "", nil, nil
	}
	found, ok, err := s.grants.CurrentSignIn(r.Context(), cookie)
	if err != nil || !ok {
		return cookie, nil, err
	}
	return cookie, &found, nil
}

// to is an address on the way, with the request in it.
func (v *visit) to(s *Server, path string) string { return s.base + path + "?" + v.query }

// move sends the browser on with a GET (303, RFC 9700 §4.12).
func (v *visit) move(to string) { seeOther(v.w, to) }

func seeOther(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}
