package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// sessionObject is a session as the admin API shows one.
type sessionObject struct {
	ID         string        `json:"sid"`
	Subject    string        `json:"sub"`
	Username   string        `json:"username"`
	ClientID   string        `json:"client_id"`
	Scope      string        `json:"scope"`
	Created    time.Time     `json:"created_at"`
	AuthTime   time.Time     `json:"auth_time"`
	LastUsed   time.Time     `json:"last_used_at"`
	Expires    time.Time     `json:"expires_at"`
	Generation uint64        `json:"generation"`
	Device     deviceObject  `json:"device"`
	Live       int           `json:"live_access_tokens"`
	State      string        `json:"state"`
	Ended      *endingObject `json:"ended,omitempty"`
}

type deviceObject struct {
	Agent   string `json:"agent"`
	Network string `json:"network"`
}

type endingObject struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Note   string    `json:"note"`
}

// The states of a session.
const (
	sessionLive        = "live"
	sessionIdleExpired = "idle_expired"
	sessionExpired     = "expired"
	sessionEnded       = "ended"
)

// sessionViews shows sessions of one listing, reading each user once.
type sessionViews struct {
	grants *grants.Service
	now    time.Time
	users  map[string]storage.Record[storage.User]
}

func (v *sessionViews) show(ctx context.Context, s storage.Session) (sessionObject, error) {
	user, ok := v.users[s.Subject]
	if !ok {
		var err error
		user, _, err = v.grants.Store.User(ctx, s.Subject)
		at := storage.Row{Partition: storage.UserPartition(s.Subject), Key: storage.UserKey(s.Subject), Version: user.Version}
		if v.grants.Store.Skip(ctx, at, err) {
			user = storage.Record[storage.User]{} // nobody gets a token by it, as of one who is gone
		} else if err != nil {
			return sessionObject{}, err
		}
		v.users[s.Subject] = user
	}
	state, err := v.state(ctx, s, user)
	client := storage.Row{Partition: storage.ClientPartition(s.ClientID), Key: storage.ClientKey(s.ClientID)}
	if v.grants.Store.Skip(ctx, client, err) { // likewise
		state, err = sessionEnded, nil
	}
	o := sessionObject{
		ID: s.ID, Subject: s.Subject, Username: user.Value.Username, ClientID: s.ClientID, Scope: s.Scope,
		Created: s.Created.UTC(), AuthTime: s.AuthTime.UTC(), LastUsed: s.Rotated.UTC(), Expires: s.Refresh.Expires.UTC(),
		Generation: s.Generation, Device: deviceObject(s.Device), State: state,
	}
	if s.End.Before(o.Expires) {
		o.Expires = s.End.UTC()
	}
	if state != sessionEnded {
		for _, l := range s.Live {
			if v.now.Before(l.Expires) {
				o.Live++
			}
		}
	}
	if s.Ended != nil {
		o.Ended = &endingObject{At: s.Ended.At.UTC(), Reason: s.Ended.Reason, By: s.Ended.By, Note: s.Ended.Note}
	}
	return o, err
}

// state is what a session is good for.
func (v *sessionViews) state(ctx context.Context, s storage.Session, user storage.Record[storage.User]) (string, error) {
	over, err := v.grants.Over(ctx, s, user)
	if err != nil {
		return "", err
	}
	switch {
	case over != "":
		return sessionEnded, nil
	case !v.now.Before(s.End):
		return sessionExpired, nil
	case !v.now.Before(s.Refresh.Expires):
		return sessionIdleExpired, nil
	}
	return sessionLive, nil
}

func (a *Admin) listSessions(c *call) (int, any, error) {
	q, err := c.query("username", "client_id", "after", "limit")
	if err != nil {
		return 0, nil, err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return 0, nil, err
	}
	query := storage.Query{Index: storage.IndexSessions, After: q.Get("after"), Limit: limit}
	if q.Has("client_id") {
		client, err := a.Clients.Find(c.ctx, q.Get("client_id"))
		if err != nil {
			return 0, nil, err
		}
		query.Index = storage.IndexClientSessions(client.ID)
	}
	if q.Has("username") {
		user, err := a.Users.Find(c.ctx, q.Get("username"))
		if err != nil {
			return 0, nil, err
		}
		query.Partition = storage.UserPartition(user.Subject)
	}
	page, err := a.Grants.Store.List(c.ctx, query)
	if err != nil {
		return 0, nil, err
	}
	views := sessionViews{a.Grants, page.Now, make(map[string]storage.Record[storage.User])}
	out := make([]sessionObject, 0, len(page.Rows))
	for _, row := range page.Rows {
		rec, err := storage.Decode[storage.Session](row)
		if a.Grants.Store.Skip(c.ctx, row, err) {
			continue
		}
		var shown sessionObject
		if err == nil {
			shown, err = views.show(c.ctx, rec.Value)
		}
		if err != nil {
			return 0, nil, err
		}
		out = append(out, shown)
	}
	a.linkNext(c, q, page.Next, limit)
	return http.StatusOK, out, nil
}

func (a *Admin) showSession(c *call) (int, any, error) {
	ses, err := a.Grants.FindSession(c.ctx, c.vars["sid"])
	if err != nil {
		return 0, nil, err
	}
	now, err := a.Grants.Store.Now(c.ctx)
	if err != nil {
		return 0, nil, err
	}
	views := sessionViews{a.Grants, now, make(map[string]storage.Record[storage.User])}
	o, err := views.show(c.ctx, ses.Value)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, o, nil
}

// revocation is what [Admin.revokeSessions] is asked for.
type revocation struct {
	SessionID *string `json:"sid"`
	Username  *string `json:"username"`
	ClientID  *string `json:"client_id"`
	All       bool    `json:"all"`
	reason
}

// check refuses a selection that could be read in two ways, since the wider
// reading cannot be undone.
func (v revocation) check() error {
	bySession, byOwner := v.SessionID != nil, v.Username != nil || v.ClientID != nil
	chosen := 0
	for _, is := range []bool{bySession, byOwner, v.All} {
		if is {
			chosen++
		}
	}
	if chosen != 1 {
		return badBody("say which sessions: one of sid, username, client_id, all: true; username and client_id may stand together")
	}
	return nil
}

// because refuses to end anything for no reason.
func (v revocation) because() error {
	if strings.TrimSpace(v.Reason) == "" {
		return badBody("the reason is missing: it is kept with the sessions and in the audit log")
	}
	return nil
}

func (a *Admin) revokeSessions(c *call) (int, any, error) {
	var body revocation
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	n, err := a.revoke(c, body)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]int{"revoked": n}, nil
}

// revoke ends what an operator has selected, whichever door it came in by.
func (a *Admin) revoke(c *call, v revocation) (int, error) {
	if err := v.check(); err != nil {
		return 0, err
	}
	if err := v.because(); err != nil {
		return 0, err
	}
	if err := c.because(v.reason); err != nil {
		return 0, err
	}
	selection, err := a.selected(c, v)
	if err != nil {
		return 0, err
	}
	return a.Grants.End(c.ctx, selection, grants.Ending{
		Reason: storage.ReasonOperator, By: c.act.By, Note: c.act.Note, Source: c.act.Source,
	})
}

// selected finds what was named, so that a misspelt name is an error and not
// an ending of nothing.
func (a *Admin) selected(c *call, v revocation) (grants.Selection, error) {
	sel := grants.Selection{All: v.All}
	if v.SessionID != nil {
		ses, err := a.Grants.FindSession(c.ctx, *v.SessionID)
		if err != nil {
			return sel, err
		}
		sel.SessionID, sel.Subject = ses.Value.ID, ses.Value.Subject
	}
	if v.Username != nil {
		user, err := a.Users.Find(c.ctx, *v.Username)
		if err != nil {
			return sel, err
		}
		sel.Subject = user.Subject
	}
	if v.ClientID != nil {
		client, err := a.Clients.Find(c.ctx, *v.ClientID)
		if err != nil {
			return sel, err
		}
		sel.ClientID = client.ID
	}
	return sel, nil
}
