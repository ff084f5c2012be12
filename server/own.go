package server

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"jeton/grants"
	"jeton/pages"
)

// own is one request at the pages that belong to this server itself, the
// account and the console, of somebody who is signed in.
type own struct {
	w http.ResponseWriter
	r *http.Request
	// in is who is signed in, cookie what says so.
	in     grants.SignedIn
	cookie string
	// form is what was sent, nil for a page that is only looked at.
	form form
}

// ownPages serves such pages. Who is not signed in is sent to do so, and comes
// back. A form decides nothing unless it comes from a page of this very
// sign-in: its token is that of the address it goes to, see [Server.act].
func (s *Server) ownPages(look, send func(*own)) byMethod {
	m := byMethod{}
	if look != nil {
		m[http.MethodGet] = s.owned(look)
	}
	if send != nil {
		m[http.MethodPost] = s.owned(func(o *own) {
			switch f, ok := s.pageForm(o.w, o.r); {
			case !ok:
			case !rightToken(o.cookie, s.below(o.r), f.get("form_token")):
				s.writeOwn(o.w, http.StatusBadRequest, pages.Notice{
					Service: s.cfg.ServiceName, Title: "Please try again", Words: []string{"This page had expired. Nothing was changed."},
					Link: &pages.Link{Href: s.base + "/" + area(s.below(o.r)), Words: "Back"},
				}.HTML())
			default:
				o.form = f
				send(o)
			}
		})
	}
	return m
}

func (s *Server) owned(handle func(*own)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, in, err := s.whoIs(r)
		switch {
		case err != nil:
			s.refuseOwn(w, r, err)
		case in == nil:
			back := s.below(r)
			if r.Method == http.MethodPost {
				back = "/" + area(back) // that address takes forms alone
			}
			s.toLogin(w, back)
		default:
			noteOf(r.Context()).sub = in.User.Value.Subject
			if err := s.grants.Used(r.Context(), *in); err != nil {
				s.refuseOwn(w, r, err)
				return
			}
			handle(&own{w: w, r: r, in: *in, cookie: cookie})
		}
	})
}

// below is the path of a request below that of the issuer.
func (s *Server) below(r *http.Request) string {
	return strings.TrimPrefix(r.URL.EscapedPath(), s.base)
}

// area is the first part of such a path.
func area(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// act is a form of one button that goes to a path below the issuer's, escaped.
func (s *Server) act(o *own, path, words, about, kind string, fields ...pages.Field) *pages.Act {
	return &pages.Act{Action: s.base + path, Token: formToken(o.cookie, path), Words: words, About: about, Kind: kind, Fields: fields}
}

// frame is what stands around a page. nav are paths below the issuer's with
// words for each.
func (s *Server) frame(o *own, name string, nav ...pages.Link) pages.Frame {
	here := s.below(o.r)
	for i := range nav {
		nav[i].Here = nav[i].Href == here
		nav[i].Href = s.base + nav[i].Href
	}
	return pages.Frame{
		Service: s.cfg.ServiceName, Area: name, Nav: nav, Username: o.in.User.Value.Username,
		SignOut: pages.Act{Action: s.base + "/end_session", Token: formToken(o.cookie, "signout")},
	}
}

// writeOwn answers with a page of this server's own: unlike those on the way
// through a login, it has no business with the window that opened it.
func (s *Server) writeOwn(w http.ResponseWriter, status int, html []byte) {
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	s.write(w, status, html, pages.OwnPolicy)
}

func (s *Server) refuseOwn(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	noteError(r.Context(), p, err)
	s.refusePage(w, p)
}

// ownPath matches the pages that one may come back to after signing in. What
// does not match leads to the account: nobody chooses for others where a login
// ends.
var ownPath = regexp.MustCompile(`^(account|console)(/[A-Za-z0-9_~:%-][A-Za-z0-9_~:%.-]*)*$`)

// consoleQuery is what may follow on the path of a page of the console.
var consoleQuery = regexp.MustCompile(`^[A-Za-z0-9_~%.&=+-]*$`)

// mostAddress is the longest address that one may come back to.
const mostAddress = 2048

// toLogin sends a browser to sign in, and back to a page below the issuer's path.
func (s *Server) toLogin(w http.ResponseWriter, page string) {
	seeOther(w, s.base+"/login?"+url.Values{"page": {strings.TrimPrefix(page, "/")}}.Encode())
}

// pageAfter is the page that somebody signs in for.
func pageAfter(r *http.Request) string {
	page := r.URL.Query().Get("page")
	path, query, asks := strings.Cut(page, "?")
	if len(page) > mostAddress || !ownPath.MatchString(path) || strings.Contains(strings.ToLower(path), "%2e") {
		return "account"
	}
	if asks && (area(path) != "console" || !consoleQuery.MatchString(query)) {
		return "account"
	}
	return page
}

// forOwnPages tells a login for a page of ours from one for a client.
func forOwnPages(ours http.HandlerFunc, visited http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Has("page") && !q.Has("client_id") {
			ours(w, r)
			return
		}
		visited.ServeHTTP(w, r)
	})
}

func (s *Server) ownLogin(w http.ResponseWriter, r *http.Request) {
	s.ownLoginPage(w, r, http.StatusOK, "", "")
}

func (s *Server) ownLoginPage(w http.ResponseWriter, r *http.Request, status int, username, fault string) {
	page := pageAfter(r)
	s.writeOwn(w, status, pages.Login{
		Service: s.cfg.ServiceName, Action: s.base + "/login?" + url.Values{"page": {page}}.Encode(),
		Token: formToken(s.loginKey(w, r), "login for "+page), Username: cut(username), Fault: fault,
		Forgot: s.forgotLink(),
	}.HTML())
}

func (s *Server) ownLoginPost(w http.ResponseWriter, r *http.Request) {
	f, ok := s.pageForm(w, r)
	if !ok {
		return
	}
	page, username := pageAfter(r), f.get("username")
	if !rightToken(s.cookie(r, formCookie), "login for "+page, f.get("form_token")) {
		s.ownLoginPage(w, r, http.StatusBadRequest, username, expiredForm)
		return
	}
	cookie, err := s.grants.SignIn(r.Context(), grants.Login{
		Username: username, Password: f.get("password"), Source: s.sourceOf(r), Cookie: s.cookie(r, signInCookie),
	})
	if err != nil {
		status, fault := s.loginFault(w, r, err)
		s.ownLoginPage(w, r, status, username, fault)
		return
	}
	s.count(r, "login", "ok")
	s.setCookie(w, signInCookie, cookie)
	seeOther(w, s.base+"/"+page)
}
