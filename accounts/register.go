package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeton/clients"
	"jeton/grants"
	"jeton/storage"
)

// Why a client cannot register itself, or be managed by itself.
var (
	// ErrInitialToken: there is no initial access token, or none that counts.
	ErrInitialToken = errors.New("an initial access token is needed")
	// ErrRegistrationFull: too many registered clients wait for their first user.
	ErrRegistrationFull = errors.New("too many clients have registered that nobody has used yet")
	// ErrRegistrationToken: the registration access token is not that of the client,
	// or there is no such client.
	ErrRegistrationToken = errors.New("the registration access token is not valid")
	// ErrTakenOver: an operator has changed the client, or switched it off.
	ErrTakenOver = errors.New("the client no longer manages itself: whoever runs this server has changed it or switched it off")
)

// Registered is a client that has registered itself. Its secret, if it has one,
// and its registration access token cannot be read again.
type Registered struct {
	Client      storage.Client
	Secret      string
	AccessToken string
}

// Register makes a client of what it says of itself (RFC 7591 §3). initial is
// the initial access token that was presented, empty for none; without one the
// server has to be open to everyone. What cannot be done in one commit, since
// it lies in two partitions, is done in the order in which a crash costs
// least: a use of the token, or the place of a client, and then the client.
func (c *Clients) Register(ctx context.Context, m clients.Metadata, initial string, act Act) (Registered, error) {
	settings := c.Grants.Settings.Registration
	var token storage.InitialToken
	var err error
	switch {
	case initial != "":
		token, err = c.initialToken(ctx, initial)
	case settings.Mode != grants.RegistrationOpen:
		err = ErrInitialToken
	}
	if err != nil {
		return Registered{}, err
	}
	made := Registered{AccessToken: clients.NewSecret()}
	client := &made.Client
	client.Consent = storage.ConsentAlways
	if err := m.Describe(client, rules(settings, token.Grants, token.Scopes)); err != nil {
		return Registered{}, err
	}
	client.ID = newClientID()
	if err := c.freeID(ctx, client.ID); err != nil {
		return Registered{}, err
	}
	if usesSecret(*client) {
		if made.Secret, err = giveSecret(client, ""); err != nil {
			return Registered{}, err
		}
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return Registered{}, err
	}
	client.Registration = &storage.Registration{
		At: now, InitialToken: token.Name, Source: act.Source, AccessHash: clients.HashSecret(made.AccessToken),
		Grants: token.Grants, Scopes: token.Scopes,
	}
	act.By, act.Note = "client:"+client.ID, "registered itself"
	if token.Name != "" {
		act.Note += " with the initial access token " + token.Name
		err = c.useInitialToken(ctx, token.Name, initial, 1)
	} else {
		client.Registration.UnusedUntil = now.Add(settings.UnusedTTL)
		err = c.takePlace(ctx, client.ID, client.Registration.UnusedUntil)
	}
	if err != nil {
		return Registered{}, err
	}
	if *client, err = c.insert(ctx, *client, now, act); err != nil {
		c.giveBack(ctx, made.Client.ID, token.Name, initial, err)
		return Registered{}, err
	}
	return made, nil
}

// giveBack takes back what went before a client that was surely not written.
func (c *Clients) giveBack(ctx context.Context, id, token, initial string, cause error) {
	switch ctx := context.WithoutCancel(ctx); {
	case !errors.Is(cause, storage.ErrUnavailable) && !errors.Is(cause, grants.ErrExists):
	case token == "":
		c.Grants.FreePlace(ctx, id)
	default:
		if err := c.useInitialToken(ctx, token, initial, -1); err != nil {
			c.Grants.Log.WarnContext(ctx, "a use of an initial access token is lost: no client came of it", "note", token, "cause", err)
		}
	}
}

// rules are what a registered client may be: what the server lets such clients
// be, and of that what the initial access token did, if it said so.
func rules(settings grants.Registration, grantTypes, scopes []string) clients.Rules {
	usual, _ := grants.RegistrationGrants()
	r := clients.Rules{
		Grants: usual, Scopes: slices.Clone(settings.Scopes),
		AuthMethods: []string{storage.AuthBasic, storage.AuthPost, storage.AuthPrivateKeyJWT, storage.AuthNone},
	}
	if len(grantTypes) > 0 {
		r.Grants = grantTypes
	}
	if len(scopes) > 0 {
		r.Scopes = slices.DeleteFunc(r.Scopes, func(s string) bool { return !slices.Contains(scopes, s) })
	}
	return r
}

// newClientID is an id that nobody has: 130 random bits. In lower case it can be
// told apart from nothing that people choose, and it is no URL.
func newClientID() string { return strings.ToLower(randomText()) }

// takePlace takes one of the places of clients that nobody has used, until it
// expires. All places lie in one partition, and each that is taken changes the
// gate; so of two processes that both counted the last free one, one conflicts
// and counts again.
func (c *Clients) takePlace(ctx context.Context, id string, until time.Time) error {
	most := c.Grants.Settings.Registration.MaxUnused
	for range mostTries {
		snap, err := c.Store.Read(ctx, storage.RegistrationPartition, storage.UnusedGate)
		if err != nil {
			return err
		}
		taken, err := c.placesTaken(ctx, most)
		if err != nil {
			return err
		}
		if taken >= most {
			return ErrRegistrationFull
		}
		_, err = c.Store.Commit(ctx, storage.Change{
			Partition: storage.RegistrationPartition,
			Checks:    []storage.Check{{Key: storage.UnusedGate, Version: snap.Rows[0].Version}},
			Puts: []storage.Put{
				{Key: storage.UnusedGate, Value: []byte("{}")},
				{Key: storage.UnusedKey(id), Value: []byte("{}"), Expires: until, Index: []storage.Entry{{Name: storage.IndexUnused, Sort: id}}},
			},
		})
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}

// placesTaken counts up to most.
func (c *Clients) placesTaken(ctx context.Context, most int) (n int, err error) {
	q := storage.Query{Index: storage.IndexUnused, Partition: storage.RegistrationPartition, Limit: 1000}
	for n < most {
		page, err := c.Store.List(ctx, q)
		if err != nil {
			return n, err
		}
		n += len(page.Rows)
		if page.Next == "" {
			return n, nil
		}
		q.After = page.Next
	}
	return n, nil
}

// Registrant finds the client whose registration access token this is
// (RFC 7592 §3). Who may not know whether the client exists learns nothing of it.
func (c *Clients) Registrant(ctx context.Context, id, token string) (storage.Client, error) {
	client, err := c.Find(ctx, id)
	if err != nil && !errors.Is(err, grants.ErrNotFound) {
		return storage.Client{}, err
	}
	hash := ""
	if client.Registration != nil {
		hash = client.Registration.AccessHash
	}
	if !clients.SecretMatches(hash, token) {
		return storage.Client{}, ErrRegistrationToken
	}
	return client, nil
}

// Reregister replaces all that the client says of itself (RFC 7592 §2.2). The
// secret stays, and is returned only where one had to be made. The registration
// access token stays too: to make another with each change would lock a client
// out whose answer was lost.
func (c *Clients) Reregister(ctx context.Context, id, token string, m clients.Metadata, act Act) (client storage.Client, secret string, err error) {
	act.By = "client:" + id
	for range mostTries {
		was, err := c.Registrant(ctx, id, token)
		if err != nil {
			return storage.Client{}, "", err
		}
		client, secret, err = c.alter(ctx, was, act, func(client *storage.Client) error {
			r := client.Registration
			switch {
			case r == nil || !clients.SecretMatches(r.AccessHash, token):
				return ErrRegistrationToken
			case r.TakenOver || client.Disabled:
				return ErrTakenOver
			}
			if err := checkOwn(m, *client); err != nil {
				return err
			}
			if err := m.Describe(client, rules(c.Grants.Settings.Registration, r.Grants, r.Scopes)); err != nil {
				return err
			}
			if !usesSecret(*client) {
				forgetSecrets(client)
			}
			return nil
		}, ClientSettings{})
		if !errors.Is(err, errMoved) {
			return client, secret, err
		}
	}
	return storage.Client{}, "", errContended
}

// checkOwn judges the members of a replacement that are the server's (RFC 7592
// §2.2).
func checkOwn(m clients.Metadata, client storage.Client) error {
	refuse := func(format string, args ...any) error {
		return &clients.RegistrationError{Code: clients.InvalidClientMetadata, Description: fmt.Sprintf(format, args...)}
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if _, sent := m.Sent[name]; sent {
			return refuse("%s: only this server says that, leave it out", name)
		}
	}
	if id, ok := m.Own("client_id"); !ok || id != client.ID {
		return refuse("client_id: it must be there and be that of the client")
	}
	if _, sent := m.Sent["client_secret"]; sent {
		if secret, ok := m.Own("client_secret"); !ok || !clients.SecretMatches(client.SecretHash, secret) {
			return refuse("client_secret: it is not the one that the client has, and a client does not choose its own")
		}
	}
	return nil
}
