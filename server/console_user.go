package server

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// consoleUser shows one user and the sessions that are remembered of them.
func (s *Server) consoleUser(o *operation) error {
	sub := o.sent.Get("sub")
	u, err := s.admin.Users.Find(o.ctx, named(sub))
	if errors.Is(err, grants.ErrNotFound) {
		return o.goneUser(sub)
	}
	if err != nil {
		return err
	}
	sessions, err := o.sessionsCard(storage.Query{Index: storage.IndexSessions, Partition: storage.UserPartition(u.Subject)}, "/user", "user")
	if err != nil {
		return err
	}
	p := pages.Sheet{
		Frame: o.frame("/users"), Title: u.Username, Badges: []pages.Badge{userState(u)},
		Cards: []pages.Card{o.userFacts(u), sessions, o.rolesCard(u), o.userActs(u)},
	}
	return o.show(200, p)
}

func (o *operation) userFacts(u storage.User) pages.Card {
	password := pages.Fact{Name: "Password", Value: "none: this user cannot sign in"}
	if u.PasswordHash != "" {
		password = pages.Fact{Name: "Password", Time: pages.At(u.PasswordChanged), Value: "set"}
	}
	facts := []pages.Fact{
		{Name: "sub", Value: u.Subject, Code: true},
		{Name: "Roles", Value: orNone(strings.Join(u.Roles, " "))},
		{Name: "Added", Time: pages.At(u.Created)},
		{Name: "Changed", Time: pages.At(u.Updated)},
		password,
	}
	if u.Claims.Email != "" {
		facts = append(facts, pages.Fact{Name: "Email", Value: u.Claims.Email})
	}
	return pages.Card{Facts: facts}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (o *operation) rolesCard(u storage.User) pages.Card {
	return pages.Card{Title: "Roles", Form: &pages.Form{
		Action: o.at("/act", nil), Words: "Change roles", Kind: "plain",
		Fields: []pages.Field{{Name: "act", Value: "roles"}, {Name: "sub", Value: u.Subject}},
		Inputs: []pages.Input{{Name: "roles", Label: "All roles, with spaces between", Value: strings.Join(u.Roles, " "), Max: 7000}},
	}}
}

// userActs leads to the pages on which something is done to a user.
func (o *operation) userActs(u storage.User) pages.Card {
	c := pages.Card{Title: "What to do", Words: "You see what it ends before it does."}
	c.Links = append(c.Links, o.link("New password", "reset-password", "sub", u.Subject))
	c.Danger = append(c.Danger, o.link("End all sessions", "revoke", "sub", u.Subject))
	if u.Disabled {
		c.Links = append(c.Links, o.link("Enable", "enable-user", "sub", u.Subject))
	} else {
		c.Danger = append(c.Danger, o.link("Disable", "disable-user", "sub", u.Subject))
	}
	c.Danger = append(c.Danger, o.link("Delete", "delete-user", "sub", u.Subject))
	return c
}

// link leads to the page that asks whether to do something.
func (o *operation) link(words, act string, about ...string) pages.Link {
	sent := url.Values{"act": {act}}
	for i := 0; i+1 < len(about); i += 2 {
		sent.Set(about[i], about[i+1])
	}
	return pages.Link{Href: o.at("/act", sent), Words: words}
}

// sessionsCard lists sessions; of is "user" where they are all of one, "client"
// likewise.
func (o *operation) sessionsCard(q storage.Query, path, of string) (pages.Card, error) {
	q.After, q.Limit = o.sent.Get("after"), consolePage
	page, err := o.s.grants.Store.List(o.ctx, q)
	if err != nil {
		return pages.Card{}, err
	}
	card := pages.Card{Title: "Sessions", Pager: o.pager(path, page.Next)}
	views := o.views()
	var all []sessionObject
	t := &pages.Table{Caption: "Sessions", Columns: []string{"Session", "State", "User", "Client", "Device", "Began", "Last used", "Refreshes", "Tokens", "Act"}}
	for _, row := range page.Rows {
		rec, err := storage.Decode[storage.Session](row)
		if o.s.grants.Store.Skip(o.ctx, row, err) {
			continue
		}
		if err != nil {
			return card, err
		}
		view, err := views.show(o.ctx, rec.Value)
		if err != nil {
			return card, err
		}
		all = append(all, view)
	}
	// Ids are random; on one page at least what was used last comes first.
	slices.SortStableFunc(all, func(a, b sessionObject) int { return b.LastUsed.Compare(a.LastUsed) })
	for _, view := range all {
		t.Rows = append(t.Rows, o.sessionCells(view))
	}
	dropColumn(t, map[string]string{"user": "User", "client": "Client"}[of])
	if card.Table = t; len(t.Rows) == 0 {
		card.Table = nil
		card.Empty = &pages.Empty{Title: "There are no sessions", Words: "A session begins when somebody logs in through a client. It is shown here for a week after its end."}
	}
	return card, nil
}

func (o *operation) views() sessionViews {
	return sessionViews{o.s.grants, o.in.Now, make(map[string]storage.Record[storage.User])}
}

func (o *operation) sessionCells(v sessionObject) []pages.Cell {
	end := pages.Cell{}
	if v.State == sessionLive {
		l := o.link("End", "revoke", "sid", v.ID)
		end = pages.Cell{Words: l.Words, Href: l.Href}
	}
	return []pages.Cell{
		{Words: shortID(v.ID), Href: o.at("/session", url.Values{"sid": {v.ID}})},
		{Badges: []pages.Badge{stateBadge(v.State)}},
		{Words: v.Username, Href: o.at("/user", url.Values{"sub": {v.Subject}})},
		{Words: v.ClientID, Href: o.at("/client", url.Values{"id": {v.ClientID}})},
		{Words: orUnknown(v.Device.Agent) + ", " + orUnknown(v.Device.Network)},
		{Time: pages.At(v.Created)}, {Time: pages.At(v.LastUsed)},
		{Words: strconv.FormatUint(refreshes(v.Generation), 10)}, {Words: strconv.Itoa(v.Live)}, end,
	}
}

// refreshes is how often a session was refreshed: its first generation is the
// login.
func refreshes(generation uint64) uint64 { return max(generation, 1) - 1 }

// shortID is enough of an id to tell those on one page apart.
func shortID(id string) string {
	if len(id) > 8 {
		return id[:8] + "…"
	}
	return id
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func stateBadge(state string) pages.Badge {
	switch state {
	case sessionLive:
		return pages.Badge{Kind: "good", Words: "live"}
	case sessionIdleExpired:
		return pages.Badge{Words: "unused for too long"}
	case sessionExpired:
		return pages.Badge{Words: "reached its end"}
	}
	return pages.Badge{Kind: "bad", Words: "ended"}
}

// dropColumn takes the column of that name out of a table.
func dropColumn(t *pages.Table, name string) {
	for i, column := range t.Columns {
		if column != name {
			continue
		}
		t.Columns = append(t.Columns[:i:i], t.Columns[i+1:]...)
		for j, row := range t.Rows {
			t.Rows[j] = append(row[:i:i], row[i+1:]...)
		}
		return
	}
}
