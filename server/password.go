package server

import (
	"context"
	"errors"
	"net/http"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
	"jeton/throttle"
)

const passwordPath = "/account/password"

// password shows the form for a new password.
func (s *Server) password(o *own) { s.passwordPage(o, http.StatusOK, "") }

func (s *Server) passwordPage(o *own, status int, fault string) {
	lead := "You are asked for the one you have."
	switch s.grants.Settings.On.PasswordChange.To(grants.OnPasswordChange) {
	case grants.EndOtherSessions:
		lead += " All sessions but those on this device end then."
	case grants.EndAllSessions:
		lead += " All sessions end then, on this device too."
	}
	s.writeOwn(o.w, status, pages.Password{
		Frame: s.accountFrame(o), Lead: lead, Fault: fault, Action: s.base + passwordPath, Token: formToken(o.cookie, passwordPath),
		Inputs: append([]pages.Input{{Name: "current", Label: "Your password", Type: "password", Autocomplete: "current-password", Required: true, Focus: true}},
			newPasswordInputs(false)...),
	}.HTML())
}

// passwordPost changes a password. Whoever sits at a browser that somebody left
// signed in does not know the one there is; guesses at it count as at a login.
func (s *Server) passwordPost(o *own) {
	// Once the password is known, the change is carried through though nobody
	// waits for it.
	ctx, user := context.WithoutCancel(o.r.Context()), o.in.User.Value
	if o.form.get("password") == "" || o.form.get("password") != o.form.get("again") {
		s.passwordPage(o, http.StatusBadRequest, notTwice)
		return
	}
	err := s.grants.Prove(ctx, user, o.form.get("current"), s.sourceOf(o.r))
	if err == nil {
		user, err = s.admin.Users.SetPassword(ctx, accounts.SubjectPrefix+user.Subject, o.form.get("password"), accounts.Act{
			By: user.Subject, Source: s.sourceOf(o.r).Address, Browser: o.in.SignIn.Value.Browser,
		})
	}
	if err != nil {
		s.passwordRefused(o, err)
		return
	}
	s.count(o.r, "password_change", "ok")
	if s.cfg.Recovery != nil {
		s.cfg.Recovery.Changed(user)
	}
	fresh, err := s.grants.RenewSignIn(ctx, o.cookie)
	switch {
	case err != nil:
		s.refuseOwn(o.w, o.r, err)
	case fresh == "": // it ended with the others
		s.setCookie(o.w, signInCookie, "")
		seeOther(o.w, s.base+"/reset?said="+string(grants.EndAllSessions))
	default:
		s.setCookie(o.w, signInCookie, fresh)
		said := "password-set"
		if s.grants.Settings.On.PasswordChange.To(grants.OnPasswordChange) == grants.EndOtherSessions {
			said = "password-changed"
		}
		s.sayTo(o, fresh, "/account", said)
	}
}

func (s *Server) passwordRefused(o *own, err error) {
	p := problemOf(err)
	invalid, slow := new(accounts.InvalidError), new(throttle.Throttled)
	switch {
	case errors.As(err, &invalid):
		s.count(o.r, "password_change", "refused")
		s.passwordPage(o, http.StatusBadRequest, sentence(invalid.Error()))
		return
	case errors.As(err, &slow):
		for name, value := range p.header {
			o.w.Header()[name] = value
		}
		s.passwordPage(o, p.status, waitWords(err, ""))
	case p.code == string(grants.InvalidGrant):
		s.passwordPage(o, http.StatusBadRequest, "Your password is another one.")
	default:
		s.refuseOwn(o.w, o.r, err)
	}
	noteError(o.r.Context(), p, err)
	s.count(o.r, "password_change", outcomeOf(err))
}
