package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"jeton/grants"
	"jeton/storage"
)

// userinfo is /userinfo (OpenID Connect Core §5.3): what the scope of the access
// token opens of its user, as the user is now.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	access, err := s.bearerOf(r)
	if n := noteOf(r.Context()); access.ClientID != "" {
		n.clientID, n.client = access.ClientID, &storage.Client{ID: access.ClientID}
		n.sub, n.sid = access.Subject, access.SessionID
	}
	// No cookie counts here, so any page that has a token may ask with it.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
	if err != nil {
		s.count(r, "userinfo", outcomeOf(err))
		writeProblem(w, r, err)
		return
	}
	s.count(r, "userinfo", "ok")
	writeJSON(w, http.StatusOK, struct {
		Subject string `json:"sub"`
		grants.UserClaims
	}{access.Subject, grants.ClaimsFor(access.User, access.Scope)})
}

// bearerOf finds the access token of a request to /userinfo.
func (s *Server) bearerOf(r *http.Request) (grants.Access, error) {
	token, err := bearerToken(r, grants.ScopeOpenID)
	if err != nil {
		return grants.Access{}, userinfoRefusal(err)
	}
	access, err := s.grants.VerifyAccess(r.Context(), token)
	switch refused := new(grants.Error); {
	case errors.As(err, &refused):
		return grants.Access{}, challenge(http.StatusUnauthorized, "invalid_token", "the access token is invalid, expired or revoked")
	case err != nil:
		return grants.Access{}, err
	case access.Thumbprint != "": // RFC 9449 §7.2: never as a bearer token
		return grants.Access{}, challenge(http.StatusUnauthorized, "invalid_token", "the access token is bound to a key, and no proof of it is taken here")
	case access.SessionID == "" || !slices.Contains(strings.Fields(access.Scope), grants.ScopeOpenID):
		return access, challenge(http.StatusForbidden, "insufficient_scope", "the access token lacks the scope openid")
	}
	return access, nil
}

// userinfoRefusal puts what [bearerToken] found wrong into the words of this
// endpoint.
func userinfoRefusal(err error) error {
	p := problemOf(err)
	if p.status == http.StatusUnauthorized {
		return challenge(p.status, "", "this needs an access token with the scope openid")
	}
	return challenge(http.StatusBadRequest, p.code, p.description)
}

// challenge is a refusal of RFC 6750 §3.
func challenge(status int, code, description string) error {
	value := `Bearer realm="jeton"`
	if code != "" {
		value += `, error="` + code + `", error_description="` + described(description) + `"`
	}
	if code == "insufficient_scope" {
		value += `, scope="` + grants.ScopeOpenID + `"`
	}
	if code == "" {
		code = "invalid_token"
	}
	return refusal{problem{status: status, code: code, description: description, header: http.Header{"Www-Authenticate": {value}}}}
}

// userinfoPreflight lets pages send the token.
func userinfoPreflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
