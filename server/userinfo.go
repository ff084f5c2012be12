package server

import (
	"net/http"
	"slices"
	"strings"

	"jeton/grants"
	"jeton/storage"
	wellknown "jeton/well-known"
)

// userinfo is /userinfo (OpenID Connect Core §5.3): what the scope of the access
// token opens of its user, as the user is now.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	access, err := s.userinfoToken(w, r)
	if n := noteOf(r.Context()); access.ClientID != "" {
		n.clientID, n.client = access.ClientID, &storage.Client{ID: access.ClientID}
		n.sub, n.sid = access.Subject, access.SessionID
	}
	// No cookie counts here, so any page that has a token may ask with it.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, DPoP-Nonce")
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

// userResource is /userinfo as access tokens open it.
func userResource(s grants.Settings) resource {
	return resource{
		realm: "jeton", scope: grants.ScopeOpenID, invalid: "the access token is invalid, expired or revoked",
		metadata: wellknown.ResourceURL(s.Userinfo()),
	}
}

// userinfoToken finds the access token of a request to /userinfo. One without the
// scope is told of all the same, for the log.
func (s *Server) userinfoToken(w http.ResponseWriter, r *http.Request) (grants.Access, error) {
	resource := userResource(s.grants.Settings)
	access, err := resource.admit(s.grants, w, r)
	if err == nil && (access.SessionID == "" || !slices.Contains(strings.Fields(access.Scope), grants.ScopeOpenID)) {
		err = resource.lacking()
	}
	return access, err
}

// userinfoPreflight lets pages send the token.
func userinfoPreflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, DPoP")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
