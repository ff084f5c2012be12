package server

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"jeton/clients"
	"jeton/grants"
	"jeton/storage"
	"jeton/throttle"
)

// authenticated is what every endpoint for clients begins with: the form, and
// the client that sent it.
func (s *Server) authenticated(w http.ResponseWriter, r *http.Request) (form, storage.Record[storage.Client], error) {
	var none storage.Record[storage.Client]
	f, err := parseForm(w, r)
	if err != nil {
		return nil, none, err
	}
	creds, err := credentials(r, f)
	if err != nil {
		return nil, none, err
	}
	n := noteOf(r.Context())
	n.clientID, n.authMethod = creds.ClientID, creds.Method
	if err := s.reread(r, creds); err != nil {
		return nil, none, err
	}
	client, err := s.authenticate(r, creds)
	if err != nil {
		return nil, none, err
	}
	n.client, n.clientID = &client.Value, client.Value.ID
	if clients.IsFormer(client.Value, creds.Secret) {
		s.metrics.formerSecrets.WithLabelValues(s.metrics.labelOf(client.Value.ID)).Inc()
	}
	return f, client, nil
}

// reread has the document of a client read again where something is to be had:
// revoking needs none.
func (s *Server) reread(r *http.Request, creds clients.Credentials) error {
	switch r.URL.Path {
	case s.base + "/token":
		return s.grants.Describe(r.Context(), creds.ClaimedID(), false, s.sourceOf(r))
	case s.base + "/par":
		return s.grants.Describe(r.Context(), creds.ClaimedID(), true, s.sourceOf(r))
	}
	return nil
}

// authenticate asks who the client is. Who presents a wrong secret too often is
// told to wait; a right one is never held up, for it costs one hash to look at
// and cannot be guessed, and a client must not be shut out by its neighbours.
func (s *Server) authenticate(r *http.Request, creds clients.Credentials) (storage.Record[storage.Client], error) {
	client, err := s.clients.Authenticate(r.Context(), creds)
	if s.grants.Throttle == nil || creds.Secret == "" || !errors.Is(err, clients.ErrInvalidClient) {
		return client, err
	}
	addr, _ := netip.ParseAddr(s.sourceOf(r).Address)
	ticket, slow := s.grants.Throttle.Try(throttle.Attempt{ClientID: creds.ClientID, Source: addr})
	if slow != nil {
		return client, slow
	}
	ticket.Failure()
	return client, err
}

// token is POST /token (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	f, client, err := s.authenticated(w, r)
	if err == nil && client.Value.ByCookie() {
		// What script must not read has no way around the cookies.
		err = grants.Refuse(grants.UnauthorizedClient, "the tokens of this client travel in cookies: use /session/token", nil)
	}
	if err == nil {
		err = s.mint(w, r, f, client, f.get("refresh_token"), func(data map[string]any, _ grants.Response) { s.allowOrigin(w, r) })
	}
	if err != nil {
		s.refuse(w, r, err)
	}
}

// mint walks a token request to its answer. deliver has the last word about
// that, once nothing can fail any more.
func (s *Server) mint(w http.ResponseWriter, r *http.Request, f form, client storage.Record[storage.Client], refreshToken string,
	deliver func(data map[string]any, resp grants.Response)) error {
	grantType := f.get("grant_type")
	noteOf(r.Context()).grantType = grantType
	switch {
	case grantType == "":
		return badRequest("grant_type is required")
	case !slices.Contains(grants.Types(), grantType):
		// The library would look for the parameters of a grant it knows first.
		return grants.Refuse(grants.UnsupportedGrantType, "this server does not offer that grant_type", nil)
	}
	if grantType == storage.GrantPassword {
		s.announceSunset(w, client.Value)
	}
	proof, err := s.proof(w, r)
	if err != nil {
		return err
	}
	req := grants.Request{
		GrantType: grantType, Client: client, Scope: f.get("scope"),
		Resource: f["resource"],
		Username: f.get("username"), Password: f.get("password"), RefreshToken: refreshToken,
		Code: f.get("code"), RedirectURI: f.get("redirect_uri"), Verifier: f.get("code_verifier"),
		Exchange: grants.Exchange{
			SubjectToken: f.get("subject_token"), SubjectTokenType: f.get("subject_token_type"),
			ActorToken: f.get("actor_token"), ActorTokenType: f.get("actor_token_type"),
			RequestedTokenType: f.get("requested_token_type"), Resource: f["resource"], Audience: f["audience"],
		},
		DeviceCode: f.get("device_code"),
		Proof:      proof,
		Source:     s.sourceOf(r),
	}
	if client.Value.ByCookie() {
		req.MostToken = mostCookieValue
	}
	data, resp, err := s.carry(r, f, req)
	s.countMoved(client.Value, resp, err)
	if err != nil {
		return err
	}
	n := noteOf(r.Context())
	n.sub, n.sid = resp.Subject, resp.Session
	outcome := "ok"
	if resp.Retry {
		outcome = "retry"
	}
	if r.Context().Err() != nil {
		s.count(r, grantType, "lost")
		s.grants.Undelivered(resp)
		panic(http.ErrAbortHandler) // to return would be a 200 without tokens
	}
	s.count(r, grantType, outcome)
	deliver(data, resp)
	writeJSON(w, http.StatusOK, data)
	// Over HTTP/2 whoever asked decides how much of the answer is sent: one that
	// was cut off may have been read as far as it matters.
	if err := http.NewResponseController(w).Flush(); err != nil && r.ProtoMajor < 2 {
		s.grants.Undelivered(resp)
	}
	return nil
}

// revoke is POST /revoke (RFC 7009 §2). The hint about the token's type is not
// needed: what a token is stands in it.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	f, client, err := s.authenticated(w, r)
	if err == nil && f.get("token") == "" {
		err = badRequest("token is required")
	}
	var revoked grants.Revoked
	if err == nil {
		revoked, err = s.grants.Revoke(r.Context(), client.Value, f.get("token"), s.sourceOf(r))
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.allowOrigin(w, r)
	s.answerRevoked(w, r, revoked)
}

// answerRevoked says that what was presented is worth nothing any more.
func (s *Server) answerRevoked(w http.ResponseWriter, r *http.Request, revoked grants.Revoked) {
	n := noteOf(r.Context())
	n.sub, n.sid = revoked.Subject, revoked.Session
	outcome := "ok"
	if revoked == (grants.Revoked{}) {
		outcome = "nothing"
	}
	s.count(r, "revoke", outcome)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	// The body is empty, and there are clients that read one as JSON all the
	// same and refuse an answer of another type (simple-oauth2).
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
}

// refuse answers an error of /token, /revoke or /introspect.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	act := noteOf(r.Context()).grantType
	if r.URL.Path == s.base+"/revoke" || r.URL.Path == s.base+"/introspect" {
		act = r.URL.Path[len(s.base)+1:]
	}
	s.count(r, actLabel(act), outcomeOf(err))
	if act != "introspect" { // that is for servers, never for pages
		s.allowOrigin(w, r)
	}
	writeProblem(w, r, err)
}
