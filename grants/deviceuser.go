package grants

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"jeton/events"
	"jeton/storage"
	"jeton/throttle"
)

// ErrUserCode says that nothing waits under a user code: it was mistyped, has
// expired, or what it stood for is over.
var ErrUserCode = errors.New("grants: no device waits under that user code")

// DeviceAsked is what somebody who has typed a user code decides about.
type DeviceAsked struct {
	UserCode string // eight letters
	Request  storage.Record[storage.DeviceRequest]
	Client   storage.Record[storage.Client]
	Now      time.Time
}

// Name tells the request from all others, also from a later one of the same user
// code.
func (d DeviceAsked) Name() string { return d.Request.Value.DeviceHash }

// Scope is what the device would get: what it asked for and its client still has.
func (d DeviceAsked) Scope() []string {
	return slices.DeleteFunc(strings.Fields(d.Request.Value.Scope), func(s string) bool { return !slices.Contains(d.Client.Value.Scopes, s) })
}

// FindDevice finds what waits under a user code. Each look counts as a guess
// against the source and, where somebody is signed in, against that user, before
// the store is asked (RFC 8628 §5.1); a right one is taken back.
func (s *Service) FindDevice(ctx context.Context, typed, signedIn string, from Source) (DeviceAsked, error) {
	code, ok := readUserCode(typed)
	if !ok {
		return DeviceAsked{}, ErrUserCode // is no guess
	}
	if s.Throttle == nil {
		return s.findDevice(ctx, code)
	}
	addr, _ := netip.ParseAddr(from.Address)
	ticket, err := s.Throttle.Try(throttle.Attempt{Source: addr, SignedIn: signedIn})
	if err != nil {
		return DeviceAsked{}, err
	}
	asked, err := s.findDevice(ctx, code)
	switch {
	case err == nil:
		ticket.Success()
	case errors.Is(err, ErrUserCode):
		ticket.Failure()
	default:
		ticket.Cancel() // the store, nobody's guess
	}
	return asked, err
}

func (s *Service) findDevice(ctx context.Context, code string) (asked DeviceAsked, err error) {
	asked.UserCode = code
	for _, id := range s.userCodeIDs(code) {
		if asked.Request, asked.Now, err = s.deviceRequest(ctx, id); err != nil || asked.Request.Exists() {
			break
		}
	}
	if err != nil {
		return asked, err
	}
	r := asked.Request.Value
	if !asked.Request.Exists() || !asked.Now.Before(r.Expires) {
		return asked, ErrUserCode
	}
	if asked.Client, err = s.Store.CachedClient(ctx, r.ClientID); err != nil {
		return asked, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return asked, err
	}
	c := asked.Client.Value
	if !asked.Client.Exists() || c.Disabled || !slices.Contains(c.Grants, storage.GrantDeviceCode) || c.Epoch != r.ClientEpoch || system.Value.Epoch != r.SystemEpoch {
		return asked, ErrUserCode
	}
	return asked, nil
}

// AllowDevice is the user's yes. It takes two commits, as the request and the
// user are in two partitions: what it is worth is written beside the user first,
// where nothing can find it, and counts when the request names it. Of several
// answers the first to be noted there holds, and none is an error.
func (s *Service) AllowDevice(ctx context.Context, asked DeviceAsked, in SignedIn, from Source) error {
	id, sub := newID(), in.User.Value.Subject
	err := retryConflicts(func() error {
		_, err := s.Store.Commit(ctx, s.approval(id, asked.Request.Value, in))
		if err == nil || !errors.Is(err, storage.ErrConflict) {
			return err
		}
		fresh, ok, readErr := s.signInAgain(ctx, in)
		switch {
		case readErr != nil:
			return readErr
		case !ok:
			return fail(LoginRequired, "the user has signed out meanwhile", nil)
		}
		in = fresh
		return err
	})
	if err != nil {
		return err
	}
	return s.answerDevice(ctx, asked, events.DeviceAllowed, sub, from, func(r *storage.DeviceRequest) {
		r.Subject, r.Approval = sub, id
	})
}

// approval writes down what a yes is worth, on the condition that the sign-in and
// the user are what they were when it was given.
func (s *Service) approval(id string, asked storage.DeviceRequest, in SignedIn) storage.Change {
	v, sub := in.SignIn.Value, in.User.Value.Subject
	yes := storage.DeviceApproval{ID: id, Subject: sub, ClientID: asked.ClientID, AuthTime: v.AuthTime, AMR: v.AMR, ACR: v.ACR, UserEpoch: v.UserEpoch}
	v.Used, v.LoginFor, v.ChosenFor = in.Now, "", ""
	return storage.Change{
		Partition: storage.UserPartition(sub),
		Checks:    []storage.Check{in.SignIn.Check(storage.SignInKey(v.ID)), in.User.Check(storage.UserKey(sub))},
		Puts: []storage.Put{
			s.signInPut(v, in.Now),
			storage.ApprovalPut(yes, asked.Expires.Add(time.Minute)),
			storage.LetInPut(asked.ClientID, in.Now.Add(codeTTL)),
		},
	}
}

// DenyDevice is somebody's no. Who is not signed in, sub being "", may say it
// too, for it needs nothing but the code; that is no event, as strangers could
// make any number of them.
func (s *Service) DenyDevice(ctx context.Context, asked DeviceAsked, sub string, from Source) error {
	return s.answerDevice(ctx, asked, events.DeviceDenied, sub, from, func(r *storage.DeviceRequest) { r.Denied = true })
}

// answerDevice notes an answer in the request, unless it has one. The device asks
// meanwhile, which changes the request too.
func (s *Service) answerDevice(ctx context.Context, asked DeviceAsked, event, sub string, from Source, answer func(*storage.DeviceRequest)) error {
	id := asked.Request.Value.ID
	return retryConflicts(func() error {
		rec, now, err := s.deviceRequest(ctx, id)
		switch {
		case err != nil:
			return err
		case !rec.Exists() || rec.Value.DeviceHash != asked.Name():
			return ErrUserCode // expired meanwhile
		case rec.Value.Answered():
			return nil
		}
		r := rec.Value
		answer(&r)
		change := storage.Change{
			Partition: storage.DevicePartition(id),
			Checks:    []storage.Check{rec.Check(storage.DeviceKey(id))},
			Puts:      []storage.Put{devicePut(r)},
		}
		if sub != "" {
			e := events.New(event, now)
			e.Subject, e.ClientID, e.Actor, e.Source, e.Note = sub, r.ClientID, sub, from.Address, r.Scope
			change.Puts = append(change.Puts, events.Put(e))
		}
		_, err = s.Store.Commit(ctx, change)
		return err
	})
}
