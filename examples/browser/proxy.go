package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

// proxy hands to Jeton what of it has to be at the page's origin: the two routes
// that set and read the cookies. All else is at the issuer's own address, where
// script that got into the page cannot reach it: neither the pages that people
// sign in at, nor their account, nor the console. The path stays as it is, for the
// refresh cookie goes to /session below the issuer's path and nowhere else.
func (s *site) proxy(mux *http.ServeMux) {
	to := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(s.jeton)
		// X-Forwarded-For is the address of whoever is connected to this program, and
		// that alone: ReverseProxy has dropped what the request said. Jeton reads it,
		// for its throttles and the lists of devices, if this program's address, as
		// Jeton sees it, is in its --trusted-proxies (127.0.0.1 where both run on one
		// machine); else all visitors are one to it. Behind another proxy, which then
		// is the one connected here, hand on what that has written and list it too:
		//
		//	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
	}}
	for _, act := range []string{"token", "revoke"} {
		mux.Handle("POST "+s.issuer.Path+"/session/"+act, to)
	}
}

// inside sends what package verify asks of the issuer straight to Jeton, and not
// out of the door and in again.
type inside struct{ jeton *url.URL }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = i.jeton.Scheme, i.jeton.Host
	return http.DefaultTransport.RoundTrip(r)
}
