package server

import (
	"errors"
	"net/http"
	"strings"

	"jeton/dpop"
	"jeton/grants"
)

// proof finds the proof of possession of a request (RFC 9449 §5), nil where there
// is none. Its htu is the address that clients know, whatever a proxy has made
// of it. The answer says which nonce to use next.
func (s *Server) proof(w http.ResponseWriter, r *http.Request) (*dpop.Proof, error) {
	sent := r.Header.Values("DPoP")
	if len(sent) == 0 {
		return nil, nil
	}
	now, err := s.grants.Store.Now(r.Context())
	if err != nil {
		return nil, err
	}
	address := strings.TrimSuffix(s.cfg.Issuer, "/") + strings.TrimPrefix(r.URL.Path, s.base)
	p, err := s.grants.Proofs.Check(sent, r.Method, address, now)
	if bad := new(dpop.Error); errors.As(err, &bad) {
		if bad.Nonce != "" {
			w.Header().Set("DPoP-Nonce", bad.Nonce)
		}
		return nil, grants.RefuseProof(err)
	}
	if p != nil && p.Nonce != "" {
		w.Header().Set("DPoP-Nonce", p.Nonce)
	}
	return p, err
}
