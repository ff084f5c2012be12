package grants

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"jeton/events"
	"jeton/storage"
)

const (
	// undeliveredTime is how long a predecessor is accepted again after a node
	// learnt that nobody got the answer to its rotation.
	undeliveredTime = 60 * time.Second
	// markPatience is how long a store may be away before a mark is given up.
	markPatience = 10 * time.Minute
	// lateTime is how long a write of which nobody knows may yet arrive.
	lateTime = 60 * time.Second
	// readBefore is how long somebody may be about to decide on a record that was
	// read before the mark came.
	readBefore = 15 * time.Second
	// mostUnsaid bounds the rotations that wait for their mark: those that were
	// under way when the store went away.
	mostUnsaid = 4096
)

// unsaid are the rotations whose answers nobody got, as long as the store does not
// know it. Their clients ask again the moment the store is back, which may be
// before the mark is there.
type unsaid struct {
	mu sync.Mutex
	of map[string]time.Time // by rotation: see [unsaid.begin]
}

func (r rotated) name() string { return r.sid + " " + string(r.rotID) }

// add reports whether there was room.
func (u *unsaid) add(r rotated) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = make(map[string]time.Time)
	}
	if len(u.of) >= mostUnsaid {
		return false
	}
	u.of[r.name()] = time.Time{}
	return true
}

// begin returns until when, in the store's time, the predecessor is accepted: a
// minute from when the store was first heard again, since its client hears it
// from then on too, and no longer because the mark cannot be written.
func (u *unsaid) begin(r rotated, now time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	until, ok := u.of[r.name()]
	if until.IsZero() {
		until = now.Add(undeliveredTime)
	}
	if ok {
		u.of[r.name()] = until
	}
	return until
}

func (u *unsaid) remove(r rotated) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.of, r.name())
}

// has reports whether nobody got the answer to the last rotation of a session.
func (u *unsaid) has(ses storage.Session, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	until, ok := u.of[rotated{sid: ses.ID, rotID: ses.RotID}.name()]
	return ok && (until.IsZero() || stillMarked(until, now))
}

// stillMarked: a store whose clock was set back must not accept a predecessor for
// longer than it should.
func stillMarked(until, now time.Time) bool {
	left := until.Sub(now)
	return 0 < left && left <= undeliveredTime
}

// Undelivered says that a response could not be sent: the connection had gone.
// The rotation stands, but the client cannot know its new refresh token, so the
// old one is accepted again for a minute, in strict mode too.
func (s *Service) Undelivered(resp Response) {
	if resp.rotated != nil {
		s.markSoon(*resp.rotated)
	}
}

// markSoon marks a rotation whose client has no answer, or is about to hear that
// it failed: before it hears, if the store lets us, since it asks again at once
// and would be taken for a thief. Where the store is away the mark comes when it
// is back, and this node knows until then.
func (s *Service) markSoon(r rotated) {
	looked := make(chan struct{})
	go func() {
		s.markUndelivered(r, s.unsaid.add(r), sync.OnceFunc(func() { close(looked) }))
		time.AfterFunc(readBefore, func() { s.unsaid.remove(r) })
	}()
	late := time.NewTimer(settleTime)
	defer late.Stop()
	select {
	case <-looked:
	case <-late.C:
	}
}

// errNotYet says that a rotation is not there and may yet arrive.
var errNotYet = errors.New("the rotation is not there")

// markUndelivered marks a rotation, patiently or in one try, and calls looked when
// it knows what the store says of it.
func (s *Service) markUndelivered(r rotated, patient bool, looked func()) {
	defer looked()
	ctx, cancel := context.WithTimeout(context.Background(), markPatience)
	defer cancel()
	pause, until := 50*time.Millisecond, time.Now().Add(lateTime)
	for again := false; ; again = true {
		err := s.mark(ctx, r, again)
		if errors.Is(err, errNotYet) {
			looked()
		}
		passing := errors.Is(err, errNotYet) && time.Now().Before(until) ||
			(errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknown)) && !errors.Is(err, storage.ErrClosed)
		if passing && patient && sleep(ctx, pause) {
			pause = min(2*pause, time.Second)
			continue
		}
		if err != nil && !errors.Is(err, errNotYet) {
			s.Log.WarnContext(ctx, "could not mark a rotation whose answer was lost; its client must log in again", "sid", r.sid, "error", err)
		}
		return
	}
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mark tries to mark a rotation; again when it was tried before, and may be done.
func (s *Service) mark(ctx context.Context, r rotated, again bool) error {
	return retryConflicts(func() error {
		ses, _, now, err := s.Store.SessionAndUser(ctx, r.sub, r.sid)
		switch {
		case err != nil || ses.Value.Ended != nil:
			return err
		case ses.Value.Generation < r.generation && ses.Exists():
			return errNotYet
		case !bytes.Equal(ses.Value.RotID, r.rotID):
			return nil
		case again && ses.Value.UnconfirmedUntil.After(now):
			return nil
		}
		until := s.unsaid.begin(r, now)
		if !stillMarked(until, now) {
			return nil
		}
		ses.Value.UnconfirmedUntil = until
		e := events.New(events.ResponseLost, now)
		e.Subject, e.Session, e.ClientID, e.Actor = r.sub, r.sid, ses.Value.ClientID, "server"
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(r.sub),
			Checks:    []storage.Check{ses.Check(storage.SessionKey(r.sid))},
			Puts:      []storage.Put{sessionPut(ses.Value, nil), events.Put(e)},
		})
		if err == nil || errors.Is(err, storage.ErrUnconfirmed) { // if it is lost, so is what it is about
			return nil
		}
		return err
	})
}
