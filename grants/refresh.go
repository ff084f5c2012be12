package grants

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"jeton/keys"
	"jeton/storage"
)

// refreshGrant is RFC 6749 §6 with rotation (RFC 9700 §4.14.2): a refresh token
// is used once, and its use makes the next one.
type refreshGrant struct{}

// presented is a refresh token that is genuine, with the truth as it was when
// it was looked at.
type presented struct {
	req     Request
	claims  refreshClaims
	rotID   []byte
	secret  []byte
	session storage.Record[storage.Session]
	user    storage.Record[storage.User]
	now     time.Time
	// healed are the rows that go with a session that was moved forward.
	healed []storage.Put
	// elsewhere is what differs from where the session was refreshed before.
	elsewhere []Mismatch
}

// Authorize decides what a refresh token is worth: the next generation, the
// same answer again, or the end of its session.
func (refreshGrant) Authorize(ctx context.Context, s *Service, req Request) (Authorization, error) {
	if req.RefreshToken == "" {
		return nil, fail(InvalidRequest, "refresh_token is required", nil)
	}
	p, err := s.present(ctx, req)
	if err != nil {
		return nil, err
	}
	a, err := s.decide(ctx, p)
	return a, about(err, p.session.Value.Subject, p.session.Value.ID)
}

// decide is what becomes of a genuine refresh token.
func (s *Service) decide(ctx context.Context, p presented) (Authorization, error) {
	if err := s.alive(ctx, p.session, p.user, p.now); err != nil {
		return nil, refuseDead(err, badRefreshToken)
	}
	// The record that the client was authenticated with grows old while a request
	// is decided again and again.
	var err error
	if p.req.Client, _, err = s.records(ctx, p.session.Value); err != nil {
		return nil, err
	}
	ses := p.session.Value
	if ses.Thumbprint != "" && ses.Thumbprint != p.req.thumbprint() {
		// Nothing changes: whoever has stolen the token must not be able to end the
		// session by it either.
		return nil, badRefreshToken(errors.New("bound to another key"))
	}
	switch gen := p.claims.Generation; {
	case gen == ses.Generation && bytes.Equal(p.rotID, ses.RotID):
		if !p.now.Before(p.claims.ExpiresAt.Time) {
			return nil, badRefreshToken(errors.New("expired"))
		}
		return s.authorizeRotation(ctx, p)
	case gen+1 == ses.Generation && bytes.Equal(p.rotID, ses.PrevRotID) && s.retryAllowed(p):
		return s.authorizeRetry(ctx, p)
	case gen > ses.Generation:
		return s.authorizeAhead(ctx, p)
	}
	return nil, s.endForReuse(ctx, p, storage.ReasonReuse)
}

// present checks that a refresh token is genuine. The outer MAC comes before
// any I/O, so forgeries cost nothing; then whose it is; then the inner MAC.
func (s *Service) present(ctx context.Context, req Request) (presented, error) {
	p := presented{req: req}
	if err := s.Keys.Parse(ctx, s.Now(), keys.UseRefresh, req.RefreshToken, typRefresh, &p.claims); err != nil {
		return p, refuseDead(err, badRefreshToken)
	}
	if p.claims.ExpiresAt == nil {
		return p, badRefreshToken(errors.New("it has no exp"))
	}
	if p.claims.ClientID != req.Client.Value.ID {
		s.Log.WarnContext(ctx, "a client presented the refresh token of another client; nothing was changed",
			"client_id", req.Client.Value.ID, "owner", p.claims.ClientID, "sid", p.claims.SessionID, "source", req.Source.Address)
		return p, notable("foreign_token", "issued to another client")
	}
	var err error
	if p.session, p.user, p.now, err = s.Store.SessionAndUser(ctx, p.claims.Subject, p.claims.SessionID); err != nil {
		return p, err
	}
	if !p.session.Exists() {
		return p, badRefreshToken(errors.New("no such session"))
	}
	if p.secret, err = s.openSecret(p.session.Value); err != nil {
		return p, err
	}
	var ok bool
	if p.rotID, ok = checkRefreshTokenID(p.secret, p.claims); !ok || p.session.Value.ClientID != p.claims.ClientID {
		return p, badRefreshToken(errors.New("the inner MAC is wrong"))
	}
	return p, nil
}

// retryAllowed reports whether the immediate predecessor may have its answer
// again: within the window, or because a node knows that nobody got it. A store
// whose clock was set back must not open either for longer than it is.
func (s *Service) retryAllowed(p presented) bool {
	ses := p.session.Value
	window := s.retryWindow(p.req.Client.Value)
	return p.now.Sub(ses.Rotated).Abs() < window || stillMarked(ses.UnconfirmedUntil, p.now) || s.unsaid.has(ses, p.now)
}

// cookieRetryWindow is that of clients whose tokens travel in cookies: the tabs
// of a browser share one cookie, and any of them may lose the answer.
const cookieRetryWindow = 10 * time.Second

// retryWindow is how long a client's spent refresh token gets its successor.
func (s *Service) retryWindow(client storage.Client) time.Duration {
	switch own := client.RefreshRetryWindow; {
	case own != nil:
		return time.Duration(*own)
	case client.ByCookie():
		return max(s.Settings.RefreshRetryWindow, cookieRetryWindow)
	}
	return s.Settings.RefreshRetryWindow
}

// endForReuse ends the session because a spent token came back, and returns the
// refusal. The store must have said yes before the refusal is given.
func (s *Service) endForReuse(ctx context.Context, p presented, reason string) error {
	ses := p.session.Value
	// Who presents a spent token must not be able to stop this by hanging up.
	ctx = context.WithoutCancel(ctx)
	e := Ending{Reason: reason, By: "server", Source: p.req.Source.Address}
	if reason == storage.ReasonReuse {
		e.Note = reuseInWords(p)
	}
	var ended bool
	var err error
	if reason == storage.ReasonReuse && s.Settings.On.Reuse.To(OnReuse) == EndAllSessions {
		ended, err = s.endAllOf(ctx, ses, e)
	} else {
		ended, err = s.endSession(ctx, ses.Subject, ses.ID, e)
	}
	if err != nil {
		return err
	}
	if !ended { // another has just ended it
		return badRefreshToken(errors.New("spent"))
	}
	return notable(reason, "spent: the session was ended")
}

// rotation is the authorization to go one generation on.
type rotation struct {
	presented
	scope    string
	audience []string
}

func (s *Service) authorizeRotation(ctx context.Context, p presented) (Authorization, error) {
	if err := s.compare(ctx, &p); err != nil {
		return nil, err
	}
	scope, audience, err := s.narrowed(p)
	return rotation{p, scope, audience}, err
}

// narrowed is the scope and audience of one refresh.
func (s *Service) narrowed(p presented) (scope string, audience []string, err error) {
	client, ses := p.req.Client.Value, p.session.Value
	if scope, err = refreshScope(client, ses.Scope, p.req.Scope); err != nil {
		return "", nil, err
	}
	audience, err = s.Settings.resources(client, strings.Fields(ses.Scope), ses.Resource, p.req.Resource)
	return scope, audience, err
}

// issue signs the next generation and then spends the token, on the condition
// that neither the session nor the user has changed since they were read.
func (r rotation) issue(ctx context.Context, s *Service) (Response, error) {
	client, ses := r.req.Client.Value, r.session.Value
	ses.PrevRotID, ses.RotID = ses.RotID, newRotID()
	ses.Generation++
	ses.Rotated, ses.UnconfirmedUntil = r.now, time.Time{}
	ses.Audience = r.audience
	remember(&ses, r.secret, client, r.req.Source)
	bind(&ses, r.req)
	s.newRefresh(&ses, client, r.now)
	revoked, err := s.newAccess(ctx, &ses, client, r.user.Value, r.scope, r.now)
	if err != nil {
		return Response{}, err
	}
	accompany(&ses)
	resp, err := s.respondAgain(ctx, &ses, r.presented)
	if err != nil {
		return Response{}, err
	}
	if err := s.commitSession(ctx, r.presented, ses, slices.Concat(revoked, r.healed, r.tellElsewhere(r.now))); err != nil {
		return Response{}, err
	}
	resp.rotated, resp.Elsewhere = &rotated{ses.Subject, ses.ID, ses.RotID, ses.Generation}, r.elsewhere
	return resp, nil
}

// commitSession commits a [Service.sessionChange] that carries a rotation or an
// access token of its own, and finds out what became of it where the store
// cannot say.
func (s *Service) commitSession(ctx context.Context, p presented, ses storage.Session, more []storage.Put) error {
	version, err := s.Store.Commit(ctx, s.sessionChange(p, ses, more))
	if err == nil {
		s.Store.WroteSession(version, ses)
		return nil
	}
	settled := s.wrote(ctx, ses, !bytes.Equal(ses.RotID, p.session.Value.RotID), err)
	if errors.Is(settled, storage.ErrUnknown) || errors.Is(settled, storage.ErrUnconfirmed) {
		s.markSoon(rotated{ses.Subject, ses.ID, ses.RotID, ses.Generation})
	}
	return settled
}

// sessionChange writes a session on the condition that it and its user are still
// what the decision was made on.
func (s *Service) sessionChange(p presented, ses storage.Session, more []storage.Put) storage.Change {
	return storage.Change{
		Partition: storage.UserPartition(ses.Subject),
		Checks:    []storage.Check{p.session.Check(storage.SessionKey(ses.ID)), p.user.Check(storage.UserKey(ses.Subject))},
		Puts:      append(more, sessionPut(ses, nil)),
	}
}

// retry is the authorization to answer again what was answered before.
type retry struct {
	presented
	scope    string
	audience []string
	// streak is the new count of generations retried from elsewhere, 0 when
	// this retry comes from where the rotation came from.
	streak int
}

// mostForeignRetries is how many generations in a row may be retried from
// another source than they were rotated from: a thief who rides in every
// window looks like this, a phone between two networks does not.
const mostForeignRetries = 3

func (s *Service) authorizeRetry(ctx context.Context, p presented) (Authorization, error) {
	if err := s.compare(ctx, &p); err != nil {
		return nil, err
	}
	scope, audience, err := s.narrowed(p)
	return retry{presented: p, scope: scope, audience: audience, streak: foreignRetries(p)}, err
}

func foreignRetries(p presented) int {
	ses := p.session.Value
	switch {
	case p.req.Source.Device == ses.Device:
		return 0
	case ses.RetryGeneration == ses.Generation:
		return ses.RetryStreak
	case ses.RetryGeneration+1 == ses.Generation:
		return ses.RetryStreak + 1
	}
	return 1
}

// issue repeats the committed refresh token byte for byte, and the committed
// access token's claims, unless what it would say is no longer so: then a new
// access token takes a new index by commit.
func (r retry) issue(ctx context.Context, s *Service) (Response, error) {
	ses := r.session.Value
	if r.streak >= mostForeignRetries {
		return Response{}, about(s.endForReuse(ctx, r.presented, storage.ReasonReuse), ses.Subject, ses.ID)
	}
	same := r.now.Before(ses.Access.Expires) && isLive(ses, accessEpoch(r.user.Value, r.req.Client.Value), ses.Access.ID) &&
		ses.Access.Scope == r.scope && ses.Access.Thumbprint == r.req.thumbprint() && slices.Equal(ses.Access.Roles, r.user.Value.Roles) &&
		slices.Equal(ses.Audience, r.audience)
	var puts []storage.Put
	if !same {
		var err error
		bind(&ses, r.req)
		ses.Audience = r.audience
		if puts, err = s.newAccess(ctx, &ses, r.req.Client.Value, r.user.Value, r.scope, r.now); err != nil {
			return Response{}, err
		}
	}
	resp, err := s.respondAgain(ctx, &ses, r.presented)
	if err != nil {
		return Response{}, err
	}
	told, marked := r.mark(&ses)
	puts = append(puts, told...)
	switch {
	case !same:
		err = s.commitSession(ctx, r.presented, ses, puts)
	case marked:
		// This write has no id of its own by which it could be told from another's,
		// so its loss is never taken for success: the request is decided again.
		_, err = s.Store.Commit(ctx, s.sessionChange(r.presented, ses, puts))
	default:
		err = s.confirm(ctx, r.session)
	}
	if err != nil {
		return Response{}, err
	}
	resp.Retry = true
	if len(told) > 0 {
		resp.Elsewhere = r.elsewhere
	}
	return resp, nil
}

// mark notes in a session that its generation was retried from elsewhere, and
// returns the event that tells of it: once for each generation, however often it is
// retried, since who has a copy could make events without end.
func (r retry) mark(ses *storage.Session) (told []storage.Put, marked bool) {
	if r.streak > 0 && ses.RetryGeneration != ses.Generation {
		ses.RetryStreak, ses.RetryGeneration, marked = r.streak, ses.Generation, true
	}
	if len(r.elsewhere) > 0 && ses.RetryTold != ses.Generation {
		ses.RetryTold, told, marked = ses.Generation, r.tellElsewhere(r.now), true
	}
	return told, marked
}

// respond signs the tokens that the session's record describes, and notes in it
// which keys signed. Nothing is committed for tokens that cannot be handed over.
func (s *Service) respond(ctx context.Context, ses *storage.Session, secret []byte, now time.Time, most int) (Response, error) {
	access, err := s.signAccess(ctx, ses, now)
	if err != nil {
		return Response{}, err
	}
	refresh, err := s.signRefresh(ctx, ses, secret, now)
	if err != nil {
		return Response{}, err
	}
	if longest := max(len(access), len(refresh)); most > 0 && longest > most {
		return Response{}, about(tooLong(longest, most), ses.Subject, ses.ID)
	}
	return Response{
		AccessToken: access, ExpiresIn: ses.Access.Expires.Sub(seconds(now)),
		RefreshToken: refresh, RefreshExpiresIn: ses.Refresh.Expires.Sub(seconds(now)),
		Scope: ses.Access.Scope, Bound: ses.Access.Thumbprint != "", Subject: ses.Subject, Session: ses.ID,
	}, nil
}

// respondAgain is respond for a session that goes on, with its ID token.
func (s *Service) respondAgain(ctx context.Context, ses *storage.Session, p presented) (Response, error) {
	resp, err := s.respond(ctx, ses, p.secret, p.now, p.req.MostToken)
	if err == nil {
		resp.IDToken, err = s.refreshedID(ctx, *ses, p.user, p.req.Client.Value, resp.AccessToken)
	}
	return resp, err
}
