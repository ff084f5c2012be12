package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// leaving is a request to sign out (OpenID Connect RP-Initiated Logout §2), or
// somebody who simply wants to.
type leaving struct {
	w      http.ResponseWriter
	r      *http.Request
	sent   url.Values
	client storage.Client
	// back is where to go after, "" for nowhere: only a registered address of
	// the client counts.
	back string
	hint grants.Hint
	// in is who is signed in, nil for nobody; cookie is what says so.
	in     *grants.SignedIn
	cookie string
}

// logoutFields are the parameters that the page of confirmation carries along.
var logoutFields = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

// endSession is GET /end_session. Who can show an ID token of the user that is
// signed in need not ask the user; everyone else has to, or any page could sign
// its visitors out.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	sent, repeated, err := parseQuery(r.URL.RawQuery)
	if err == nil && len(repeated) > 0 {
		err = badRequest("a parameter was sent more than once")
	}
	l := &leaving{w: w, r: r, sent: sent}
	if err == nil {
		err = s.understand(l)
	}
	switch {
	case err != nil:
		s.refuseLeaving(l, err)
	case l.in == nil:
		s.signedOut(l)
	case l.hint.Subject == l.in.User.Value.Subject:
		s.signOut(l)
	default:
		s.signOutPage(l)
	}
}

// endSessionPost is POST /end_session: the page of confirmation, or a client
// that sends its parameters so, which goes on with a GET to have our cookies.
func (s *Server) endSessionPost(w http.ResponseWriter, r *http.Request) {
	f, err := parseForm(w, r)
	l := &leaving{w: w, r: r, sent: url.Values(f)}
	if err != nil {
		s.refuseLeaving(l, err)
		return
	}
	if f.get("decision") == "" {
		to, err := s.onward("/end_session", l.sent)
		if err != nil {
			s.refuseLeaving(l, err)
			return
		}
		seeOther(w, to)
		return
	}
	if err := s.understand(l); err != nil {
		s.refuseLeaving(l, err)
		return
	}
	switch {
	case f.get("decision") == "stay":
		s.leave(l, "Still signed in", "You are still signed in. You can close this page.")
	case l.in == nil:
		s.signedOut(l)
	case s.fromOurPage(r) && rightToken(l.cookie, "signout", f.get("form_token")):
		s.signOut(l)
	default:
		s.signOutPage(l)
	}
}

// understand finds out who wants to leave, and where to.
func (s *Server) understand(l *leaving) error {
	ctx, id := l.r.Context(), l.sent.Get("client_id")
	hint, ok, err := s.grants.IDTokenHint(ctx, l.sent.Get("id_token_hint"))
	if err != nil {
		return err
	}
	if ok && id != "" && id != hint.ClientID {
		return badRequest("client_id is not the one of the id_token_hint")
	}
	if ok {
		l.hint, id = hint, hint.ClientID
	}
	if id != "" && len(id) <= 255 && !strings.ContainsRune(id, 0) {
		client, err := s.grants.Store.CachedClient(ctx, id)
		if err != nil {
			return err
		}
		if l.client = client.Value; client.Exists() {
			noteOf(ctx).client, noteOf(ctx).clientID = &l.client, id
		}
	}
	if back := l.sent.Get("post_logout_redirect_uri"); slices.Contains(l.client.PostLogoutURIs, back) && !l.client.Disabled {
		l.back = back
	}
	l.cookie, l.in, err = s.whoIs(l.r)
	return err
}

func (s *Server) signOut(l *leaving) {
	if _, err := s.grants.SignOut(l.r.Context(), l.cookie, s.sourceOf(l.r).Address); err != nil {
		s.refuseLeaving(l, err)
		return
	}
	s.count(l.r, "logout", "ok")
	if user := l.in.User.Value; administers(user, user.Subject) {
		s.forgetPages(l)
	}
	s.signedOut(l)
}

// leftConsole is a parameter of the address at which an operator's browser is
// told to forget pages once more.
const leftConsole = "left"

// forgetPages has the browser of an operator forget the list of users, which it
// may keep: the copy in its cache, and the page as it stood, which "back" would
// show without asking anybody. The page that the form of signing out stood on is
// put away only when the answer is there. So that answer leads on at once to
// another one, which says the same and has that page forgotten too.
func (s *Server) forgetPages(l *leaving) {
	l.w.Header().Set("Clear-Site-Data", `"cache"`)
	if l.back == "" {
		l.w.Header().Set("Refresh", "0; url="+s.base+"/end_session?"+leftConsole+"=console")
	}
}

// signedOut goes back to the client, or says that it is done.
func (s *Server) signedOut(l *leaving) {
	if l.in == nil && l.sent.Get(leftConsole) == "console" {
		l.w.Header().Set("Clear-Site-Data", `"cache"`)
	}
	s.setCookie(l.w, signInCookie, "")
	s.leave(l, "Signed out", "You are signed out. You can close this page.")
}

func (s *Server) leave(l *leaving, title, words string) {
	if l.back == "" {
		s.writePage(l.w, http.StatusOK, pages.Notice{Service: s.cfg.ServiceName, Title: title, Words: []string{words}}.HTML())
		return
	}
	params := url.Values{}
	if state := l.sent.Get("state"); state != "" {
		params.Set("state", state)
	}
	if len(params) == 0 {
		seeOther(l.w, l.back)
		return
	}
	seeOther(l.w, withQuery(l.back, params))
}

func (s *Server) signOutPage(l *leaving) {
	page := pages.SignOut{
		Service: s.cfg.ServiceName, Action: s.base + "/end_session", Token: formToken(l.cookie, "signout"), Username: l.in.User.Value.Username,
	}
	if l.client.ID != "" {
		page.Client = clientName(l.client)
	}
	for _, name := range logoutFields {
		if value := l.sent.Get(name); value != "" {
			page.Fields = append(page.Fields, pages.Field{Name: name, Value: value})
		}
	}
	s.writePage(l.w, http.StatusOK, page.HTML())
}

func (s *Server) refuseLeaving(l *leaving, err error) {
	p := problemOf(err)
	noteError(l.r.Context(), p, err)
	s.count(l.r, "logout", outcomeOf(err))
	s.refusePage(l.w, p)
}
