package grants

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"jeton/events"
	"jeton/events/status"
	"jeton/storage"
)

// mostLive is how many unexpired access tokens of its own a session may have: the next
// one revokes the oldest. It bounds the record and what ending a session costs.
const mostLive = 32

// keepEnded is how long the record of a session outlives its last token, so
// that "why was I logged out" has an answer.
const keepEnded = 7 * storage.Day

// alive says why no token may be minted from a session, or shown to an API, or
// nil.
func (s *Service) alive(ctx context.Context, ses storage.Record[storage.Session], user storage.Record[storage.User], now time.Time) error {
	if !ses.Exists() { // a key may verify for longer than a session is remembered
		return dead("no such session")
	}
	cause, err := s.Over(ctx, ses.Value, user)
	switch {
	case err != nil:
		return err
	case cause != "":
		return dead(cause)
	case !now.Before(ses.Value.End):
		return dead("the session has reached its absolute end")
	}
	return nil
}

// Over says what has ended a session before its time, or "". It is the one place
// that knows, also before the sweep of a large ending has reached the record.
func (s *Service) Over(ctx context.Context, ses storage.Session, user storage.Record[storage.User]) (cause string, err error) {
	client, system, err := s.records(ctx, ses)
	if err != nil {
		return "", err
	}
	switch {
	case ses.Ended != nil:
		return "the session ended: " + ses.Ended.Reason, nil
	case !user.Exists():
		return "the user is gone", nil
	case user.Value.Disabled:
		return "the user is disabled", nil
	case !client.Exists() || client.Value.Disabled:
		return "the client is disabled or gone", nil
	case ses.UserEpoch != user.Value.Epoch, ses.ClientEpoch != client.Value.Epoch, ses.SystemEpoch != system.Value.Epoch:
		return "the session was ended together with others", nil
	}
	return "", nil
}

// records are the client of a session and the system record, a second old at
// most. A session that is ahead of them was begun, or changed, under records that
// this process has not seen yet: it would pass for ended, and its user be logged
// out, for no other reason than which process was asked.
func (s *Service) records(ctx context.Context, ses storage.Session) (storage.Record[storage.Client], storage.Record[storage.System], error) {
	client, err := s.Store.CachedClient(ctx, ses.ClientID)
	if err != nil {
		return client, storage.Record[storage.System]{}, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil || !client.Exists() {
		return client, system, err
	}
	if client.Value.Epoch < ses.ClientEpoch || system.Value.Epoch < ses.SystemEpoch || client.Value.AccessEpoch < clientPart(ses.AccessEpoch) {
		return s.Store.Renew(ctx, ses.ClientID)
	}
	return client, system, nil
}

// newAccess puts a fresh access token for the session's audience into its record
// and returns the rows of tokens that had to make room.
func (s *Service) newAccess(ctx context.Context, ses *storage.Session, client storage.Client, user storage.User, scope string, now time.Time) ([]storage.Put, error) {
	issued := seconds(now)
	expires := earlier(issued.Add(lifetime(client.AccessTokenTTL, s.Settings.AccessTokenTTL)), seconds(ses.End))
	place, err := s.Places.Next(ctx, now, expires)
	if err != nil {
		return nil, err
	}
	ses.Access = storage.IssuedAccess{
		ID: status.NewTokenID(place), Issued: issued, Expires: expires, Scope: scope, Roles: slices.Clone(user.Roles),
		Thumbprint: ses.Access.Thumbprint, // see bind
	}
	revoked := endAccess(ses, accessEpoch(user, client), now)
	ses.Live = append(unexpired(ses.Live, now), storage.LiveAccess{ID: ses.Access.ID, Expires: expires})
	return append(revoked, pushOut(ses, mostLive, false, now)...), nil
}

// pushOut revokes the oldest access tokens that are too many, of the session's
// own or of those that were exchanged for one. Live must be the caller's slice.
func pushOut(ses *storage.Session, most int, exchanged bool, now time.Time) (revoked []storage.Put) {
	n := 0
	for _, l := range ses.Live {
		if (l.ClientID != "") == exchanged {
			n++
		}
	}
	ses.Live = slices.DeleteFunc(ses.Live, func(l storage.LiveAccess) bool {
		if (l.ClientID != "") != exchanged || n <= most {
			return false
		}
		n--
		revoked = append(revoked, revokedPut(l, now)...)
		return true
	})
	return revoked
}

// newRefresh gives the record the refresh token of its generation. It slides
// the idle end, never past the absolute one (RFC 9700 §4.14.2).
func (s *Service) newRefresh(ses *storage.Session, client storage.Client, now time.Time) {
	issued := seconds(now)
	ses.Refresh = storage.IssuedRefresh{
		Issued:  issued,
		Expires: earlier(issued.Add(lifetime(client.RefreshTokenTTL, s.Settings.RefreshTokenTTL)), seconds(ses.End)),
	}
}

// accompany notes, beside the refresh token of a generation, the access token
// that is first answered with it: a store that loses the session's record can
// then still be told of it (see [Service.authorizeAhead]).
func accompany(ses *storage.Session) {
	ses.Refresh.AccessID, ses.Refresh.AccessExpires = ses.Access.ID, ses.Access.Expires
}

// unexpired returns the live tokens that have not expired, as a new slice.
func unexpired(live []storage.LiveAccess, now time.Time) []storage.LiveAccess {
	out := make([]storage.LiveAccess, 0, len(live)+1)
	for _, l := range live {
		if now.Before(l.Expires) {
			out = append(out, l)
		}
	}
	return out
}

func revokedPut(l storage.LiveAccess, now time.Time) []storage.Put {
	if put, ok := status.RevokedPut(l.ID, now, l.Expires); ok && now.Before(l.Expires) {
		return []storage.Put{put}
	}
	return nil
}

// accessEpoch is what [storage.Session.AccessEpoch] is compared with: the user's
// and the client's side by side. Their sum would not do: a role that is lost just
// after a client was narrowed would make, of the records of before and after,
// the epoch that the session has already.
func accessEpoch(user storage.User, client storage.Client) uint64 {
	return user.AccessEpoch<<32 | client.AccessEpoch&math.MaxUint32
}

// clientPart is the client's of the two.
func clientPart(epoch uint64) uint64 { return epoch & math.MaxUint32 }

// endAccess takes all access tokens out of a session that were minted under
// another epoch than this one, and returns the rows that revoke them.
func endAccess(ses *storage.Session, epoch uint64, now time.Time) []storage.Put {
	if ses.AccessEpoch == epoch {
		return nil
	}
	var puts []storage.Put
	for _, l := range ses.Live {
		puts = append(puts, revokedPut(l, now)...)
	}
	ses.Live, ses.AccessEpoch = nil, epoch
	return puts
}

// isLive reports whether an access token of the session has not been revoked,
// alone or by an epoch that is over.
func isLive(ses storage.Session, epoch uint64, jti string) bool {
	return ses.AccessEpoch == epoch && has(ses, jti)
}

func has(ses storage.Session, jti string) bool {
	return slices.ContainsFunc(ses.Live, func(l storage.LiveAccess) bool { return l.ID == jti })
}

// sessionPut is the row of a session. It outlives the last token by a while,
// and an ended one does not wait for its tokens' idle end.
func sessionPut(ses storage.Session, index []storage.Entry) storage.Put {
	last := ses.Refresh.Expires
	if ses.Ended != nil {
		last = ses.Ended.At
	}
	for _, l := range ses.Live {
		if l.Expires.After(last) {
			last = l.Expires
		}
	}
	return storage.Put{
		Key: storage.SessionKey(ses.ID), Value: storage.Encode(ses), Index: index,
		// Whole days, so that a rotation seldom moves the row's expiry.
		Expires: last.Add(keepEnded + storage.Day).Truncate(storage.Day),
	}
}

// sessionIndex are the entries of a session; those of one that is over leave out
// what counts the live ones.
func sessionIndex(ses storage.Session) []storage.Entry {
	entries := []storage.Entry{
		{Name: storage.IndexSessions, Sort: ses.ID},
		{Name: storage.IndexClientSessions(ses.ClientID), Sort: ses.ID},
	}
	if ses.Ended == nil {
		entries = append(entries, storage.Entry{Name: storage.IndexLive(ses.ClientID), Sort: ses.ID})
	}
	return entries
}

// endPuts ends a session: the record, the revoked places of its live tokens,
// and the event.
func endPuts(ses storage.Session, e Ending, now time.Time) []storage.Put {
	var puts []storage.Put
	for _, l := range ses.Live {
		puts = append(puts, revokedPut(l, now)...)
	}
	ses.Live = nil
	ses.Ended = &storage.Ended{At: now, Reason: e.Reason, By: e.By, Note: e.Note}
	event := events.New(events.SessionEnded, now)
	event.Subject, event.Session, event.ClientID = ses.Subject, ses.ID, ses.ClientID
	event.Actor, event.Reason, event.Note, event.Source = e.By, e.Reason, e.Note, e.Source
	if ses.Notify && e.By != "client:"+ses.ClientID {
		puts = append(puts, storage.LogoutPut(storage.LogoutNotice{Subject: ses.Subject, SessionID: ses.ID, ClientID: ses.ClientID, Due: now}))
	}
	return append(puts, sessionPut(ses, sessionIndex(ses)), events.Put(event))
}

// endSession ends the session unless it has ended meanwhile, and reports
// whether it was this call that did. The facts are told by the same commit.
func (s *Service) endSession(ctx context.Context, sub, sid string, e Ending, facts ...storage.Event) (ended bool, err error) {
	err = retryConflicts(func() error {
		if err := s.repeated(ctx, storage.UserPartition(sub), facts); err != nil {
			return err
		}
		ses, _, now, err := s.Store.SessionAndUser(ctx, sub, sid)
		if errors.Is(err, storage.ErrDamaged) && ses.Value.ID != "" {
			err = nil // it is the user who cannot be read, and need not be for this
		}
		if err != nil || !ses.Exists() {
			return err
		}
		if ses.Value.Ended != nil {
			return s.confirm(ctx, ses)
		}
		change := storage.Change{
			Partition: storage.UserPartition(sub),
			Checks:    []storage.Check{ses.Check(storage.SessionKey(sid))},
			Puts:      endPuts(ses.Value, e, now),
		}
		tell(&change, facts, "")
		_, err = s.Store.Commit(ctx, change)
		ended = err == nil
		return err
	})
	if errors.Is(err, storage.ErrUnknown) {
		// Ending twice is harmless, so an unknown outcome is settled by looking.
		settled := retryConflicts(func() error {
			ses, _, _, readErr := s.Store.SessionAndUser(ctx, sub, sid)
			if readErr != nil || ses.Value.Ended == nil {
				return err
			}
			ended = true
			return s.confirm(ctx, ses)
		})
		return ended, settled
	}
	return ended, err
}

// endAccessOf does what [endAccess] does to a session in the store, and reports
// whether it was this call that did. A session without access tokens is written
// too: a rotation that goes by the records of before must not get through.
func (s *Service) endAccessOf(ctx context.Context, sub, sid string) (done bool, err error) {
	err = retryConflicts(func() error {
		rec, user, now, err := s.Store.SessionAndUser(ctx, sub, sid)
		if err != nil || !rec.Exists() || rec.Value.Ended != nil {
			return err
		}
		client, _, err := s.Store.Client(ctx, rec.Value.ClientID)
		if err != nil {
			return err
		}
		ses, epoch := rec.Value, accessEpoch(user.Value, client.Value)
		if ses.AccessEpoch == epoch {
			return nil
		}
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(sub),
			Checks:    []storage.Check{rec.Check(storage.SessionKey(sid))},
			Puts:      append(endAccess(&ses, epoch, now), sessionPut(ses, nil)),
		})
		done = err == nil
		return err
	})
	return done, err
}

// wrote settles a commit whose outcome the store could not tell, or that the
// connection may have sent twice: the write arrived if the record carries the
// random id of this very attempt. That it equals what we wanted to write would
// prove nothing, for two nodes write equal records in the same second. The id is
// that of the access token, and of the rotation if it was one.
func (s *Service) wrote(ctx context.Context, ses storage.Session, rotated bool, commit error) error {
	if !errors.Is(commit, storage.ErrConflict) && !errors.Is(commit, storage.ErrUnknown) {
		return commit
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	for {
		now, _, _, err := s.Store.SessionAndUser(ctx, ses.Subject, ses.ID)
		switch {
		case err != nil && errors.Is(commit, storage.ErrUnknown):
			return commit
		case err != nil:
			return err
		case !arrived(ses, now.Value, rotated):
			return storage.ErrConflict
		}
		// Changed again since it was read, it has to be read again: to decide again
		// would take for a thief whose own write this is.
		if err := s.confirm(ctx, now); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

// arrived reports whether a session, as it is now, has had the write of ses.
func arrived(ses, now storage.Session, rotated bool) bool {
	switch now.Generation {
	case ses.Generation:
		return bytes.Equal(now.RotID, ses.RotID) && now.Access.ID == ses.Access.ID
	case ses.Generation + 1:
		// Its successor is spent already: a retry at another node was faster. To
		// decide again would take this client for a thief. What was no rotation is
		// known by its access token alone: one that is in no record could not be
		// revoked.
		return bytes.Equal(now.PrevRotID, ses.RotID) && (rotated || has(now, ses.Access.ID))
	}
	return false
}

// settleTime bounds how long an answer may wait to learn what became of a write.
const settleTime = 3 * time.Second
