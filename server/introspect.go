package server

import (
	"net/http"

	"jeton/grants"
)

// introspection is the answer about a live access token (RFC 7662 §2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Issued    int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	TokenID   string   `json:"jti,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	Actor     any      `json:"act,omitempty"`
	Confirm   any      `json:"cnf,omitempty"`
}

// introspect is POST /introspect (RFC 7662 §2).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	f, client, err := s.authenticated(w, r)
	if err == nil && client.Value.Public() {
		// Whoever may ask must prove who they are (RFC 7662 §2.1, §4).
		err = invalidClient(nil)
	}
	if err == nil && f.get("token") == "" {
		err = badRequest("token is required")
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	access, ok, err := s.grants.Introspect(r.Context(), client.Value, f.get("token"))
	switch {
	case err != nil:
		s.refuse(w, r, err)
	case !ok:
		s.count(r, "introspect", "inactive")
		s.tell(w, r, client.Value, introspection{})
	default:
		n := noteOf(r.Context())
		n.sub, n.sid = access.Subject, access.SessionID
		s.count(r, "introspect", "active")
		s.tell(w, r, client.Value, s.describe(access))
	}
}

func (s *Server) describe(a grants.Access) introspection {
	out := introspection{
		Active: true, Scope: a.Scope, ClientID: a.ClientID, Username: a.User.Username, TokenType: "Bearer",
		Expires: a.Expires.Unix(), Issued: a.Issued.Unix(), Subject: a.Subject, Audience: a.Audience,
		Issuer: s.cfg.Issuer, TokenID: a.TokenID, SessionID: a.SessionID, Roles: a.Roles, AMR: a.AMR, ACR: a.ACR,
	}
	if !a.AuthTime.IsZero() {
		out.AuthTime = a.AuthTime.Unix()
	}
	if a.Thumbprint != "" {
		out.TokenType, out.Confirm = "DPoP", map[string]string{"jkt": a.Thumbprint}
	}
	if a.Actor != nil {
		out.Actor = a.Actor
	}
	return out
}
