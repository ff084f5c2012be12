package proof_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"jeton/history"
)

// roleNames are the roles of [history.Roles], by their bits.
var roleNames = []string{"ROLE_USER", "ROLE_EDITOR", "ROLE_CHIEF"}

// windows are the retry windows of the clients.
var windows = map[string]time.Duration{"strict": 0, "lenient": 10 * time.Second}

// Bounds of what is asked about one person: orders are tried out, and of what is
// unknown there are two each.
const (
	mostActs, mostUnknown, mostSessions, mostTurns = 70, 7, 8, 20
)

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

func (c *crew) newPerson() *person {
	n := c.names.Add(1)
	if n > c.enlisted {
		c.t.Errorf("there are no more than %d users", c.enlisted)
	}
	return &person{name: c.name(n - 1)}
}

// caller asks, one thing after the other.
type caller struct {
	*crew
	choices *rand.Rand
}

func (c *caller) chance(percent int) bool { return c.choices.IntN(100) < percent }

// any is a server that runs.
func (c *caller) any() *node {
	for {
		if n := c.nodes[c.choices.IntN(len(c.nodes))].node.Load(); n != nil {
			return n
		}
	}
}

// turn does one thing to somebody, whose place another takes after a while.
func (c *caller) turn() {
	place := &c.persons[c.choices.IntN(len(c.persons))]
	who := place.Load()
	if !c.act(who) {
		time.Sleep(300 * time.Millisecond) // no answer: whoever cannot be reached is not pressed
	}
	who.mu.Lock()
	tired := who.acts > mostActs || who.unknowns > mostUnknown
	who.mu.Unlock()
	if tired && place.CompareAndSwap(who, c.newPerson()) {
		c.farewell(who)
	}
}

// act chooses what to do, and reports whether there was an answer.
func (c *caller) act(who *person) bool {
	who.mu.Lock()
	live := slices.DeleteFunc(slices.Clone(who.sessions), func(s *known) bool { return s.over || s.turns >= mostTurns })
	all, begun, disabled := slices.Clone(who.sessions), who.begun, who.disabled
	who.mu.Unlock()
	switch draw := c.choices.IntN(1000); {
	case begun < mostSessions && (len(live) == 0 || len(live) < 3 && draw < 100):
		if disabled && c.chance(70) {
			return c.administer(who, history.Enable, 0)
		}
		return c.login(who)
	case draw < 15:
		return c.administer(who, history.RevokeAll, 0)
	case draw < 55:
		return c.administer(who, history.SetRoles, history.Roles(1+c.choices.IntN(7)))
	case draw < 75:
		return c.administer(who, history.Disable, 0)
	case disabled && draw < 275:
		return c.administer(who, history.Enable, 0)
	case len(all) == 0:
		return true
	case len(live) > 0 && draw < 900: // what is over is looked at as well
		return c.visit(who, live[c.choices.IntN(len(live))])
	default:
		return c.visit(who, all[c.choices.IntN(len(all))])
	}
}

// visit does something to a session.
func (c *caller) visit(who *person, s *known) bool {
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
	case draw < 33:
		token = 1 + c.choices.IntN(token)
	case draw < 42 && s.client == "lenient":
		token = max(1, token-1)
	}
	return c.spend(who, s, history.Refresh, token)
}

// login begins a session.
func (c *caller) login(who *person) bool {
	s := &known{client: "strict", refresh: []string{""}, access: []string{""}, ids: []string{""}}
	if c.chance(50) {
		s.client = "lenient"
	}
	who.mu.Lock()
	s.number = who.begun
	who.begun++
	who.mu.Unlock()
	out := c.history.Do(history.Act{User: who.name, Kind: history.Login, Session: s.number, Window: windows[s.client]}, func() (history.Outcome, bool) {
		a := c.any().post("/token", s.client, "grant_type", "password", "username", who.name, "password", password)
		if a.status == 429 { // too many while the user was disabled
			return history.Outcome{}, false
		}
		return c.heard(who, s, a)
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
	return out.Known
}

// spend does something with a token of a session.
func (c *caller) spend(who *person, s *known, kind history.Kind, token int) bool {
	n := c.any()
	who.mu.Lock()
	var ask func() answer
	switch kind {
	case history.Active:
		text := s.access[token]
		ask = func() answer { return n.post("/introspect", "api", "token", text) }
	case history.RevokeAccess:
		text := s.access[token]
		ask = func() answer { return n.post("/revoke", s.client, "token", text) }
	case history.Revoke:
		text := s.refresh[token]
		ask = func() answer { return n.post("/revoke", s.client, "token", text) }
	default:
		text := s.refresh[token]
		s.turns++
		s.busy++
		ask = func() answer { return n.refresh(s.client, text) }
	}
	who.mu.Unlock()
	out := c.history.Do(history.Act{User: who.name, Kind: kind, Session: s.number, Token: token}, func() (history.Outcome, bool) {
		a := ask()
		if kind == history.Refresh {
			return c.heard(who, s, a)
		}
		if a.status != 200 && a.status != 503 && a.status != 0 {
			c.t.Errorf("%s: %+v", kind, a)
		}
		return history.Outcome{Known: a.status == 200, OK: a.status == 200 && (a.Active || kind != history.Active)}, !a.unsent
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
	return out.Known
}

// heard is the answer to a login or a refresh.
func (c *caller) heard(who *person, s *known, a answer) (history.Outcome, bool) {
	switch {
	case a.status == 200:
	case a.status == 400 && a.Error == "invalid_grant":
		return history.Outcome{Known: true}, true
	default:
		if a.status != 503 && a.status != 0 {
			c.t.Errorf("a token request: %+v", a)
		}
		return history.Outcome{}, !a.unsent
	}
	var claims struct {
		ID    string `json:"jti"`
		Roles []string
	}
	if err := json.Unmarshal(payload(c.t, a.Access), &claims); err != nil {
		c.t.Error(err)
	}
	out := history.Outcome{Known: true, OK: true}
	for _, name := range claims.Roles {
		if i := slices.Index(roleNames, name); i >= 0 {
			out.Roles |= 1 << i
		} else {
			c.t.Errorf("a role that nobody has: %s", name)
		}
	}
	who.mu.Lock()
	defer who.mu.Unlock()
	if out.Token = slices.Index(s.refresh, a.Token); out.Token < 0 {
		out.Token = len(s.refresh)
		s.refresh = append(s.refresh, a.Token)
	}
	if out.Access = slices.Index(s.ids, claims.ID); out.Access < 0 {
		out.Access = len(s.ids)
		s.ids, s.access = append(s.ids, claims.ID), append(s.access, a.Access)
	}
	return out, true
}

// administer changes a user.
func (c *caller) administer(who *person, kind history.Kind, roles history.Roles) bool {
	act := history.Act{User: who.name, Kind: kind, Roles: roles}
	out := c.history.Do(act, func() (history.Outcome, bool) {
		var a answer
		switch kind {
		case history.RevokeAll:
			a = c.operate(http.MethodPost, "/sessions/revoke", map[string]any{"username": who.name, "reason": "a drill"})
		case history.SetRoles:
			a = c.operate(http.MethodPut, "/users/"+who.name+"/roles", map[string]any{"roles": named(roles)})
		default:
			a = c.operate(http.MethodPost, "/users/"+who.name+"/"+string(kind), map[string]any{})
		}
		if a.status != 200 && a.status != 503 && a.status != 0 {
			c.t.Errorf("%s: %+v", kind, a)
		}
		return history.Outcome{Known: a.status == 200, OK: a.status == 200}, !a.unsent
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
	return out.Known
}

func named(roles history.Roles) (names []string) {
	for i, name := range roleNames {
		if roles>>i&1 == 1 {
			names = append(names, name)
		}
	}
	return names
}

// operate asks the admin API of some server. A token that it does not take is
// replaced: nothing was done then.
func (c *caller) operate(method, path string, body map[string]any) answer {
	n := c.any()
	token := c.token.Load()
	if token == nil {
		a := n.post("/token", "operator", "grant_type", "client_credentials", "scope", "jeton:admin")
		if a.status != 200 {
			return answer{unsent: true}
		}
		token = &a.Access
		c.token.Store(token)
	}
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Error(err)
	}
	r, err := http.NewRequest(method, n.url+"/admin/v1"+path, strings.NewReader(string(text)))
	if err != nil {
		c.t.Error(err)
		return answer{unsent: true}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+*token)
	a := n.send(r)
	if a.status == 401 {
		c.token.CompareAndSwap(token, nil)
		return answer{unsent: true}
	}
	return a
}

// farewell asks once more about all sessions of somebody: what was forgotten
// shows, and what was taken back and came again.
func (c *caller) farewell(who *person) {
	who.mu.Lock()
	all := slices.Clone(who.sessions)
	who.mu.Unlock()
	for _, s := range all {
		who.mu.Lock()
		access := len(s.access) - 1
		who.mu.Unlock()
		c.spend(who, s, history.Active, access)
	}
}
