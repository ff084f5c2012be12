package history

import "slices"

// user is the truth about one and all sessions, which is what one server keeps
// in one place and changes at one moment. A value is never changed, but copied.
type user struct {
	disabled bool
	roles    Roles
	sessions []session
}

func (u user) equal(v user) bool {
	return u.disabled == v.disabled && u.roles == v.roles && slices.Equal(u.sessions, v.sessions)
}

// operation is one of which nothing may have come back, by its number.
type operation struct {
	Operation
	id int
}

// step is the user after an operation, and whether that could end as it did.
func (u user) step(op operation) (user, bool) {
	switch op.Kind {
	case RevokeAll:
		return u.each(session.end), true
	case Disable:
		u = u.each(session.end)
		u.disabled = true
		return u, true
	case Enable:
		u.disabled = false
		return u, true
	case SetRoles:
		return u.given(op.Act.Roles), true
	case Login:
		return u.login(op)
	}
	s, ok := u.session(op.Session).step(op, u.roles)
	return u.with(op.Session, s), ok
}

// step is the session after an operation on it alone.
func (s session) step(op operation, roles Roles) (session, bool) {
	switch op.Kind {
	case Refresh:
		return s.refreshed(op, roles)
	case Revoke:
		return s.end(), true
	case RevokeAccess:
		s.live &^= 1 << op.Act.Token
		return s, true
	}
	return s, op.OK == (s.live>>op.Act.Token&1 == 1) // Active
}

// login begins a session. The password is the right one, so only a user who is
// disabled is refused.
func (u user) login(op operation) (user, bool) {
	switch {
	case !op.OK:
		return u, u.disabled
	case u.disabled || op.Outcome.Roles != u.roles || u.session(op.Session).begun:
		return u, false
	}
	s := session{begun: true, window: op.Window, cur: op.Outcome.Token}
	return u.with(op.Session, s.issued(op.Access, u.roles)), true
}

// given is the user with other roles. Access tokens that say a role which is
// lost are revoked; the sessions go on.
func (u user) given(roles Roles) user {
	if u.roles&^roles != 0 {
		u = u.each(func(s session) session {
			s.live = 0
			return s
		})
	}
	u.roles = roles
	return u
}

func (u user) session(n int) session {
	if n >= len(u.sessions) {
		return session{}
	}
	return u.sessions[n]
}

func (u user) with(n int, s session) user {
	if u.session(n) == s {
		return u
	}
	u.sessions = slices.Clone(u.sessions)
	for len(u.sessions) <= n {
		u.sessions = append(u.sessions, session{})
	}
	u.sessions[n] = s
	return u
}

// each changes the sessions that have begun. Those that have not are of logins
// that are still to come.
func (u user) each(change func(session) session) user {
	u.sessions = slices.Clone(u.sessions)
	for i, s := range u.sessions {
		if s.begun {
			u.sessions[i] = change(s)
		}
	}
	return u
}
