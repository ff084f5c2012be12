package server

import (
	"errors"
	"net/http"
	"net/url"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// What the console names may be gone when it is asked for: clients delete
// themselves, users are deleted, sessions are forgotten. Their events are kept, and
// lead here.

// forgotten says why a session is not there.
const forgotten = "Sessions are kept for a week after their last token."

// goneIDs are what the id of each is called.
var goneIDs = map[string]string{"client": "client_id", "user": "sub", "session": "sid"}

// gone says that what an address of the console is about is not there, and where
// what is known of it stands. Whether it ever was is not known: an id can be typed.
func (o *operation) gone(here, what, id, words string, events url.Values) error {
	p := problem{status: http.StatusNotFound, code: "not_found"}
	noteError(o.r.Context(), p, grants.ErrNotFound)
	o.s.count(o.r, "console", p.code)
	card := pages.Card{
		Facts: []pages.Fact{{Name: goneIDs[what], Value: cut(id), Code: true}},
		Empty: &pages.Empty{Title: "It is not there", Words: words},
	}
	if events != nil && id != "" {
		card.Links = []pages.Link{{Href: o.at("/events", events), Words: "What is known to have happened"}}
	}
	return o.show(p.status, pages.Sheet{Frame: o.frame(here), Title: "No such " + what, Cards: []pages.Card{card}})
}

// goneClient is where the events of a client lead that is there no more.
func (o *operation) goneClient(id string) error {
	return o.gone("/clients", "client", id, "It was deleted, or deleted itself, or never was. Its sessions have ended. Its events are kept as long as others.", eventsOfClient(id))
}

// goneUser likewise.
func (o *operation) goneUser(sub string) error {
	return o.gone("/users", "user", sub, "They were deleted, or never were. Their sessions have ended. Their events are kept as long as others.", eventsOfUser(sub))
}

func eventsOfClient(id string) url.Values { return url.Values{"client": {id}} }
func eventsOfUser(sub string) url.Values  { return url.Values{"user": {named(sub)}} }

// partiesOf leads to the user and the client of a session; to their events where
// they are gone.
func (o *operation) partiesOf(ses storage.Session, view sessionObject) ([]pages.Link, error) {
	user := pages.Link{Href: o.at("/user", url.Values{"sub": {ses.Subject}}), Words: "The user"}
	if view.Username == "" {
		user = pages.Link{Href: o.at("/events", eventsOfUser(ses.Subject)), Words: "Events of the user"}
	}
	client := pages.Link{Href: o.at("/client", url.Values{"id": {ses.ClientID}}), Words: "The client"}
	_, err := o.s.admin.Clients.Find(o.ctx, ses.ClientID)
	if errors.Is(err, grants.ErrNotFound) {
		client, err = pages.Link{Href: o.at("/events", eventsOfClient(ses.ClientID)), Words: "Events of the client"}, nil
	}
	return []pages.Link{user, client}, err
}

// refuse tells an operator what is wrong, and what to do, on a page of the
// console.
func (o *operation) refuse(err error) {
	p := o.s.consoleProblem(o.w, o.r, err)
	_ = o.show(p.status, pages.Sheet{Frame: o.frame(""), Title: "That did not work", Cards: []pages.Card{{
		Words: sentence(p.description), Facts: []pages.Fact{{Name: "Code", Value: p.code, Code: true}},
	}}})
}
