package server

import (
	"errors"
	"net/http"
	"strings"

	"jeton/dpop"
	"jeton/grants"
)

// proof finds the proof of possession of a request (RFC 9449 §5), nil where there
// is none.
func (s *Server) proof(w http.ResponseWriter, r *http.Request) (*dpop.Proof, error) {
	return proofOf(s.grants, w, r)
}

// proofOf does so for whoever serves. The htu of a proof is the address that
// clients know, whatever a proxy has made of it. The answer says which nonce to
// use next.
func proofOf(g *grants.Service, w http.ResponseWriter, r *http.Request) (*dpop.Proof, error) {
	sent := r.Header.Values("DPoP")
	if len(sent) == 0 {
		return nil, nil
	}
	now, err := g.Store.Now(r.Context())
	if err != nil {
		return nil, err
	}
	address := originOf(g.Settings.Issuer) + r.URL.EscapedPath()
	p, err := g.Proofs.Check(sent, r.Method, address, now)
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

// originOf is scheme and host of an issuer; the path of each request begins with
// that of the issuer already.
func originOf(issuer string) string {
	scheme, rest, _ := strings.Cut(issuer, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}
