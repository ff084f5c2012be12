package server

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/gorilla/mux"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
	"jeton/throttle"
)

// forgot asks those who have forgotten their password who they are.
func (s *Server) forgot(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.cfg.Recovery == nil:
		s.noMail(w)
	case r.URL.Query().Get("said") == "asked":
		s.writeOwn(w, http.StatusOK, pages.Notice{
			Service: s.cfg.ServiceName, Title: "Look into your mail",
			Words: []string{
				"If there is such an account, and it has a mail address, a link to set a new password is on its way there.",
				"Nothing comes? Look among the unwanted mail, and ask whoever runs this service.",
			},
			Link: s.signInLink(),
		}.HTML())
	default:
		s.forgotPage(w, r, http.StatusOK, "", "")
	}
}

// forgotLink is where those go who have forgotten their password, "" for nowhere.
func (s *Server) forgotLink() string {
	if s.cfg.Recovery == nil {
		return ""
	}
	return s.base + "/forgot"
}

func (s *Server) noMail(w http.ResponseWriter) {
	s.writeOwn(w, http.StatusNotFound, pages.Notice{
		Service: s.cfg.ServiceName, Title: "No mail is sent here",
		Words: []string{"Ask whoever runs this service for a link to set a new password."}, Link: s.signInLink(),
	}.HTML())
}

func (s *Server) signInLink() *pages.Link {
	return &pages.Link{Href: s.base + "/login?page=account", Words: "Sign in"}
}

func (s *Server) forgotPage(w http.ResponseWriter, r *http.Request, status int, username, fault string) {
	s.writeOwn(w, status, pages.Forgot{
		Service: s.cfg.ServiceName, Action: s.base + "/forgot", Token: formToken(s.loginKey(w, r), "forgot"),
		Back: s.signInLink().Href, Username: cut(username), Fault: fault,
	}.HTML())
}

// forgotPost takes a name or a mail address. What becomes of it happens later and
// elsewhere, so that neither the answer nor its time tells whether there is such
// a user.
func (s *Server) forgotPost(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Recovery == nil {
		s.noMail(w)
		return
	}
	f, ok := s.pageForm(w, r)
	if !ok {
		return
	}
	name := f.get("username")
	if !rightToken(s.cookie(r, formCookie), "forgot", f.get("form_token")) {
		s.forgotPage(w, r, http.StatusBadRequest, name, expiredForm)
		return
	}
	if name == "" || len(name) > mostLogged {
		s.forgotPage(w, r, http.StatusBadRequest, name, "Type your user name, or your mail address.")
		return
	}
	err := s.mayAsk(r, name)
	if err == nil && !s.cfg.Recovery.Ask(name, s.sourceOf(r).Address) {
		err = errManyAsk
	}
	if err != nil {
		p := problemOf(err)
		noteError(r.Context(), p, err)
		s.count(r, "forgot", outcomeOf(err))
		for name, value := range p.header {
			w.Header()[name] = value
		}
		s.forgotPage(w, r, p.status, name, waitWords(err, "Too many ask. Please try again in a moment."))
		return
	}
	s.count(r, "forgot", "ok")
	seeOther(w, s.base+"/forgot?said=asked")
}

var errManyAsk = refusal{unavailable("too many ask for a new password at once")}

// waitWords say how long to wait, where that is known.
func waitWords(err error, otherwise string) string {
	if slow := new(throttle.Throttled); errors.As(err, &slow) {
		return "Too many attempts. Please try again in " + count(int64(slow.RetryAfter.Seconds()), "second") + "."
	}
	return otherwise
}

// mayAsk counts those who ask by what they typed and where they are, by counters
// that nobody's sign-in has to do with: asking locks nobody out. Each counts as a
// failure, since there is no success that would tell one from the next.
func (s *Server) mayAsk(r *http.Request, name string) error {
	if s.grants.Throttle == nil {
		return nil
	}
	addr, _ := netip.ParseAddr(s.sourceOf(r).Address)
	ticket, err := s.grants.Throttle.Try(throttle.Attempt{User: name, Source: addr, Forgot: true})
	if err == nil {
		ticket.Failure()
	}
	return err
}

// reset shows whoever came by a link the form for a new password. Looking uses
// nothing up.
func (s *Server) reset(w http.ResponseWriter, r *http.Request) {
	user, err := s.grants.ResetFor(r.Context(), mux.Vars(r)["link"])
	if err != nil {
		s.refuseReset(w, r, err)
		return
	}
	s.resetPage(w, r, http.StatusOK, user.Username, "")
}

func (s *Server) resetPage(w http.ResponseWriter, r *http.Request, status int, username, fault string) {
	s.writeOwn(w, status, pages.Reset{
		Service: s.cfg.ServiceName, Action: s.base + s.below(r), Token: formToken(s.loginKey(w, r), s.below(r)),
		Username: username, Fault: fault, Inputs: newPasswordInputs(true),
	}.HTML())
}

func newPasswordInputs(focus bool) []pages.Input {
	return []pages.Input{
		{Name: "password", Label: "New password", Type: "password", Autocomplete: "new-password", Required: true, Focus: focus,
			Hint: "A few words that nobody would guess. Any characters, spaces too."},
		{Name: "again", Label: "New password, once more", Type: "password", Autocomplete: "new-password", Required: true},
	}
}

// refuseReset answers a link that does not count.
func (s *Server) refuseReset(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, grants.ErrNoReset) {
		s.count(r, "reset", outcomeOf(err))
		s.refuseOwn(w, r, err)
		return
	}
	noteOf(r.Context()).code = string(grants.InvalidGrant)
	s.count(r, "reset", string(grants.InvalidGrant))
	page := pages.Notice{
		Service: s.cfg.ServiceName, Title: "This link does not count",
		Words: []string{"It was used, it is too old, or the password was set since. Links work once, and not for long."}, Link: s.signInLink(),
	}
	if s.cfg.Recovery != nil {
		page.Link = &pages.Link{Href: s.base + "/forgot", Words: "Ask for a new one"}
	}
	s.writeOwn(w, http.StatusBadRequest, page.HTML())
}

func (s *Server) resetPost(w http.ResponseWriter, r *http.Request) {
	f, ok := s.pageForm(w, r)
	if !ok {
		return
	}
	link := mux.Vars(r)["link"]
	user, err := s.grants.ResetFor(r.Context(), link)
	if err != nil {
		s.refuseReset(w, r, err)
		return
	}
	noteOf(r.Context()).sub = user.Subject
	if !rightToken(s.cookie(r, formCookie), s.below(r), f.get("form_token")) {
		s.resetPage(w, r, http.StatusBadRequest, user.Username, expiredForm)
		return
	}
	if f.get("password") == "" || f.get("password") != f.get("again") {
		s.resetPage(w, r, http.StatusBadRequest, user.Username, notTwice)
		return
	}
	user, reaction, err := s.admin.Users.SetByLink(r.Context(), link, f.get("password"), s.sourceOf(r).Address)
	if invalid := new(accounts.InvalidError); errors.As(err, &invalid) {
		s.count(r, "reset", "refused")
		s.resetPage(w, r, http.StatusBadRequest, user.Username, sentence(invalid.Error()))
		return
	}
	if err != nil {
		s.refuseReset(w, r, err)
		return
	}
	s.count(r, "reset", "ok")
	if s.cfg.Recovery != nil {
		s.cfg.Recovery.Changed(user)
	}
	seeOther(w, s.base+"/reset?"+url.Values{"said": {string(reaction)}}.Encode())
}

const notTwice = "The new password and its repetition are not the same."

// resetDone says that a new password is set. It signs nobody in: whoever has the
// link shows that they know the password, too.
func (s *Server) resetDone(w http.ResponseWriter, r *http.Request) {
	words := []string{"Your new password is set."}
	if grants.Reaction(r.URL.Query().Get("said")) == grants.EndAllSessions {
		words = append(words, "All devices are signed out, and the tokens of all applications stop working within seconds.")
	}
	s.writeOwn(w, http.StatusOK, pages.Notice{Service: s.cfg.ServiceName, Title: "Password set", Words: words, Link: s.signInLink()}.HTML())
}
