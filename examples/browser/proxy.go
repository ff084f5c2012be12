package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

// proxy hands to Jeton what is Jeton's: all below the issuer's path, where it
// has one (https://shop.example.com/auth), else the two routes that the page
// uses. The path stays as it is, for the refresh cookie goes to /session below
// the issuer's path and nowhere else.
func (s *site) proxy(mux *http.ServeMux) {
	to := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(s.jeton)
		r.Out.Host = r.In.Host
		// Whoever asked is named anew: what the request itself says of that is not
		// believed. Jeton believes it of this machine with --trusted-proxies 127.0.0.1.
		r.SetXForwarded()
	}}
	if s.issuer.Path != "" {
		mux.Handle(s.issuer.Path+"/", to)
	} else {
		mux.Handle("POST /session/", to)
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
