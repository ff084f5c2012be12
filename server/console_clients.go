package server

import (
	"errors"
	"net/url"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// consoleClients lists the clients.
func (s *Server) consoleClients(o *operation) error {
	clients, next, err := s.admin.Clients.List(o.ctx, o.sent.Get("after"), consolePage)
	if err != nil {
		return err
	}
	card := pages.Card{Pager: o.pager("/clients", next)}
	t := &pages.Table{Caption: "Clients", Columns: []string{"Client", "Name", "State", "Grants", "Scope", "Added"}}
	for _, c := range clients {
		t.Rows = append(t.Rows, []pages.Cell{
			{Words: c.ID, Href: o.at("/client", url.Values{"id": {c.ID}})},
			{Words: c.Name},
			{Badges: clientBadges(c)},
			{Words: strings.Join(c.Grants, " ")},
			{Words: strings.Join(c.Scopes, " ")},
			{Time: pages.At(c.Created)},
		})
	}
	if card.Table = t; len(clients) == 0 {
		card.Table = nil
		card.Empty = &pages.Empty{Title: "There are no clients", Words: "Add the programs that ask for tokens, here or by jeton client add."}
	}
	card.Links = []pages.Link{{Href: o.at("/client/new", nil), Words: "New client"}}
	return o.show(200, pages.Sheet{Frame: o.frame("/clients"), Title: "Clients", Cards: []pages.Card{card}})
}

func clientBadges(c storage.Client) []pages.Badge {
	badges := []pages.Badge{{Kind: "good", Words: "active"}}
	if c.Disabled {
		badges[0] = pages.Badge{Kind: "bad", Words: "disabled"}
	}
	for _, more := range []struct {
		is    bool
		words string
	}{{c.Public(), "public"}, {c.Admin, "administers"}, {c.Introspect, "introspects"}} {
		if more.is {
			badges = append(badges, pages.Badge{Words: more.words})
		}
	}
	return badges
}

// consoleClient shows one client with its settings and its sessions.
func (s *Server) consoleClient(o *operation) error {
	id := o.sent.Get("id")
	c, err := s.admin.Clients.Find(o.ctx, id)
	if errors.Is(err, grants.ErrNotFound) {
		return o.goneClient(id)
	}
	if err != nil {
		return err
	}
	sessions, err := o.sessionsCard(storage.Query{Index: storage.IndexClientSessions(c.ID)}, "/client", "client")
	if err != nil {
		return err
	}
	cards := []pages.Card{o.clientFacts(c), sessions}
	if c.SecretHash != "" {
		cards = append(cards, o.secretsCard(c))
	}
	return o.show(200, pages.Sheet{
		Frame: o.frame("/clients"), Title: clientName(c), Badges: clientBadges(c), Cards: append(cards, o.clientActs(c)),
	})
}

func (o *operation) clientFacts(c storage.Client) pages.Card {
	view := showClient(c, "")
	card := pages.Card{Facts: []pages.Fact{
		{Name: "client_id", Value: c.ID, Code: true},
		{Name: "Grants", Value: strings.Join(view.Grants, " "), Code: true},
		{Name: "Scope", Value: orNone(view.Scope), Code: true},
		{Name: "Authenticates", Value: authInWords(c)},
	}}
	if same, err := o.s.admin.Clients.SameCookies(o.ctx, c); err == nil && len(same) > 0 {
		card.Facts = append(card.Facts, pages.Fact{Name: "Same cookies", Value: sameCookiesInWords(same)})
	}
	retry := ""
	if c.RefreshRetryWindow != nil {
		retry = c.RefreshRetryWindow.String()
	}
	for _, f := range []pages.Fact{
		{Name: "Audience", Value: strings.Join(c.Audience, " "), Code: true},
		{Name: "Redirect URIs", Value: strings.Join(c.RedirectURIs, " "), Code: true},
		{Name: "After signing out", Value: strings.Join(c.PostLogoutURIs, " "), Code: true},
		{Name: "Told of logouts at", Value: c.BackchannelLogoutURI, Code: true},
		{Name: "Origins", Value: strings.Join(c.CORSOrigins, " "), Code: true},
		{Name: "Delivery", Value: c.Delivery},
		{Name: "Bound to the browser", Value: c.BindAgent},
		{Name: "Bound to the address", Value: c.BindAddress},
		{Name: "Consent", Value: view.Consent},
		{Name: "Access tokens live", Value: lifetimeFact(c.AccessTokenTTL)},
		{Name: "Sessions live unused", Value: lifetimeFact(c.RefreshTokenTTL)},
		{Name: "Sessions live at most", Value: lifetimeFact(c.SessionTTL)},
		{Name: "Retry window", Value: retry},
	} {
		if f.Value != "" {
			card.Facts = append(card.Facts, f)
		}
	}
	card.Facts = append(card.Facts, pages.Fact{Name: "Added", Time: pages.At(c.Created)}, pages.Fact{Name: "Changed", Time: pages.At(c.Updated)})
	return card
}

func sameCookiesInWords(ids []string) string {
	return "Its cookies have the names of those of " + strings.Join(ids, ", ") +
		" at one host: who logs in to one loses those of the other. Give each another cookie name."
}

func lifetimeFact(d storage.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func authInWords(c storage.Client) string {
	switch c.AuthMethod {
	case storage.AuthNone:
		return "not at all: it is public"
	case storage.AuthPrivateKeyJWT:
		return "with its own key"
	}
	return "with a secret"
}

// clientActs leads to what can be done to a client by this door.
func (o *operation) clientActs(c storage.Client) pages.Card {
	card := pages.Card{Title: "What to do", Words: "You see what it ends before it does."}
	guarded := accounts.Protected(c)
	if guarded {
		card.Words += " This client administers, or its reports are believed: it is changed on the machine itself, by jeton client set " + c.ID +
			", and gets another secret by jeton client secret " + c.ID + ". Here it can be disabled."
	} else {
		card.Links = append(card.Links, pages.Link{Href: o.at("/client/settings", url.Values{"id": {c.ID}}), Words: "Change settings"})
	}
	card.Danger = append(card.Danger, o.link("End all sessions", "revoke", "client", c.ID))
	switch {
	case c.Disabled && guarded:
		card.Words += " It is, until jeton client enable " + c.ID + "."
	case c.Disabled:
		card.Links = append(card.Links, o.link("Enable", "enable-client", "id", c.ID))
	default:
		card.Danger = append(card.Danger, o.link("Disable", "disable-client", "id", c.ID))
	}
	if !guarded {
		card.Danger = append(card.Danger, o.link("Delete", "delete-client", "id", c.ID))
	}
	return card
}
