package server

import (
	"context"
	"errors"
	"net/http"

	"jeton/grants"
	"jeton/storage"
)

// What /token and /revoke do, for pages whose tokens travel in cookies that no
// script can read (RFC 10017 §6.1). A browser sends cookies by itself, for
// whichever page asked it to, so these two routes first ask which page that was
// (session_origin.go); what the cookies are like says session_cookies.go.

// page is a request of a page of a cookie client, with what its browser holds.
type page struct {
	form            form
	client          storage.Record[storage.Client]
	access, refresh string
}

// pageOf finds out who asks. Nothing is counted, read or changed for a page that
// has no business here.
func (s *Server) pageOf(w http.ResponseWriter, r *http.Request) (page, error) {
	var p page
	if err := fromPage(r); err != nil {
		return p, err
	}
	var err error
	if p.form, p.client, err = s.authenticated(w, r); err != nil {
		return p, err
	}
	client := p.client.Value
	switch {
	case !client.ByCookie():
		return p, grants.Refuse(grants.UnauthorizedClient, "this client gets its tokens in the body of /token, never in cookies", nil)
	case !listed(client, r.Header.Get("Origin")):
		return p, foreignPage
	case p.form.get("refresh_token") != "" || p.form.get("token") != "":
		return p, badRequest("tokens come in cookies here, never in the body")
	}
	if p.access, err = cookieValue(r, s.accessCookie(client).Name); err != nil {
		return p, err
	}
	p.refresh, err = cookieValue(r, s.refreshCookie(client).Name)
	return p, err
}

// sessionToken is POST /session/token: the parameters of /token without any
// token, and an answer likewise.
func (s *Server) sessionToken(w http.ResponseWriter, r *http.Request) {
	p, err := s.pageOf(w, r)
	refreshing := p.form.get("grant_type") == storage.GrantRefreshToken
	switch {
	case err != nil || !refreshing:
	case p.refresh == "":
		err = grants.Refuse(grants.InvalidGrant, "the browser sent no refresh token: log in", errors.New("there is no cookie with a refresh token"))
	default:
		err = s.checkPair(r, p)
	}
	if err == nil {
		err = s.mint(w, r, p.form, p.client, p.refresh, func(data map[string]any, resp grants.Response) {
			if !refreshing {
				s.endPredecessor(r, p)
			}
			delete(data, "access_token")
			delete(data, "refresh_token")
			s.giveCookies(w, p.client.Value, resp)
			s.allowPage(w, r)
		})
	}
	// No refusal takes cookies away, be they worth nothing: another tab may have
	// logged in meanwhile, and its new ones, of the same names, would go.
	if err != nil {
		s.refusePageCall(w, r, noteOf(r.Context()).grantType, err)
	}
}

// checkPair refuses a refresh whose two cookies are of two sessions, since one of
// them was planted then. Where no other host can plant the refresh token, and can
// the access token, that is the one, and the refresh overwrites it.
func (s *Server) checkPair(r *http.Request, p page) error {
	client := p.client.Value
	if sure(s.refreshCookie(client)) && !sure(s.accessCookie(client)) {
		return nil
	}
	return s.grants.CheckHeld(r.Context(), client, p.held(), s.sourceOf(r))
}

func (p page) held() grants.Held { return grants.Held{Access: p.access, Refresh: p.refresh} }

// endPredecessor ends the session that the browser had when somebody logged in
// anew: its cookies are about to be overwritten, and nobody could end it later.
func (s *Server) endPredecessor(r *http.Request, p page) {
	ctx := context.WithoutCancel(r.Context())
	err := s.grants.ReplaceHeld(ctx, p.client.Value, p.held(), s.sourceOf(r))
	if refused, ok := errors.AsType[*grants.Error](err); err != nil && !(ok && refused.Code == grants.InvalidGrant) {
		s.cfg.Log.WarnContext(ctx, "a login could not end the session that the browser had before; it lives until it is idle too long",
			"client_id", p.client.Value.ID, "error", err)
	}
}

// sessionRevoke is POST /session/revoke: it ends the session of the browser and
// takes its cookies away. Where the session could not be ended they stay, so
// that the page can try again. The access token counts as much as the refresh
// token, which another host may have replaced, or the browser dropped: who is
// told to be logged out has to be.
func (s *Server) sessionRevoke(w http.ResponseWriter, r *http.Request) {
	p, err := s.pageOf(w, r)
	var dropped grants.Dropped
	if err == nil {
		dropped, err = s.grants.DropHeld(r.Context(), p.client.Value, p.held(), s.sourceOf(r))
	}
	if err != nil {
		s.refusePageCall(w, r, "revoke", err)
		return
	}
	if !dropped.ForeignAccess {
		setToken(w, s.accessCookie(p.client.Value), "", 0)
	}
	if !dropped.ForeignRefresh {
		setToken(w, s.refreshCookie(p.client.Value), "", 0)
	}
	s.allowPage(w, r)
	s.answerRevoked(w, r, dropped.Revoked)
}

func (s *Server) refusePageCall(w http.ResponseWriter, r *http.Request, act string, err error) {
	s.count(r, actLabel(act), outcomeOf(err))
	s.allowPage(w, r)
	writeProblem(w, r, err)
}
