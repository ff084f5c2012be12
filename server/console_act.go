package server

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
)

// deed is something that an operator is about to do. What it is about stands in
// the address of the page that asks, and of its form.
type deed struct {
	title, button string
	words         []string
	// ends is what ends with it.
	ends ending
	// once has each form do it no more than once, see [operation.only].
	once bool
	// danger warns of one that ends no session and cannot be undone.
	danger bool
	// counts are what else is told of it in numbers.
	counts []pages.Fact
	// wantsReason has the operator say why.
	wantsReason bool
	// choice is what else is to be said.
	choice *pages.Choice
	// run does it, and returns what the page that follows says of it.
	run func(c *call, f form) (url.Values, error)
	// then is the page that follows.
	then  string
	about url.Values
	// cancel is where to go instead, empty for the page that follows.
	cancel string
	// seen is what the deed was decided on: a form that was made when it was
	// something else does nothing. Of what can change at the same moment run
	// compares it once more, within its commit.
	seen string
}

// deeds are all there are, by the name they have in addresses.
var deeds = map[string]func(*operation) (deed, error){
	"revoke":         (*operation).revokeDeed,
	"disable-user":   (*operation).disableUserDeed,
	"enable-user":    (*operation).enableUserDeed,
	"delete-user":    (*operation).deleteUserDeed,
	"roles":          (*operation).rolesDeed,
	"disable-client": (*operation).disableClientDeed,
	"enable-client":  (*operation).enableClientDeed,
	"delete-client":  (*operation).deleteClientDeed,
	"secret":         (*operation).secretDeed,
	"reset-password": (*operation).resetDeed,
	"rotate-key":     (*operation).rotateDeed,
	"remove-key":     (*operation).removeKeyDeed,
	"end-former":     (*operation).endFormerDeed,
}

// deed finds what the address is about.
func (o *operation) deed() (deed, error) {
	find := deeds[o.sent.Get("act")]
	if find == nil {
		return deed{}, adminRefusal(http.StatusNotFound, "not_found", "there is nothing to do at this address")
	}
	return find(o)
}

// consoleAsk shows what a deed will end, and asks why. Who has not shown the
// password lately does so first: before there is anything to fill in.
func (s *Server) consoleAsk(o *operation) error {
	if !o.fresh() {
		return nil
	}
	d, err := o.deed()
	if err != nil {
		return err
	}
	return o.ask(d, http.StatusOK, "", "")
}

// consoleAct does it.
func (s *Server) consoleAct(o *operation) error {
	if !o.fresh() {
		return nil
	}
	d, err := o.deed()
	if err != nil {
		return err
	}
	if d.seen != "" && o.form.get("seen") != d.seen {
		return o.ask(d, http.StatusConflict, o.form.get("reason"), changedSince)
	}
	said, err := d.act(o)
	if hasChanged(err) { // since it was compared above: somebody else did something at this moment
		if d, err = o.deed(); err != nil {
			return err
		}
		return o.ask(d, http.StatusConflict, o.form.get("reason"), changedSince)
	}
	if p := adminProblemOf(err); err != nil && p.status == http.StatusBadRequest {
		return o.ask(d, p.status, o.form.get("reason"), sentence(p.description))
	}
	if err != nil || said == nil {
		return err
	}
	for name, values := range d.about {
		said[name] = values
	}
	o.done(d.then, said)
	return nil
}

const changedSince = "It has changed since you opened this page. Nothing was done: look again."

// act takes the reason and runs the deed.
func (d deed) act(o *operation) (url.Values, error) {
	why := revocation{reason: reason{o.form.get("reason")}}
	if d.wantsReason {
		if err := why.because(); err != nil {
			return nil, err
		}
	}
	if err := o.because(why.reason); err != nil {
		return nil, err
	}
	return d.run(o.call, o.form)
}

// ask is the page of a deed.
func (o *operation) ask(d deed, status int, why, fault string) error {
	p := pages.Sheet{Frame: o.frame(""), Title: d.title}
	if fault != "" {
		p.Said = &pages.Said{Kind: "bad", Words: fault}
	}
	card := pages.Card{Words: strings.Join(d.words, " ")}
	if d.ends.of != nil {
		preview, err := o.s.admin.counted(o.call, d.ends)
		if err != nil {
			return err
		}
		card.Title, card.Facts = "What ends", previewFacts(preview)
	}
	if d.counts != nil {
		card.Title, card.Facts = "What comes of it", d.counts
	}
	f := &pages.Form{
		Action: o.at("/act", o.sent), Token: o.token("/act", o.sent), Words: d.button, Kind: "danger", Cancel: cmp.Or(d.cancel, o.at(d.then, d.about)), Choice: d.choice,
	}
	if d.ends.of == nil && !d.danger {
		f.Kind = ""
	}
	if d.seen != "" {
		f.Fields = append(f.Fields, pages.Field{Name: "seen", Value: d.seen})
	}
	if d.once {
		f.Fields = append(f.Fields, pages.Field{Name: "once", Value: rand.Text()})
	}
	if d.wantsReason {
		f.Inputs = append(f.Inputs, reasonInput(why))
	}
	card.Form = f
	p.Cards = []pages.Card{card}
	return o.show(status, p)
}

func previewFacts(p previewObject) []pages.Fact {
	some := func(n int, unit string) string { return counted(n, unit, p.More) }
	facts := []pages.Fact{
		{Name: "Sessions", Value: some(p.Sessions, "live session")},
		{Name: "Of", Value: some(p.Users, "user")},
		{Name: "Through", Value: some(p.Clients, "client")},
		{Name: "Access tokens", Value: some(p.Tokens, "live token")},
	}
	if p.Ends == endsTokens {
		facts = []pages.Fact{facts[3], {Name: "Sessions that go on", Value: some(p.Sessions, "live session")}}
	}
	return append(facts, lookedAt(p.More)...)
}

// counted is a number of what was looked at, where there may be more.
func counted(n int, unit string, more bool) string {
	switch {
	case !more:
		return count(int64(n), unit)
	case n == 0:
		return "none among those looked at"
	}
	return "at least " + count(int64(n), unit)
}

// lookedAt says how far a count goes that was cut short.
func lookedAt(more bool) []pages.Fact {
	if !more {
		return nil
	}
	return []pages.Fact{{Name: "Looked at", Value: fmt.Sprintf("the first %d sessions, ended ones too, and not the others", grants.MostPreviewed)}}
}

// revokeDeed ends sessions: one, those of a user, of a client, of a user through a
// client, or all.
func (o *operation) revokeDeed() (deed, error) {
	v := revocation{All: o.sent.Get("all") == "true"}
	about := url.Values{}
	for name, to := range map[string]**string{"sid": &v.SessionID, "client": &v.ClientID} {
		if value := o.sent.Get(name); value != "" {
			*to = &value
		}
	}
	if sub := o.sent.Get("sub"); sub != "" {
		name := named(sub)
		v.Username = &name
	}
	if err := v.check(); err != nil {
		return deed{}, err
	}
	sel, err := o.s.admin.selected(o.call, v)
	if err != nil {
		return deed{}, err
	}
	d := deed{button: "End them", ends: ending{of: &sel}, wantsReason: true, about: about}
	switch {
	case v.All:
		d.title, d.then = "End all sessions of everyone", "/users"
		d.words = []string{"Everybody has to log in again, you too, and clients have to fetch their own tokens anew."}
	case v.SessionID != nil:
		d.title, d.button, d.then = "End this session", "End it", "/session"
		about.Set("sid", *v.SessionID)
		d.words = []string{"Its access tokens stop working within seconds."}
	case v.Username != nil:
		d.then = "/user"
		about.Set("sub", sel.Subject)
		user, err := o.s.admin.Users.Find(o.ctx, *v.Username)
		if err != nil {
			return deed{}, err
		}
		d.title = "End all sessions of " + user.Username
		d.words = []string{"The user is also signed out of all browsers."}
		if v.ClientID != nil {
			d.title, d.words = "End all sessions of "+user.Username+" through "+sel.ClientID, nil
		}
	default:
		d.title, d.then = "End all sessions through "+sel.ClientID, "/client"
		about.Set("id", sel.ClientID)
		d.words = []string{"Tokens that the client got for itself end too. It may ask for new ones."}
	}
	d.run = func(c *call, f form) (url.Values, error) {
		v.Reason = f.get("reason")
		n, err := o.s.admin.revoke(c, v)
		return url.Values{"done": {"revoked"}, "n": {strconv.Itoa(n)}}, err
	}
	return d, nil
}

// ofUser begins a deed about the user that the address names.
func (o *operation) ofUser() (deed, string, error) {
	u, err := o.s.admin.Users.Find(o.ctx, named(o.sent.Get("sub")))
	d := deed{then: "/user", about: url.Values{"sub": {u.Subject}}}
	if u.Subject == o.actor.ID {
		d.words = append(d.words, "This is you.")
	}
	return d, u.Username, err
}

func (o *operation) disableUserDeed() (deed, error) {
	d, name, err := o.ofUser()
	d.title, d.button, d.wantsReason = "Disable "+name, "Disable", true
	d.ends.of = &grants.Selection{Subject: d.about.Get("sub")}
	d.words = append(d.words, "The user cannot log in until enabled again.")
	d.run = func(c *call, _ form) (url.Values, error) {
		_, err := o.s.admin.Users.Disable(c.ctx, named(d.about.Get("sub")), c.act)
		return url.Values{"done": {"disabled"}}, err
	}
	return d, err
}

func (o *operation) enableUserDeed() (deed, error) {
	d, name, err := o.ofUser()
	d.title, d.button, d.wantsReason = "Enable "+name, "Enable", true
	d.words = append(d.words, "The user can log in again. Sessions that have ended stay ended.")
	d.run = func(c *call, _ form) (url.Values, error) {
		_, err := o.s.admin.Users.Enable(c.ctx, named(d.about.Get("sub")), c.act)
		return url.Values{"done": {"enabled"}}, err
	}
	return d, err
}

// deleteUserDeed is about the user that was looked at: one of the name that was
// added since has another sub.
func (o *operation) deleteUserDeed() (deed, error) {
	d, name, err := o.ofUser()
	sub := d.about.Get("sub")
	d.title, d.button, d.wantsReason = "Delete "+name, "Delete", true
	d.ends.of = &grants.Selection{Subject: sub}
	d.words = append(d.words, "The user is forgotten: name, password, roles and claims. It cannot be undone, and the sub is never given to anybody again.")
	d.then, d.about = "/users", nil
	d.cancel = o.at("/user", url.Values{"sub": {sub}})
	d.run = func(c *call, _ form) (url.Values, error) {
		return url.Values{"done": {"deleted"}}, o.s.admin.Users.Delete(c.ctx, named(sub), c.act)
	}
	return d, err
}

func (o *operation) rolesDeed() (deed, error) {
	u, err := o.s.admin.Users.Find(o.ctx, named(o.sent.Get("sub")))
	if err != nil {
		return deed{}, err
	}
	d, name, err := o.ofUser()
	roles := strings.Fields(o.sent.Get("roles"))
	d.title, d.button, d.wantsReason = "Change the roles of "+name, "Change roles", true
	d.words = append(d.words, "From: "+orNone(strings.Join(u.Roles, " "))+". To: "+orNone(strings.Join(roles, " "))+".")
	if d.ends = o.s.admin.endingByRoles(u, roles); d.ends.accessOnly {
		d.words = append(d.words, "All live access tokens of the user are revoked at once; the sessions go on, and their next refresh tells the new roles.")
	}
	d.seen = accounts.RolesTag(u)
	d.run = func(c *call, _ form) (url.Values, error) {
		_, err := o.s.admin.Users.SetRoles(c.ctx, named(u.Subject), roles, d.decided(c))
		return url.Values{"done": {"roles"}}, err
	}
	if slices.Equal(u.Roles, roles) {
		return d, adminRefusal(http.StatusConflict, "invalid_request", "these are the roles of %s already", name)
	}
	return d, err
}

// decided is who acts, on what the deed was decided on.
func (d deed) decided(c *call) accounts.Act {
	act := c.act
	act.Seen = d.seen
	return act
}

// ofClient begins a deed about the client that the address names.
func (o *operation) ofClient() (deed, error) {
	client, err := o.s.admin.Clients.Find(o.ctx, o.sent.Get("id"))
	return deed{then: "/client", about: url.Values{"id": {client.ID}}}, err
}

func (o *operation) disableClientDeed() (deed, error) {
	d, err := o.ofClient()
	id := d.about.Get("id")
	d.title, d.button, d.wantsReason, d.ends.of = "Disable "+id, "Disable", true, &grants.Selection{ClientID: id}
	d.words = []string{"The client is refused everything until it is enabled again. Tokens that it got for itself end too."}
	d.run = func(c *call, _ form) (url.Values, error) {
		_, err := o.s.admin.Clients.Disable(c.ctx, id, c.act)
		return url.Values{"done": {"disabled"}}, err
	}
	return d, err
}

func (o *operation) enableClientDeed() (deed, error) {
	client, err := o.editable()
	id := client.ID
	d := deed{then: "/client", about: url.Values{"id": {id}}}
	d.title, d.button, d.wantsReason = "Enable "+id, "Enable", true
	d.words = []string{"The client can ask for tokens again. Sessions that have ended stay ended."}
	d.run = func(c *call, _ form) (url.Values, error) {
		_, err := o.s.admin.Clients.Enable(c.ctx, id, c.act)
		return url.Values{"done": {"enabled"}}, err
	}
	return d, err
}

func (o *operation) deleteClientDeed() (deed, error) {
	client, err := o.editable()
	if err != nil {
		return deed{}, err
	}
	id := client.ID
	d := deed{
		title: "Delete " + id, button: "Delete", wantsReason: true, ends: ending{of: &grants.Selection{ClientID: id}},
		words: []string{"The client is forgotten with its settings. Tokens that it got for itself end too. It cannot be undone; another client may get the id."},
		then:  "/clients", cancel: o.at("/client", url.Values{"id": {id}}),
		seen: accounts.ClientTag(client),
	}
	d.run = func(c *call, _ form) (url.Values, error) {
		return url.Values{"done": {"deleted"}}, o.s.admin.Clients.Delete(c.ctx, id, d.decided(c))
	}
	return d, nil
}
