package grants

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"jeton/events"
	"jeton/storage"
	"jeton/throttle"
)

// ACRPassword is the `acr` of who has shown a password and nothing else.
const ACRPassword = "urn:jeton:acr:password"

// ACRs lists the authentication context classes there are.
func ACRs() []string { return []string{ACRPassword} }

// SignedIn is a browser that is signed in, with the truth as it was when it was
// looked at.
type SignedIn struct {
	SignIn storage.Record[storage.SignIn]
	User   storage.Record[storage.User]
	Now    time.Time
}

// Login is what somebody typed into the login page.
type Login struct {
	Username, Password string
	// For names the authorization request that asked for it, "" if none did.
	For    string
	Source Source
	// Cookie is what the browser had before, which ends.
	Cookie string
}

// SignIn signs a browser in and returns its new cookie. Passwords are looked at
// under the same rules, and counted by the same counters, as those of the
// password grant.
func (s *Service) SignIn(ctx context.Context, l Login) (cookie string, err error) {
	if l.Username == "" || l.Password == "" {
		return "", badPassword("one of them is missing")
	}
	addr, _ := netip.ParseAddr(l.Source.Address)
	user, now, rehash, err := s.throttled(ctx, l.Password, throttle.Attempt{User: l.Username, Source: addr})
	if err != nil {
		return "", err
	}
	system, err := s.Store.System(ctx)
	if err != nil {
		return "", err
	}
	before, ok := openCookie(l.Cookie)
	h, browser := newHandle(user.Value.Subject), newID()
	var deletes []storage.Key
	if ok && before.sub == user.Value.Subject {
		// The same user in the same browser: what came from the sign-in before
		// comes from this one.
		if old, live, err := s.CurrentSignIn(ctx, l.Cookie); err != nil {
			return "", err
		} else if live {
			browser, deletes = old.SignIn.Value.Browser, []storage.Key{storage.SignInKey(before.id())}
		}
	}
	in := storage.SignIn{
		ID: h.id(), Subject: user.Value.Subject, Browser: browser,
		AMR: []string{"pwd"}, ACR: ACRPassword, AuthTime: seconds(now), Created: now, Used: now,
		End: seconds(now.Add(s.Settings.SignInTTL)), UserEpoch: user.Value.Epoch, SystemEpoch: system.Value.Epoch,
		LoginFor: l.For, Device: l.Source.Device,
	}
	change := storage.Change{
		Partition: storage.UserPartition(in.Subject),
		Checks:    []storage.Check{user.Check(storage.UserKey(in.Subject))},
		Puts:      []storage.Put{s.signInPut(in, now), signInEvent(events.SignedIn, in, in.Subject, l.Source.Address, now)},
		Deletes:   deletes,
	}
	if rehash != "" {
		fresh := user.Value
		fresh.PasswordHash = rehash
		change.Puts = append(change.Puts, storage.Put{Key: storage.UserKey(in.Subject), Value: storage.Encode(fresh)})
	}
	if _, err := s.Store.Commit(ctx, change); errors.Is(err, storage.ErrConflict) {
		// The user was changed while the password was looked at: it may be
		// another one now, or the user disabled.
		return "", errContended
	} else if err != nil {
		return "", err
	}
	if ok && before.sub != in.Subject {
		err = s.forgetSignIn(ctx, before)
	}
	return h.cookie(), err
}

// forgetSignIn ends the sign-in of another user whose browser this was. The
// sessions that came from it go on: nobody signed out.
func (s *Service) forgetSignIn(ctx context.Context, h handle) error {
	_, err := s.Store.Commit(ctx, storage.Change{Partition: storage.UserPartition(h.sub), Deletes: []storage.Key{storage.SignInKey(h.id())}})
	return err
}

// CurrentSignIn finds the sign-in that a browser's cookie stands for; ok is
// false when there is none, or it is over.
func (s *Service) CurrentSignIn(ctx context.Context, cookie string) (in SignedIn, ok bool, err error) {
	h, ok := openCookie(cookie)
	if !ok {
		return in, false, nil
	}
	snap, err := s.Store.Read(ctx, storage.UserPartition(h.sub), storage.SignInKey(h.id()), storage.UserKey(h.sub))
	if err != nil {
		return in, false, err
	}
	in.Now = snap.Now
	if in.SignIn, err = storage.Decode[storage.SignIn](snap.Rows[0]); err != nil {
		return in, false, err
	}
	if in.User, err = storage.Decode[storage.User](snap.Rows[1]); err != nil {
		return in, false, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return in, false, err
	}
	v := in.SignIn.Value
	ok = in.SignIn.Exists() && in.User.Exists() && !in.User.Value.Disabled && in.Now.Before(v.End) &&
		v.UserEpoch == in.User.Value.Epoch && v.SystemEpoch == system.Value.Epoch
	return in, ok, nil
}

// ChooseAccount notes that the account which is signed in is the one that the
// user wants for an authorization request.
func (s *Service) ChooseAccount(ctx context.Context, cookie, request string) error {
	return retryConflicts(func() error {
		in, ok, err := s.CurrentSignIn(ctx, cookie)
		if err != nil || !ok {
			return err
		}
		v := in.SignIn.Value
		v.ChosenFor, v.Used = request, in.Now
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(v.Subject),
			Checks:    []storage.Check{in.SignIn.Check(storage.SignInKey(v.ID))},
			Puts:      []storage.Put{s.signInPut(v, in.Now)},
		})
		return err
	})
}

// signInPut is the row of a sign-in. It expires when it has been idle for too
// long, or at its absolute end.
func (s *Service) signInPut(in storage.SignIn, now time.Time) storage.Put {
	return storage.Put{
		Key: storage.SignInKey(in.ID), Value: storage.Encode(in),
		Expires: earlier(now.Add(s.Settings.SignInIdle), in.End),
		Index:   []storage.Entry{{Name: storage.IndexSignIns, Sort: in.Browser}},
	}
}

func signInEvent(kind string, in storage.SignIn, by, source string, now time.Time) storage.Put {
	e := events.New(kind, now)
	e.Subject, e.Actor, e.Source = in.Subject, by, source
	return events.Put(e)
}

// SignOut ends a sign-in, the codes that came from it, and its sessions, in one
// commit; those that were granted offline_access go on without it (OpenID
// Connect Back-Channel Logout §2.7). It returns the sessions that it ended.
func (s *Service) SignOut(ctx context.Context, cookie, source string) (ended []storage.Session, err error) {
	h, ok := openCookie(cookie)
	if !ok {
		return nil, nil
	}
	return s.EndSignIn(ctx, h.sub, h.id(), source)
}

// EndSignIn signs a user out of one browser, this one or another, as
// [Service.SignOut] does.
func (s *Service) EndSignIn(ctx context.Context, sub, id, source string) (ended []storage.Session, err error) {
	err = retryConflicts(func() error {
		ended = nil
		snap, err := s.Store.Read(ctx, storage.UserPartition(sub), storage.SignInKey(id))
		if err != nil {
			return err
		}
		rec, err := storage.Decode[storage.SignIn](snap.Rows[0])
		if err != nil || !rec.Exists() {
			return err
		}
		in := rec.Value
		change := storage.Change{
			Partition: storage.UserPartition(in.Subject),
			Checks:    []storage.Check{rec.Check(storage.SignInKey(in.ID))},
			Puts:      []storage.Put{signInEvent(events.SignedOut, in, in.Subject, source, snap.Now)},
			Deletes:   []storage.Key{storage.SignInKey(in.ID)},
		}
		if err := s.endCodes(ctx, &change, in); err != nil {
			return err
		}
		ending := Ending{Reason: storage.ReasonSignedOut, By: in.Subject, Source: source}
		if ended, err = s.endBrowser(ctx, &change, in, ending, snap.Now); err != nil {
			return err
		}
		_, err = s.Store.Commit(ctx, change)
		return err
	})
	return ended, err
}

// endCodes deletes the codes of a browser. Redeeming one changes its row, so a
// code cannot slip past into a session that is not looked at.
func (s *Service) endCodes(ctx context.Context, change *storage.Change, in storage.SignIn) error {
	q := storage.Query{Index: storage.IndexCodes, Partition: change.Partition, Prefix: in.Browser}
	return s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		change.Checks = append(change.Checks, storage.Check{Key: row.Key, Version: row.Version})
		change.Deletes = append(change.Deletes, row.Key)
		return nil
	})
}

// endBrowser ends the sessions of a browser.
func (s *Service) endBrowser(ctx context.Context, change *storage.Change, in storage.SignIn, e Ending, now time.Time) (ended []storage.Session, err error) {
	q := storage.Query{Index: storage.IndexSessions, Partition: change.Partition}
	err = s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		ses, err := storage.Decode[storage.Session](row)
		if s.Store.Skip(ctx, row, err) {
			return nil
		}
		if err != nil || ses.Value.Browser != in.Browser || ses.Value.Ended != nil || hasScope(ses.Value.Scope, ScopeOffline) {
			return err
		}
		change.Checks = append(change.Checks, ses.Check(row.Key))
		change.Puts = append(change.Puts, endPuts(ses.Value, e, now)...)
		ended = append(ended, ses.Value)
		return nil
	})
	return ended, err
}

// hasScope looks for a token in a scope value.
func hasScope(scope, token string) bool {
	return strings.Contains(" "+scope+" ", " "+token+" ")
}
