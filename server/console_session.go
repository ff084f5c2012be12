package server

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// consoleSession shows one session, and what became of it.
func (s *Server) consoleSession(o *operation) error {
	sid := o.sent.Get("sid")
	rec, err := s.grants.FindSession(o.ctx, sid)
	if errors.Is(err, grants.ErrNotFound) {
		return o.gone("/users", "session", sid, forgotten, nil)
	}
	if err != nil {
		return err
	}
	cards, view, err := o.sessionCards(rec.Value)
	if err != nil {
		return err
	}
	return o.show(200, pages.Sheet{
		Frame: o.frame("/users"), Title: "Session of " + cmp.Or(view.Username, "a user who is gone"), Badges: []pages.Badge{stateBadge(view.State)}, Cards: cards,
	})
}

// sessionCards are all that is known of a session: the facts, and in which order
// they came to be.
func (o *operation) sessionCards(ses storage.Session) ([]pages.Card, sessionObject, error) {
	views := o.views()
	view, err := views.show(o.ctx, ses)
	if err != nil {
		return nil, view, err
	}
	facts := pages.Card{Facts: []pages.Fact{
		{Name: "sid", Value: ses.ID, Code: true},
		{Name: "User", Value: cmp.Or(view.Username, ses.Subject), Code: view.Username == ""},
		{Name: "Client", Value: ses.ClientID, Code: true},
		{Name: "Scope", Value: orNone(ses.Scope), Code: true},
		{Name: "Device", Value: orUnknown(ses.Device.Agent)},
		{Name: "Network", Value: orUnknown(ses.Device.Network)},
		{Name: "Refreshed", Value: count(int64(refreshes(ses.Generation)), "time")},
		{Name: "Live access tokens", Value: strconv.Itoa(view.Live)},
	}}
	if facts.Links, err = o.partiesOf(ses, view); err != nil {
		return nil, view, err
	}
	if view.State == sessionLive {
		facts.Danger = []pages.Link{o.link("End this session", "revoke", "sid", ses.ID)}
	}
	steps, err := o.timeline(ses, view)
	return []pages.Card{{Title: "What happened", Steps: steps}, facts}, view, err
}

// timeline is the story of a session: what its record tells, and the events of it
// that are still kept.
func (o *operation) timeline(ses storage.Session, view sessionObject) ([]pages.Step, error) {
	type step struct {
		at time.Time
		pages.Step
	}
	all := []step{
		{ses.AuthTime, pages.Step{Title: "The user signed in", Words: shownInWords(ses.AMR), Code: strings.Join(ses.AMR, ", ")}},
		{ses.Created, pages.Step{Title: "The session began", Words: "Through " + ses.ClientID + "."}},
	}
	if n := refreshes(ses.Generation); n > 0 {
		words := "It was refreshed"
		if n > 1 {
			words = "It was last refreshed: " + count(int64(n), "time") + " by then"
		}
		all = append(all, step{ses.Rotated, pages.Step{Title: words,
			Words: "From " + orUnknown(ses.Device.Agent) + ", network " + orUnknown(ses.Device.Network) + "."}})
	}
	if ses.RetryStreak > 0 {
		all = append(all, step{ses.Rotated, pages.Step{Title: "An answer was asked for again from elsewhere", Words: "In a row: " + strconv.Itoa(ses.RetryStreak) + ". The third ends the session."}})
	}
	own, err := o.eventsOf(ses)
	if err != nil {
		return nil, err
	}
	lost := false
	for _, e := range own {
		if words, ok := sessionEvents[e.Type]; ok {
			lost = lost || e.Type == events.ResponseLost
			all = append(all, step{e.Time, pages.Step{Title: words[0], Words: strings.TrimSpace(words[1] + " " + sentence(e.Note))}})
		}
	}
	if !lost && !ses.UnconfirmedUntil.IsZero() {
		words := sessionEvents[events.ResponseLost]
		all = append(all, step{ses.Rotated, pages.Step{Title: words[0], Words: words[1]}})
	}
	slices.SortStableFunc(all, func(a, b step) int { return a.at.Compare(b.at) })
	steps := make([]pages.Step, 0, len(all)+1)
	for _, one := range all {
		one.Time = toTheSecond(one.at)
		steps = append(steps, one.Step)
	}
	last, err := o.lastStep(ses, view)
	return append(steps, last), err
}

// toTheSecond is a moment where seconds tell one thing from another.
func toTheSecond(t time.Time) *pages.Moment {
	t = t.UTC()
	return &pages.Moment{Machine: t.Format(time.RFC3339), Words: t.Format("2 Jan 2006, 15:04:05 UTC")}
}

// sessionEvents are those that the record of a session does not tell.
var sessionEvents = map[string][2]string{
	events.ResponseLost:    {"The answer to a refresh was lost", "The server knew that nobody got it, and took the token before once more."},
	events.BindingMismatch: {"It was refreshed from another browser or address", ""},
	events.LostWrite:       {"The store had forgotten a refresh", "The session went on from the token that the client had."},
	events.TokenRevoked:    {"One access token was revoked", "The session went on."},
}

// lastStep is how it stands, or why it does not any more.
func (o *operation) lastStep(ses storage.Session, view sessionObject) (pages.Step, error) {
	switch view.State {
	case sessionLive:
		return pages.Step{Kind: "good", Title: "It lives", Words: "Unused, it ends on " + pages.At(view.Expires).Words + "."}, nil
	case sessionIdleExpired:
		return pages.Step{Kind: "bad", Time: toTheSecond(ses.Refresh.Expires), Title: "It was not used for too long",
			Words: "Its refresh token expired. Whoever wants other lifetimes sets refresh_token_ttl, of the server or of the client."}, nil
	case sessionExpired:
		return pages.Step{Kind: "bad", Time: toTheSecond(ses.End), Title: "It reached its absolute end",
			Words: "However much it is used, a session lives no longer than session_ttl."}, nil
	}
	if ses.Ended == nil {
		user, _, err := o.s.grants.Store.User(o.ctx, ses.Subject)
		if err != nil {
			return pages.Step{}, err
		}
		cause, err := o.s.grants.Over(o.ctx, ses, user)
		return pages.Step{Kind: "bad", Title: "It ended with others", Words: sentence(cause)}, err
	}
	why := endings[ses.Ended.Reason]
	if why[0] == "" {
		why = [2]string{"It ended: " + ses.Ended.Reason, ""}
	}
	by, err := o.whoDid(ses.Ended.By)
	words := []string{why[1]}
	if by != "" {
		words = append(words, "By "+by+".")
	}
	if ses.Ended.Note != "" {
		words = append(words, "Said about it: "+strings.TrimSuffix(ses.Ended.Note, ".")+".")
	}
	return pages.Step{Kind: "bad", Time: toTheSecond(ses.Ended.At), Title: why[0], Words: strings.TrimSpace(strings.Join(words, " "))}, err
}

// whoDid names who ended a session.
func (o *operation) whoDid(by string) (string, error) {
	switch {
	case by == "", by == "server":
		return "", nil
	case by == string(ActorOperator):
		return "the operator, by the command", nil
	case strings.HasPrefix(by, "client:"):
		return "the client " + strings.TrimPrefix(by, "client:"), nil
	}
	user, _, err := o.s.grants.Store.User(o.ctx, by)
	if err != nil || user.Value.Username == "" {
		return "the user " + by, err
	}
	return user.Value.Username, nil
}

// endings say why a session ended, to who is asked for it.
var endings = map[string][2]string{
	storage.ReasonRevoked:         {"Its client ended it", "The user logged out there, or the client gave its token back."},
	storage.ReasonOperator:        {"An operator ended it", ""},
	storage.ReasonReuse:           {"A spent refresh token came back", "Each works once. That it comes back means that two have it: a second tab or a lost answer if the times are close, else a thief."},
	storage.ReasonLogout:          {"An application reported a logout", ""},
	storage.ReasonPasswordChanged: {"The user changed the password", ""},
	storage.ReasonPasswordReset:   {"The password was reset", ""},
	storage.ReasonRolesChanged:    {"The roles of the user changed", ""},
	storage.ReasonUserDisabled:    {"The user was disabled", ""},
	storage.ReasonUserDeleted:     {"The user was deleted", ""},
	storage.ReasonClientDisabled:  {"The client was disabled", ""},
	storage.ReasonClientDeleted:   {"The client was deleted", ""},
	storage.ReasonClientChanged:   {"The client lost a scope or an audience, or its delivery changed", ""},
	storage.ReasonSecretChanged:   {"The client got a new secret", ""},
	storage.ReasonSessionLimit:    {"A newer login took its place", "The user had as many sessions through this client as it may have; the one unused for longest ended."},
	storage.ReasonConsentRevoked:  {"The user disconnected the application", ""},
	storage.ReasonUser:            {"The user ended it", "At the pages of the account."},
	storage.ReasonLostWrite:       {"The store had forgotten a refresh", "It was put back, or lost writes, and two branches of the session were about."},
	storage.ReasonCodeReplay:      {"Its authorization code came back", "A code works once. Somebody has read it: the client's logs and redirects are where to look."},
	storage.ReasonSignedOut:       {"The user signed out", "In the browser in which the session began."},
	storage.ReasonStoreRestored:   {"A backup was put back", "What became of the session after it was made is not known."},
	storage.ReasonCompromised:     {"An application reported that the account is compromised", ""},
	storage.ReasonLeaked:          {"An application reported that the client is compromised", ""},
	storage.ReasonBinding:         {"Its token came from another browser or address", "The client is set to end sessions then."},
	storage.ReasonGlobal:          {"All of the user was revoked by a report", "Global token revocation."},
}

// proofs are what somebody shows when signing in (RFC 8176), in words.
var proofs = map[string]string{"pwd": "the password"}

// shownInWords says what a user has shown.
func shownInWords(amr []string) string {
	if len(amr) == 0 {
		return "What was shown is unknown."
	}
	var words []string
	for _, m := range amr {
		words = append(words, cmp.Or(proofs[m], m))
	}
	return "With " + strings.Join(words, " and ")
}

// kinds say what a token is.
var kinds = map[grants.TokenKind]string{
	grants.TokenAccess:  "An access token",
	grants.TokenRefresh: "A refresh token",
	grants.TokenID:      "An ID token",
	grants.TokenCode:    "An authorization code",
	grants.TokenForeign: "Not one of ours",
	grants.TokenUnknown: "Not a token",
}

// consoleTokenForm asks for a token.
func (s *Server) consoleTokenForm(o *operation) error { return o.showToken(nil) }

// consoleToken says what a token is. The token is in nothing that is written: not
// in the page, an address or the log. So the answer comes at once, and not after
// a redirect, which would have to carry it.
func (s *Server) consoleToken(o *operation) error {
	text := strings.TrimSpace(o.form.get("inspected"))
	if text == "" {
		return o.showToken([]pages.Card{{Empty: &pages.Empty{Title: "Nothing was pasted", Words: "Copy the whole token, from its first character to its last."}}})
	}
	i, err := s.grants.Inspect(o.ctx, text)
	if err != nil {
		return err
	}
	cards := []pages.Card{o.verdict(i)}
	if i.Session.Exists() {
		more, _, err := o.sessionCards(i.Session.Value)
		if err != nil {
			return err
		}
		cards = append(cards, more...)
	} else if i.SessionID != "" {
		cards = append(cards, pages.Card{Empty: &pages.Empty{Title: "Its session is not remembered", Words: forgotten}})
	}
	s.count(o.r, "console", "ok")
	return o.showToken(cards)
}

func (o *operation) showToken(cards []pages.Card) error {
	p := pages.Sheet{
		Frame: o.frame("/token"), Title: "Why was I logged out?",
		Lead: "Paste a token of whoever asks: it says what it is, whether it lives, and what became of its session. It is not kept, and looking at it changes nothing.",
		Cards: append(cards, pages.Card{Form: &pages.Form{
			Action: o.at("/token", nil), Token: o.token("/token", nil), Words: "Look at it",
			Inputs: []pages.Input{{Name: "inspected", Label: "Token", Hint: "An access or refresh token, an ID token or an authorization code.", Max: 16 << 10, Rows: 6, Required: true}},
		}}),
	}
	return o.show(200, p)
}

// verdict is what a token is, and whether it would be taken.
func (o *operation) verdict(i grants.Inspection) pages.Card {
	state := pages.Fact{Name: "It", Value: "does not live: " + i.Cause}
	if i.Lives {
		state.Value = "lives"
		if i.Cause != "" {
			state.Value += ": " + i.Cause
		}
	}
	if i.Kind == grants.TokenID || i.Kind == grants.TokenForeign || i.Kind == grants.TokenUnknown {
		state = pages.Fact{Name: "That means", Value: i.Cause}
	}
	c := pages.Card{Title: kinds[i.Kind], Facts: []pages.Fact{state}}
	for _, f := range []pages.Fact{
		{Name: "sub", Value: i.Subject, Code: true}, {Name: "Client", Value: i.ClientID, Code: true}, {Name: "sid", Value: i.SessionID, Code: true},
		{Name: "jti", Value: i.TokenID, Code: true}, {Name: "Scope", Value: i.Scope, Code: true}, {Name: "Roles", Value: strings.Join(i.Roles, " ")},
	} {
		if f.Value != "" {
			c.Facts = append(c.Facts, f)
		}
	}
	if !i.Issued.IsZero() {
		c.Facts = append(c.Facts, pages.Fact{Name: "Issued", Time: pages.At(i.Issued)})
	}
	if !i.Expires.IsZero() {
		c.Facts = append(c.Facts, pages.Fact{Name: "Expires", Time: pages.At(i.Expires)})
	}
	return c
}
