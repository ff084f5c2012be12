package server

import (
	"net/http"
	"net/url"
	"time"

	"jeton/accounts"
	"jeton/clients"
	"jeton/pages"
	"jeton/storage"
)

// overlaps are the times for which the console lets the old secret work.
var overlaps = []storage.Duration{0, storage.Duration(time.Hour), storage.Duration(storage.Day), 7 * storage.Duration(storage.Day), 30 * storage.Duration(storage.Day)}

// secretDeed gives a client a new secret. The answer is the page that shows it,
// this once: a redirect would have to carry it. Sent again, as by "reload", the
// form does nothing, since the client is not what it was made for any more.
func (o *operation) secretDeed() (deed, error) {
	id := o.sent.Get("id")
	client, err := o.s.admin.Clients.SecretOf(o.ctx, id, o.act)
	if err != nil {
		return deed{}, err
	}
	d := deed{title: "New secret for " + id, button: "Make a new secret", wantsReason: true, then: "/client", about: url.Values{"id": {id}}}
	d.words = []string{"The new secret is shown once, on the next page. While you hand it to the servers of the client, the old one can go on working."}
	if client.FormerSecretUntil.After(o.in.Now) {
		d.words = append(d.words, "There are two now: the former one stops working with this, whatever you choose.")
	}
	d.choice = &pages.Choice{Name: "keep", Label: "The old secret works for"}
	for _, overlap := range overlaps {
		words := inWords(time.Duration(overlap)) + " more"
		if overlap == 0 {
			words = "no longer: it stops at once"
		}
		d.choice.Options = append(d.choice.Options, pages.Option{
			Value: overlap.String(), Words: words, Chosen: time.Duration(overlap) == o.s.grants.Settings.SecretOverlap,
		})
	}
	d.ends = o.s.admin.endingBySecret(id)
	d.seen = accounts.ClientTag(client)
	d.run = func(c *call, f form) (url.Values, error) {
		keep, err := storage.ParseDuration(f.get("keep"))
		if err != nil {
			return nil, badBody("say how long the old secret works")
		}
		client, secret, err := o.s.admin.Clients.NewSecretBeside(c.ctx, id, "", time.Duration(keep), d.decided(c))
		if err != nil {
			return nil, err
		}
		return nil, o.showSecret(client, secret)
	}
	return d, nil
}

// showSecret is the one page on which a secret stands.
func (o *operation) showSecret(client storage.Client, secret string) error {
	o.s.count(o.r, "console", "ok")
	facts := []pages.Fact{{Name: "client_id", Value: client.ID, Code: true}, {Name: "client_secret", Value: secret, Code: true}}
	if !client.FormerSecretUntil.IsZero() {
		facts = append(facts, pages.Fact{Name: "The old one works until", Time: pages.At(client.FormerSecretUntil)})
	}
	p := pages.Sheet{
		Frame: o.frame(""), Title: "The secret of " + clientName(client),
		Lead:  "It is shown this once: put it now where the client will read it. Nobody can look it up later.",
		Cards: []pages.Card{{Facts: facts, Links: []pages.Link{{Href: o.at("/client", url.Values{"id": {client.ID}}), Words: "Done"}}}},
	}
	return o.show(http.StatusOK, p)
}

// only has a form do what it does no more than once. For those whose answer is the
// page that shows what was made: "reload" sends the form again. That it was sent is
// noted by the commit of what it does: a form that was refused, or came when the
// store was away, may be sent again as it is.
func (o *operation) only(once string) func(*storage.Change) error {
	return func(c *storage.Change) error {
		if once == "" || len(once) > 64 {
			return badBody("the form is not whole: open the page again")
		}
		key := storage.Key{Kind: "formsent", ID: clients.HashSecret("once " + o.actor.ID + " " + once)}
		snap, err := o.s.grants.Store.Read(o.ctx, c.Partition, key)
		if err != nil {
			return err
		}
		if snap.Rows[0].Version != 0 {
			return adminRefusal(http.StatusConflict, "invalid_request", "this form was sent already, and nothing was done now: what it made was shown in the answer to it. Open the page again to make another")
		}
		c.Checks = append(c.Checks, storage.Check{Key: key})
		c.Puts = append(c.Puts, storage.Put{Key: key, Value: []byte("{}"), Expires: snap.Now.Add(storage.Day)})
		return nil
	}
}

// resetDeed makes a link by which a user sets a new password: nobody else learns
// it, the operator neither.
func (o *operation) resetDeed() (deed, error) {
	d, name, err := o.ofUser()
	d.title, d.button, d.wantsReason = "A link for "+name+" to set a new password", "Make the link", true
	d.words = append(d.words, "The link is shown once, on the next page, for you to hand over. It works once. The password there is stays until it is used.")
	sub := d.about.Get("sub")
	d.once = true
	d.run = func(c *call, f form) (url.Values, error) {
		user, link, expires, err := o.s.admin.Users.ResetLink(c.ctx, named(sub), c.act, o.only(f.get("once")))
		if err != nil {
			return nil, err
		}
		o.s.count(o.r, "console", "ok")
		return nil, o.show(http.StatusOK, pages.Sheet{
			Frame: o.frame(""), Title: "A link for " + user.Username, Lead: "It is shown this once. Hand it over on a way that nobody else reads.",
			Cards: []pages.Card{{
				Facts: []pages.Fact{{Name: "Link", Value: link, Code: true}, {Name: "Works once, until", Time: pages.At(expires)}},
				Links: []pages.Link{{Href: o.at("/user", url.Values{"sub": {sub}}), Words: "Done"}},
			}},
		})
	}
	return d, err
}

func (o *operation) endFormerDeed() (deed, error) {
	client, err := o.editable()
	id := client.ID
	d := deed{then: "/client", about: url.Values{"id": {id}}}
	d.title, d.button, d.wantsReason = "End the former secret of "+id, "End it", true
	d.words = []string{"Whoever has not got the new one is refused from now on."}
	d.run = func(c *call, _ form) (url.Values, error) {
		_, err := o.s.admin.Clients.EndFormerSecret(c.ctx, id, c.act)
		return url.Values{"done": {"dropped"}}, err
	}
	return d, err
}

// secretsCard shows which secrets work.
func (o *operation) secretsCard(c storage.Client) pages.Card {
	card := pages.Card{Title: "Secret", Words: "One works. A new one can work beside it for a while, until all servers of the client have it."}
	if c.FormerSecretUntil.After(o.in.Now) {
		card.Words = "Two work."
		card.Facts = []pages.Fact{{Name: "The former until", Time: pages.At(c.FormerSecretUntil)}}
	}
	if accounts.Protected(c) {
		return card
	}
	if card.Facts != nil {
		card.Danger = []pages.Link{o.link("End the former", "end-former", "id", c.ID)}
	}
	card.Links = []pages.Link{o.link("New secret", "secret", "id", c.ID)}
	return card
}
