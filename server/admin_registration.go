package server

import (
	"net/http"
	"strings"
	"time"

	"jeton/accounts"
	"jeton/storage"
)

// registrationObject tells how a client came to be that registered itself.
type registrationObject struct {
	At time.Time `json:"at"`
	// InitialToken is empty for one that nobody vouched for.
	InitialToken string    `json:"initial_token,omitempty"`
	Source       string    `json:"source,omitempty"`
	UnusedUntil  time.Time `json:"unused_until,omitzero"`
	TakenOver    bool      `json:"taken_over"`
}

func showRegistration(r *storage.Registration) *registrationObject {
	if r == nil {
		return nil
	}
	return &registrationObject{At: r.At.UTC(), InitialToken: r.InitialToken, Source: r.Source, UnusedUntil: r.UnusedUntil.UTC(), TakenOver: r.TakenOver}
}

// cameBy says in a word how a client came to be.
func cameBy(r *storage.Registration) string {
	switch {
	case r == nil:
		return "operator"
	case r.InitialToken != "":
		return "token"
	}
	return "open"
}

// initialTokenObject is an initial access token as the admin API shows one.
// Token is there only in the answer to the act that made it.
type initialTokenObject struct {
	Name    string    `json:"name"`
	Token   string    `json:"token,omitempty"`
	Uses    int       `json:"uses"`
	Used    int       `json:"used"`
	Grants  []string  `json:"grant_types"`
	Scope   string    `json:"scope"`
	By      string    `json:"by"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at"`
}

func showInitialToken(t storage.InitialToken, secret string) initialTokenObject {
	return initialTokenObject{
		Name: t.Name, Token: secret, Uses: t.Uses, Used: t.Used, Grants: list(t.Grants), Scope: strings.Join(t.Scopes, " "),
		By: t.By, Created: t.Created.UTC(), Expires: t.Expires.UTC(),
	}
}

func (a *Admin) listInitialTokens(c *call) (int, any, error) {
	return listPage(a, c, a.Clients.InitialTokens, func(t storage.InitialToken) initialTokenObject { return showInitialToken(t, "") })
}

func (a *Admin) addInitialToken(c *call) (int, any, error) {
	var body accounts.NewInitialToken
	if err := c.decode(&body); err != nil {
		return 0, nil, err
	}
	token, secret, err := a.Clients.AddInitialToken(c.ctx, body, c.act)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, showInitialToken(token, secret), nil
}

func (a *Admin) revokeInitialToken(c *call) (int, any, error) {
	if err := a.Clients.RevokeInitialToken(c.ctx, c.vars["name"], c.act); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
