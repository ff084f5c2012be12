package server

import (
	"errors"
	"net/http"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// applications shows which clients may act for somebody.
func (s *Server) applications(o *own) {
	found, err := s.grants.Connections(o.r.Context(), o.in.User.Value.Subject)
	if err != nil {
		s.refuseOwn(o.w, o.r, err)
		return
	}
	page := pages.Applications{
		Frame: s.accountFrame(o),
		Empty: pages.Empty{Title: "No applications", Words: "Applications stand here once you sign in to them, or allow them something."},
	}
	for _, c := range found {
		page.Rows = append(page.Rows, s.applicationRow(o, c))
	}
	s.writeOwn(o.w, http.StatusOK, page.HTML())
}

func (s *Server) applicationRow(o *own, c grants.Connection) pages.Row {
	name := clientName(c.Client)
	row := pages.Row{Title: name, Act: s.act(o, "/account/applications/disconnect", "Disconnect", name, "danger", pages.Field{Name: "client_id", Value: c.Client.ID})}
	for _, scope := range c.Scopes {
		words := s.scopeInWords(scope)
		if words == "" {
			words = "Use " + scope
		}
		row.Lines = append(row.Lines, []pages.Part{{Words: words}})
	}
	var since []pages.Part
	if !c.Granted.IsZero() {
		since = append(since, pages.Part{Before: "Allowed", Time: pages.At(c.Granted)})
	}
	if c.Sessions > 0 {
		since = append(since, pages.Part{Words: count(int64(c.Sessions), "session")}, pages.Part{Before: "last used", Time: pages.At(c.LastUsed)})
	} else {
		since = append(since, pages.Part{Words: "no sessions"})
	}
	row.Lines = append(row.Lines, since)
	return row
}

// applicationsAgain answers a GET of the address that only takes forms.
func (s *Server) applicationsAgain(o *own) { seeOther(o.w, s.base+"/account/applications") }

// disconnect takes back what was allowed, and ends what came of it.
func (s *Server) disconnect(o *own) {
	e := s.byUser(o)
	e.Reason = storage.ReasonConsentRevoked
	id := o.form.get("client_id")
	said := "disconnected"
	if id == "" || len(id) > mostLogged {
		said = "no-connection"
	} else if _, err := s.grants.Disconnect(o.r.Context(), o.in.User.Value.Subject, id, e); errors.Is(err, grants.ErrNotFound) {
		said = "no-connection"
	} else if err != nil {
		s.count(o.r, "disconnect", outcomeOf(err))
		s.refuseOwn(o.w, o.r, err)
		return
	}
	s.count(o.r, "disconnect", "ok")
	s.say(o, "/account/applications", said)
}
