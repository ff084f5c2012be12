package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// mostShown is how many sessions the page of an account shows.
const mostShown = 100

func accountNav() []pages.Link {
	return []pages.Link{{Href: "/account", Words: "Overview"}, {Href: "/account/applications", Words: "Applications"},
		{Href: "/account/password", Words: "Password"}, {Href: "/account/activity", Words: "Activity"}}
}

// accountFrame is what stands around the pages of an account.
func (s *Server) accountFrame(o *own) pages.Frame {
	f := s.frame(o, "Your account", accountNav()...)
	if sent := o.r.URL.Query(); vouchedFor(o.cookie, o.r.URL.Path, sent) {
		f.Said = accountSaid[sent.Get("said")]
	}
	return f
}

// accountSaid is what a form came to. The address names it, so that a page can
// be loaded again; it can name nothing else.
var accountSaid = map[string]*pages.Said{
	"ended":            {Kind: "good", Words: "The session has ended. Its tokens stop working within seconds."},
	"over":             {Words: "That session was over already."},
	"signed-out":       {Kind: "good", Words: "That browser is signed out, and its sessions have ended."},
	"disconnected":     {Kind: "good", Words: "The application has lost its access. Its tokens stop working within seconds."},
	"no-connection":    {Words: "That application had no access."},
	"password-changed": {Kind: "good", Words: "Your new password is set. All sessions but those on this device have ended."},
	"password-set":     {Kind: "good", Words: "Your new password is set."},
	"others-ended":     {Kind: "good", Words: "All other sessions have ended. Their tokens stop working within seconds."},
}

// account shows somebody where they are signed in.
func (s *Server) account(o *own) {
	user := o.in.User.Value
	page := pages.Account{
		Frame: s.accountFrame(o), Facts: accountFacts(user),
		Empty: pages.Empty{Title: "Nothing but this page", Words: "You are signed in here, and no application is signed in for you."},
	}
	rows, more, err := s.accountRows(o)
	if err != nil {
		s.refuseOwn(o.w, o.r, err)
		return
	}
	others := more
	for _, row := range rows {
		others = others || !row.here
		page.Sessions = append(page.Sessions, row.Row)
	}
	if others {
		page.EndOthers = s.act(o, "/account/end-others", "End all others", "but the sessions on this device", "danger")
	}
	if more {
		page.More = "There are more sessions than are shown here: end all others if you do not know why."
	}
	s.writeOwn(o.w, http.StatusOK, page.HTML())
}

func accountFacts(u storage.User) []pages.Fact {
	facts := []pages.Fact{{Name: "User name", Value: u.Username}}
	if u.Claims.Name != "" {
		facts = append(facts, pages.Fact{Name: "Name", Value: u.Claims.Name})
	}
	if u.Claims.Email != "" {
		facts = append(facts, pages.Fact{Name: "Mail address", Value: u.Claims.Email})
	}
	if len(u.Roles) > 0 {
		facts = append(facts, pages.Fact{Name: "Roles", Value: strings.Join(u.Roles, ", ")})
	}
	if !u.PasswordChanged.IsZero() {
		facts = append(facts, pages.Fact{Name: "Password set", Time: pages.At(u.PasswordChanged)})
	}
	return facts
}

// accountRow is a session, or a browser that is signed in here, with what rows
// are sorted by.
type accountRow struct {
	pages.Row
	here, signIn bool
	used         int64
}

// accountRows are first what is on this device, then the latest.
func (s *Server) accountRows(o *own) (rows []accountRow, more bool, err error) {
	ctx, user, browser := o.r.Context(), o.in.User.Value, o.in.SignIn.Value.Browser
	signIns, err := s.grants.SignIns(ctx, user)
	if err != nil {
		return nil, false, err
	}
	for _, in := range signIns {
		rows = append(rows, s.signInRow(o, in, in.Browser == browser))
	}
	sessions, more, err := s.grants.LiveSessions(ctx, user.Subject, mostShown)
	if err != nil {
		return nil, false, err
	}
	for _, ses := range sessions {
		name, err := s.nameOfClient(ctx, ses.ClientID)
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, s.sessionRow(o, ses, name, ses.Browser != "" && ses.Browser == browser))
	}
	slices.SortStableFunc(rows, func(a, b accountRow) int {
		return cmp.Or(boolOrder(b.here, a.here), boolOrder(b.signIn && b.here, a.signIn && a.here), cmp.Compare(b.used, a.used))
	})
	return rows, more, nil
}

// boolOrder sorts false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (s *Server) signInRow(o *own, in storage.SignIn, here bool) accountRow {
	device := deviceInWords(in.Device)
	row := accountRow{here: here, signIn: true, used: in.Used.UnixNano(), Row: pages.Row{
		Title: "Signed in at these pages", Lines: deviceLines(in.Device, "Signed in", pages.At(in.Created), pages.At(in.Used)),
	}}
	if here {
		row.Badge = &pages.Badge{Kind: "good", Words: "This device"}
	} else {
		row.Act = s.act(o, "/account/sign-out", "Sign out", "there: "+device, "plain", pages.Field{Name: "id", Value: in.ID})
	}
	return row
}

func (s *Server) sessionRow(o *own, ses storage.Session, client string, here bool) accountRow {
	row := accountRow{here: here, used: ses.Rotated.UnixNano(), Row: pages.Row{
		Title: client, Lines: deviceLines(ses.Device, "First used", pages.At(ses.Created), pages.At(ses.Rotated)),
		Act: s.act(o, "/account/end", "End", "the session of "+client+", "+deviceInWords(ses.Device), "plain", pages.Field{Name: "sid", Value: ses.ID}),
	}}
	if here {
		row.Badge = &pages.Badge{Kind: "good", Words: "This device"}
	}
	return row
}

// deviceLines are the small print of a row.
func deviceLines(d storage.Device, began string, first, last *pages.Moment) [][]pages.Part {
	where := []pages.Part{{Words: deviceInWords(d)}}
	if d.Network != "" {
		where = append(where, pages.Part{Words: "from " + d.Network})
	}
	return [][]pages.Part{where, {{Before: began, Time: first}, {Before: "last used", Time: last}}}
}

func deviceInWords(d storage.Device) string {
	return cmp.Or(d.Agent, "a program that does not say what it is")
}

// nameOfClient is what people know a client by, also one that is gone.
func (s *Server) nameOfClient(ctx context.Context, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	client, err := s.grants.Store.CachedClient(ctx, id)
	if err != nil || !client.Exists() {
		return id, err
	}
	return clientName(client.Value), nil
}

// accountAgain answers a GET of an address that only takes forms, as after
// "reload" or a login.
func (s *Server) accountAgain(o *own) { seeOther(o.w, s.base+"/account") }

// endOwn ends one session.
func (s *Server) endOwn(o *own) {
	sub := o.in.User.Value.Subject
	n, err := s.grants.End(o.r.Context(), grants.Selection{Subject: sub, SessionID: o.form.get("sid")}, s.byUser(o))
	said := "ended"
	switch {
	case errors.Is(err, grants.ErrNotFound), err == nil && n == 0:
		said = "over"
	case err != nil:
		s.count(o.r, "end_own", outcomeOf(err))
		s.refuseOwn(o.w, o.r, err)
		return
	}
	s.count(o.r, "end_own", "ok")
	s.say(o, "/account", said)
}

// signOutElsewhere ends what another browser is signed in with.
func (s *Server) signOutElsewhere(o *own) {
	id := o.form.get("id")
	if id == "" || len(id) > mostLogged {
		s.say(o, "/account", "over")
		return
	}
	if _, err := s.grants.EndSignIn(o.r.Context(), o.in.User.Value.Subject, id, s.sourceOf(o.r).Address); err != nil {
		s.count(o.r, "end_own", outcomeOf(err))
		s.refuseOwn(o.w, o.r, err)
		return
	}
	s.count(o.r, "end_own", "ok")
	s.say(o, "/account", "signed-out")
}

// endOthers ends all that is not on this device, in one moment.
func (s *Server) endOthers(o *own) {
	e := s.byUser(o)
	e.ExceptBrowser = o.in.SignIn.Value.Browser
	if _, err := s.grants.End(o.r.Context(), grants.Selection{Subject: o.in.User.Value.Subject}, e); err != nil {
		s.count(o.r, "end_own", outcomeOf(err))
		s.refuseOwn(o.w, o.r, err)
		return
	}
	s.count(o.r, "end_own", "ok")
	s.say(o, "/account", "others-ended")
}

// byUser says that the user of a page does it.
func (s *Server) byUser(o *own) grants.Ending {
	return grants.Ending{Reason: storage.ReasonUser, By: o.in.User.Value.Subject, Source: s.sourceOf(o.r).Address}
}

// say goes on to a page that says what a form came to.
func (s *Server) say(o *own, path, said string) { s.sayTo(o, o.cookie, path, said) }

// sayTo does so where the browser has a new cookie from now on.
func (s *Server) sayTo(o *own, cookie, path, said string) {
	sent := vouch(cookie, s.base+path, url.Values{"said": {said}})
	seeOther(o.w, s.base+path+"?"+sent.Encode())
}
