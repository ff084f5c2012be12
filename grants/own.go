package grants

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"jeton/storage"
	"jeton/throttle"
)

var errEnough = errors.New("grants: enough were found")

// SignIns are the browsers in which a user is signed in at the pages.
func (s *Service) SignIns(ctx context.Context, user storage.User) ([]storage.SignIn, error) {
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return nil, err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	var live []storage.SignIn
	q := storage.Query{Index: storage.IndexSignIns, Partition: storage.UserPartition(user.Subject)}
	err = s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		in, err := storage.Decode[storage.SignIn](row)
		if err == nil && now.Before(in.Value.End) && in.Value.UserEpoch == user.Epoch && in.Value.SystemEpoch == system.Value.Epoch {
			live = append(live, in.Value)
		}
		return err
	})
	return live, err
}

// LiveSessions are the sessions of a user that can still be refreshed, at most
// so many of them; more says that there are others.
func (s *Service) LiveSessions(ctx context.Context, sub string, most int) (live []storage.Session, more bool, err error) {
	user, now, err := s.Store.User(ctx, sub)
	if err != nil {
		return nil, false, err
	}
	q := storage.Query{Index: storage.IndexSessions, Partition: storage.UserPartition(sub)}
	err = s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Session](row)
		if err != nil || !now.Before(rec.Value.End) || !now.Before(rec.Value.Refresh.Expires) {
			return err
		}
		over, err := s.Over(ctx, rec.Value, user)
		switch {
		case err != nil || over != "":
			return err
		case len(live) == most:
			more = true
			return errEnough
		}
		live = append(live, rec.Value)
		return nil
	})
	if more {
		err = nil
	}
	return live, more, err
}

// Prove checks the password of a user who is signed in already: under the same
// rules, and counted by the same counters, as at a login.
func (s *Service) Prove(ctx context.Context, user storage.User, password string, source Source) error {
	if password == "" {
		return badPassword("it is missing")
	}
	addr, _ := netip.ParseAddr(source.Address)
	found, _, _, err := s.throttled(ctx, password, throttle.Attempt{User: user.Username, Source: addr})
	if err == nil && found.Value.Subject != user.Subject {
		return badPassword("the name belongs to somebody else now")
	}
	return err
}

// RenewSignIn gives a browser a new cookie after its user has proved again who
// they are. What came from the sign-in before comes from this one.
func (s *Service) RenewSignIn(ctx context.Context, cookie string) (fresh string, err error) {
	err = retryConflicts(func() error {
		in, ok, err := s.CurrentSignIn(ctx, cookie)
		if err != nil || !ok {
			return err
		}
		v, h := in.SignIn.Value, newHandle(in.User.Value.Subject)
		before := storage.SignInKey(v.ID)
		v.ID, v.AuthTime, v.Used = h.id(), seconds(in.Now), in.Now
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(v.Subject),
			Checks:    []storage.Check{in.SignIn.Check(before), in.User.Check(storage.UserKey(v.Subject))},
			Puts:      []storage.Put{s.signInPut(v, in.Now)},
			Deletes:   []storage.Key{before},
		})
		if err == nil {
			fresh = h.cookie()
		}
		return err
	})
	return fresh, err
}

// touchEvery is how exactly it is kept when a browser was last used.
const touchEvery = time.Minute

// Used notes that somebody uses the pages in a browser, which keeps the sign-in
// from being idle.
func (s *Service) Used(ctx context.Context, in SignedIn) error {
	v := in.SignIn.Value
	if in.Now.Sub(v.Used) < touchEvery {
		return nil
	}
	v.Used = in.Now
	_, err := s.Store.Commit(ctx, storage.Change{
		Partition: storage.UserPartition(v.Subject),
		Checks:    []storage.Check{in.SignIn.Check(storage.SignInKey(v.ID))},
		Puts:      []storage.Put{s.signInPut(v, in.Now)},
	})
	if errors.Is(err, storage.ErrConflict) {
		return nil // used by another tab, or over
	}
	return err
}
