package grants

import (
	"context"
	"slices"
	"time"

	"jeton/events"
	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
)

// Revoked says what a revocation has ended: with neither member, nothing.
type Revoked struct{ Subject, Session string }

// Revoke is RFC 7009 §2: the client takes back a token of its own. A refresh
// token ends its session, whichever generation it is of; an access token ends
// alone and leaves the session and its siblings. That a token is unknown,
// expired or revoked already is no error; that it is another client's is one,
// and changes nothing.
func (s *Service) Revoke(ctx context.Context, client storage.Client, token string, from Source) (Revoked, error) {
	var refresh refreshClaims
	err := s.Keys.Parse(ctx, s.Now(), keys.UseRefresh, token, typRefresh, &refresh)
	if err == nil {
		return s.revokeRefresh(ctx, client, refresh, from)
	}
	if err = refuseDead(err, unknownToken); err != nil {
		return Revoked{}, err
	}
	var access accessClaims
	err = s.Keys.Parse(ctx, s.Now(), keys.UseSig, token, typAccess, &access)
	switch {
	case err != nil:
		return Revoked{}, refuseDead(err, unknownToken)
	case access.Issuer != s.Settings.Issuer, access.ExpiresAt == nil:
		return Revoked{}, nil
	case access.ClientID != client.ID:
		return Revoked{}, s.refuseForeign(ctx, client, access.ClientID, from)
	case access.SessionID == "":
		return s.revokeMachine(ctx, access)
	}
	return s.revokeAccess(ctx, access)
}

// unknownToken is what revocation says of a token that it cannot place: nothing
// (RFC 7009 §2.2).
func unknownToken(error) error { return nil }

func (s *Service) refuseForeign(ctx context.Context, client storage.Client, owner string, from Source) error {
	s.warnForeign(ctx, client, owner, from)
	return fail(InvalidGrant, "the token was issued to another client", nil)
}

func (s *Service) warnForeign(ctx context.Context, client storage.Client, owner string, from Source) {
	s.Log.WarnContext(ctx, "a client tried to revoke the token of another client; nothing was changed",
		"client_id", client.ID, "owner", owner, "source", from.Address)
}

func (s *Service) revokeRefresh(ctx context.Context, client storage.Client, c refreshClaims, from Source) (Revoked, error) {
	if c.ClientID != client.ID {
		return Revoked{}, s.refuseForeign(ctx, client, c.ClientID, from)
	}
	e := Ending{Reason: storage.ReasonRevoked, By: "client:" + client.ID, Source: from.Address}
	return s.endOfRefresh(ctx, c, e, func(ses storage.Session, e Ending) error {
		_, _, err := s.Logout(ctx, ses, e)
		return err
	})
}

// endOfRefresh ends the session of a refresh token, whichever generation it is of.
func (s *Service) endOfRefresh(ctx context.Context, c refreshClaims, e Ending, end ender) (Revoked, error) {
	ses, _, err := s.unended(ctx, c.Subject, c.SessionID)
	if err != nil || !ses.Exists() {
		return Revoked{}, err
	}
	secret, err := s.openSecret(ses.Value)
	if err != nil {
		return Revoked{}, err
	}
	if _, ok := checkRefreshTokenID(secret, c); !ok {
		return Revoked{}, nil
	}
	return Revoked{c.Subject, c.SessionID}, end(ses.Value, e)
}

// unended reads a session that is to be ended, and the time. Of one that has ended,
// and will stay so, there is none.
func (s *Service) unended(ctx context.Context, sub, sid string) (ses storage.Record[storage.Session], now time.Time, err error) {
	err = retryConflicts(func() (err error) {
		ses, _, now, err = s.Store.SessionAndUser(ctx, sub, sid)
		if err != nil || ses.Value.Ended == nil {
			return err
		}
		return s.confirm(ctx, ses)
	})
	if ses.Value.Ended != nil {
		ses = storage.Record[storage.Session]{}
	}
	return ses, now, err
}

// revokeAccess takes one access token out of its session.
func (s *Service) revokeAccess(ctx context.Context, c accessClaims) (done Revoked, err error) {
	err = retryConflicts(func() error {
		rec, _, now, err := s.Store.SessionAndUser(ctx, c.Subject, c.SessionID)
		if err != nil || !rec.Exists() {
			return err
		}
		ses := rec.Value
		i := slices.IndexFunc(ses.Live, func(l storage.LiveAccess) bool { return l.ID == c.ID })
		lost := i < 0 && len(s.Store.Durability().Weaknesses) > 0 && now.Before(c.ExpiresAt.Time)
		if ses.Ended != nil || i < 0 && !lost {
			return s.confirm(ctx, rec)
		}
		var puts []storage.Put
		if lost { // perhaps the session has forgotten the rotation that made it
			puts = revokedPut(storage.LiveAccess{ID: c.ID, Expires: c.ExpiresAt.Time}, now)
		} else {
			puts = revokedPut(ses.Live[i], now)
			ses.Live = slices.Delete(slices.Clone(ses.Live), i, i+1)
		}
		e := events.New(events.TokenRevoked, now)
		e.Subject, e.Session, e.ClientID, e.Actor = ses.Subject, ses.ID, c.ClientID, "client:"+c.ClientID
		e.Note = "jti " + c.ID
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(ses.Subject),
			Checks:    []storage.Check{rec.Check(storage.SessionKey(ses.ID))},
			Puts:      append(puts, sessionPut(ses, nil), events.Put(e)),
		})
		done = Revoked{ses.Subject, ses.ID}
		return err
	})
	return done, err
}

// revokeMachine revokes a token that has no session. The row of its place is
// all there is to write.
func (s *Service) revokeMachine(ctx context.Context, c accessClaims) (done Revoked, err error) {
	key, p := status.RevokedKey(c.ID), storage.ClientPartition(c.ClientID)
	err = retryConflicts(func() error {
		snap, err := s.Store.Read(ctx, p, key)
		if err != nil || !snap.Now.Before(c.ExpiresAt.Time) {
			return err
		}
		if snap.Rows[0].Version != 0 { // revoked already
			return s.Store.Confirm(ctx, p, storage.Check{Key: key, Version: snap.Rows[0].Version})
		}
		put, ok := status.RevokedPut(c.ID, snap.Now, c.ExpiresAt.Time)
		if !ok {
			return nil
		}
		e := events.New(events.TokenRevoked, snap.Now)
		e.Subject, e.ClientID, e.Actor = c.Subject, c.ClientID, "client:"+c.ClientID
		e.Note = "jti " + c.ID
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: p, Checks: []storage.Check{{Key: key}}, Puts: []storage.Put{put, events.Put(e)},
		})
		done = Revoked{Subject: c.Subject}
		return err
	})
	return done, err
}
