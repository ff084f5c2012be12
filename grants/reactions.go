package grants

import (
	"slices"

	"jeton/storage"
)

// Reaction is what a fact does to sessions and tokens.
type Reaction string

// The reactions. Each fact has those that make sense for it, see the lists
// below.
const (
	DoNothing          Reaction = "nothing"
	RevokeAccessTokens Reaction = "revoke_access_tokens" // sessions go on, and their next refresh tells the truth
	EndSession         Reaction = "end_session"
	EndOtherSessions   Reaction = "end_other_sessions" // all of the user but the one that did it
	EndAllSessions     Reaction = "end_all_sessions"   // all of the user
	EndSessions        Reaction = "end_sessions"       // all of the client, its own tokens too
	DisableUser        Reaction = "disable_user"
	DisableClient      Reaction = "disable_client"
)

// Reactions are the policies for facts that have several sane ones. One that is
// empty is the first of its list. What has no choice has no setting: who is
// disabled or deleted ends, and a spent refresh token always ends its session.
type Reactions struct {
	PasswordChange, PasswordReset,
	RolesLost, RolesGained,
	Logout, Reuse,
	ClientSecretChange, ClientNarrowed,
	AccountDisabled, AccountCompromised, ClientCompromised Reaction
}

// What each of [Reactions] may be, the default first.
var (
	OnPasswordChange     = []Reaction{EndOtherSessions, EndAllSessions, DoNothing}
	OnPasswordReset      = []Reaction{EndAllSessions, DoNothing}
	OnRolesLost          = []Reaction{RevokeAccessTokens, EndAllSessions, DoNothing}
	OnRolesGained        = []Reaction{DoNothing, RevokeAccessTokens}
	OnLogout             = []Reaction{EndSession, EndAllSessions}
	OnReuse              = []Reaction{EndSession, EndAllSessions}
	OnClientSecretChange = []Reaction{DoNothing, EndSessions}
	OnClientNarrowed     = []Reaction{RevokeAccessTokens, EndSessions, DoNothing}
	OnAccountDisabled    = []Reaction{DisableUser, EndAllSessions}
	OnAccountCompromised = []Reaction{EndAllSessions, DisableUser}
	OnClientCompromised  = []Reaction{DisableClient, EndSessions}
)

// To is the reaction that was set, or the default of a list.
func (r Reaction) To(choices []Reaction) Reaction {
	if r == "" {
		return choices[0]
	}
	return r
}

// Ending is what the reaction ends, nil for nothing. Where a session is to go on
// it is the one that e excepts.
func (r Reaction) Ending(e Ending) *Ending {
	switch r {
	case RevokeAccessTokens:
		e.AccessOnly, e.Except, e.ExceptBrowser = true, "", ""
	case EndOtherSessions:
	case EndAllSessions, EndSessions, DisableUser, DisableClient:
		e.Except, e.ExceptBrowser = "", ""
	default:
		return nil
	}
	return &e
}

// ToRoles is the reaction to a change of roles. Where some are lost and others
// gained, the loss decides, unless nothing follows from it.
func (r Reactions) ToRoles(before, after []string) Reaction {
	reaction := DoNothing
	if lacks(after, before) {
		reaction = r.RolesLost.To(OnRolesLost)
	}
	if reaction == DoNothing && lacks(before, after) {
		reaction = r.RolesGained.To(OnRolesGained)
	}
	return reaction
}

// ToClient is the reaction to a change of a client's settings: a token out there
// may say more than the client may be given now.
func (r Reactions) ToClient(s Settings, before, after storage.Client) Reaction {
	if lacks(after.Scopes, before.Scopes) || lacks(s.audience(after, nil), s.audience(before, nil)) {
		return r.ClientNarrowed.To(OnClientNarrowed)
	}
	return DoNothing
}

// lacks reports whether some member of all is not in have.
func lacks(have, all []string) bool {
	return slices.ContainsFunc(all, func(one string) bool { return !slices.Contains(have, one) })
}
