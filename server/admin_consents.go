package server

import (
	"net/http"
	"strings"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// consentObject is an application that a user has let in, as the admin API shows
// one: by a consent that is remembered, by sessions, or by both.
type consentObject struct {
	Subject    string    `json:"sub"`
	Username   string    `json:"username"`
	ClientID   string    `json:"client_id"`
	ClientName string    `json:"client_name"`
	Scope      string    `json:"scope"`
	Granted    time.Time `json:"granted_at,omitzero"`
	Updated    time.Time `json:"updated_at,omitzero"`
	Sessions   int       `json:"live_sessions"`
	LastUsed   time.Time `json:"last_used_at,omitzero"`
}

func showConsent(u storage.User, c grants.Connection) consentObject {
	return consentObject{
		Subject: u.Subject, Username: u.Username, ClientID: c.Client.ID, ClientName: c.Client.Name, Scope: strings.Join(c.Scopes, " "),
		Granted: c.Granted.UTC(), Updated: c.Updated.UTC(), Sessions: c.Sessions, LastUsed: c.LastUsed.UTC(),
	}
}

// listConsents lists the applications of one user. They are as many as the user
// has said yes to, so there are no pages.
func (a *Admin) listConsents(c *call) (int, any, error) {
	q, err := c.query("username")
	if err != nil {
		return 0, nil, err
	}
	if !q.Has("username") {
		return 0, nil, badBody("say whose consents: username is missing from the query")
	}
	user, err := a.Users.Find(c.ctx, q.Get("username"))
	if err != nil {
		return 0, nil, err
	}
	found, err := a.Grants.Connections(c.ctx, user.Subject)
	if err != nil {
		return 0, nil, err
	}
	out := make([]consentObject, len(found))
	for i, connection := range found {
		out[i] = showConsent(user, connection)
	}
	return http.StatusOK, out, nil
}

// revokeConsent takes back what one user has allowed one client, and ends what
// has come of it.
func (a *Admin) revokeConsent(c *call) (int, any, error) {
	var body struct {
		Username string `json:"username"`
		ClientID string `json:"client_id"`
		reason
	}
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	switch {
	case body.Username == "" || body.ClientID == "":
		return 0, nil, badBody("say which consent: username and client_id are both needed")
	case strings.TrimSpace(body.Reason) == "":
		return 0, nil, badBody("the reason is missing: it is kept with the sessions and in the audit log")
	}
	if err := c.because(body.reason); err != nil {
		return 0, nil, err
	}
	user, err := a.Users.Find(c.ctx, body.Username)
	if err != nil {
		return 0, nil, err
	}
	client, err := a.Clients.Find(c.ctx, body.ClientID)
	if err != nil {
		return 0, nil, err
	}
	done, err := a.Grants.Disconnect(c.ctx, user.Subject, client.ID, grants.Ending{
		Reason: storage.ReasonConsentRevoked, By: c.act.By, Note: c.act.Note, Source: c.act.Source,
	})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{
		"sub": user.Subject, "client_id": client.ID, "consent": done.Consent, "revoked": done.Sessions,
	}, nil
}
