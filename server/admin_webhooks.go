package server

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"jeton/events"
	"jeton/events/webhooks"
	"jeton/storage"
)

// webhookObject is a webhook as the admin API shows one.
type webhookObject struct {
	Name       string    `json:"name"`
	Configured bool      `json:"configured"`
	URL        string    `json:"url,omitempty"`
	Audience   string    `json:"audience,omitempty"`
	Events     []string  `json:"events"`
	State      string    `json:"state"`
	Failing    time.Time `json:"failing_since,omitzero"`
	Error      string    `json:"last_error,omitempty"`
	Pending    int       `json:"pending"`
	Oldest     time.Time `json:"oldest_pending_at,omitzero"`
	Dead       int       `json:"dead_letters"`
	Dropped    uint64    `json:"dropped"`
}

// letterObject is a dead letter as the admin API shows one.
type letterObject struct {
	ID       string    `json:"jti"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"sub,omitempty"`
	ClientID string    `json:"client_id,omitempty"`
	Session  string    `json:"sid,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Attempts int       `json:"attempts"`
	Tried    time.Time `json:"last_tried_at,omitzero"`
	Error    string    `json:"last_error"`
	Dead     time.Time `json:"dead_at"`
	Expires  time.Time `json:"expires_at"`
}

func (a *Admin) listWebhooks(c *call) (int, any, error) {
	if _, err := c.query(); err != nil {
		return 0, nil, err
	}
	all, err := a.Webhooks.List(c.ctx)
	if err != nil {
		return 0, nil, err
	}
	out := make([]webhookObject, len(all))
	for i, w := range all {
		out[i] = webhookObject{
			Name: w.Webhook.Name, Configured: w.Configured, URL: w.URL, Audience: w.Audience, Events: append([]string{}, w.Events...),
			State: "ok", Failing: w.Failing.UTC(), Error: w.Error, Pending: w.Pending, Oldest: w.Oldest.UTC(), Dead: w.Dead, Dropped: w.Dropped,
		}
		if !w.Failing.IsZero() {
			out[i].State = "failing"
		}
	}
	return http.StatusOK, out, nil
}

func (a *Admin) listLetters(c *call) (int, any, error) {
	q, err := c.query("after", "limit")
	if err != nil {
		return 0, nil, err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return 0, nil, err
	}
	letters, next, err := a.Webhooks.Letters(c.ctx, c.vars["webhook"], q.Get("after"), limit)
	if err != nil {
		return 0, nil, webhookProblem(err)
	}
	out := make([]letterObject, len(letters))
	for i, l := range letters {
		e := l.Event
		out[i] = letterObject{
			ID: e.ID, Type: e.Type, Time: e.Time.UTC(), Subject: e.Subject, ClientID: e.ClientID, Session: e.Session, Reason: e.Reason,
			Attempts: l.Attempts, Tried: l.Tried.UTC(), Error: l.Error, Dead: l.Dead.UTC(), Expires: l.Dead.Add(webhooks.KeptDead).UTC(),
		}
	}
	a.linkNext(c, q, next, limit)
	return http.StatusOK, out, nil
}

// retryLetters queues dead letters again, one or all.
func (a *Admin) retryLetters(c *call) (int, any, error) {
	var body struct {
		ID  string `json:"jti"`
		All bool   `json:"all"`
	}
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	if (body.ID == "") != body.All {
		return 0, nil, badBody(`give one of "jti" and "all": true`)
	}
	n, err := a.Webhooks.Retry(c.ctx, c.vars["webhook"], body.ID)
	if err != nil {
		return 0, nil, webhookProblem(err)
	}
	return http.StatusOK, map[string]int{"retried": n}, nil
}

func (a *Admin) dropLetter(c *call) (int, any, error)  { return a.drop(c, c.vars["jti"]) }
func (a *Admin) dropLetters(c *call) (int, any, error) { return a.drop(c, "") }

func (a *Admin) drop(c *call, id string) (int, any, error) {
	if _, err := c.query(); err != nil {
		return 0, nil, err
	}
	name := c.vars["webhook"]
	n, err := a.Webhooks.Drop(c.ctx, name, id)
	if err != nil {
		return 0, nil, webhookProblem(err)
	}
	if n > 0 {
		a.tellOfLetters(c, fmt.Sprintf("%d of webhook %s", n, name))
	}
	return http.StatusOK, map[string]int{"dropped": n}, nil
}

// tellOfLetters writes the event in a commit of its own: the letters lie in
// many partitions.
func (a *Admin) tellOfLetters(c *call, note string) {
	now, err := a.Grants.Store.Now(c.ctx)
	if err == nil {
		e := events.New(events.DeadLettersDropped, now)
		e.Actor, e.Source, e.Note = c.act.By, c.act.Source, note
		_, err = a.Grants.Store.Commit(c.ctx, storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{events.Put(e)}})
	}
	if err != nil {
		a.Grants.Log.ErrorContext(c.ctx, "dead letters were dropped, but the event that tells of it could not be written", "note", note, "actor", c.act.By, "cause", err)
	}
}

func webhookProblem(err error) error {
	switch {
	case errors.Is(err, webhooks.ErrNotFound):
		return adminRefusal(http.StatusNotFound, "not_found", "there is no such webhook")
	case errors.Is(err, webhooks.ErrNoLetter):
		return adminRefusal(http.StatusNotFound, "not_found", "the webhook has no dead letter of that event")
	}
	return err
}
