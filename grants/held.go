package grants

import (
	"context"
	"errors"

	"jeton/keys"
	"jeton/storage"
)

// Held are the tokens of a client that a browser sent in cookies, "" for none. A
// browser gets both by one answer. Where they name two sessions somebody else has
// put one of them there, such as another host of the domain: which one, nobody
// can tell by the tokens.
type Held struct{ Access, Refresh string }

// Dropped is what became of what a browser held. Of another client are the cookies
// that have to stay, for this client knows nothing of them.
type Dropped struct {
	Revoked
	ForeignAccess, ForeignRefresh bool
}

// claimed is what the tokens of a browser say, each only where it is genuine.
type claimed struct {
	access  accessClaims
	refresh refreshClaims
}

func (s *Service) claimsOf(ctx context.Context, h Held) (c claimed, err error) {
	if h.Refresh != "" {
		if err := s.Keys.Parse(ctx, s.Now(), keys.UseRefresh, h.Refresh, typRefresh, &c.refresh); err != nil {
			c.refresh = refreshClaims{}
			if err = refuseDead(err, unknownToken); err != nil {
				return c, err
			}
		}
	}
	if h.Access != "" {
		if c.access, err = s.parseAccess(ctx, h.Access); err != nil || c.access.Issuer != s.Settings.Issuer || c.access.ExpiresAt == nil {
			c.access = accessClaims{}
		}
	}
	return c, refuseDead(err, unknownToken)
}

// CheckHeld refuses a refresh token whose session is not that of the access token
// beside it: who goes on with it would silently become somebody else. Neither has
// to be alive for that, nor is anything spent or ended.
func (s *Service) CheckHeld(ctx context.Context, client storage.Client, h Held, from Source) error {
	if h.Access == "" || h.Refresh == "" {
		return nil
	}
	c, err := s.claimsOf(ctx, h)
	if err != nil {
		return err
	}
	a, r := c.access, c.refresh
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

// DropHeld is the logout of a browser: it ends the session of the refresh token,
// and that of the access token, which as a rule is the same. What is unknown, or
// over, is no error; that all of it is another client's is one.
func (s *Service) DropHeld(ctx context.Context, client storage.Client, h Held, from Source) (Dropped, error) {
	return s.dropHeld(ctx, client, h, from, func(ses storage.Session, e Ending) error {
		_, _, err := s.Logout(ctx, ses, e)
		return err
	})
}

// ReplaceHeld ends the same, because somebody has logged in anew in that browser
// and its cookies are overwritten. No user has left, so it ends no more than that,
// whatever a logout does.
func (s *Service) ReplaceHeld(ctx context.Context, client storage.Client, h Held, from Source) error {
	_, err := s.dropHeld(ctx, client, h, from, func(ses storage.Session, e Ending) error {
		e.Note = "somebody logged in anew in the same browser"
		_, err := s.endSession(ctx, ses.Subject, ses.ID, e)
		return err
	})
	return err
}

// ender ends one session.
type ender func(storage.Session, Ending) error

func (s *Service) dropHeld(ctx context.Context, client storage.Client, h Held, from Source, end ender) (d Dropped, err error) {
	c, err := s.claimsOf(ctx, h)
	if err != nil {
		return d, err
	}
	ours := c.refresh.ClientID == client.ID || c.access.ClientID == client.ID
	d.ForeignRefresh = c.refresh.ClientID != "" && c.refresh.ClientID != client.ID
	d.ForeignAccess = c.access.ClientID != "" && c.access.ClientID != client.ID
	if d.ForeignRefresh || d.ForeignAccess {
		owner := c.access.ClientID
		if d.ForeignRefresh {
			owner = c.refresh.ClientID
		}
		if err := s.refuseForeign(ctx, client, owner, from); !ours {
			return d, err
		}
	}
	e := Ending{Reason: storage.ReasonRevoked, By: "client:" + client.ID, Source: from.Address}
	if c.refresh.ClientID == client.ID {
		if d.Revoked, err = s.endOfRefresh(ctx, c.refresh, e, end); err != nil {
			return d, err
		}
	}
	if c.access.ClientID == client.ID && c.access.SessionID != "" {
		var too Revoked
		if too, err = s.endOfAccess(ctx, c.access, e, end); too == (Revoked{}) {
			return d, err
		}
		if d.Revoked != (Revoked{}) && too != d.Revoked {
			s.Log.WarnContext(ctx, "the cookies of a browser named two sessions, and both were ended: did another host of the domain plant one?",
				"client_id", client.ID, "sid", d.Session, "other_sid", too.Session, "source", from.Address)
		}
		d.Revoked = too
	}
	return d, err
}

// endOfAccess ends the session of an access token that has not expired: an old one
// that somebody finds must be worth nothing, not even this. One that was revoked
// alone, since its user lost a role for example, is still what the browser holds.
func (s *Service) endOfAccess(ctx context.Context, c accessClaims, e Ending, end ender) (Revoked, error) {
	ses, now, err := s.unended(ctx, c.Subject, c.SessionID)
	if err != nil || !ses.Exists() || ses.Value.ClientID != c.ClientID || !now.Before(c.ExpiresAt.Time) {
		return Revoked{}, err
	}
	return Revoked{c.Subject, c.SessionID}, end(ses.Value, e)
}
