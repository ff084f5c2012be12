package grants

import (
	"context"
	"errors"
	"slices"

	"jeton/keys"
	"jeton/storage"
)

// Held are the tokens of a client that a browser sent in cookies, "" for none. A
// browser gets both by one answer. Where they name two sessions somebody else has
// put one of them there, such as another host of the domain: which one, nobody
// can tell by the tokens.
type Held struct{ Access, Refresh string }

// Jar is all that a browser sent under the two names, whoever put it there.
type Jar struct{ Access, Refresh []string }

// Dropped is what became of a jar. The cookies of a name under which there was
// nothing of this client, but something of another one, have to stay: this client
// knows nothing of them.
type Dropped struct {
	Revoked
	ForeignAccess, ForeignRefresh bool
}

// refreshClaimed and accessClaimed are what a token says if it is genuine, and
// nothing if it is not.
func (s *Service) refreshClaimed(ctx context.Context, token string) (c refreshClaims, err error) {
	if err := s.Keys.Parse(ctx, s.Now(), keys.UseRefresh, token, typRefresh, &c); err != nil {
		return refreshClaims{}, refuseDead(err, unknownToken)
	}
	return c, nil
}

func (s *Service) accessClaimed(ctx context.Context, token string) (accessClaims, error) {
	c, err := s.parseAccess(ctx, token)
	if err != nil || c.Issuer != s.Settings.Issuer || c.ExpiresAt == nil {
		return accessClaims{}, refuseDead(err, unknownToken)
	}
	return c, nil
}

// CheckHeld refuses a refresh token whose session is not that of the access token
// beside it: who goes on with it would silently become somebody else. Neither has
// to be alive for that, nor is anything spent or ended.
func (s *Service) CheckHeld(ctx context.Context, client storage.Client, h Held, from Source) error {
	if h.Access == "" || h.Refresh == "" {
		return nil
	}
	r, err := s.refreshClaimed(ctx, h.Refresh)
	if err != nil {
		return err
	}
	a, err := s.accessClaimed(ctx, h.Access)
	if err != nil {
		return err
	}
	if a.ClientID != client.ID || r.ClientID != client.ID || a.SessionID == "" || a.SessionID == r.SessionID {
		return nil
	}
	s.Log.WarnContext(ctx, "the cookies of a browser name two sessions, and it was not refreshed: did another host of the domain plant one?",
		"client_id", client.ID, "sid", r.SessionID, "other_sid", a.SessionID, "source", from.Address)
	return &Error{
		Code: InvalidGrant, Outcome: "two_sessions", Description: "the cookies are of two sessions: log in again",
		Cause: errors.New("the session of the access token is " + a.SessionID), Subject: r.Subject, Session: r.SessionID,
	}
}

// DropHeld is the logout of a browser: it ends each session of this client that a
// token of the jar names, as a rule one. Which of them is the visitor's nobody can
// tell, and whoever planted another had its token, which is enough to end it. What
// is unknown, over or another client's is left alone, and no error: nobody must be
// able to keep a visitor from logging out by it.
func (s *Service) DropHeld(ctx context.Context, client storage.Client, j Jar, from Source) (Dropped, error) {
	return s.dropHeld(ctx, client, j, from, func(ses storage.Session, e Ending) error {
		_, _, err := s.Logout(ctx, ses, e)
		return err
	})
}

// ReplaceHeld ends the same, because somebody has logged in anew in that browser
// and its cookies are overwritten. No user has left, so it ends no more than that,
// whatever a logout does.
func (s *Service) ReplaceHeld(ctx context.Context, client storage.Client, h Held, from Source) error {
	_, err := s.dropHeld(ctx, client, Jar{[]string{h.Access}, []string{h.Refresh}}, from, func(ses storage.Session, e Ending) error {
		e.Note = "somebody logged in anew in the same browser"
		_, err := s.endSession(ctx, ses.Subject, ses.ID, e)
		return err
	})
	return err
}

// ender ends one session.
type ender func(storage.Session, Ending) error

// heldToken is a token found in a jar: whose it is, and what ends its session.
type heldToken struct {
	clientID string
	end      func() (Revoked, error)
}

func (s *Service) dropHeld(ctx context.Context, client storage.Client, j Jar, from Source, end ender) (d Dropped, err error) {
	e := Ending{Reason: storage.ReasonRevoked, By: "client:" + client.ID, Source: from.Address}
	refresh, err := eachOf(j.Refresh, func(token string) (heldToken, error) {
		c, err := s.refreshClaimed(ctx, token)
		return heldToken{c.ClientID, func() (Revoked, error) { return s.endOfRefresh(ctx, c, e, end) }}, err
	})
	if err != nil {
		return d, err
	}
	access, err := eachOf(j.Access, func(token string) (heldToken, error) {
		c, err := s.accessClaimed(ctx, token)
		return heldToken{c.ClientID, func() (Revoked, error) { return s.endOfAccess(ctx, c, e, end) }}, err
	})
	if err != nil {
		return d, err
	}
	d.ForeignRefresh, d.ForeignAccess = foreign(refresh, client.ID), foreign(access, client.ID)
	var owner string  // another client whose cookie is there
	var more []string // sessions that ended too
	for _, found := range append(refresh, access...) {
		if found.clientID != client.ID {
			owner = found.clientID
			continue
		}
		done, err := found.end()
		switch {
		case err != nil:
			return d, err
		case done == (Revoked{}):
			continue
		case d.Revoked != (Revoked{}):
			more = append(more, d.Session)
		}
		d.Revoked = done
	}
	if owner != "" {
		s.warnForeign(ctx, client, owner, from)
	}
	if len(more) > 0 {
		s.Log.WarnContext(ctx, "the cookies of a browser named several sessions, and all of them were ended: did another host of the domain plant one?",
			"client_id", client.ID, "sid", d.Session, "other_sids", more, "source", from.Address)
	}
	return d, nil
}

// eachOf finds out what the tokens of one name are, without those that are none.
func eachOf(tokens []string, parse func(string) (heldToken, error)) (found []heldToken, err error) {
	for _, token := range tokens {
		if token == "" {
			continue
		}
		f, err := parse(token)
		if err != nil {
			return nil, err
		}
		if f.clientID != "" {
			found = append(found, f)
		}
	}
	return found, nil
}

// foreign reports whether what was found is of other clients alone.
func foreign(found []heldToken, clientID string) bool {
	return len(found) > 0 && !slices.ContainsFunc(found, func(f heldToken) bool { return f.clientID == clientID })
}

// endOfAccess ends the session of an access token that has not expired: an old one
// that somebody finds must be worth nothing, not even this. One that was revoked
// alone, since its user lost a role for example, is still what the browser holds.
func (s *Service) endOfAccess(ctx context.Context, c accessClaims, e Ending, end ender) (Revoked, error) {
	if c.SessionID == "" {
		return Revoked{}, nil
	}
	ses, now, err := s.unended(ctx, c.Subject, c.SessionID)
	if err != nil || !ses.Exists() || ses.Value.ClientID != c.ClientID || !now.Before(c.ExpiresAt.Time) {
		return Revoked{}, err
	}
	return Revoked{c.Subject, c.SessionID}, end(ses.Value, e)
}
