package grants

import (
	"bytes"
	"context"
	"errors"
	"time"

	"jeton/keys"
	"jeton/storage"
)

// TokenKind tells apart what this server gives away.
type TokenKind string

// The kinds. TokenForeign has the form of a JWT, and none of our keys made it;
// TokenUnknown has not even that.
const (
	TokenAccess  TokenKind = "access"
	TokenRefresh TokenKind = "refresh"
	TokenID      TokenKind = "id"
	TokenCode    TokenKind = "code"
	TokenForeign TokenKind = "foreign"
	TokenUnknown TokenKind = "unknown"
)

// Inspection is all that can be told of a token to who runs the server. It tells
// what would happen if the token were used, and changes nothing: a spent refresh
// token that is looked at ends no session.
type Inspection struct {
	Kind TokenKind
	// Lives says that it would be taken; Cause says why it is not, or what will
	// come of it.
	Lives bool
	Cause string
	// What it says of itself. It is genuine, wherever Kind names one of ours.
	Subject, ClientID, SessionID, TokenID, Scope string
	Issued, Expires                              time.Time
	Roles                                        []string
	// Generation is that of a refresh token.
	Generation uint64
	// Session is the one that it belongs to, if it is still known.
	Session storage.Record[storage.Session]
}

// Inspect finds out what a token is.
func (s *Service) Inspect(ctx context.Context, token string) (Inspection, error) {
	for _, look := range []func(context.Context, string) (Inspection, bool, error){s.inspectRefresh, s.inspectAccess, s.inspectID, s.inspectCode} {
		if i, ok, err := look(ctx, token); ok || err != nil {
			return i, err
		}
	}
	if _, err := keys.CheckCompact(token); err == nil {
		return Inspection{Kind: TokenForeign, Cause: "no key of this server has signed it: it is another server's, or was changed, or is older than the keys that are kept"}, nil
	}
	return Inspection{Kind: TokenUnknown, Cause: "it is nothing that this server gives away: look whether all of it was copied"}, nil
}

func (s *Service) inspectRefresh(ctx context.Context, token string) (i Inspection, ok bool, err error) {
	var c refreshClaims
	if err := s.Keys.Parse(ctx, s.Now(), keys.UseRefresh, token, typRefresh, &c); err != nil {
		return i, false, refuseDead(err, unknownToken)
	}
	if c.ExpiresAt == nil || c.IssuedAt == nil {
		return i, false, nil
	}
	i = Inspection{
		Kind: TokenRefresh, Subject: c.Subject, ClientID: c.ClientID, SessionID: c.SessionID, Generation: c.Generation,
		Issued: c.IssuedAt.Time, Expires: c.ExpiresAt.Time,
	}
	p := presented{claims: c}
	if p.session, p.user, p.now, err = s.Store.SessionAndUser(ctx, c.Subject, c.SessionID); err != nil {
		return i, true, err
	}
	i.Session = p.session
	if p.session.Exists() {
		if p.secret, err = s.openSecret(p.session.Value); err != nil {
			return i, true, err
		}
		if p.rotID, ok = checkRefreshTokenID(p.secret, c); !ok {
			i.Cause = "the session did not make it: somebody has the refresh key, and not the database"
			return i, true, nil
		}
		if p.req.Client, _, err = s.records(ctx, p.session.Value); err != nil {
			return i, true, err
		}
	}
	i.Lives, i.Cause, err = s.judgeRefresh(ctx, p)
	return i, true, err
}

// judgeRefresh says what [Service.decide] would do.
func (s *Service) judgeRefresh(ctx context.Context, p presented) (lives bool, cause string, err error) {
	if err := s.alive(ctx, p.session, p.user, p.now); err != nil {
		var d dead
		if !errors.As(err, &d) {
			return false, "", err
		}
		return false, string(d), nil
	}
	ses, gen := p.session.Value, p.claims.Generation
	switch {
	case gen == ses.Generation && bytes.Equal(p.rotID, ses.RotID):
		if !p.now.Before(p.claims.ExpiresAt.Time) {
			return false, "it was not used until it expired", nil
		}
		return true, "it is the current one of its session", nil
	case gen+1 == ses.Generation && bytes.Equal(p.rotID, ses.PrevRotID) && s.retryAllowed(p):
		return true, "it is spent, and so lately that it still returns its successor", nil
	case gen > ses.Generation:
		return false, "it is ahead of its session: the store has lost writes", nil
	}
	return false, "it is spent: if it is used once more, its session ends", nil
}

func (s *Service) inspectAccess(ctx context.Context, token string) (i Inspection, ok bool, err error) {
	c, err := s.parseAccess(ctx, token)
	if err != nil {
		return i, false, refuseDead(err, unknownToken)
	}
	if c.ExpiresAt == nil || c.IssuedAt == nil {
		return i, false, nil
	}
	i = Inspection{
		Kind: TokenAccess, Subject: c.Subject, ClientID: c.ClientID, SessionID: c.SessionID, TokenID: c.ID, Scope: c.Scope, Roles: c.Roles,
		Issued: c.IssuedAt.Time, Expires: c.ExpiresAt.Time,
	}
	if err := s.sessionOf(ctx, &i); err != nil {
		return i, true, err
	}
	_, err = s.VerifyAccess(ctx, token)
	if refused, ok := errors.AsType[*Error](err); ok {
		i.Cause = refused.Description
		if refused.Cause != nil {
			i.Cause = refused.Cause.Error()
		}
		return i, true, nil
	}
	i.Lives = err == nil
	return i, true, err
}

// sessionOf finds the session that a token names.
func (s *Service) sessionOf(ctx context.Context, i *Inspection) (err error) {
	if i.SessionID != "" {
		i.Session, _, _, err = s.Store.SessionAndUser(ctx, i.Subject, i.SessionID)
	}
	return err
}

func (s *Service) inspectID(ctx context.Context, token string) (i Inspection, ok bool, err error) {
	h, ok, err := s.IDTokenHint(ctx, token)
	if err != nil || !ok {
		return i, false, err
	}
	i = Inspection{Kind: TokenID, Subject: h.Subject, ClientID: h.ClientID, SessionID: h.SessionID,
		Cause: "an ID token tells the client who logged in, at that moment; it opens nothing"}
	return i, true, s.sessionOf(ctx, &i)
}

// inspectCode looks for an authorization code, or for the session that it became.
func (s *Service) inspectCode(ctx context.Context, text string) (i Inspection, ok bool, err error) {
	h, ok := s.openCode(text)
	if !ok {
		return i, false, nil
	}
	snap, err := s.Store.Read(ctx, storage.UserPartition(h.sub), storage.CodeKey(h.id()), storage.SessionKey(h.sessionID()))
	if err != nil {
		return i, true, err
	}
	i = Inspection{Kind: TokenCode, Subject: h.sub, Cause: "it is used or expired"}
	code, err := storage.Decode[storage.AuthorizationCode](snap.Rows[0])
	if err != nil {
		return i, true, err
	}
	if code.Exists() {
		i.Lives, i.Cause, i.ClientID, i.Scope, i.Expires = true, "it has not been redeemed", code.Value.ClientID, code.Value.Scope, code.Value.Expires
	}
	if i.Session, err = storage.Decode[storage.Session](snap.Rows[1]); err != nil {
		return i, true, err
	}
	if i.Session.Exists() {
		i.SessionID, i.ClientID = i.Session.Value.ID, i.Session.Value.ClientID
		i.Cause = "it became a session: whoever shows it again ends that"
	}
	return i, true, nil
}
