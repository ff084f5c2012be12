package grants

import (
	"context"
	"errors"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// Access is a live access token.
type Access struct {
	TokenID, Subject, SessionID, ClientID, Scope string
	Roles, Audience, AMR                         []string
	// ACR is how the user signed in at the pages.
	ACR                       string
	Issued, Expires, AuthTime time.Time
	// Thumbprint is that of the key it is bound to, empty for none.
	Thumbprint string
	// Actor is who acts for the user, nil for nobody.
	Actor *Actor
	// User is the record of the user, zero for a client's own token.
	User storage.User
}

// mostAhead is how far in the future a token may have been issued: clocks of
// nodes differ, but not by a minute.
const mostAhead = time.Minute

// VerifyAccess checks an access token against the truth in the store: what it
// says, and whether it, its session, its user and its client still stand. A
// token that does not is an [Error] with code invalid_token.
func (s *Service) VerifyAccess(ctx context.Context, token string) (Access, error) {
	c, err := s.parseAccess(ctx, token)
	if err != nil {
		return Access{}, refuseDead(err, badAccessToken)
	}
	a := Access{
		TokenID: c.ID, Subject: c.Subject, SessionID: c.SessionID, ClientID: c.ClientID, Scope: c.Scope,
		Roles: c.Roles, Audience: c.Audience, AMR: c.AMR, ACR: c.ACR, Actor: c.Actor,
	}
	if c.Issuer != s.Settings.Issuer || c.ExpiresAt == nil || c.IssuedAt == nil {
		return a, badAccessToken(errors.New("not a token of this issuer"))
	}
	if c.Confirm != nil {
		a.Thumbprint = c.Confirm.Thumbprint
	}
	a.Issued, a.Expires = c.IssuedAt.Time, c.ExpiresAt.Time
	if c.AuthTime != nil {
		a.AuthTime = c.AuthTime.Time
	}
	var now time.Time
	if c.SessionID == "" {
		now, err = s.verifyMachine(ctx, c)
	} else {
		a.User, now, err = s.verifySession(ctx, c)
	}
	switch {
	case err != nil:
		return a, refuseDead(err, badAccessToken)
	case !now.Before(a.Expires):
		return a, badAccessToken(errors.New("expired"))
	case a.Issued.After(now.Add(mostAhead)), c.NotBefore != nil && c.NotBefore.After(now.Add(mostAhead)):
		return a, badAccessToken(errors.New("issued in the future"))
	}
	return a, nil
}

func (s *Service) verifySession(ctx context.Context, c accessClaims) (storage.User, time.Time, error) {
	ses, user, now, err := s.Store.SessionAndUser(ctx, c.Subject, c.SessionID)
	if err != nil {
		return user.Value, now, err
	}
	if err := s.alive(ctx, ses, user, now); err != nil {
		return user.Value, now, err
	}
	client, _, err := s.records(ctx, ses.Value)
	if err != nil {
		return user.Value, now, err
	}
	if !isLive(ses.Value, accessEpoch(user.Value, client.Value), c.ID) {
		return user.Value, now, dead("revoked, or pushed out by newer ones")
	}
	if c.ClientID != ses.Value.ClientID { // exchanged: its own client must stand too
		now, err = s.verifyMachine(ctx, c)
	}
	return user.Value, now, err
}

// verifyMachine checks a token whose index is from a block of its client: of the block, and of
// the token itself, no revocation may be known.
func (s *Service) verifyMachine(ctx context.Context, c accessClaims) (time.Time, error) {
	place, ok := status.PlaceOf(c.ID)
	if !ok {
		return time.Time{}, dead("no place in a status list")
	}
	snap, err := s.Store.Read(ctx, storage.ClientPartition(c.ClientID),
		storage.ClientKey(c.ClientID), status.BlockKey(place), storage.Key{Kind: storage.KindRevoked, ID: c.ID})
	if err != nil {
		return time.Time{}, err
	}
	client, err := storage.Decode[storage.Client](snap.Rows[0])
	if err != nil {
		return snap.Now, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return snap.Now, err
	}
	block, err := storage.Decode[storage.StatusBlock](snap.Rows[1])
	if err == nil && block.Value.Epoch > status.Epoch(client.Value, system.Value) {
		system, err = s.Store.System(ctx) // the block may be younger than the cache
	}
	switch {
	case err != nil:
		return snap.Now, err
	case !client.Exists() || client.Value.Disabled:
		return snap.Now, dead("the client is disabled or gone")
	case !block.Exists() || block.Value.Epoch != status.Epoch(client.Value, system.Value):
		return snap.Now, dead("ended together with others of the client")
	case snap.Rows[2].Version != 0:
		return snap.Now, dead("revoked")
	}
	return snap.Now, nil
}

// Introspect is RFC 7662 for access tokens: what the caller may know of one.
// ok is false for every other token, whatever the reason, and for one that the
// caller is not entitled to, so that nothing can be learnt from the difference.
func (s *Service) Introspect(ctx context.Context, caller storage.Client, token string) (a Access, ok bool, err error) {
	a, err = s.VerifyAccess(ctx, token)
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return Access{}, false, nil
	case err != nil:
		return Access{}, false, err
	case a.ClientID != caller.ID && !caller.Introspect:
		return Access{}, false, nil
	}
	return a, true, nil
}
