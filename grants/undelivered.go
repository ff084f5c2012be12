package grants

import (
	"bytes"
	"context"
	"errors"
	"time"

	"jeton/events"
	"jeton/storage"
)

// undeliveredTime is how long a predecessor is accepted again after a node
// learnt that nobody got the answer to its rotation.
const undeliveredTime = 60 * time.Second

// Undelivered says that a response could not be sent: the connection had gone.
// The rotation stands, but the client cannot know its new refresh token, so the
// old one is accepted again for a minute, in strict mode too.
func (s *Service) Undelivered(resp Response) {
	if resp.rotated != nil {
		s.markUndelivered(*resp.rotated)
	}
}

func (s *Service) markUndelivered(r rotated) {
	ctx, cancel := context.WithTimeout(context.Background(), undeliveredTime)
	defer cancel()
	err := retryConflicts(func() error {
		ses, _, now, err := s.Store.SessionAndUser(ctx, r.sub, r.sid)
		if err != nil || !bytes.Equal(ses.Value.RotID, r.rotID) || ses.Value.Ended != nil {
			return err
		}
		ses.Value.UnconfirmedUntil = now.Add(undeliveredTime)
		e := events.New(events.ResponseLost, now)
		e.Subject, e.Session, e.ClientID, e.Actor = r.sub, r.sid, ses.Value.ClientID, "server"
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(r.sub),
			Checks:    []storage.Check{ses.Check(storage.SessionKey(r.sid))},
			Puts:      []storage.Put{sessionPut(ses.Value, nil), events.Put(e)},
		})
		if errors.Is(err, storage.ErrUnconfirmed) {
			return nil // if it is lost, so is what it is about
		}
		return err
	})
	if err != nil {
		s.Log.WarnContext(ctx, "could not mark a rotation whose answer was lost; its client must log in again", "sid", r.sid, "error", err)
	}
}

// markSoon marks a rotation whose client is about to hear that it failed: before
// it hears, if the store lets us, since it asks again at once and would be taken
// for a thief. Where the store is away the mark comes when it is back.
func (s *Service) markSoon(r rotated) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.markUndelivered(r)
	}()
	late := time.NewTimer(settleTime)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}
