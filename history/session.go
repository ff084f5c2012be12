package history

import (
	"math"
	"time"
)

// session is the truth about one.
type session struct {
	begun, ended bool
	window       time.Duration
	// cur and prev are refresh tokens: the one that counts, and the one that
	// brought it. Below 0 is one that nobody has seen.
	cur, prev int
	// lost: nobody may have got cur, and the server may know it, so that prev
	// still brings it (promise 5).
	lost bool
	// asked and answered enclose the moment of the rotation.
	asked, answered time.Duration
	// access went with cur, 0 if nobody has seen it, and says roles.
	access int
	roles  Roles
	live   uint64 // access tokens, a bit for each
}

// slack is how far two clocks may differ within a retry window.
const slack = 100 * time.Millisecond

func (s session) end() session {
	s.ended, s.live = true, 0
	return s
}

// issued notes an access token that was answered.
func (s session) issued(access int, roles Roles) session {
	s.access, s.roles = access, roles
	s.live |= 1 << access
	return s
}

// refreshed is the session after a refresh, and whether it could end so. roles
// are those that the user has.
func (s session) refreshed(op operation, roles Roles) (session, bool) {
	switch {
	case !op.Known:
		return s.perhaps(op), true
	case !op.OK:
		return s.refused(op)
	case !s.begun || s.ended || op.Outcome.Roles != roles:
		return s, false // of a dead session, or with roles that are not the user's
	case op.Act.Token == s.cur:
		return s.rotated(op).issued(op.Access, roles), op.Outcome.Token != s.cur
	case op.Act.Token == s.prev && (s.cur < 0 || s.cur == op.Outcome.Token) && s.mayRetry(op):
		if s.access > 0 && s.live>>s.access&1 == 1 && s.roles == roles && s.access != op.Access {
			return s, false // what it brings is the same, unless the truth has changed
		}
		s.cur = op.Outcome.Token
		return s.issued(op.Access, roles), true
	}
	return s, false // a second branch, or a token that was spent
}

func (s session) rotated(op operation) session {
	s.prev, s.cur, s.lost = op.Act.Token, op.Outcome.Token, false
	s.asked, s.answered = op.Call, op.Return
	return s
}

// perhaps is what a refresh does of which nothing came back, whenever it does.
func (s session) perhaps(op operation) session {
	switch {
	case s.ended:
		return s
	case op.Act.Token == s.cur:
		s = s.rotated(op)
		s.cur, s.lost, s.access, s.answered = -op.id, true, 0, math.MaxInt64
		return s
	case s.mustRetry(op):
		return s
	}
	return s.end()
}

// refused is a refresh that was answered with no: the token was spent, and the
// session is over for that.
func (s session) refused(op operation) (session, bool) {
	switch {
	case s.ended:
		return s, true
	case op.Act.Token == s.cur, s.mustRetry(op):
		return s, false // a token that counts was refused
	}
	return s.end(), true
}

// mayRetry: the retry window may still be open.
func (s session) mayRetry(op operation) bool {
	return s.lost || s.window > 0 && op.Call-s.answered < s.window+slack
}

// mustRetry: it is open for sure.
func (s session) mustRetry(op operation) bool {
	return op.Act.Token == s.prev && s.window > 0 && op.Return-s.asked < s.window-slack
}
