package server

import (
	"errors"
	"net/http"
	"net/url"

	"jeton/grants"
	"jeton/pages"
	"jeton/throttle"
)

// authorize is /authorize (RFC 6749 §3.1): it shows the page that comes next,
// or answers the client.
func (s *Server) authorize(v *visit) {
	step, err := s.grants.NextStep(v.r.Context(), v.req, v.in)
	if err != nil {
		s.refuseVisit(v, err)
		return
	}
	switch step {
	case grants.StepLogin:
		s.loginPage(v, http.StatusOK, "", "")
	case grants.StepAccount:
		s.writePage(v.w, http.StatusOK, pages.Choose{
			Service: s.cfg.ServiceName, Client: clientName(v.req.Client.Value), Action: v.to(s, "/choose"),
			Token: formToken(v.cookie, "account "+v.req.ID), Username: v.in.User.Value.Username,
		}.HTML())
	case grants.StepConsent:
		s.consentPage(v)
	default:
		code, err := s.grants.Code(v.r.Context(), v.req, *v.in, s.sourceOf(v.r))
		s.finish(v, code, err)
	}
}

// authorizePost takes a request from a form of the client's (OpenID Connect Core
// §3.1.2.1). The browser goes on with a GET, to which it adds our cookies.
func (s *Server) authorizePost(w http.ResponseWriter, r *http.Request) {
	f, err := parseForm(w, r)
	if err != nil {
		s.refuseVisit(&visit{w: w, r: r}, err)
		return
	}
	sent := url.Values(f)
	foreign(sent)
	to, err := s.onward("/authorize", sent)
	if err != nil {
		s.refuseVisit(&visit{w: w, r: r}, err)
		return
	}
	seeOther(w, to)
}

// onward is where a browser goes on by GET with what a form held.
func (s *Server) onward(path string, sent url.Values) (to string, err error) {
	query := sent.Encode()
	if len(query) > mostQuery {
		return "", badRequest("the request is too long")
	}
	return s.base + path + "?" + query, nil
}

// finish answers the client with its code.
func (s *Server) finish(v *visit, code string, err error) {
	if err != nil {
		s.refuseVisit(v, err)
		return
	}
	s.count(v.r, "authorize", "ok")
	s.answer(v, url.Values{"code": {code}})
}

func (s *Server) loginPage(v *visit, status int, username, fault string) {
	switch {
	case username != "":
	case v.req.LoginHint != "":
		username = v.req.LoginHint
	case v.in != nil && status == http.StatusOK && v.r.URL.Path == s.base+"/authorize":
		username = v.in.User.Value.Username // is to prove it again
	}
	s.writePage(v.w, status, pages.Login{
		Service: s.cfg.ServiceName, Client: clientName(v.req.Client.Value), Action: v.to(s, "/login"),
		Token: formToken(s.loginKey(v.w, v.r), "login "+v.req.ID), Username: cut(username), Fault: fault,
		Forgot: s.forgotLink(),
	}.HTML())
}

// loginGet is /login as an address: a page that was loaded again, or "use
// another account".
func (s *Server) loginGet(v *visit) {
	s.loginPage(v, http.StatusOK, "", "")
}

// loginPost is what the login page sends.
func (s *Server) loginPost(v *visit) {
	f, ok := s.pageForm(v.w, v.r)
	if !ok {
		return
	}
	username := f.get("username")
	deny := f.get("decision") == "deny"
	if deny && v.asked == nil {
		s.deny(v)
		return
	}
	if !rightToken(s.cookie(v.r, formCookie), "login "+v.req.ID, f.get("form_token")) {
		s.loginPage(v, http.StatusBadRequest, username, expiredForm)
		return
	}
	if deny {
		s.denyDevice(v)
		return
	}
	cookie, err := s.grants.SignIn(v.r.Context(), grants.Login{
		Username: username, Password: f.get("password"), For: v.req.ID, Source: s.sourceOf(v.r), Cookie: v.cookie,
	})
	if err != nil {
		s.loginRefused(v, username, err)
		return
	}
	s.count(v.r, "login", "ok")
	s.setCookie(v.w, signInCookie, cookie)
	v.move(v.to(s, "/"+v.home()))
}

// expiredForm is told where the token of a form is not the right one.
const expiredForm = "This page had expired, or your browser does not keep cookies. Please try again."

// loginRefused shows the page again with what was wrong.
func (s *Server) loginRefused(v *visit, username string, err error) {
	status, fault := s.loginFault(v.w, v.r, err)
	s.loginPage(v, status, username, fault)
}

// loginFault is what was wrong with a password. Nothing in it depends on whether
// the user exists.
func (s *Server) loginFault(w http.ResponseWriter, r *http.Request, err error) (status int, fault string) {
	p := problemOf(err)
	noteError(r.Context(), p, err)
	s.count(r, "login", outcomeOf(err))
	for name, value := range p.header {
		w.Header()[name] = value
	}
	switch slow := new(throttle.Throttled); {
	case errors.As(err, &slow):
		return p.status, "Too many failed attempts. Please try again in " + count(int64(slow.RetryAfter.Seconds()), "second") + "."
	case p.code == string(grants.InvalidGrant):
		return http.StatusBadRequest, "The user name or password is wrong."
	}
	return p.status, sentence(p.description)
}

// consentPage asks the user.
func (s *Server) consentPage(v *visit) {
	client := v.req.Client.Value
	idle, most := s.grants.Lifetime(client)
	page := pages.Consent{
		Service: s.cfg.ServiceName, Client: clientName(client), Host: hostInWords(v.req.RedirectURI), Action: v.to(s, "/consent"),
		Token: formToken(v.cookie, "consent "+v.req.ID), Username: v.in.User.Value.Username,
		Scopes: s.scopesInWords(v.req.Scope), Lifetime: lifetimeInWords(idle, most, v.req.Scope),
	}
	if client.Document != nil {
		page.Calls, page.Unknown, page.OnDevice = client.Name, true, onDeviceAlone(client)
	}
	if r := client.Registration; r != nil {
		page.Registered = r.At.UTC().Format("2 January 2006")
	}
	for _, r := range v.req.Resource {
		if r != s.cfg.Issuer {
			page.Resources = append(page.Resources, r)
		}
	}
	s.writePage(v.w, http.StatusOK, page.HTML())
}

// consentPost is what the pages send to somebody who is signed in: consent, and
// the choice of an account. A form of another sign-in, or of one that is over,
// decides nothing: the next page asks again.
func (s *Server) consentPost(v *visit) {
	f, ok := s.pageForm(v.w, v.r)
	switch {
	case !ok:
	case f.get("decision") == "deny":
		s.deny(v)
	case f.get("decision") == "switch":
		v.move(v.to(s, "/login"))
	case v.in == nil || !rightToken(v.cookie, "consent "+v.req.ID, f.get("form_token")):
		v.move(v.to(s, "/authorize"))
	case f.get("decision") == "allow":
		s.agree(v)
	default:
		v.move(v.to(s, "/authorize"))
	}
}

func (s *Server) agree(v *visit) {
	step, err := s.grants.NextStep(v.r.Context(), v.req, v.in)
	if err == nil && step != grants.StepConsent && step != grants.StepCode {
		v.move(v.to(s, "/authorize"))
		return
	}
	code := ""
	if err == nil {
		code, err = s.grants.Agree(v.r.Context(), v.req, *v.in, s.sourceOf(v.r))
	}
	s.finish(v, code, err)
}

// choosePost is what the choice of an account sends.
func (s *Server) choosePost(v *visit) {
	f, ok := s.pageForm(v.w, v.r)
	switch {
	case !ok:
		return
	case f.get("decision") == "deny":
		s.deny(v)
		return
	case f.get("decision") == "switch":
		v.move(v.to(s, "/login"))
		return
	case v.in != nil && rightToken(v.cookie, "account "+v.req.ID, f.get("form_token")):
		if err := s.grants.ChooseAccount(v.r.Context(), v.cookie, v.req.ID); err != nil {
			s.refuseVisit(v, err)
			return
		}
	}
	v.move(v.to(s, "/authorize"))
}

// again answers a GET of an address that only takes forms, as after "reload".
func (s *Server) again(v *visit) { v.move(v.to(s, "/authorize")) }

// pageForm reads a form that a page of ours has sent; what is no such form is
// answered.
func (s *Server) pageForm(w http.ResponseWriter, r *http.Request) (form, bool) {
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

// deny is the user's no.
func (s *Server) deny(v *visit) {
	s.refuseVisit(v, grants.Refuse(grants.AccessDenied, "the user has declined", nil))
}
