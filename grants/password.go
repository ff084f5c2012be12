package grants

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"jeton/events"
	"jeton/passwords"
	"jeton/storage"
	"jeton/throttle"
)

// passwordGrant is RFC 6749 §4.3. RFC 9700 §2.4 says not to use it, so only
// clients that an operator lists for it may (docs/DIVERGENCES.md).
type passwordGrant struct{}

// Authorize checks the password. A user that does not exist costs the same
// work and gets the same words as a wrong password.
func (passwordGrant) Authorize(ctx context.Context, s *Service, req Request) (Authorization, error) {
	if req.Username == "" || req.Password == "" {
		return nil, fail(InvalidRequest, "username and password are required", nil)
	}
	if err := s.fence(ctx, req); err != nil {
		return nil, err
	}
	scope, err := passwordScope(req.Client.Value, req.Scope)
	if err != nil {
		return nil, err
	}
	audience, err := s.Settings.resources(req.Client.Value, scope, nil, req.Resource)
	if err != nil {
		return nil, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return nil, err
	}
	addr, _ := netip.ParseAddr(req.Source.Address)
	user, now, rehash, err := s.throttled(ctx, req.Password, throttle.Attempt{
		User: req.Username, Source: addr,
		// A backend sends its users' passwords from its own address.
		ClientID: req.Client.Value.ID, TrustedClient: !req.Client.Value.Public(),
	})
	if err != nil {
		return nil, err
	}
	return login{
		req: req, user: user, rehash: rehash, now: now,
		begin: storage.Session{
			ID: newID(), Scope: strings.Join(scope, " "), Audience: audience, Resource: req.Resource,
			AMR: []string{"pwd"}, AuthTime: seconds(now), SystemEpoch: system.Value.Epoch,
		},
	}, nil
}

// throttled checks the password, unless there have been too many wrong ones:
// the attempt is counted before the hash is computed.
func (s *Service) throttled(ctx context.Context, password string, attempt throttle.Attempt) (user storage.Record[storage.User], now time.Time, rehash string, err error) {
	if s.Throttle == nil {
		user, now, rehash, err = s.checkPassword(ctx, attempt.User, password)
		return user, now, rehash, about(err, user.Value.Subject, "")
	}
	attempt.Secret = password
	ticket, err := s.Throttle.Try(attempt)
	if err != nil {
		return user, now, "", err
	}
	user, now, rehash, err = s.checkPassword(ctx, attempt.User, password)
	err = about(err, user.Value.Subject, "")
	var refused *Error
	switch {
	case err == nil:
		err = ticket.Success()
	case errors.As(err, &refused):
		if slow := ticket.Failure(); slow != nil {
			err = slow
		}
	default:
		ticket.Cancel() // the store or the queue, nobody's guess
	}
	return user, now, rehash, err
}

// checkPassword finds the user and verifies the password; rehash is a new hash
// for the record where the stored one has fallen behind the settings.
func (s *Service) checkPassword(ctx context.Context, username, password string) (user storage.Record[storage.User], now time.Time, rehash string, err error) {
	name, nameErr := storage.NormalName(username)
	if nameErr == nil {
		if user, now, err = s.Store.UserByName(ctx, name); err != nil {
			return user, now, "", err
		}
	}
	if !user.Exists() || user.Value.PasswordHash == "" {
		if err := s.Passwords.VerifyUnknown(ctx, password); err != nil {
			return user, now, "", err
		}
		return user, now, "", badPassword("no such user, or one without a password")
	}
	result, err := s.Passwords.Verify(ctx, user.Value.PasswordHash, password)
	switch {
	case errors.Is(err, passwords.ErrStored):
		s.Log.ErrorContext(ctx, "the stored password hash of a user cannot be used: set a new password with `jeton user passwd`",
			"sub", user.Value.Subject, "error", err)
		return user, now, "", badPassword("the stored hash cannot be used")
	case err != nil:
		return user, now, "", err
	case !result.OK:
		return user, now, "", badPassword("wrong password")
	case user.Value.Disabled:
		return user, now, "", badPassword("the user is disabled")
	}
	if result.Rehash {
		if rehash, err = s.Passwords.Rehash(ctx, password); err != nil {
			return user, now, "", err
		}
	}
	return user, now, rehash, nil
}

// login is the authorization of a new session.
type login struct {
	req    Request
	user   storage.Record[storage.User]
	rehash string
	now    time.Time
	// begin is what is decided of the session: its id, what was granted, how and
	// when the user proved who they are.
	begin storage.Session
	// code is the row that the session is made of, if it is.
	code *storage.Check
	// nonce is for the ID token.
	nonce string
}

// issue opens the session: signs both tokens, then commits session, user check
// and event at once.
func (l login) issue(ctx context.Context, s *Service) (Response, error) {
	client := l.req.Client.Value
	ses, secret, err := l.session(ctx, s)
	if err != nil {
		return Response{}, err
	}
	resp, err := s.respond(ctx, &ses, secret, l.now, l.req.MostToken)
	if err != nil {
		return Response{}, err
	}
	if !slices.Contains(client.Grants, storage.GrantRefreshToken) {
		resp.RefreshToken = ""
	}
	if l.code != nil && identifies(ses) {
		if resp.IDToken, err = s.signID(ctx, ses, l.user.Value, l.nonce, resp.AccessToken); err != nil {
			return Response{}, err
		}
	}
	change := storage.Change{
		Partition: storage.UserPartition(ses.Subject),
		Checks:    []storage.Check{l.user.Check(storage.UserKey(ses.Subject)), {Key: storage.SessionKey(ses.ID)}},
		Puts:      []storage.Put{sessionPut(ses, sessionIndex(ses)), l.event(ses)},
	}
	if l.code != nil {
		change.Checks, change.Deletes = append(change.Checks, *l.code), append(change.Deletes, l.code.Key)
	}
	if l.rehash != "" {
		user := l.user.Value
		user.PasswordHash = l.rehash
		change.Puts = append(change.Puts, storage.Put{Key: storage.UserKey(ses.Subject), Value: storage.Encode(user)})
	}
	if err := s.makeRoom(ctx, &change, ses, client, l.now); err != nil {
		return Response{}, err
	}
	if _, err := s.Store.Commit(ctx, change); err != nil {
		if err := s.wrote(ctx, ses, true, err); err != nil {
			return Response{}, err
		}
	}
	return resp, s.checkEpochs(ctx, ses, client.AccessEpoch)
}

// session is the record of the new session, its first tokens in it.
func (l login) session(ctx context.Context, s *Service) (storage.Session, []byte, error) {
	client, now, ses := l.req.Client.Value, l.now, l.begin
	secret := randomBytes(32)
	ses.Subject, ses.ClientID = l.user.Value.Subject, client.ID
	ses.Created, ses.End = now, seconds(now.Add(lifetime(client.SessionTTL, s.Settings.SessionTTL)))
	ses.UserEpoch, ses.ClientEpoch = l.user.Value.Epoch, client.Epoch
	ses.Generation, ses.RotID, ses.Rotated = 1, newRotID(), now
	ses.Secret = s.sealSecret(ses.ID, secret)
	remember(&ses, secret, client, l.req.Source)
	if !slices.Contains(client.Grants, storage.GrantRefreshToken) {
		ses.End = earlier(ses.End, seconds(now.Add(lifetime(client.AccessTokenTTL, s.Settings.AccessTokenTTL))))
	}
	bind(&ses, l.req)
	s.newRefresh(&ses, client, now)
	_, err := s.newAccess(ctx, &ses, client, l.user.Value, ses.Scope, now)
	accompany(&ses)
	return ses, secret, err
}

func (l login) event(ses storage.Session) storage.Put {
	e := events.New(events.SessionStarted, l.now)
	e.Subject, e.Session, e.ClientID = ses.Subject, ses.ID, ses.ClientID
	e.Actor, e.Source = ses.Subject, l.req.Source.Address
	return events.Put(e)
}

// makeRoom ends the client's longest unused sessions of this user where the new
// one would be one too many.
func (s *Service) makeRoom(ctx context.Context, change *storage.Change, ses storage.Session, client storage.Client, now time.Time) error {
	most := client.MaxSessions
	if most == 0 {
		most = s.Settings.MaxSessions
	}
	var live []storage.Record[storage.Session]
	q := storage.Query{Index: storage.IndexLive(ses.ClientID), Partition: change.Partition}
	err := s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		old, err := storage.Decode[storage.Session](row)
		switch {
		case s.Store.Skip(ctx, row, err):
		case err != nil:
			return err
		case now.Before(old.Value.Refresh.Expires):
			live = append(live, old)
		case len(change.Puts) < mostTidied:
			// Idle too long: it is live no more, and must not be looked at at
			// every login until its row expires.
			over := sessionPut(old.Value, slices.DeleteFunc(sessionIndex(old.Value), func(e storage.Entry) bool { return e.Name == q.Index }))
			change.Checks = append(change.Checks, old.Check(storage.SessionKey(old.Value.ID)))
			change.Puts = append(change.Puts, over)
		}
		return nil
	})
	if err != nil || len(live) < most {
		return err
	}
	slices.SortFunc(live, func(a, b storage.Record[storage.Session]) int { return a.Value.Rotated.Compare(b.Value.Rotated) })
	for _, old := range live[:len(live)-most+1] {
		change.Checks = append(change.Checks, old.Check(storage.SessionKey(old.Value.ID)))
		change.Puts = append(change.Puts, endPuts(old.Value, Ending{Reason: storage.ReasonSessionLimit, By: "server"}, now)...)
	}
	return nil
}

// mostTidied bounds what a login writes beside its own session.
const mostTidied = 50

// checkEpochs closes the gap that the caches leave: a session that was opened
// under an epoch that ended meanwhile, after the sweep had passed, ends here,
// before its tokens reach anyone.
func (s *Service) checkEpochs(ctx context.Context, ses storage.Session, clientAccess uint64) error {
	client, _, err := s.Store.Client(ctx, ses.ClientID)
	if err != nil {
		return err
	}
	snap, err := s.Store.Read(ctx, storage.SystemPartition, storage.SystemKey)
	if err != nil {
		return err
	}
	system, err := storage.Decode[storage.System](snap.Rows[0])
	if err != nil {
		return err
	}
	if client.Exists() && !client.Value.Disabled && client.Value.Epoch == ses.ClientEpoch &&
		client.Value.AccessEpoch == clientAccess && system.Value.Epoch == ses.SystemEpoch {
		return nil
	}
	reason := storage.ReasonClientDisabled
	switch {
	case system.Value.Epoch != ses.SystemEpoch:
		reason = storage.ReasonOperator
	case client.Exists() && !client.Value.Disabled && client.Value.Epoch == ses.ClientEpoch:
		reason = storage.ReasonClientChanged
	}
	if _, err := s.endSession(ctx, ses.Subject, ses.ID, Ending{Reason: reason, By: "server"}); err != nil {
		return err
	}
	return fail(InvalidGrant, "the grant was revoked while it was being made", errors.New("client or system epoch moved"))
}
