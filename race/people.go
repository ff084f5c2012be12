package race

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"jeton/accounts"
	"jeton/grants"
	"jeton/history"
	"jeton/passwords"
	"jeton/storage"
)

// Bounds of what is asked about one person: orders are tried out, and of what is
// unknown there are two each.
const mostActs, mostUnknown, mostSessions, mostTurns = 110, 7, 8, 26

// person is what callers know of one user.
type person struct {
	name string

	mu             sync.Mutex
	sessions       []*known
	begun          int // logins: each is a number of its own
	acts, unknowns int
	disabled       bool
}

// known is what callers know of one session.
type known struct {
	number  int
	client  string
	refresh []string // refresh tokens, by their numbers, from 1
	access  []string // access tokens, likewise
	ids     []string // theirs
	turns   int      // refreshes that were tried
	busy    int      // those under way
	over    bool
}

// caller asks, one thing after the other.
type caller struct {
	*race
	ctx     context.Context
	choices *rand.Rand
}

func (c *caller) chance(percent int) bool { return c.choices.IntN(100) < percent }

func (c *caller) any() *server { return c.servers[c.choices.IntN(len(c.servers))] }

// turn does one thing to somebody, whose place another takes after a while.
func (c *caller) turn() error {
	place := &c.persons[c.choices.IntN(len(c.persons))]
	who := place.Load()
	if err := c.act(who); err != nil {
		return err
	}
	who.mu.Lock()
	tired := who.acts > mostActs || who.unknowns > mostUnknown
	who.mu.Unlock()
	if !tired {
		return nil
	}
	next, err := c.newPerson(c.ctx)
	if err != nil {
		return err
	}
	if place.CompareAndSwap(who, next) {
		return c.farewell(who)
	}
	return nil
}

// act chooses what to do.
func (c *caller) act(who *person) error {
	who.mu.Lock()
	live := slices.DeleteFunc(slices.Clone(who.sessions), func(s *known) bool { return s.over || s.turns >= mostTurns })
	all, begun, disabled := slices.Clone(who.sessions), who.begun, who.disabled
	who.mu.Unlock()
	switch draw := c.choices.IntN(1000); {
	case begun < mostSessions && (len(live) == 0 || len(live) < 3 && draw < 30):
		if disabled && c.chance(70) {
			return c.administer(who, history.Enable, 0)
		}
		return c.login(who)
	case draw < 10:
		return c.administer(who, history.RevokeAll, 0)
	case draw < 50:
		return c.administer(who, history.SetRoles, history.Roles(1+c.choices.IntN(7)))
	case draw < 60:
		return c.administer(who, history.Disable, 0)
	case disabled && draw < 260:
		return c.administer(who, history.Enable, 0)
	case len(live) > 0 && draw < 950: // what is over is looked at as well
		return c.visit(who, live[c.choices.IntN(len(live))])
	case len(all) > 0:
		return c.visit(who, all[c.choices.IntN(len(all))])
	}
	who.mu.Lock()
	who.acts++ // nobody there, who is about to log in
	who.mu.Unlock()
	return nil
}

// visit does something to a session.
func (c *caller) visit(who *person, s *known) error {
	who.mu.Lock()
	token, busy, access := len(s.refresh)-1, s.busy > 0, len(s.access)-1
	who.mu.Unlock()
	switch draw := c.choices.IntN(100); {
	case draw < 25, busy && s.client == "strict" && !c.chance(15):
		return c.spend(who, s, history.Active, max(1, access-c.choices.IntN(3)))
	case draw < 28:
		return c.spend(who, s, history.RevokeAccess, max(1, access-c.choices.IntN(3)))
	case draw < 30:
		return c.spend(who, s, history.Revoke, 1+c.choices.IntN(token))
	case draw < 32:
		token = 1 + c.choices.IntN(token)
	case draw < 42 && s.client == "lenient":
		token = max(1, token-1)
	}
	return c.spend(who, s, history.Refresh, token)
}

// login begins a session.
func (c *caller) login(who *person) error {
	s := &known{client: "strict", refresh: []string{""}, access: []string{""}, ids: []string{""}}
	if c.chance(50) {
		s.client = "lenient"
	}
	who.mu.Lock()
	s.number = who.begun
	who.begun++
	who.mu.Unlock()
	var err error
	out := c.history.Do(history.Act{User: who.name, Kind: history.Login, Session: s.number, Window: windows[s.client]}, func() (out history.Outcome, asked bool) {
		var resp grants.Response
		resp, err = c.any().token(c.ctx, s.client, grants.Request{GrantType: storage.GrantPassword, Username: who.name, Password: password})
		if errors.Is(err, passwords.ErrBusy) {
			err = nil
			return out, false
		}
		out, err = c.heard(who, s, resp, err)
		return out, true
	})
	who.mu.Lock()
	defer who.mu.Unlock()
	who.acts++
	switch {
	case out.OK:
		who.sessions = append(who.sessions, s)
	case out.Known:
		who.disabled = true
	}
	return err
}

// spend does something with a token of a session.
func (c *caller) spend(who *person, s *known, kind history.Kind, token int) error {
	who.mu.Lock()
	text := s.refresh[min(token, len(s.refresh)-1)]
	if kind == history.Active || kind == history.RevokeAccess {
		text = s.access[token]
	}
	if kind == history.Refresh {
		s.turns++
		s.busy++
	}
	who.mu.Unlock()
	var err error
	out := c.history.Do(history.Act{User: who.name, Kind: kind, Session: s.number, Token: token}, func() (out history.Outcome, asked bool) {
		out, err = c.ask(who, s, kind, text)
		return out, true
	})
	who.mu.Lock()
	defer who.mu.Unlock()
	who.acts++
	switch kind {
	case history.Refresh:
		s.busy--
		s.over = s.over || out.Known && !out.OK
	case history.Revoke:
		s.over = s.over || out.Known
	}
	if !out.Known && kind != history.Active {
		who.unknowns++
	}
	return err
}

// ask asks some server about a token.
func (c *caller) ask(who *person, s *known, kind history.Kind, text string) (out history.Outcome, err error) {
	n := c.any()
	switch kind {
	case history.Refresh:
		resp, err := n.token(c.ctx, s.client, grants.Request{GrantType: storage.GrantRefreshToken, RefreshToken: text})
		return c.heard(who, s, resp, err)
	case history.Active:
		_, err = n.grants.VerifyAccess(c.ctx, text)
		if refused(err, grants.InvalidToken) {
			return history.Outcome{Known: true}, nil
		}
	default:
		var client storage.Record[storage.Client]
		if client, err = n.grants.Store.CachedClient(c.ctx, s.client); err == nil {
			_, err = n.grants.Revoke(c.ctx, client.Value, text, grants.Source{})
		}
	}
	return done(err)
}

// done is the outcome of what says no more than that it was done.
func done(err error) (history.Outcome, error) {
	switch {
	case err == nil:
		return history.Outcome{Known: true, OK: true}, nil
	case silent(err):
		return history.Outcome{}, nil
	}
	return history.Outcome{}, err
}

// heard is the answer to a login or a refresh.
func (c *caller) heard(who *person, s *known, resp grants.Response, err error) (history.Outcome, error) {
	if refused(err, grants.InvalidGrant) {
		return history.Outcome{Known: true}, nil
	}
	out, err := done(err)
	if !out.OK {
		return out, err
	}
	claims, err := read(resp.AccessToken)
	if err != nil {
		return history.Outcome{}, err
	}
	for _, name := range claims.Roles {
		i := slices.Index(roleNames, name)
		if i < 0 {
			return history.Outcome{}, fmt.Errorf("a token has the role %q, which nobody has", name)
		}
		out.Roles |= 1 << i
	}
	who.mu.Lock()
	defer who.mu.Unlock()
	if out.Token = slices.Index(s.refresh, resp.RefreshToken); out.Token < 0 {
		out.Token = len(s.refresh)
		s.refresh = append(s.refresh, resp.RefreshToken)
	}
	if out.Access = slices.Index(s.ids, claims.ID); out.Access < 0 {
		out.Access = len(s.ids)
		s.ids, s.access = append(s.ids, claims.ID), append(s.access, resp.AccessToken)
	}
	return out, nil
}

type claims struct {
	ID    string `json:"jti"`
	Roles []string
}

// read reads the claims of an access token of our own.
func read(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("an access token is no JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	return c, err
}

// administer changes a user.
func (c *caller) administer(who *person, kind history.Kind, roles history.Roles) error {
	var err error
	out := c.history.Do(history.Act{User: who.name, Kind: kind, Roles: roles}, func() (out history.Outcome, asked bool) {
		n, act := c.any(), accounts.Act{By: "operator"}
		var err2 error
		switch kind {
		case history.RevokeAll:
			var u storage.User
			if u, err2 = n.users.Find(c.ctx, who.name); err2 == nil {
				_, err2 = n.grants.End(c.ctx, grants.Selection{Subject: u.Subject}, grants.Ending{Reason: storage.ReasonOperator, By: "operator"})
			}
		case history.SetRoles:
			_, err2 = n.users.SetRoles(c.ctx, who.name, named(roles), act)
		case history.Disable:
			_, err2 = n.users.Disable(c.ctx, who.name, act)
		default:
			_, err2 = n.users.Enable(c.ctx, who.name, act)
		}
		out, err = done(err2)
		return out, true
	})
	who.mu.Lock()
	defer who.mu.Unlock()
	who.acts++
	switch {
	case !out.Known:
		who.unknowns++
	case kind == history.Disable, kind == history.Enable:
		who.disabled = kind == history.Disable
	}
	return err
}

func named(roles history.Roles) (names []string) {
	for i, name := range roleNames {
		if roles>>i&1 == 1 {
			names = append(names, name)
		}
	}
	return names
}

// farewell asks once more about all sessions of somebody: what was forgotten
// shows, and what was taken back and came again.
func (c *caller) farewell(who *person) error {
	who.mu.Lock()
	all := slices.Clone(who.sessions)
	who.mu.Unlock()
	for _, s := range all {
		who.mu.Lock()
		access := len(s.access) - 1
		who.mu.Unlock()
		if err := c.spend(who, s, history.Active, access); err != nil {
			return err
		}
	}
	return nil
}
