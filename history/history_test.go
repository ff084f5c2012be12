package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The operations of the tests, in short.

func login(n int) Operation {
	return Operation{Act: Act{Kind: Login, Session: n}, Outcome: Outcome{Known: true, OK: true, Token: 1, Access: 1, Roles: FirstRoles}}
}

func lenient(n int) Operation {
	op := login(n)
	op.Window = 10 * time.Second
	return op
}

func refresh(token, next, access int) Operation {
	return Operation{Act: Act{Kind: Refresh, Token: token}, Outcome: Outcome{Known: true, OK: true, Token: next, Access: access, Roles: FirstRoles}}
}

func ask(k Kind, token int) Operation {
	return Operation{Act: Act{Kind: k, Token: token}, Outcome: Outcome{Known: true, OK: true}}
}

func (op Operation) of(n int) Operation       { op.Session = n; return op }
func (op Operation) no() Operation            { op.Outcome = Outcome{Known: true}; return op }
func (op Operation) lost() Operation          { op.Outcome = Outcome{}; return op }
func (op Operation) saying(r Roles) Operation { op.Outcome.Roles = r; return op }
func (op Operation) after(s float64) Operation {
	op.Call = time.Duration(s * float64(time.Second))
	return op
}

func setRoles(r Roles) Operation {
	op := ask(SetRoles, 0)
	op.Act.Roles = r
	return op
}

// played gives operations their times: one after the other, a second each at
// least, unless they say that they begin later.
func played(ops ...Operation) []Operation {
	now := time.Duration(0)
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Call = max(now, ops[i].Call)
		ops[i].Return = ops[i].Call + 100*time.Millisecond
		now = ops[i].Return + time.Millisecond
	}
	return ops
}

// lives are histories that a good server leaves.
var lives = map[string][]Operation{
	"a life": {login(0), ask(Active, 1), refresh(1, 2, 2), ask(Active, 1), ask(Active, 2), refresh(2, 3, 3), ask(Revoke, 3),
		refresh(3, 4, 4).no(), ask(Active, 1).no(), ask(Active, 3).no()},
	"reuse":                            {login(0), refresh(1, 2, 2), refresh(1, 3, 3).no(), refresh(2, 3, 3).no(), ask(Active, 1).no(), ask(Active, 2).no()},
	"reuse ends one session":           {login(0), login(1), refresh(1, 2, 2), refresh(1, 3, 3).no(), ask(Active, 1).of(1), refresh(1, 2, 2).of(1)},
	"a lost answer":                    {login(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2), refresh(1, 2, 2), refresh(2, 3, 3)},
	"a lost answer, not noticed":       {login(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2).no(), ask(Active, 1).no()},
	"a request that came to nothing":   {login(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2), refresh(2, 3, 3), refresh(3, 4, 4)},
	"a request that came late":         {login(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2), ask(Active, 2), refresh(2, 3, 3).no()},
	"a request that came much later":   {login(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2).after(5), refresh(2, 3, 3).no().after(6)},
	"and into a window":                {lenient(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2).after(5), refresh(2, 3, 3).no().after(30)},
	"a revocation that came late":      {login(0), ask(Revoke, 1).lost(), ask(Active, 1), ask(Active, 1).no()},
	"a retry in the window":            {lenient(0), refresh(1, 2, 2), refresh(1, 2, 2), refresh(2, 3, 3)},
	"a retry after the window":         {lenient(0), refresh(1, 2, 2), refresh(1, 0, 0).no().after(20), refresh(2, 3, 3).no()},
	"a lost retry":                     {lenient(0), refresh(1, 2, 2), refresh(1, 0, 0).lost(), refresh(2, 3, 3)},
	"a retry tells other roles":        {lenient(0), refresh(1, 2, 2), setRoles(3), refresh(1, 2, 3).saying(3), ask(Active, 2), ask(Active, 3)},
	"a retry after a revoked token":    {lenient(0), refresh(1, 2, 2), ask(RevokeAccess, 2), refresh(1, 2, 3), ask(Active, 3)},
	"one access token":                 {login(0), refresh(1, 2, 2), ask(RevokeAccess, 1), ask(Active, 1).no(), ask(Active, 2), refresh(2, 3, 3)},
	"all sessions":                     {login(0), login(1), ask(RevokeAll, 0), ask(Active, 1).no(), refresh(1, 2, 2).of(1).no(), login(2), ask(Active, 1).of(2)},
	"disabled, and enabled":            {login(0), ask(Disable, 0), ask(Active, 1).no(), login(1).no(), ask(Enable, 0), ask(Active, 1).no(), login(2), refresh(1, 2, 2).of(2)},
	"a role more":                      {login(0), setRoles(3), ask(Active, 1), refresh(1, 2, 2).saying(3), login(1).saying(3)},
	"a role less":                      {login(0), setRoles(2), ask(Active, 1).no(), refresh(1, 2, 2).saying(2), ask(Active, 2)},
	"an unknown change shows":          {login(0), ask(Disable, 0).lost(), ask(Active, 1), login(1).no(), ask(Active, 1).no()},
	"an unknown change shows never":    {login(0), ask(Disable, 0).lost(), setRoles(4).lost(), refresh(1, 2, 2), login(1)},
	"a login of which nothing is told": {login(0).lost(), login(1)},
}

// faults are histories that a server with a bug leaves: a check that passes
// these proves nothing.
var faults = map[string][]Operation{
	"two winners":                               {login(0), refresh(1, 2, 2), refresh(1, 3, 3)},
	"an equal record counts as success":         {login(0), refresh(1, 2, 2), refresh(1, 3, 3), refresh(3, 4, 4), refresh(2, 0, 0).no()},
	"a stale value restored":                    {login(0), refresh(1, 2, 2), refresh(2, 3, 3), refresh(2, 4, 4)},
	"an innocent is taken for a thief":          {login(0), refresh(1, 2, 2), refresh(2, 3, 3).no()},
	"reuse does not end the session":            {login(0), refresh(1, 2, 2), refresh(1, 0, 0).no(), refresh(2, 3, 3)},
	"reuse leaves access tokens":                {login(0), refresh(1, 2, 2), refresh(1, 0, 0).no(), ask(Active, 2)},
	"a revocation is forgotten":                 {login(0), ask(Revoke, 1), ask(Active, 1)},
	"a token after the revocation":              {login(0), ask(Revoke, 1), refresh(1, 2, 2)},
	"a failover loses a rotation":               {login(0), refresh(1, 2, 2), ask(Active, 2).no()},
	"a failover loses a change of roles":        {login(0), setRoles(3), refresh(1, 2, 2)},
	"a failover loses a login":                  {login(0), refresh(1, 0, 0).no()},
	"a read of old":                             {login(0), refresh(1, 2, 2), refresh(1, 0, 0).no(), ask(Active, 2).no(), ask(Active, 2)},
	"a branch after a lost answer":              {login(0), refresh(1, 0, 0).lost(), refresh(1, 2, 2), refresh(1, 3, 3)},
	"a grandparent works":                       {login(0), refresh(1, 2, 2), refresh(2, 0, 0).lost(), refresh(1, 3, 3)},
	"a rotation brings what was there":          {login(0), refresh(1, 1, 2)},
	"a branch in the window":                    {lenient(0), refresh(1, 2, 2), refresh(1, 3, 3)},
	"a grandparent in the window":               {lenient(0), refresh(1, 2, 2), refresh(2, 3, 3), refresh(1, 2, 2)},
	"a retry in the window is reuse":            {lenient(0), refresh(1, 2, 2), refresh(1, 0, 0).no()},
	"a retry long after the window":             {lenient(0), refresh(1, 2, 2), refresh(1, 2, 2).after(20)},
	"a retry without a window":                  {login(0), refresh(1, 2, 2), refresh(1, 2, 2)},
	"a retry brings another access token":       {lenient(0), refresh(1, 2, 2), refresh(1, 2, 3)},
	"a retry brings a revoked access token":     {lenient(0), refresh(1, 2, 2), ask(RevokeAccess, 2), refresh(1, 2, 2), ask(Active, 2).no()},
	"a retry tells old roles":                   {lenient(0), refresh(1, 2, 2), setRoles(3), refresh(1, 2, 2)},
	"an ordinary refresh ends access tokens":    {login(0), refresh(1, 2, 2), ask(Active, 1).no()},
	"revoking one access token ends others":     {login(0), refresh(1, 2, 2), ask(RevokeAccess, 1), ask(Active, 2).no()},
	"revoking one access token ends nothing":    {login(0), ask(RevokeAccess, 1), ask(Active, 1)},
	"all sessions but one":                      {login(0), login(1), ask(RevokeAll, 0), ask(Active, 1).no(), ask(Active, 1).of(1)},
	"all sessions, and one that came later":     {login(0), ask(RevokeAll, 0), login(1), ask(Active, 1).of(1).no()},
	"a refresh after all sessions ended":        {login(0), ask(RevokeAll, 0), refresh(1, 2, 2)},
	"who is disabled logs in":                   {login(0), ask(Disable, 0), login(1)},
	"who is disabled refreshes":                 {login(0), ask(Disable, 0), refresh(1, 2, 2)},
	"who is enabled has old sessions":           {login(0), ask(Disable, 0), ask(Enable, 0), ask(Active, 1)},
	"who is enabled cannot log in":              {ask(Disable, 0), ask(Enable, 0), login(0).no()},
	"nobody is disabled, and one cannot log in": {login(0).no()},
	"old roles after a change":                  {login(0), setRoles(3), refresh(1, 2, 2)},
	"old roles at a login":                      {setRoles(3), login(0)},
	"roles that nobody gave":                    {login(0), refresh(1, 2, 2).saying(7)},
	"a lost role is still said":                 {login(0), setRoles(2), ask(Active, 1)},
	"a lost role ends the session":              {login(0), setRoles(2), refresh(1, 0, 0).no()},
	"a role more ends access tokens":            {login(0), setRoles(3), ask(Active, 1).no()},
	"an unknown change shows and goes":          {login(0), ask(Disable, 0).lost(), login(1).no(), login(2)},
}

func TestLivesAndFaults(t *testing.T) {
	for name, ops := range lives {
		for _, f := range Check(played(ops...), time.Minute) {
			t.Errorf("%s: %s", name, f)
		}
	}
	for name, ops := range faults {
		found := Check(played(ops...), time.Minute)
		if len(found) != 1 || found[0].Undecided || len(found[0].Operations) == 0 {
			t.Errorf("%s: passes as right, %v", name, found)
		}
	}
}

// What happens at the same time may have happened in either order, and each
// user's is a history of its own.
func TestOrders(t *testing.T) {
	together := played(login(0), refresh(1, 2, 2), refresh(1, 0, 0).no(), ask(Active, 1))
	for i := range together[1:] {
		together[1+i].Call, together[1+i].Return = 10*time.Second, 11*time.Second
	}
	if f := Check(together, time.Minute); len(f) > 0 {
		t.Error(f)
	}
	var all []Operation
	for _, name := range []string{"ada", "ben", "eve"} {
		ops := lives["a life"]
		if name == "ben" {
			ops = append(slices.Clone(faults["two winners"]), ask(Active, 1).no(), ask(Active, 1).no())
		}
		for _, op := range played(ops...) {
			op.User = name
			all = append(all, op)
		}
	}
	found := Check(all, time.Minute)
	if len(found) != 1 || found[0].User != "ben" || len(found[0].Operations) != 3 {
		t.Fatalf("%v", found)
	}
	if s := found[0].String(); !strings.Contains(s, "refresh 1 of session 0: refresh token 3") || strings.Contains(s, "active") {
		t.Errorf("it does not say where it goes wrong: %s", s)
	}
}

// Too many orders to try are no proof.
func TestUndecided(t *testing.T) {
	ops := played(login(0))
	for range 40 {
		ops = append(ops, played(login(0), setRoles(Roles(len(ops))).lost())[1:]...)
	}
	ops = append(ops, played(login(0), refresh(1, 2, 2).saying(1<<40).after(30))[1:]...)
	if f := Check(ops, time.Millisecond); len(f) != 1 || !f[0].Undecided || !strings.Contains(f[0].String(), "too many") {
		t.Errorf("%v", f)
	}
}

func TestHistory(t *testing.T) {
	h := Begin()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			h.Do(Act{User: fmt.Sprint(i), Kind: Login}, func() (Outcome, bool) { return login(0).Outcome, true })
			h.Do(Act{User: fmt.Sprint(i), Kind: Disable}, func() (Outcome, bool) { return Outcome{}, false })
		})
	}
	all.Wait()
	h.Do(Act{User: "0", Kind: Revoke}, func() (Outcome, bool) {
		if ops := h.Operations(); len(ops) != 21 || ops[20].Known {
			t.Errorf("what is under way: %v", ops)
		}
		return Outcome{}, false
	})
	if len(h.Operations()) != 20 || len(Check(h.Operations(), time.Minute)) > 0 {
		t.Errorf("%v", h.Operations())
	}
}
