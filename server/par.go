package server

import (
	"net/http"
	"net/url"
	"strings"

	"jeton/grants"
	"jeton/storage"
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
	uri, err := s.push(w, r, f, client)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.count(r, "par", "ok")
	s.allowOrigin(w, r)
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(grants.PushTTL.Seconds())})
}

// push judges what was pushed and names it. A proof of possession that comes with
// it binds the code as the parameter dpop_jkt does, and the two have to agree (RFC
// 9449 §10.1).
func (s *Server) push(w http.ResponseWriter, r *http.Request, f form, client storage.Record[storage.Client]) (uri string, err error) {
	sent := url.Values{}
	for name, values := range f {
		if !strings.HasPrefix(name, "client_") { // what proves the client is none of it
			sent[name] = values
		}
	}
	sent.Set("client_id", client.Value.ID)
	proof, err := s.proof(w, r)
	if err != nil {
		return "", err
	}
	if proof != nil {
		if jkt := sent.Get("dpop_jkt"); jkt != "" && jkt != proof.Thumbprint {
			return "", grants.Refuse(grants.InvalidDPoPProof, "dpop_jkt names another key than that of the proof", nil)
		}
		sent.Set("dpop_jkt", proof.Thumbprint)
	}
	if err := s.grants.CheckPush(client, sent); err != nil {
		return "", err
	}
	if len(sent.Encode()) > grants.MostPush {
		return "", errTooLarge
	}
	if proof != nil { // the store keeps that it was used
		if err := s.grants.SlowAsker(client.Value, s.sourceOf(r)); err != nil {
			return "", err
		}
		if err := s.grants.SpendProof(r.Context(), client.Value.ID, proof); err != nil {
			return "", err
		}
	}
	return s.grants.Push(r.Context(), client.Value, sent)
}
