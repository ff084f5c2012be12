package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// What an act ends is looked at by an address of its own: a parameter that says
// "do not do it" would be passed over by whoever does not know it, and done.

// ending is what an act ends: sessions of a selection but for one, with all their
// tokens, or their access tokens alone. Without a selection it is nothing.
type ending struct {
	of         *grants.Selection
	except     string
	accessOnly bool
}

// endingBy is that of an act which ends so.
func endingBy(of grants.Selection, e *grants.Ending) ending {
	if e == nil {
		return ending{}
	}
	return ending{&of, e.Except, e.AccessOnly}
}

func (a *Admin) endingByRoles(u storage.User, roles []string) ending {
	return endingBy(grants.Selection{Subject: u.Subject}, a.Grants.Settings.On.ToRoles(u.Roles, roles).Ending(grants.Ending{}))
}

func (a *Admin) endingBySecret(clientID string) ending {
	reaction := a.Grants.Settings.On.ClientSecretChange.To(grants.OnClientSecretChange)
	return endingBy(grants.Selection{ClientID: clientID}, reaction.Ending(grants.Ending{}))
}

// foreseen names an act, and who it is about.
type foreseen struct {
	Act       string          `json:"act"`
	SessionID *string         `json:"sid"`
	Username  *string         `json:"username"`
	ClientID  *string         `json:"client_id"`
	All       bool            `json:"all"`
	Roles     *[]string       `json:"roles"`
	Settings  json.RawMessage `json:"settings"`
}

// foresights say what each act ends, by its name.
var foresights = map[string]func(*Admin, *call, foreseen) (ending, error){
	"revoke": func(a *Admin, c *call, f foreseen) (ending, error) {
		v := revocation{SessionID: f.SessionID, Username: f.Username, ClientID: f.ClientID, All: f.All}
		if err := v.check(); err != nil {
			return ending{}, err
		}
		sel, err := a.selected(c, v)
		return ending{of: &sel}, err
	},
	"disable":      (*Admin).foreseeGone,
	"delete":       (*Admin).foreseeGone,
	"set_password": (*Admin).foreseePassword,
	"set_roles":    (*Admin).foreseeRoles,
	"set_client":   (*Admin).foreseeSettings,
	"set_secret":   (*Admin).foreseeSecret,
}

// previewObject is what an act would end now.
type previewObject struct {
	// Ends is one of the constants below.
	Ends     string `json:"ends"`
	Sessions int    `json:"sessions"`
	Users    int    `json:"users"`
	Clients  int    `json:"clients"`
	Tokens   int    `json:"access_tokens"`
	// More says that there are sessions beyond these, which were not counted.
	More bool `json:"more"`
}

const (
	endsSessions = "sessions"
	endsTokens   = "access_tokens"
	endsNothing  = "nothing"
)

// preview tells what an act would end, and does not do it.
func (a *Admin) preview(c *call) (int, any, error) {
	var f foreseen
	if err := c.decode(&f); err != nil {
		return 0, nil, err
	}
	foresee := foresights[f.Act]
	if foresee == nil {
		return 0, nil, badBody("act: it is one of %s", strings.Join(acts(), ", "))
	}
	if err := f.check(); err != nil {
		return 0, nil, err
	}
	e, err := foresee(a, c, f)
	if err != nil {
		return 0, nil, err
	}
	p, err := a.counted(c, e)
	return http.StatusOK, p, err
}

func acts() (names []string) {
	for name := range foresights {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// counted counts what ends, with what the console counts with.
func (a *Admin) counted(c *call, e ending) (previewObject, error) {
	if e.of == nil {
		return previewObject{Ends: endsNothing}, nil
	}
	p, err := a.Grants.Preview(c.ctx, *e.of, e.except)
	o := previewObject{Ends: endsSessions, Sessions: p.Sessions, Users: p.Users, Clients: p.Clients, Tokens: p.Tokens, More: p.More}
	if e.accessOnly {
		o.Ends = endsTokens
	}
	return o, err
}

// check refuses what the act does not look at: whoever sends it means another.
func (f foreseen) check() error {
	var wrong []string
	takes := map[string]bool{
		"sid": f.Act == "revoke", "all": f.Act == "revoke", "roles": f.Act == "set_roles", "settings": f.Act == "set_client",
		"username": !slices.Contains([]string{"set_client", "set_secret"}, f.Act), "client_id": !slices.Contains([]string{"set_password", "set_roles"}, f.Act),
	}
	for _, m := range []struct {
		name string
		sent bool
	}{{"sid", f.SessionID != nil}, {"username", f.Username != nil}, {"client_id", f.ClientID != nil}, {"all", f.All}, {"roles", f.Roles != nil}, {"settings", f.Settings != nil}} {
		switch {
		case m.sent && !takes[m.name]:
			wrong = append(wrong, fmt.Sprintf("%s: %s is not about that", m.name, f.Act))
		case !m.sent && takes[m.name] && (m.name == "roles" || m.name == "settings"):
			wrong = append(wrong, m.name+": it is missing")
		}
	}
	if one := (f.Username != nil) != (f.ClientID != nil); f.Act != "revoke" && !one {
		wrong = append(wrong, f.Act+" is about one user or one client: say which by username or client_id, as the act takes it")
	}
	if wrong != nil {
		return badBody("%s", strings.Join(wrong, "; "))
	}
	return nil
}

// foreseeGone is about a user or a client that is disabled or deleted.
func (a *Admin) foreseeGone(c *call, f foreseen) (ending, error) {
	sel, err := a.selected(c, revocation{Username: f.Username, ClientID: f.ClientID})
	if err != nil || f.ClientID == nil || f.Act != "delete" {
		return ending{of: &sel}, err
	}
	client, err := a.Clients.Find(c.ctx, sel.ClientID)
	if err == nil && accounts.Protected(client) && !c.act.Operator {
		err = accounts.ErrOperatorOnly
	}
	return ending{of: &sel}, err
}

func (a *Admin) foreseePassword(c *call, f foreseen) (ending, error) {
	user, err := a.Users.Find(c.ctx, *f.Username)
	if err != nil {
		return ending{}, err
	}
	_, reaction := a.Users.OnPassword(c.act, user.Subject)
	return endingBy(grants.Selection{Subject: user.Subject}, reaction.Ending(grants.Ending{Except: c.act.Session})), nil
}

func (a *Admin) foreseeRoles(c *call, f foreseen) (ending, error) {
	user, err := a.Users.Find(c.ctx, *f.Username)
	return a.endingByRoles(user, *f.Roles), err
}

func (a *Admin) foreseeSettings(c *call, f foreseen) (ending, error) {
	var s accounts.ClientSettings
	err := judged(decodeStrict(f.Settings, &s), func() error {
		_, _, _, err := a.Clients.Foresee(c.ctx, *f.ClientID, s, c.act)
		return err
	})
	if err != nil {
		return ending{}, err
	}
	was, _, end, err := a.Clients.Foresee(c.ctx, *f.ClientID, s, c.act)
	return endingBy(grants.Selection{ClientID: was.ID}, end), err
}

func (a *Admin) foreseeSecret(c *call, f foreseen) (ending, error) {
	client, err := a.Clients.SecretOf(c.ctx, *f.ClientID, c.act)
	return a.endingBySecret(client.ID), err
}
