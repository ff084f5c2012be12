package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"jeton/keys"
	"jeton/outbound"
	"jeton/storage"
)

// Config is what an [Authenticator] needs. Store and Issuer are required, the
// zero value of the others takes what their comments name.
type Config struct {
	Store *storage.Store
	// Issuer is the issuer identifier, the only audience of an assertion.
	Issuer string
	// AssertionLife is how far ahead an assertion may expire: 10 min. Until
	// then its jti is kept.
	AssertionLife time.Duration
	// HTTP fetches jwks_uri: a client of package outbound with its defaults.
	HTTP *http.Client
	// Unstored finds clients that have no record yet; nil knows none.
	Unstored func(id string) (storage.Client, bool)
	// Now is this machine's clock. It runs the cache of fetched key sets, and
	// nothing else: assertions are judged by the store's time.
	Now func() time.Time
}

// Authenticator finds out which client a request comes from. It is safe for
// concurrent use.
type Authenticator struct {
	store         *storage.Store
	issuer        string
	assertionLife time.Duration
	fetched       *keySets
	unstored      func(id string) (storage.Client, bool)
}

// New makes an authenticator.
func New(c Config) (*Authenticator, error) {
	if c.AssertionLife == 0 {
		c.AssertionLife = 10 * time.Minute
	}
	if c.HTTP == nil {
		c.HTTP = outbound.NewClient(outbound.Config{MaxBytes: keys.MaxJWKSet})
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.Store == nil || c.Issuer == "":
		return nil, errors.New("clients: an authenticator needs the store and the issuer")
	case c.AssertionLife < time.Minute || c.AssertionLife > time.Hour:
		return nil, fmt.Errorf("clients: assertions that expire up to %s ahead: take 1m to 1h", c.AssertionLife)
	}
	return &Authenticator{c.Store, c.Issuer, c.AssertionLife, newKeySets(c.HTTP, c.Now), c.Unstored}, nil
}

// Credentials are what a request presents, as read from header or form.
type Credentials struct {
	// Method says how: one of the Auth constants of package storage. AuthNone
	// is a client_id alone.
	Method   string
	ClientID string
	Secret   string
	// Assertion and AssertionType are client_assertion and
	// client_assertion_type of RFC 7521 §4.2. With them ClientID may be empty.
	Assertion     string
	AssertionType string
}

// Authenticate returns the client, at most [storage.CacheAge] old, or
// [ErrInvalidClient]. Another error says that the store could not be asked.
func (a *Authenticator) Authenticate(ctx context.Context, c Credentials) (storage.Record[storage.Client], error) {
	var (
		as  assertion
		err error
	)
	if c.Method == storage.AuthPrivateKeyJWT {
		if as, err = a.readAssertion(c); err != nil {
			return storage.Record[storage.Client]{}, err
		}
		c.ClientID = as.clientID
	}
	rec, err := a.identify(ctx, c, as)
	if err == nil && c.Method == storage.AuthPrivateKeyJWT {
		err = a.spend(ctx, as)
	}
	if err != nil {
		return storage.Record[storage.Client]{}, err
	}
	return rec, nil
}

// identify holds the credentials to the client's record. What fails on a
// record from the cache is tried on the record as it is now, if that is
// another one, so that a new secret works at once; that is one read for a
// failure, no more than a client_id that does not exist costs.
func (a *Authenticator) identify(ctx context.Context, c Credentials, as assertion) (storage.Record[storage.Client], error) {
	if !validID(c.ClientID) {
		return storage.Record[storage.Client]{}, a.prove(ctx, storage.Client{}, c, as)
	}
	rec, err := a.store.CachedClient(ctx, c.ClientID)
	if err != nil {
		return rec, fmt.Errorf("clients: reading client %q: %w", c.ClientID, err)
	}
	if !rec.Exists() && a.unstored != nil {
		rec.Value, _ = a.unstored(c.ClientID)
	}
	refused := a.prove(ctx, rec.Value, c, as)
	if refused == nil || !errors.Is(refused, ErrInvalidClient) || !rec.Exists() {
		return rec, refused
	}
	fresh, _, err := a.store.Client(ctx, c.ClientID)
	if err != nil {
		return rec, fmt.Errorf("clients: reading client %q: %w", c.ClientID, err)
	}
	if fresh.Version == rec.Version {
		return rec, refused
	}
	return fresh, a.prove(ctx, fresh.Value, c, as)
}

// prove decides whether the credentials are the client's. The zero client is
// one that does not exist: it fails after the same work as a wrong secret.
func (a *Authenticator) prove(ctx context.Context, client storage.Client, c Credentials, as assertion) error {
	matches, former := SecretMatches(client.SecretHash, c.Secret), SecretMatches(client.FormerSecretHash, c.Secret)
	switch {
	case client.ID == "":
		return refuse("there is no such client")
	case client.Disabled:
		return refuse("the client is disabled")
	case !mayUse(client, c.Method):
		return refuse(fmt.Sprintf("the client is registered for %q and used %q", client.AuthMethod, c.Method))
	}
	switch c.Method {
	case storage.AuthBasic, storage.AuthPost:
		switch {
		case matches:
			return nil
		case former:
			return a.stillWorks(ctx, client)
		}
		return refuse("wrong client secret")
	case storage.AuthPrivateKeyJWT:
		return a.verify(ctx, client, as)
	case storage.AuthNone:
		// A public client that sends a secret has been set up wrongly, or is
		// another one that tries (RFC 6749 §2.3.1).
		if c.Secret != "" || c.Assertion != "" {
			return refuse("a public client sent credentials")
		}
		return nil
	}
	return refuse("no way to authenticate that is known here")
}

// stillWorks decides about the secret of before, by the store's time: all
// processes refuse it from the same moment on.
func (a *Authenticator) stillWorks(ctx context.Context, client storage.Client) error {
	now, err := a.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("clients: until when the former secret of %q works: %w", client.ID, err)
	}
	if !now.Before(client.FormerSecretUntil) {
		return refuse("the former client secret, which worked until " + client.FormerSecretUntil.UTC().Format(time.RFC3339))
	}
	return nil
}

// mayUse enforces token_endpoint_auth_method (RFC 7591 §2): a key that was
// registered is worth nothing if a leaked secret does as well.
func mayUse(client storage.Client, method string) bool {
	if client.AuthMethod == "" {
		return method == storage.AuthBasic || method == storage.AuthPost
	}
	return method == client.AuthMethod
}
