package proof_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What one session may do, as its clients see it, for a client with strict
// single use. Tokens are numbered in the order in which they were seen.

// act is what was asked of a session.
type act struct {
	session int
	kind    string // refresh, revoke, active
	token   int    // a refresh token for refresh and revoke
	id      int    // of the operation
}

// outcome is what came back. Of what has no answer, or 503, anything may have
// happened: at any time later, too.
type outcome struct {
	known bool
	ok    bool
	token int // the new refresh token
}

// session is the truth of the model.
type session struct {
	cur, prev int // numbers of refresh tokens; below 0 one that nobody has seen
	// lost: nobody may have got cur, and the server may know it, so that prev
	// still brings it (promise 5).
	lost  bool
	ended bool
}

func (s session) step(a act, o outcome) (next []session) {
	ended := s
	ended.ended = true
	switch {
	case a.kind == "active" && (!o.known || o.ok != s.ended), a.kind == "revoke" && !o.known:
		next = append(next, s)
	}
	switch {
	case a.kind == "revoke":
		return append(next, ended)
	case a.kind == "active":
		return next
	case !o.known:
		next = append(next, s)
		if !s.ended && a.token == s.cur {
			return append(next, session{cur: -a.id, prev: a.token, lost: true})
		}
		return append(next, ended)
	case !o.ok && s.ended:
		return []session{s}
	case !o.ok && a.token != s.cur:
		return []session{ended} // reuse
	case !o.ok || s.ended:
		return nil // a token that counts was refused, or a dead one taken
	case a.token == s.cur:
		return []session{{cur: o.token, prev: a.token}}
	case a.token == s.prev && s.lost && (s.cur < 0 || s.cur == o.token):
		return []session{{cur: o.token, prev: a.token, lost: true}}
	}
	return nil // a second branch
}

var sessions = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, op := range history {
			n := op.Input.(act).session
			by[n] = append(by[n], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{session{cur: 1}} },
	Step: func(state, in, out any) (next []any) {
		for _, s := range state.(session).step(in.(act), out.(outcome)) {
			next = append(next, s)
		}
		return next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// linearizable checks a history and names the sessions that no order explains.
func linearizable(t *testing.T, history []porcupine.Operation) (wrong [][]porcupine.Operation) {
	t.Helper()
	model := sessions.ToModel()
	for _, part := range sessions.Partition(history) {
		switch porcupine.CheckOperationsTimeout(model, part, 20*time.Second) {
		case porcupine.Illegal:
			wrong = append(wrong, part)
		case porcupine.Unknown:
			t.Logf("a session with %d operations took too long to check", len(part))
		}
	}
	return wrong
}

// forever is when an operation returns of which nothing came back.
const forever = math.MaxInt64

// TestTheModelSeesBugs holds the checker to histories that a server with a bug
// leaves: a checker that passes those proves nothing.
func TestTheModelSeesBugs(t *testing.T) {
	type op struct {
		kind  string
		token int
		out   outcome
	}
	ok := func(token int) outcome { return outcome{known: true, ok: true, token: token} }
	yes, no, unknown := outcome{known: true, ok: true}, outcome{known: true}, outcome{}
	for name, c := range map[string]struct {
		history []op
		good    bool
	}{
		"a life":                            {[]op{{"refresh", 1, ok(2)}, {"active", 0, yes}, {"refresh", 2, ok(3)}, {"revoke", 3, yes}, {"refresh", 3, no}, {"active", 0, no}}, true},
		"reuse":                             {[]op{{"refresh", 1, ok(2)}, {"refresh", 1, no}, {"refresh", 2, no}, {"active", 0, no}}, true},
		"a lost answer":                     {[]op{{"refresh", 1, unknown}, {"refresh", 1, ok(2)}, {"refresh", 2, ok(3)}}, true},
		"a lost answer, not noticed":        {[]op{{"refresh", 1, unknown}, {"refresh", 1, no}, {"active", 0, no}}, true},
		"two winners":                       {[]op{{"refresh", 1, ok(2)}, {"refresh", 1, ok(3)}}, false},
		"an equal record counts as success": {[]op{{"refresh", 1, ok(2)}, {"refresh", 1, ok(3)}, {"refresh", 3, ok(4)}, {"refresh", 2, no}}, false},
		"reuse does not end the session":    {[]op{{"refresh", 1, ok(2)}, {"refresh", 1, no}, {"refresh", 2, ok(3)}}, false},
		"reuse leaves access tokens":        {[]op{{"refresh", 1, ok(2)}, {"refresh", 1, no}, {"active", 0, yes}}, false},
		"a revocation is forgotten":         {[]op{{"revoke", 1, yes}, {"active", 0, yes}}, false},
		"a token after the revocation":      {[]op{{"revoke", 1, yes}, {"refresh", 1, ok(2)}}, false},
		"an innocent session ends":          {[]op{{"refresh", 1, ok(2)}, {"refresh", 2, no}}, false},
		"a read of old":                     {[]op{{"refresh", 1, ok(2)}, {"refresh", 1, no}, {"active", 0, no}, {"active", 0, yes}}, false},
		"a branch after a lost answer":      {[]op{{"refresh", 1, unknown}, {"refresh", 1, ok(2)}, {"refresh", 1, ok(3)}}, false},
		"a grandparent works":               {[]op{{"refresh", 1, ok(2)}, {"refresh", 2, unknown}, {"refresh", 1, ok(3)}}, false},
	} {
		var history []porcupine.Operation
		for i, o := range c.history {
			done := porcupine.Operation{Input: act{kind: o.kind, token: o.token, id: i + 1}, Output: o.out, Call: int64(2 * i), Return: int64(2*i + 1)}
			if !o.out.known {
				done.Return = forever
			}
			history = append(history, done)
		}
		if good := len(linearizable(t, history)) == 0; good != c.good {
			t.Errorf("%s: linearizable is %v", name, good)
		}
	}
}
