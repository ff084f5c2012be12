// Package history holds what clients of several servers saw, and finds out
// whether one server without faults could have answered so: whether there is an
// order of all that was asked in which each answer is right (linearizability).
//
// The rules of that one server are in session.go and user.go, the search is
// porcupine's. Who asks, and what is done to the servers meanwhile, is left to
// others.
package history

import (
	"math"
	"sync"
	"time"
)

// Kind is what was asked.
type Kind string

// The kinds. All but the last four are about one session.
const (
	Login        Kind = "login"         // begins a session
	Refresh      Kind = "refresh"       // with a refresh token
	Revoke       Kind = "revoke"        // a refresh token: the session ends
	RevokeAccess Kind = "revoke access" // one access token alone
	Active       Kind = "active"        // introspection of an access token
	RevokeAll    Kind = "revoke all"    // sessions of the user
	Disable      Kind = "disable"       // the user, whose sessions end
	Enable       Kind = "enable"        // the user
	SetRoles     Kind = "set roles"     // of the user
)

// Roles is a set of roles, a bit for each.
type Roles uint64

// FirstRoles are those that a user has at first.
const FirstRoles Roles = 1

// MostAccess bounds the numbers of access tokens of one session, from 1 on. A
// server revokes the oldest of many by itself, which is not among the rules
// here, so no session should have more.
const MostAccess = 31

// Act is what was asked. Sessions are numbered from 0 within their user, refresh
// tokens and access tokens from 1 within their session: in whatever order, but
// the same token has the same number.
type Act struct {
	User    string
	Kind    Kind
	Session int
	// Token is a refresh token, of [RevokeAccess] and [Active] an access token.
	Token int
	// Roles are those that [SetRoles] gives.
	Roles Roles
	// Window is for how long the client that logs in may retry a refresh.
	Window time.Duration
}

// Outcome is what came back.
type Outcome struct {
	// Known: there was an answer, yes or no. Where it was lost, or said that
	// nothing can be said now (503), anything may have happened, later too.
	Known bool
	// OK is a yes: done, or active.
	OK bool
	// Token and Access are what a login or a refresh brought, Roles what the
	// access token says.
	Token, Access int
	Roles         Roles
}

// Operation is an act with what came of it, and when, since the history began.
type Operation struct {
	Act
	Outcome
	Call, Return time.Duration
}

// History collects operations. It is safe for concurrent use.
type History struct {
	begun time.Time

	mu  sync.Mutex
	ops []kept
}

// kept is an operation, and whether it turned out that nobody was asked.
type kept struct {
	Operation
	unasked bool
}

// Begin begins an empty one.
func Begin() *History { return &History{begun: time.Now()} }

// Now is the time of the history.
func (h *History) Now() time.Duration { return time.Since(h.begun) }

// Do asks, and keeps what came of it, unless it turns out that nobody was asked.
func (h *History) Do(a Act, ask func() (o Outcome, asked bool)) Outcome {
	h.mu.Lock()
	n := len(h.ops)
	h.ops = append(h.ops, kept{Operation: Operation{Act: a, Call: h.Now(), Return: math.MaxInt64}})
	h.mu.Unlock()
	out, asked := ask()
	h.mu.Lock()
	defer h.mu.Unlock()
	op := &h.ops[n]
	op.Outcome, op.Return, op.unasked = out, h.Now(), !asked
	return out
}

// Operations are those so far. Of those that are under way nothing is known, and
// they may have been done.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ops []Operation
	for _, op := range h.ops {
		if !op.unasked {
			ops = append(ops, op.Operation)
		}
	}
	return ops
}
