package grants

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"jeton/events"
	"jeton/storage"
)

// Step is what an authorization request waits for.
type Step int

// The steps of a user through an authorization request.
const (
	StepLogin   Step = iota // who is it?
	StepAccount             // is it this one?
	StepConsent             // may the client have this?
	StepCode                // all is said
)

// NextStep says what comes next for a request, given who is signed in; in is
// nil when nobody is. With prompt=none an answer that only the user could give
// is an error instead (OpenID Connect Core §3.1.2.6).
func (s *Service) NextStep(ctx context.Context, a AuthorizeRequest, in *SignedIn) (Step, error) {
	if err := a.answered(in); err != nil {
		return StepLogin, err
	}
	step, err := s.nextStep(ctx, a, in)
	if err != nil || !a.prompts("none") {
		return step, err
	}
	switch step {
	case StepLogin:
		return step, fail(LoginRequired, "the user is not signed in, or not as the request wants it", nil)
	case StepConsent:
		return step, fail(ConsentRequired, "the user has not agreed yet", nil)
	}
	return step, nil
}

func (s *Service) nextStep(ctx context.Context, a AuthorizeRequest, in *SignedIn) (Step, error) {
	if in == nil {
		return StepLogin, nil
	}
	v := in.SignIn.Value
	fresh := v.LoginFor == a.ID && in.Now.Sub(v.AuthTime) < answerFor
	hinted, err := s.hinted(ctx, a)
	switch {
	case err != nil:
		return StepLogin, err
	case hinted != "" && hinted != v.Subject && fresh:
		return StepLogin, fail(LoginRequired, "another user than the one hinted at has signed in", nil)
	case hinted != "" && hinted != v.Subject:
		return StepLogin, nil
	case fresh: // the user has just done so for this very request
	case a.prompts("login"), a.MaxAge >= 0 && in.Now.Sub(v.AuthTime) > a.MaxAge, a.MaxAge == 0:
		return StepLogin, nil
	case a.prompts("select_account") && v.ChosenFor != a.ID:
		return StepAccount, nil
	}
	agreed, err := s.agreed(ctx, a, *in)
	if err != nil || !agreed {
		return StepConsent, err
	}
	return StepCode, nil
}

// answerFor is how long a sign-in answers the request that asked for it: as long
// as it may take to agree. Whoever comes later with the same request is asked
// again.
const answerFor = 10 * time.Minute

// agreed reports whether the user need not be asked for consent.
func (s *Service) agreed(ctx context.Context, a AuthorizeRequest, in SignedIn) (bool, error) {
	client := a.Client.Value
	switch {
	case a.prompts("consent"), client.Consent == storage.ConsentAlways:
		return false, nil
	case client.Consent == storage.ConsentNever:
		return true, nil
	case client.Public() && !provesItself(a.RedirectURI):
		// Any app on the device can claim a scheme of its own or a port, so
		// nothing says that it is the same one (RFC 8252 §8.6).
		return false, nil
	}
	has, err := s.consent(ctx, a, in.User.Value.Subject)
	return err == nil && covers(has.Value, a.Scope), err
}

// covers reports whether a consent is to all of a scope.
func covers(c storage.Consent, scope []string) bool {
	return !c.Granted.IsZero() && !slices.ContainsFunc(scope, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// relyOnConsent lets a code for which the user was not asked depend on the
// consent that it goes by: one that is taken back meanwhile makes no code any
// more.
func (s *Service) relyOnConsent(ctx context.Context, change *storage.Change, a AuthorizeRequest, in SignedIn) error {
	if a.Client.Value.Consent == storage.ConsentNever {
		change.Puts = append(change.Puts, storage.LetInPut(a.Client.Value.ID, in.Now.Add(codeTTL)))
		return nil
	}
	has, err := s.consent(ctx, a, in.User.Value.Subject)
	switch {
	case err != nil:
		return err
	case !covers(has.Value, a.Scope):
		return fail(ConsentRequired, "the user has taken the consent back meanwhile", nil)
	}
	change.Checks = append(change.Checks, has.Check(storage.ConsentKey(a.Client.Value.ID)))
	return nil
}

// consent is what the user has allowed this client before.
func (s *Service) consent(ctx context.Context, a AuthorizeRequest, sub string) (storage.Record[storage.Consent], error) {
	client := a.Client.Value
	snap, err := s.Store.Read(ctx, storage.UserPartition(sub), storage.ConsentKey(client.ID))
	if err != nil {
		return storage.Record[storage.Consent]{}, err
	}
	has, err := storage.Decode[storage.Consent](snap.Rows[0])
	if !counts(has.Value, a.Client) {
		has.Value = storage.Consent{}
	}
	return has, err
}

// provesItself reports whether only the client can receive at the address.
func provesItself(redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	return err == nil && u.Scheme == "https"
}

// Agree notes the user's consent and makes the code. A code of which the store
// knows nothing yet is never given away: sealing it costs nothing.
func (s *Service) Agree(ctx context.Context, a AuthorizeRequest, in SignedIn, source Source) (code string, err error) {
	return s.makeCode(ctx, a, in, source, true)
}

// Code makes the code of a request that [Service.NextStep] said is ready.
func (s *Service) Code(ctx context.Context, a AuthorizeRequest, in SignedIn, source Source) (code string, err error) {
	return s.makeCode(ctx, a, in, source, false)
}

// makeCode commits the code on the condition that the sign-in and the user are
// what they were when the decision was made. Another tab's code changes the
// sign-in too, so that alone is tried again.
func (s *Service) makeCode(ctx context.Context, a AuthorizeRequest, in SignedIn, source Source, agreed bool) (string, error) {
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return "", err
	}
	if a, err = s.admit(ctx, a, in.User.Value.Subject); err != nil {
		return "", err
	}
	if err := s.usePush(ctx, a, in); err != nil {
		return "", err
	}
	if a.Client.Value.Unused() {
		if err := s.used(ctx, a.Client.Value.ID); err != nil {
			return "", err
		}
	}
	h := newHandle(in.User.Value.Subject)
	err = retryConflicts(func() error {
		change, err := s.codeChange(ctx, a, in, h, system.Value.Epoch)
		if err != nil {
			return err
		}
		if agreed {
			err = s.addConsent(ctx, &change, a, in, source)
		} else {
			err = s.relyOnConsent(ctx, &change, a, in)
		}
		if err != nil {
			return err
		}
		if _, err = s.Store.Commit(ctx, change); err == nil {
			return nil
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
	return s.sealCode(h), err
}

// signInAgain reads a sign-in anew after a conflict over it; ok is false when
// it, or the user, is no longer what the decision was about.
func (s *Service) signInAgain(ctx context.Context, in SignedIn) (SignedIn, bool, error) {
	v := in.SignIn.Value
	snap, err := s.Store.Read(ctx, storage.UserPartition(v.Subject), storage.SignInKey(v.ID), storage.UserKey(v.Subject))
	if err != nil {
		return in, false, err
	}
	rec, err := storage.Decode[storage.SignIn](snap.Rows[0])
	if err != nil {
		return in, false, err
	}
	user, err := storage.Decode[storage.User](snap.Rows[1])
	ok := rec.Exists() && user.Exists() && !user.Value.Disabled && user.Value.Epoch == v.UserEpoch
	return SignedIn{rec, user, snap.Now}, ok, err
}

func (s *Service) codeChange(ctx context.Context, a AuthorizeRequest, in SignedIn, h handle, epoch uint64) (storage.Change, error) {
	v, sub := in.SignIn.Value, in.User.Value.Subject
	code := storage.AuthorizationCode{
		ID: h.id(), Subject: sub, ClientID: a.Client.Value.ID, RedirectURI: a.RedirectURI, Challenge: a.Challenge, Thumbprint: a.Thumbprint,
		Scope: strings.Join(a.Scope, " "), Resource: a.Resource, Nonce: a.Nonce,
		AuthTime: v.AuthTime, AMR: v.AMR, ACR: v.ACR, Browser: v.Browser,
		UserEpoch: v.UserEpoch, ClientEpoch: a.Client.Value.Epoch, SystemEpoch: epoch, Expires: in.Now.Add(codeTTL),
	}
	v.Used, v.LoginFor, v.ChosenFor = in.Now, "", ""
	return storage.Change{
		Partition: storage.UserPartition(sub),
		Checks:    []storage.Check{in.SignIn.Check(storage.SignInKey(v.ID)), in.User.Check(storage.UserKey(sub))},
		Puts: []storage.Put{
			s.signInPut(v, in.Now),
			{Key: storage.CodeKey(code.ID), Value: storage.Encode(code), Expires: code.Expires,
				Index: []storage.Entry{{Name: storage.IndexCodes, Sort: code.Browser}}},
		},
	}, ctx.Err()
}

// addConsent adds what the user has just allowed to what was allowed before.
func (s *Service) addConsent(ctx context.Context, change *storage.Change, a AuthorizeRequest, in SignedIn, source Source) error {
	has, err := s.consent(ctx, a, in.User.Value.Subject)
	if err != nil {
		return err
	}
	client, c := a.Client.Value, has.Value
	if c.Granted.IsZero() {
		c.Granted = in.Now
	}
	c.Subject, c.ClientID, c.ClientCreated, c.Updated = in.User.Value.Subject, client.ID, client.Created, in.Now
	c.Scopes = slices.Clone(c.Scopes)
	for _, scope := range a.Scope {
		if !slices.Contains(c.Scopes, scope) {
			c.Scopes = append(c.Scopes, scope)
		}
	}
	e := events.New(events.ConsentGranted, in.Now)
	e.Subject, e.ClientID, e.Actor, e.Source, e.Note = c.Subject, c.ClientID, c.Subject, source.Address, strings.Join(a.Scope, " ")
	put := storage.Put{
		Key: storage.ConsentKey(client.ID), Value: storage.Encode(c),
		Index: []storage.Entry{{Name: storage.IndexConsents, Sort: client.ID}},
	}
	if client.Document != nil { // asked each time, and forgotten with the client
		put.Expires = client.Document.Forget
	}
	change.Checks = append(change.Checks, has.Check(storage.ConsentKey(client.ID)))
	change.Puts = append(change.Puts, events.Put(e), put)
	return nil
}

// Lifetime is how long the client keeps what it is granted: until it has been
// unused for idle, and until most whatever happens; without refresh tokens both
// are the life of one access token.
func (s *Service) Lifetime(client storage.Client) (idle, most time.Duration) {
	if !slices.Contains(client.Grants, storage.GrantRefreshToken) {
		ttl := lifetime(client.AccessTokenTTL, s.Settings.AccessTokenTTL)
		return ttl, ttl
	}
	return lifetime(client.RefreshTokenTTL, s.Settings.RefreshTokenTTL), lifetime(client.SessionTTL, s.Settings.SessionTTL)
}
