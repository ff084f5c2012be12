package server

import (
	"net/http"
	"slices"

	"jeton/storage"
)

// browser serves an endpoint that web pages may call: POST, and the preflight
// for it. A preflight does not say which client is meant, so it is answered for
// an origin that some client lists; the POST itself is answered to the origins
// of its own client. Credentials are never allowed: no cookie counts here.
func (s *Server) browser(h http.Handler) http.Handler {
	post := only(h, http.MethodPost)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			post.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if origin := r.Header.Get("Origin"); s.anyClientLists(r, origin) {
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Methods", "POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// allowOrigin lets a page read the answer: of its client's answer the pages the
// client lists, of a refusal that names no client the pages any client lists.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	allowed := false
	if c := noteOf(r.Context()).client; c != nil {
		allowed = slices.Contains(c.CORSOrigins, origin)
	} else {
		allowed = s.anyClientLists(r, origin)
	}
	if allowed {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, DPoP-Nonce")
	}
}

func (s *Server) anyClientLists(r *http.Request, origin string) bool {
	if origin == "" || origin == "null" {
		return false
	}
	page, err := s.grants.Store.List(r.Context(), storage.Query{Index: storage.IndexOrigins, Prefix: origin + " ", Limit: 1})
	return err == nil && len(page.Rows) == 1
}
