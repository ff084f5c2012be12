package grants

import (
	"context"
	"errors"
	"fmt"

	"jeton/events"
	"jeton/storage"
)

// EventsScope lets a client's own token report events, and do nothing else. Like
// [AdminScope] it is for the audience of the administration alone.
const EventsScope = "jeton:events"

// RepeatedError says that a report with this id was taken before, and nothing
// was done now.
type RepeatedError struct {
	// Event is the id of the event that it became, Type its type.
	Event string `json:"event"`
	Type  string `json:"type"`
	// Ending is the id of the ending of many that began with it, if one did.
	Ending string `json:"ending,omitempty"`

	partition storage.Partition
}

func (e *RepeatedError) Error() string {
	return fmt.Sprintf("the report was taken before, as event %s of type %s", e.Event, e.Type)
}

// reportKey names the row that remembers a report, in the partition of whom it
// is about. The id has no space, so the last one parts it from the reporter.
func reportKey(e storage.Event) storage.Key {
	return storage.Key{Kind: storage.KindReport, ID: e.Actor + " " + e.Report}
}

// tell adds events to the commit that makes them true. One that was reported
// with an id is taken once, for as long as events are kept; ending is what that
// commit leaves to be finished, empty for nothing.
func tell(c *storage.Change, facts []storage.Event, ending string) {
	for _, e := range facts {
		c.Puts = append(c.Puts, events.Put(e))
		if e.Report != "" {
			c.Checks = append(c.Checks, storage.Check{Key: reportKey(e)})
			c.Puts = append(c.Puts, storage.Put{
				Key: reportKey(e), Value: storage.Encode(RepeatedError{Event: e.ID, Type: e.Type, Ending: ending}), Expires: e.Time.Add(events.Kept),
			})
		}
	}
}

// repeated is a [RepeatedError] if one of the events was reported before.
func (s *Service) repeated(ctx context.Context, p storage.Partition, facts []storage.Event) error {
	for _, e := range facts {
		if e.Report == "" {
			continue
		}
		snap, err := s.Store.Read(ctx, p, reportKey(e))
		if err != nil {
			return err
		}
		before, err := storage.Decode[RepeatedError](snap.Rows[0])
		if err != nil {
			return err
		}
		if before.Exists() {
			before.Value.partition = p
			return &before.Value
		}
	}
	return nil
}

// ResumeReported finishes what a report began that was taken before, and whose
// reporter had no answer. Other endings are left alone: whoever repeats a report
// must not wait for all that is under way here.
func (s *Service) ResumeReported(ctx context.Context, before *RepeatedError) error {
	if before.Ending == "" {
		return nil
	}
	snap, err := s.Store.Read(ctx, before.partition, pending{ID: before.Ending}.key())
	if err != nil {
		return err
	}
	task, err := storage.Decode[pending](snap.Rows[0])
	if err != nil || !task.Exists() {
		return err
	}
	_, err = s.finish(ctx, before.partition, task.Value)
	return err
}

// Logout ends a session that its user has left, or all of them where that is
// what a logout does; the facts are told by the same commit. Of a session that
// is over nothing is told. It reports what it did, and whether that was
// anything.
func (s *Service) Logout(ctx context.Context, ses storage.Session, e Ending, facts ...storage.Event) (Reaction, bool, error) {
	reaction := s.Settings.On.Logout.To(OnLogout)
	var done bool
	var err error
	if reaction == EndAllSessions {
		done, err = s.endAllOf(ctx, ses, e, facts...)
	} else {
		done, err = s.endSession(ctx, ses.Subject, ses.ID, e, facts...)
	}
	return reaction, done, err
}

// errOver says that a session has ended with others of its user already.
var errOver = errors.New("grants: the session is over")

// endAllOf ends all sessions of the user of a session for what happened in it,
// unless it is over: who logged in since then begins something new. It reports
// whether it was this call that did.
func (s *Service) endAllOf(ctx context.Context, ses storage.Session, e Ending, facts ...storage.Event) (bool, error) {
	if e.Note == "" {
		e.Note = "in session " + ses.ID
	}
	_, _, err := s.changeUser(ctx, ses.Subject, func(*storage.User) error {
		// Read again: a change that kept this very session has moved its epoch. If
		// the user has changed since, the commit finds out.
		rec, user, _, err := s.Store.SessionAndUser(ctx, ses.Subject, ses.ID)
		if err == nil && (!rec.Exists() || rec.Value.Ended != nil || rec.Value.UserEpoch != user.Value.Epoch) {
			err = errOver
		}
		return err
	}, &e, facts)
	if errors.Is(err, errOver) {
		return false, nil
	}
	return err == nil, err
}
