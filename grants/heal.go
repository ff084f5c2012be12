package grants

import (
	"context"
	"errors"
	"slices"
	"time"

	"jeton/events"
	"jeton/storage"
)

// mostHealed is how many generations a session may be behind one of its refresh
// tokens: far more than a failover loses, far less than an old copy of a store.
const mostHealed = 1000

// authorizeAhead decides about a refresh token that is ahead of its session. Both
// its MACs are right, so this server made it, and the store has gone back in
// time.
//
// A store that says of itself that it may lose writes has lost the rotations in
// between, in a failover for example. The session goes forward to where its
// client is: the tokens of before are spent, as they were. Where somebody has
// used one of them first the generations are equal and the rotations are not: a
// fork, which ends the session like any token that comes back.
//
// With any other store it was an old copy that was put back, and what that says
// of older tokens is not to be trusted.
func (s *Service) authorizeAhead(ctx context.Context, p presented) (Authorization, error) {
	ses, gen := p.session.Value, p.claims.Generation
	mayLose := len(s.Store.Durability().Weaknesses) > 0
	if !mayLose || gen-ses.Generation > mostHealed {
		s.Log.ErrorContext(ctx, "a refresh token is ahead of the store: was an old copy of the store put back? Ending the session",
			"sid", ses.ID, "stored_generation", ses.Generation, "presented_generation", gen)
		return nil, s.endForReuse(ctx, p, storage.ReasonLostWrite)
	}
	if !p.now.Before(p.claims.ExpiresAt.Time) {
		return nil, badRefreshToken(errors.New("expired"))
	}
	s.Log.WarnContext(ctx, "a refresh token is ahead of the store, which has lost writes: its session goes on from there",
		"sid", ses.ID, "stored_generation", ses.Generation, "presented_generation", gen)
	e := events.New(events.LostWrite, p.now)
	e.Subject, e.Session, e.ClientID, e.Actor, e.Source = ses.Subject, ses.ID, ses.ClientID, "server", p.req.Source.Address
	p.healed = []storage.Put{events.Put(e)}
	p.session.Value = forward(ses, p)
	return s.authorizeRotation(ctx, p)
}

// forward is the session as the lost rotation left it, as far as its refresh
// token tells. The access token that went with it is among the live ones again,
// so that it ends with the session.
func forward(ses storage.Session, p presented) storage.Session {
	ses.Generation, ses.RotID, ses.PrevRotID = p.claims.Generation, p.rotID, nil
	ses.UnconfirmedUntil = time.Time{}
	if at := p.claims.AccessExpires; at != nil && p.now.Before(at.Time) && !slices.ContainsFunc(ses.Live, func(l storage.LiveAccess) bool { return l.ID == p.claims.AccessID }) {
		ses.Live = append(slices.Clone(ses.Live), storage.LiveAccess{ID: p.claims.AccessID, Expires: at.UTC()})
	}
	return ses
}

// confirm makes sure of a session that was found as it is before somebody is told.
func (s *Service) confirm(ctx context.Context, ses storage.Record[storage.Session]) error {
	return s.Store.Confirm(ctx, storage.UserPartition(ses.Value.Subject), ses.Check(storage.SessionKey(ses.Value.ID)))
}
