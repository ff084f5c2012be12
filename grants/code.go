package grants

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"jeton/storage"
)

// codeGrant is RFC 6749 §4.1.3 with PKCE (RFC 7636), which every client uses
// here, and with S256 only.
type codeGrant struct{}

// codeTTL is how long a code may be redeemed (FAPI 2.0 §5.3.2.1).
const codeTTL = 60 * time.Second

// Authorize decides what a code is worth: a session, or the end of the session
// that it has been traded for already.
func (codeGrant) Authorize(ctx context.Context, s *Service, req Request) (Authorization, error) {
	switch {
	case req.Code == "":
		return nil, fail(InvalidRequest, "code is required", nil)
	case req.Verifier == "":
		return nil, fail(InvalidRequest, "code_verifier is required", nil)
	case !validVerifier(req.Verifier):
		return nil, fail(InvalidGrant, "the code_verifier is malformed: 43 to 128 letters, digits and -._~ (RFC 7636 section 4.1)", nil)
	}
	h, ok := s.openCode(req.Code)
	if !ok {
		return nil, badCode("not one of this server")
	}
	snap, err := s.Store.Read(ctx, storage.UserPartition(h.sub), storage.CodeKey(h.id()), storage.UserKey(h.sub))
	if err != nil {
		return nil, err
	}
	code, err := storage.Decode[storage.AuthorizationCode](snap.Rows[0])
	if err != nil {
		return nil, err
	}
	if !code.Exists() {
		return nil, s.replayed(ctx, h, req)
	}
	user, err := storage.Decode[storage.User](snap.Rows[1])
	if err != nil {
		return nil, err
	}
	return s.redeem(ctx, redemption{req: req, handle: h, code: code, user: user, now: snap.Now})
}

// redemption is a code that nobody has redeemed yet, with the truth as it was
// when it was looked at.
type redemption struct {
	req    Request
	handle handle
	code   storage.Record[storage.AuthorizationCode]
	user   storage.Record[storage.User]
	now    time.Time
}

func (s *Service) redeem(ctx context.Context, r redemption) (Authorization, error) {
	code, client := r.code.Value, r.req.Client.Value
	if code.ClientID != client.ID {
		// It stays good for the client it is for: whoever lets codes leak to
		// others must not be able to spoil them too.
		s.Log.WarnContext(ctx, "a client presented the code of another client; nothing was changed",
			"client_id", client.ID, "owner", code.ClientID, "source", r.req.Source.Address)
		return nil, badCode("issued to another client")
	}
	switch {
	case r.req.RedirectURI != "" && r.req.RedirectURI != code.RedirectURI:
		return nil, s.burn(ctx, r, "the redirect_uri is not the one of the authorization request")
	case !rightVerifier(r.req.Verifier, code.Challenge):
		return nil, s.burn(ctx, r, "the code_verifier is wrong")
	case code.Thumbprint != "" && code.Thumbprint != r.req.thumbprint():
		return nil, s.burn(ctx, r, "bound to another key (RFC 9449 section 10)")
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case !r.user.Exists() || r.user.Value.Disabled,
		code.UserEpoch != r.user.Value.Epoch, code.ClientEpoch != client.Epoch, code.SystemEpoch != system.Value.Epoch:
		return nil, badCode("what it stands for was revoked meanwhile")
	}
	scope, err := refreshScope(client, code.Scope, "") // without what the client has lost since
	if err != nil {
		return nil, err
	}
	audience, err := s.Settings.resources(client, strings.Fields(scope), code.Resource, r.req.Resource)
	if err != nil {
		return nil, err
	}
	check := r.code.Check(storage.CodeKey(code.ID))
	return login{
		req: r.req, user: r.user, now: r.now, code: &check, nonce: code.Nonce,
		begin: storage.Session{
			ID: r.handle.sessionID(), Scope: scope, Audience: audience, Resource: code.Resource,
			Notify: client.BackchannelLogoutURI != "" && hasScope(scope, ScopeOpenID),
			AMR:    code.AMR, ACR: code.ACR, Browser: code.Browser, AuthTime: code.AuthTime, SystemEpoch: code.SystemEpoch,
		},
	}, nil
}

// burn ends a code of which the right client knows too little: it has been
// injected or stolen (RFC 9700 §4.5), and gets no second guess.
func (s *Service) burn(ctx context.Context, r redemption, cause string) error {
	key := storage.CodeKey(r.code.Value.ID)
	_, err := s.Store.Commit(context.WithoutCancel(ctx), storage.Change{
		Partition: storage.UserPartition(r.handle.sub),
		Checks:    []storage.Check{r.code.Check(key)},
		Deletes:   []storage.Key{key},
	})
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		return err
	}
	return badCode(cause)
}

// replayed ends the session that a spent code was traded for (RFC 6749 §4.1.2).
// Its id follows from the code, so that nothing of the code has to be kept.
func (s *Service) replayed(ctx context.Context, h handle, req Request) error {
	ses, _, _, err := s.Store.SessionAndUser(ctx, h.sub, h.sessionID())
	switch {
	case err != nil:
		return err
	case !ses.Exists():
		return badCode("expired, or it never was")
	case ses.Value.ClientID != req.Client.Value.ID:
		return badCode("issued to another client")
	}
	ended, err := s.endSession(context.WithoutCancel(ctx), h.sub, h.sessionID(), Ending{
		Reason: storage.ReasonCodeReplay, By: "server", Source: req.Source.Address,
	})
	if err != nil {
		return err
	}
	refusal := about(badCode("used before"), h.sub, h.sessionID())
	if refused, ok := errors.AsType[*Error](refusal); ok && ended {
		refused.Outcome = storage.ReasonCodeReplay
	}
	return refusal
}

// validVerifier holds for RFC 7636 §4.1.
func validVerifier(v string) bool {
	return len(v) >= 43 && len(v) <= 128 && !strings.ContainsFunc(v, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r))
	})
}

// validChallenge holds for what S256 can make: 32 bytes in base64url.
func validChallenge(c string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(c)
	return err == nil && len(b) == sha256.Size && len(c) == 43
}

func rightVerifier(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
