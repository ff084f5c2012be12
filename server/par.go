package server

import (
	"net/http"
	"net/url"
	"strings"

	"jeton/grants"
)

// par is POST /par (RFC 9126 §2): the client pushes an authorization request and
// gets a name for it.
func (s *Server) par(w http.ResponseWriter, r *http.Request) {
	noteOf(r.Context()).grantType = "par"
	f, client, err := s.authenticated(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	sent := url.Values{}
	for name, values := range f {
		if !strings.HasPrefix(name, "client_") { // what proves the client is none of it
			sent[name] = values
		}
	}
	sent.Set("client_id", client.Value.ID)
	if err = s.grants.CheckPush(client, sent); err == nil && len(sent.Encode()) > grants.MostPush {
		err = errTooLarge
	}
	uri := ""
	if err == nil {
		uri, err = s.grants.Push(r.Context(), client.Value, sent)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.count(r, "par", "ok")
	s.allowOrigin(w, r)
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(grants.PushTTL.Seconds())})
}
