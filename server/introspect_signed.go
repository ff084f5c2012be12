package server

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"jeton/grants"
	"jeton/storage"
)

const mediaIntrospection = "application/" + grants.TypeIntrospection

// tell answers an introspection in the form that the caller would rather have
// (RFC 9701 §4): a JWT can be shown to others as what this server has said.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, caller storage.Client, answer introspection) {
	w.Header().Set("Vary", "Accept")
	if !prefersSigned(r.Header["Accept"]) {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	token, err := s.grants.SignIntrospection(r.Context(), caller.ID, answer)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaIntrospection)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(token)))
	w.Write([]byte(token))
}

// prefersSigned reports whether an Accept header names the JWT, and JSON by its
// name not more.
func prefersSigned(accept []string) bool {
	signed, plain := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				q = 0
			}
		}
		switch name {
		case mediaIntrospection:
			signed = max(signed, q)
		case "application/json":
			plain = max(plain, q)
		}
	}
	return signed > 0 && signed >= plain
}
