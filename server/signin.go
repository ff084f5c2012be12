package server

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"jeton/grants"
	"jeton/pages"
	"jeton/throttle"
)

// backField is the parameter of /login that names the page of this server which
// asked for it. A login without it is on its way to a client.
const backField = "back"

// ownLogin lets people sign in for the pages of this server itself, where no
// client asks for it.
func (s *Server) ownLogin(own func(w http.ResponseWriter, r *http.Request, back string), forClients http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _, err := parseQuery(r.URL.RawQuery)
		if err != nil || !sent.Has(backField) || sent.Has("client_id") {
			forClients.ServeHTTP(w, r)
			return
		}
		back, ok := s.ownPage(sent.Get(backField))
		if !ok {
			s.refusePage(w, problem{status: http.StatusBadRequest, code: string(grants.InvalidRequest), description: "there is no page of this server at the address to go back to"})
			return
		}
		own(w, r, back)
	})
}

// ownPages are where people may be sent after they have signed in: nowhere else,
// or a link to our login page could send them to anybody's.
var ownPages = []string{"/console", "/account"}

// ownPage is an address of our own in one fixed spelling.
func (s *Server) ownPage(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(address, "\\\n\r\t") {
		return "", false
	}
	for _, page := range ownPages {
		if u.Path == s.base+page || strings.HasPrefix(u.Path, s.base+page+"/") {
			return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String(), true
		}
	}
	return "", false
}

// toLogin sends a browser to sign in, and back to where it is.
func (s *Server) toLogin(w http.ResponseWriter, back string) {
	seeOther(w, s.base+"/login?"+url.Values{backField: {back}}.Encode())
}

func (s *Server) ownLoginGet(w http.ResponseWriter, r *http.Request, back string) {
	_, in, err := s.whoIs(r)
	if err != nil {
		s.refuseOwnLogin(w, r, err)
		return
	}
	username := ""
	if in != nil { // is to prove it again
		username = in.User.Value.Username
	}
	s.ownLoginPage(w, r, http.StatusOK, back, username, "")
}

func (s *Server) ownLoginPage(w http.ResponseWriter, r *http.Request, status int, back, username, fault string) {
	s.writePage(w, status, pages.Login{
		Service: s.cfg.ServiceName, Action: s.base + "/login?" + url.Values{backField: {back}}.Encode(),
		Token: formToken(s.loginKey(w, r), "login for "+back), Username: cut(username), Fault: fault,
	}.HTML())
}

func (s *Server) ownLoginPost(w http.ResponseWriter, r *http.Request, back string) {
	f, ok := s.ownForm(w, r)
	if !ok {
		return
	}
	username := f.get("username")
	if !rightToken(s.cookie(r, formCookie), "login for "+back, f.get("form_token")) {
		s.ownLoginPage(w, r, http.StatusBadRequest, back, username, "This page had expired, or your browser does not keep cookies. Please try again.")
		return
	}
	cookie, err := s.grants.SignIn(r.Context(), grants.Login{
		Username: username, Password: f.get("password"), Source: s.sourceOf(r), Cookie: s.cookie(r, signInCookie),
	})
	if err != nil {
		p := problemOf(err)
		noteError(r.Context(), p, err)
		s.count(r, "login", outcomeOf(err))
		for name, value := range p.header {
			w.Header()[name] = value
		}
		status, words := loginFault(p, err)
		s.ownLoginPage(w, r, status, back, username, words)
		return
	}
	s.count(r, "login", "ok")
	s.setCookie(w, signInCookie, cookie)
	seeOther(w, back)
}

// loginFault says what was wrong with a login. Nothing in it depends on whether
// the user exists.
func loginFault(p problem, err error) (status int, words string) {
	switch slow := new(throttle.Throttled); {
	case errors.As(err, &slow):
		return p.status, "Too many failed attempts. Please try again in " + strconv.Itoa(int(slow.RetryAfter.Seconds())) + " seconds."
	case p.code == string(grants.InvalidGrant):
		return http.StatusBadRequest, "The user name or password is wrong."
	}
	return p.status, sentence(p.description)
}

func (s *Server) refuseOwnLogin(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	noteError(r.Context(), p, err)
	s.refusePage(w, p)
}

// ownForm reads a form that a page of ours has sent.
func (s *Server) ownForm(w http.ResponseWriter, r *http.Request) (form, bool) {
	if !s.fromOurPage(r) {
		s.refusePage(w, problem{status: http.StatusForbidden, code: string(grants.AccessDenied), description: "this form was sent by another site"})
		return nil, false
	}
	f, err := parseForm(w, r)
	if err != nil {
		s.refusePage(w, problemOf(err))
		return nil, false
	}
	return f, true
}
