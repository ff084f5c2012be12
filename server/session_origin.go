package server

import (
	"net/http"
	"slices"

	"jeton/storage"
)

// Three things tell the page of a client from that of somebody else, and all
// have to hold, at login too (RFC 10017 §6.1.3.3): what the browser says of the
// distance between page and server (Sec-Fetch-Site), the page's origin, which
// the client has to list, and a header that no form can send and no foreign
// script without asking. SameSite alone would let neighbours of the domain in.

var (
	foreignPage = refusal{problem{status: http.StatusForbidden, code: "access_denied", description: "a page of this origin may not do this: the client does not list it"}}
	crossSite   = refusal{problem{status: http.StatusForbidden, code: "access_denied", description: "a page of another site may not do this"}}
	noOrigin    = refusal{problem{status: http.StatusForbidden, code: "access_denied", description: "the request does not say which page it comes from: an Origin is required"}}
	noHeader    = refusal{problem{status: http.StatusForbidden, code: "access_denied", description: "the header X-CSRF: 1 is required"}}
)

// fromPage checks what can be checked before the client is known.
func fromPage(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "same-site", "none", "": // old browsers do not say
	default:
		return crossSite
	}
	if from := r.Header.Values("Origin"); len(from) != 1 || from[0] == "" || from[0] == "null" {
		return noOrigin
	}
	if r.Header.Get("X-CSRF") != "1" {
		return noHeader
	}
	return nil
}

func listed(c storage.Client, origin string) bool { return slices.Contains(c.CORSOrigins, origin) }

// page serves an endpoint for pages with cookies: POST, and the preflight for
// it, which is answered to the origins of cookie clients.
func (s *Server) page(h http.Handler) http.Handler {
	post := only(h, http.MethodPost)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			post.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if origin := r.Header.Get("Origin"); s.cookieClientLists(r, origin) {
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Allow-Methods", "POST")
			h.Set("Access-Control-Allow-Headers", "Content-Type, X-CSRF")
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// allowPage lets a page read the answer: those of the client, and where no
// client is known those of any that has cookies.
func (s *Server) allowPage(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	allowed := false
	if c := noteOf(r.Context()).client; c != nil {
		allowed = c.ByCookie() && listed(*c, origin)
	} else {
		allowed = s.cookieClientLists(r, origin)
	}
	if allowed {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	}
}

func (s *Server) cookieClientLists(r *http.Request, origin string) bool {
	if origin == "" || origin == "null" {
		return false
	}
	page, err := s.grants.Store.List(r.Context(), storage.Query{Index: storage.IndexOrigins, Prefix: origin + " ", Limit: mostOfOrigin})
	return err == nil && slices.ContainsFunc(page.Rows, func(row storage.Row) bool {
		c, err := storage.Decode[storage.Client](row)
		return err == nil && c.Value.ByCookie() && !c.Value.Disabled
	})
}

// mostOfOrigin bounds how many clients of one origin a stranger's preflight can
// have looked through.
const mostOfOrigin = 100
