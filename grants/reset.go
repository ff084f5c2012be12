package grants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jeton/events"
	"jeton/storage"
)

// ErrNoReset says that a link for a new password is none, or none any more: used,
// expired, or overtaken by a password that was set since.
var ErrNoReset = errors.New("grants: the link does not count, or no more")

// ErrEnoughMails says that a user has been mailed enough links for now.
var ErrEnoughMails = errors.New("grants: enough links were mailed to this user for now")

const purposeReset = "password reset"

// How many links are mailed to one user, however many ask: strangers must not be
// able to fill a mailbox. Nor may they use up what the user needs to recover: one
// more goes out each hour, whoever asks for it (every one of them leads the user
// and nobody else to a new password), and a place that the user signed in from
// before has some of its own.
const (
	mostResetMails = 5
	mostOwnMails   = 3
	resetMailsIn   = 24 * time.Hour
	betweenMails   = time.Minute
	moreMailsAfter = time.Hour
)

// NewReset makes a link for a new password, of which the store has the hash. What
// it returns stands in the link. With an Email it is one to be mailed; the caller
// has looked that up, and it has to be the user's still. What others add goes into
// the same commit, or refuses it.
//
// known says that a mail was asked for from where the user has signed in before.
func (s *Service) NewReset(ctx context.Context, r storage.Reset, ttl time.Duration, note, source string, known bool, others ...func(*storage.Change) error) (link string, expires time.Time, err error) {
	h := newHandle(r.Subject)
	p := storage.UserPartition(r.Subject)
	err = retryConflicts(func() error {
		snap, err := s.Store.Read(ctx, p, storage.UserKey(r.Subject), storage.ResetMailsKey)
		if err != nil {
			return err
		}
		user, err := storage.Decode[storage.User](snap.Rows[0])
		if err != nil {
			return err
		}
		if !user.Exists() || user.Value.Username == "" || user.Value.Disabled || r.Email != "" && user.Value.Claims.Email != r.Email {
			return fmt.Errorf("user %q: %w", r.Subject, ErrNotFound)
		}
		r.ID, r.PasswordChanged, r.Expires = h.id(), user.Value.PasswordChanged, snap.Now.Add(ttl)
		e := events.New(events.ResetLinkMade, snap.Now)
		e.Subject, e.Actor, e.Note, e.Source = r.Subject, r.By, note, source
		change := storage.Change{
			Partition: p, Checks: []storage.Check{user.Check(storage.UserKey(r.Subject))},
			Puts: []storage.Put{{Key: storage.ResetKey(r.ID), Value: storage.Encode(r), Expires: r.Expires}},
		}
		if r.Email != "" {
			if err := countMail(&change, snap, known); err != nil {
				return err
			}
		}
		change.Puts = append(change.Puts, events.Put(e))
		for _, add := range others {
			if err := add(&change); err != nil {
				return err
			}
		}
		_, err = s.Store.Commit(ctx, change)
		return err
	})
	return s.seal(purposeReset, h), r.Expires, err
}

// countMail notes one mail more, unless there have been enough.
func countMail(change *storage.Change, snap storage.Snapshot, known bool) error {
	rec, err := storage.Decode[storage.ResetMails](snap.Rows[1])
	if err != nil {
		return err
	}
	lately := func(times []time.Time) []time.Time {
		return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return snap.Now.Sub(t) >= resetMailsIn })
	}
	since := func(times []time.Time) time.Duration {
		if len(times) == 0 {
			return resetMailsIn
		}
		return snap.Now.Sub(times[len(times)-1])
	}
	sent, own := lately(rec.Value.Sent), lately(rec.Value.Own)
	switch {
	case since(sent) >= moreMailsAfter, len(sent) < mostResetMails && since(sent) >= betweenMails:
		sent = append(sent, snap.Now)
	case known && len(own) < mostOwnMails && since(own) >= betweenMails:
		own = append(own, snap.Now)
	default:
		return ErrEnoughMails
	}
	rec.Value.Sent, rec.Value.Own = sent, own
	change.Checks = append(change.Checks, rec.Check(storage.ResetMailsKey))
	change.Puts = append(change.Puts, storage.Put{Key: storage.ResetMailsKey, Value: storage.Encode(rec.Value), Expires: snap.Now.Add(resetMailsIn)})
	return nil
}

// ResetFor is the user for whom a link counts. It changes nothing: mail scanners
// follow links too.
func (s *Service) ResetFor(ctx context.Context, link string) (storage.User, error) {
	_, user, err := s.reset(ctx, link)
	return user.Value, err
}

func (s *Service) reset(ctx context.Context, link string) (rec storage.Record[storage.Reset], user storage.Record[storage.User], err error) {
	h, ok := s.open(purposeReset, link)
	if !ok {
		return rec, user, ErrNoReset
	}
	snap, err := s.Store.Read(ctx, storage.UserPartition(h.sub), storage.ResetKey(h.id()), storage.UserKey(h.sub))
	if err != nil {
		return rec, user, err
	}
	if rec, err = storage.Decode[storage.Reset](snap.Rows[0]); err != nil {
		return rec, user, err
	}
	if user, err = storage.Decode[storage.User](snap.Rows[1]); err != nil {
		return rec, user, err
	}
	r, u := rec.Value, user.Value
	if !rec.Exists() || !snap.Now.Before(r.Expires) || !user.Exists() || u.Username == "" || u.Disabled ||
		!u.PasswordChanged.Equal(r.PasswordChanged) || r.Email != "" && r.Email != u.Claims.Email {
		return rec, user, ErrNoReset
	}
	return rec, user, nil
}

// SetByReset gives the user of a link a new password, whose hash the caller has
// made. The link is used up by the commit that does so, and by no other. What
// ends is what a password set by somebody else ends.
func (s *Service) SetByReset(ctx context.Context, link, hash, source string) (storage.User, Reaction, error) {
	rec, user, err := s.reset(ctx, link)
	if err != nil {
		return user.Value, "", err
	}
	sub := user.Value.Subject
	now, err := s.Store.Now(ctx)
	if err != nil {
		return user.Value, "", err
	}
	e := events.New(events.PasswordReset, now)
	e.Subject, e.Actor, e.Source, e.Note = sub, sub, source, "by a link that was handed over"
	if rec.Value.Email != "" {
		e.Note = "by a link that was mailed"
	}
	reaction := s.Settings.On.PasswordReset.To(OnPasswordReset)
	end := reaction.Ending(Ending{Reason: storage.ReasonPasswordReset, By: sub, Note: e.Note, Source: source})
	set := func(u *storage.User) error {
		u.PasswordHash, u.PasswordChanged = hash, now
		return nil
	}
	spend := func(c *storage.Change) error {
		rec, _, err := s.reset(ctx, link)
		c.Checks = append(c.Checks, rec.Check(storage.ResetKey(rec.Value.ID)))
		c.Deletes = append(c.Deletes, storage.ResetKey(rec.Value.ID))
		return err
	}
	after, _, err := s.changeUser(ctx, sub, set, end, []storage.Event{e}, spend)
	return after, reaction, err
}
