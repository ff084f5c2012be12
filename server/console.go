package server

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
)

// The console is the third door to the administration: the pages of who signed
// in here and has the role. Behind it are the functions that the other doors lead
// to; here is only what people see of them.

const consolePath = "/console"

// consoleRoutes mounts the console.
func (s *Server) consoleRoutes(at *mux.Router) {
	show := func(path string, handle func(*operation) error) {
		at.Handle(consolePath+path, byMethod{http.MethodGet: s.consoled(handle)})
	}
	show("", func(o *operation) error { seeOther(o.w, o.at("/users", nil)); return nil })
	show("/users", s.consoleUsers)
	show("/user", s.consoleUser)
	show("/session", s.consoleSession)
	show("/clients", s.consoleClients)
	show("/client", s.consoleClient)
	show("/keys", s.consoleKeys)
	show("/events", s.consoleEvents)
	form := func(path string, ask, act func(*operation) error) {
		at.Handle(consolePath+path, byMethod{http.MethodGet: s.consoled(ask), http.MethodPost: s.consoled(act)})
	}
	form("/client/new", s.newClientForm, s.newClient)
	form("/client/settings", s.consoleSettingsForm, s.consoleSettings)
	form("/act", s.consoleAsk, s.consoleAct)
	form("/token", s.consoleTokenForm, s.consoleToken)
}

// operation is one request of an operator at the console.
type operation struct {
	*call
	s *Server
	// in is the sign-in that opened the door, cookie what says so.
	in     grants.SignedIn
	cookie string
	// sent is the query of the address, form the body of a POST whose token was
	// right.
	sent url.Values
	form form
}

// consoled is the door: it lets in who is signed in and administers, as the store
// says at this moment. A form is taken from a page of this sign-in only.
func (s *Server) consoled(handle func(*operation) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, in, err := s.whoIs(r)
		switch {
		case err != nil:
			s.refuseConsole(w, r, err)
			return
		case in == nil:
			s.toLogin(w, s.backTo(r))
			return
		}
		actor := Actor{Kind: ActorUser, ID: in.User.Value.Subject}
		noteOf(r.Context()).actor = actor.String()
		if !administers(in.User.Value, actor.ID) {
			s.notForYou(w, r, *in)
			return
		}
		if err := s.grants.Used(r.Context(), *in); err != nil {
			s.refuseConsole(w, r, err)
			return
		}
		o := &operation{s: s, in: *in, cookie: cookie}
		if o.call, err = s.admin.call(w, withActor(r, actor), r.Method == http.MethodPost); err != nil {
			s.refuseConsole(w, r, err)
			return
		}
		if err = o.read(); err == nil {
			err = handle(o)
		}
		if err != nil {
			o.refuse(err)
		}
	})
}

// read takes in what was sent.
func (o *operation) read() error {
	sent, repeated, err := parseQuery(o.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if len(repeated) > 0 {
		return badRequest("a parameter was sent more than once")
	}
	o.sent = sent
	if o.r.Method != http.MethodPost {
		return nil
	}
	if !o.s.fromOurPage(o.r) {
		return adminRefusal(http.StatusForbidden, string(grants.AccessDenied), "this form was sent by another site, and nothing was changed")
	}
	if o.form, err = parseForm(o.w, o.r); err != nil {
		return err
	}
	if !rightToken(o.cookie, o.about(), o.form.get("form_token")) {
		return adminRefusal(http.StatusForbidden, string(grants.AccessDenied), "the form is of another sign-in, or of a page from before, and nothing was changed: open the page again")
	}
	return nil
}

// about is what a form of the console is bound to: the address that it is sent to,
// so that none can be turned to another purpose.
func (o *operation) about() string {
	return "console " + o.r.URL.Path + "?" + o.sent.Encode()
}

// token is the form token for an address of the console.
func (o *operation) token(path string, sent url.Values) string {
	return formToken(o.cookie, "console "+o.s.base+consolePath+path+"?"+sent.Encode())
}

// at is an address of the console.
func (o *operation) at(path string, sent url.Values) string {
	to := o.s.base + consolePath + path
	if len(sent) > 0 {
		to += "?" + sent.Encode()
	}
	return to
}

// backTo is the page to come back to after signing in: for a form the one that it
// stood on, which is at the same address.
func (s *Server) backTo(r *http.Request) string {
	if query := r.URL.Query().Encode(); query != "" {
		return s.below(r) + "?" + query
	}
	return s.below(r)
}

// fresh reports whether the user has shown the password lately. If not, the
// browser is on its way to the login page.
func (o *operation) fresh() bool {
	if o.in.Now.Sub(o.in.SignIn.Value.AuthTime) < o.s.cfg.ConsoleMaxAge {
		return true
	}
	o.s.toLogin(o.w, o.s.backTo(o.r))
	return false
}

var consoleNav = []struct{ path, words string }{
	{"/users", "Users"}, {"/clients", "Clients"}, {"/keys", "Keys"}, {"/events", "Events"}, {"/token", "Token"},
}

// frame is what stands around every page.
func (o *operation) frame(here string) pages.Frame {
	f := pages.Frame{
		Service: o.s.cfg.ServiceName, Area: "Console", Username: o.in.User.Value.Username,
		SignOut: pages.Act{Action: o.s.base + "/end_session", Token: formToken(o.cookie, "signout")},
		Said:    o.said(),
	}
	for _, n := range consoleNav {
		f.Nav = append(f.Nav, pages.Link{Href: o.at(n.path, nil), Words: n.words, Here: n.path == here})
	}
	return f
}

// show answers with a page that no cache keeps.
func (o *operation) show(status int, p pages.Sheet) error {
	o.s.writeOwn(o.w, status, p.HTML())
	return nil
}

// changedCookie takes another value with each thing that an operator changes. It
// means nothing by itself: the users page varies by Cookie, so a browser asks for
// it again after each change of its own, however fresh the copy it has.
const changedCookie = "jeton-changed"

// done ends a form that has changed something: the page that shows it comes next.
func (o *operation) done(to string, sent url.Values) {
	var b [8]byte
	rand.Read(b[:])
	o.s.setCookie(o.w, changedCookie, base64.RawURLEncoding.EncodeToString(b[:]))
	o.s.count(o.r, "console", "ok")
	seeOther(o.w, o.at(to, vouch(o.cookie, o.s.base+consolePath+to, sent)))
}

// saidOf is what a page may say about the form before it.
var saidOf = map[string]string{
	"disabled": "Disabled. All sessions have ended.", "enabled": "Enabled. Nothing that had ended came back.",
	"roles":    "The roles are changed. Tokens that are issued from now on carry them.",
	"dropped":  "The former secret does not work any more.",
	"settings": "The settings are changed. Every server goes by them within a second.",
	"added":    "The client is there.",
	"rotated":  "Done. The list says from when on the next key signs.",
	"removed":  "The key is gone from the ring.",
	"deleted":  "Deleted. All sessions have ended.",
}

func (o *operation) said() *pages.Said {
	if !vouchedFor(o.cookie, o.r.URL.Path, o.sent) {
		return nil
	}
	words := saidOf[o.sent.Get("done")]
	if n, err := strconv.Atoi(o.sent.Get("n")); err == nil && n >= 0 && o.sent.Get("done") == "revoked" {
		words = count(int64(n), "session") + " ended. Their tokens do not work any more."
	}
	if words == "" {
		return nil
	}
	return &pages.Said{Kind: "good", Words: words}
}

// notForYou tells somebody who is signed in that the console is not for them.
func (s *Server) notForYou(w http.ResponseWriter, r *http.Request, in grants.SignedIn) {
	p := problem{status: http.StatusForbidden, code: string(grants.AccessDenied)}
	noteError(r.Context(), p, lacksRight)
	s.count(r, "console", p.code)
	s.writeOwn(w, p.status, pages.Notice{
		Service: s.cfg.ServiceName, Title: "This is for operators", Code: p.code, Link: &pages.Link{Href: s.base + "/account", Words: "Your account"},
		Words: []string{"You are signed in as " + in.User.Value.Username + ", who does not have the role " + roleAdmin + ".",
			"Ask an operator to give you the role, or sign out and sign in as somebody who has it."},
	}.HTML())
}

// refuseConsole tells what is wrong where it is not known whom.
func (s *Server) refuseConsole(w http.ResponseWriter, r *http.Request, err error) {
	p := s.consoleProblem(w, r, err)
	s.writeOwn(w, p.status, pages.Notice{
		Service: s.cfg.ServiceName, Title: "That did not work", Words: []string{sentence(p.description)}, Code: p.code,
		Link: &pages.Link{Href: s.base + consolePath, Words: "To the console"},
	}.HTML())
}

// consoleProblem is what is wrong, as a page tells it.
func (s *Server) consoleProblem(w http.ResponseWriter, r *http.Request, err error) problem {
	p := adminProblemOf(err)
	noteError(r.Context(), p, err)
	s.count(r, "console", p.code)
	for name, value := range p.header {
		if name == "Retry-After" {
			w.Header()[name] = value
		}
	}
	if p.status == http.StatusUnauthorized {
		p.status = http.StatusBadRequest
	}
	return p
}

// named addresses a user for the functions of accounts.
func named(sub string) string { return accounts.SubjectPrefix + sub }

// consolePage is how many entries of a listing stand on a page of the console.
const consolePage = 50

// since is how long ago something was, in words.
func since(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return inWords(d.Truncate(time.Minute))
	case d < 48*time.Hour:
		return inWords(d.Truncate(time.Hour))
	default:
		return inWords(d.Truncate(24 * time.Hour))
	}
}
