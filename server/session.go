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

// page is a request of a page of a cookie client.
type page struct {
	form   form
	client storage.Record[storage.Client]
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
	return p, nil
}

// sessionToken is POST /session/token: the parameters of /token without any
// token, and an answer likewise.
func (s *Server) sessionToken(w http.ResponseWriter, r *http.Request) {
	p, err := s.pageOf(w, r)
	var held grants.Held
	if err == nil {
		held, err = s.heldBy(r, p.client.Value)
	}
	refreshing := p.form.get("grant_type") == storage.GrantRefreshToken
	switch {
	case err != nil || !refreshing:
	case held.Refresh == "":
		err = grants.Refuse(grants.InvalidGrant, "the browser sent no refresh token: log in", errors.New("there is no cookie with a refresh token"))
	default:
		err = s.checkPair(r, p.client.Value, held)
	}
	if err == nil {
		err = s.mint(w, r, p.form, p.client, held.Refresh, func(data map[string]any, resp grants.Response) {
			if !refreshing {
				s.endPredecessor(r, p.client.Value, held)
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
func (s *Server) checkPair(r *http.Request, client storage.Client, held grants.Held) error {
	if sure(s.refreshCookie(client)) && !sure(s.accessCookie(client)) {
		return nil
	}
	return s.grants.CheckHeld(r.Context(), client, held, s.sourceOf(r))
}

// endPredecessor ends the session that the browser had when somebody logged in
// anew: its cookies are about to be overwritten, and nobody could end it later.
func (s *Server) endPredecessor(r *http.Request, client storage.Client, held grants.Held) {
	ctx := context.WithoutCancel(r.Context())
	if err := s.grants.ReplaceHeld(ctx, client, held, s.sourceOf(r)); err != nil {
		s.cfg.Log.WarnContext(ctx, "a login could not end the session that the browser had before; it lives until it is idle too long",
			"client_id", client.ID, "error", err)
	}
}

// sessionRevoke is POST /session/revoke: it ends the session of the browser and
// takes its cookies away. Where the session could not be ended they stay, so
// that the page can try again. The access token counts as much as the refresh
// token, which another host may have replaced, or the browser dropped: who is
// told to be logged out has to be. And whatever other hosts have planted beside
// them, nobody must be kept from logging out by it.
func (s *Server) sessionRevoke(w http.ResponseWriter, r *http.Request) {
	p, err := s.pageOf(w, r)
	var jar grants.Jar
	if err == nil {
		jar, err = s.jarOf(r, p.client.Value)
	}
	var dropped grants.Dropped
	if err == nil {
		dropped, err = s.grants.DropHeld(r.Context(), p.client.Value, jar, s.sourceOf(r))
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
