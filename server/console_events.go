package server

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"jeton/accounts"
	"jeton/events"
	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// liveSeconds is how often the page of events is loaded again where that was asked
// for. A header does it, so no script is needed; it is asked for, and can be ended,
// by who looks, because a page that changes under a reader is hard to read.
const liveSeconds = "5"

// consoleEvents shows what happened lately, the latest first.
func (s *Server) consoleEvents(o *operation) error {
	about := events.About{ClientID: o.sent.Get("client")}
	user := o.sent.Get("user")
	if user != "" {
		u, err := s.findUser(o, user)
		if sub, ok := strings.CutPrefix(user, accounts.SubjectPrefix); ok && errors.Is(err, grants.ErrNotFound) {
			u.Subject, err = sub, nil // deleted perhaps: the events are kept
		}
		if err != nil {
			return err
		}
		about.Subject = u.Subject
	}
	list, next, err := s.cfg.History.List(o.ctx, about, o.sent.Get("after"), consolePage)
	if err != nil {
		return &accounts.InvalidError{Faults: []string{"the cursor is not one that this listing returned: begin without it"}}
	}
	p := pages.Sheet{
		Frame: o.frame("/events"), Title: "Events",
		Search: &pages.Form{Action: o.at("/events", nil), Words: "Filter", Kind: "plain", Inputs: []pages.Input{
			{Name: "user", Label: "User name, or sub: and a sub", Value: user, Max: 260},
			{Name: "client", Label: "client_id", Value: about.ClientID, Max: 255},
		}},
	}
	card := pages.Card{Pager: o.pager("/events", next), Links: []pages.Link{o.liveLink()}}
	if o.sent.Get("live") == "true" {
		o.w.Header().Set("Refresh", liveSeconds)
		p.Lead = "This page loads itself again every " + liveSeconds + " seconds."
	}
	if card.Table, err = o.eventsTable(list); err != nil {
		return err
	}
	if len(list) == 0 {
		card.Table = nil
		card.Empty = s.noEvents(o)
	}
	p.Cards = []pages.Card{card}
	return o.show(200, p)
}

// findUser finds a user by name, or by a sub with or without what marks one.
func (s *Server) findUser(o *operation, name string) (storage.User, error) {
	u, err := s.admin.Users.Find(o.ctx, name)
	if err != nil && !strings.HasPrefix(name, accounts.SubjectPrefix) {
		if bySub, bad := s.admin.Users.Find(o.ctx, named(name)); bad == nil {
			return bySub, nil
		}
	}
	return u, err
}

func (o *operation) liveLink() pages.Link {
	sent := url.Values{"live": {"true"}}
	words := "Follow live"
	for _, name := range []string{"user", "client"} {
		if o.sent.Has(name) {
			sent.Set(name, o.sent.Get(name))
		}
	}
	if o.sent.Get("live") == "true" {
		sent.Del("live")
		words = "Stop following"
	}
	return pages.Link{Href: o.at("/events", sent), Words: words}
}

func (s *Server) noEvents(o *operation) *pages.Empty {
	switch {
	case s.cfg.History.Kept == 0:
		return &pages.Empty{Title: "No events are kept", Words: "Start the server with --event-history 7d, or read the audit log."}
	case o.sent.Has("user") || o.sent.Has("client"):
		return &pages.Empty{Title: "Nothing happened", Words: "Not to them, and not lately. Older events are in the audit log.", Link: &pages.Link{Href: o.at("/events", nil), Words: "Show all events"}}
	}
	return &pages.Empty{Title: "Nothing happened yet", Words: "Logins, logouts and changes are shown here a moment after they happen."}
}

func (o *operation) eventsTable(list []storage.Event) (*pages.Table, error) {
	t := &pages.Table{Caption: "Events", Columns: []string{"When", "What", "User", "Client", "Session", "By", "Why", "From"}}
	names := make(map[string]string)
	for _, e := range list {
		user, err := o.nameOf(names, e.Subject)
		if err != nil {
			return nil, err
		}
		by, err := o.nameOf(names, e.Actor)
		if err != nil {
			return nil, err
		}
		why := strings.Join(slices.DeleteFunc([]string{inPlainWords(e.Reason), e.Note}, func(s string) bool { return s == "" }), ": ")
		t.Rows = append(t.Rows, []pages.Cell{
			{Time: toTheSecond(e.Time)}, {Words: inPlainWords(e.Type)},
			o.linked(user, "/user", "sub", e.Subject), o.linked(e.ClientID, "/client", "id", e.ClientID), o.linked(shortID(e.Session), "/session", "sid", e.Session),
			{Words: by}, {Words: why}, {Words: e.Source},
		})
	}
	return t, nil
}

// linked is a cell that leads to what it names.
func (o *operation) linked(words, path, name, id string) pages.Cell {
	if id == "" {
		return pages.Cell{}
	}
	return pages.Cell{Words: words, Href: o.at(path, url.Values{name: {id}})}
}

// nameOf is what a `sub` is called, looked up once a page. What is no user is
// called as it is.
func (o *operation) nameOf(names map[string]string, who string) (string, error) {
	if who == "" || who == "server" || who == string(ActorOperator) || strings.HasPrefix(who, "client:") {
		return who, nil
	}
	if name, ok := names[who]; ok {
		return name, nil
	}
	u, _, err := o.s.grants.Store.User(o.ctx, who)
	names[who] = who
	if u.Value.Username != "" {
		names[who] = u.Value.Username
	}
	return names[who], err
}

// inPlainWords is a name of the wire, to be read.
func inPlainWords(name string) string { return strings.ReplaceAll(name, "_", " ") }

// mostLookedAt is how many events of a user are looked at for those of one session.
const mostLookedAt = 500

// eventsOf are those of one session, the first one first.
func (o *operation) eventsOf(ses storage.Session) (own []storage.Event, err error) {
	if o.s.cfg.History.Store == nil {
		return nil, nil
	}
	list, _, err := o.s.cfg.History.List(o.ctx, events.About{Subject: ses.Subject}, "", mostLookedAt)
	for _, e := range list {
		if e.Session == ses.ID {
			own = append(own, e)
		}
	}
	slices.Reverse(own)
	return own, err
}
