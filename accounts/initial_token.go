package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"jeton/clients"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// Bounds of initial access tokens.
const (
	initialTTL    = 7 * storage.Day
	maxInitialTTL = 400 * storage.Day
	maxUses       = 1_000_000
	maxTokenName  = 64
)

func randomText() string { return rand.Text() }

// NewInitialToken is what [Clients.AddInitialToken] makes a token of.
type NewInitialToken struct {
	Name string `json:"name"`
	// Uses is how many clients it may register, 1 unless it is set; 0 is any
	// number.
	Uses Setting[int] `json:"uses,omitzero"`
	// TTL is how long it lives, 7 days unless it is set.
	TTL    Setting[storage.Duration] `json:"ttl,omitzero"`
	Grants Setting[[]string]         `json:"grant_types,omitzero"`
	Scope  Setting[string]           `json:"scope,omitzero"`
}

// AddInitialToken makes an initial access token (RFC 7591 §3) and returns it: it
// cannot be read again.
func (c *Clients) AddInitialToken(ctx context.Context, n NewInitialToken, act Act) (token storage.InitialToken, secret string, err error) {
	token = storage.InitialToken{Name: n.Name, Uses: 1, Grants: n.Grants.Value, Scopes: strings.Fields(n.Scope.Value), By: act.By}
	put(n.Uses, &token.Uses)
	ttl := storage.Duration(initialTTL)
	put(n.TTL, &ttl)
	if err := c.checkInitialToken(token, n.Scope.Value, time.Duration(ttl)); err != nil {
		return token, "", err
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return token, "", err
	}
	secret = token.Name + "." + clients.NewSecret()
	token.Hash, token.Created, token.Expires = clients.HashSecret(secret), now, now.Add(time.Duration(ttl))
	_, err = c.Store.Commit(ctx, storage.Change{
		Partition: storage.RegistrationPartition,
		Checks:    []storage.Check{{Key: storage.InitialTokenKey(token.Name)}},
		Puts:      []storage.Put{initialPut(token), events.Put(tokenEvent(events.RegistrationTokenAdded, token.Name, now, act))},
	})
	if errors.Is(err, storage.ErrConflict) {
		return token, "", exists("the registration token", n.Name, "choose another name, or revoke that one first")
	}
	return token, secret, err
}

func (c *Clients) checkInitialToken(token storage.InitialToken, scope string, ttl time.Duration) error {
	var wrong faults
	settings := c.Grants.Settings.Registration
	if !validTokenName(token.Name) {
		wrong.add("name: not 1 to %d letters, digits, hyphens, underscores and dots", maxTokenName)
	}
	if !settings.On() {
		wrong.add("clients cannot register themselves here: set client-registration to %s first", grants.RegistrationToken)
	}
	if token.Uses < 0 || token.Uses > maxUses {
		wrong.add("uses: %d is not 1 to %d, or 0 for any number", token.Uses, maxUses)
	}
	if ttl < time.Minute || ttl > maxInitialTTL {
		wrong.add("ttl: %s is not from 1m to %s", storage.Duration(ttl), storage.Duration(maxInitialTTL))
	}
	if strings.Join(token.Scopes, " ") != scope {
		wrong.add("scope: write scope tokens with one space between, and none around")
	}
	for _, s := range token.Scopes {
		if !slices.Contains(settings.Scopes, s) {
			wrong.add("scope: %q is not one of registration-scopes: %s", s, strings.Join(settings.Scopes, " "))
		}
	}
	_, vouched := grants.RegistrationGrants()
	for _, g := range token.Grants {
		if !slices.Contains(vouched, g) {
			wrong.add("grant_types: %q is not for clients that register themselves; there are %s", g, strings.Join(vouched, ", "))
		}
	}
	return wrong.err()
}

func validTokenName(s string) bool {
	return s != "" && len(s) <= maxTokenName && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

func initialPut(t storage.InitialToken) storage.Put {
	return storage.Put{
		Key: storage.InitialTokenKey(t.Name), Value: storage.Encode(t), Expires: t.Expires,
		Index: []storage.Entry{{Name: storage.IndexInitialTokens, Sort: t.Name}},
	}
}

func tokenEvent(eventType, name string, now time.Time, act Act) storage.Event {
	e := events.New(eventType, now)
	e.Actor, e.Source, e.Note = act.By, act.Source, name
	return e
}

// InitialTokens lists them by name, from the cursor after on, and returns the
// cursor of the following page. Those that have expired are gone.
func (c *Clients) InitialTokens(ctx context.Context, after string, limit int) ([]storage.InitialToken, string, error) {
	return listed[storage.InitialToken](ctx, c.Store, storage.Query{Index: storage.IndexInitialTokens, After: after, Limit: limit})
}

// RevokeInitialToken forgets a token. The clients that it let in stay.
func (c *Clients) RevokeInitialToken(ctx context.Context, name string, act Act) error {
	for range mostTries {
		rec, now, err := c.readInitialToken(ctx, name)
		if err != nil {
			return err
		}
		if !rec.Exists() {
			return notFound("registration token", name)
		}
		_, err = c.Store.Commit(ctx, storage.Change{
			Partition: storage.RegistrationPartition,
			Checks:    []storage.Check{rec.Check(storage.InitialTokenKey(name))},
			Deletes:   []storage.Key{storage.InitialTokenKey(name)},
			Puts:      []storage.Put{events.Put(tokenEvent(events.RegistrationTokenRevoked, name, now, act))},
		})
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}

// readInitialToken reads a token by its name; one whose name cannot be is absent.
func (c *Clients) readInitialToken(ctx context.Context, name string) (storage.Record[storage.InitialToken], time.Time, error) {
	if !validTokenName(name) {
		return storage.Record[storage.InitialToken]{}, time.Time{}, nil
	}
	snap, err := c.Store.Read(ctx, storage.RegistrationPartition, storage.InitialTokenKey(name))
	if err != nil {
		return storage.Record[storage.InitialToken]{}, time.Time{}, err
	}
	rec, err := storage.Decode[storage.InitialToken](snap.Rows[0])
	return rec, snap.Now, err
}

// initialToken judges a token that was presented: all that it may do is in it.
func (c *Clients) initialToken(ctx context.Context, presented string) (storage.InitialToken, error) {
	rec, err := c.presented(ctx, presented)
	return rec.Value, err
}

func (c *Clients) presented(ctx context.Context, presented string) (storage.Record[storage.InitialToken], error) {
	name := ""
	if i := strings.LastIndexByte(presented, '.'); i > 0 {
		name = presented[:i]
	}
	rec, _, err := c.readInitialToken(ctx, name)
	if err != nil {
		return rec, err
	}
	system, err := c.Store.CachedSystem(ctx)
	if err != nil {
		return rec, err
	}
	restored := system.Value.Restored
	switch {
	case !clients.SecretMatches(rec.Value.Hash, presented):
		return rec, ErrInitialToken
	case rec.Value.Uses > 0 && rec.Value.Used >= rec.Value.Uses:
		return rec, ErrInitialToken
	case restored != nil && !rec.Value.Created.After(restored.At):
		// It may have been used up or revoked at a time of which a restored store
		// knows nothing.
		return rec, ErrInitialToken
	}
	return rec, nil
}

// useInitialToken counts a use, or with -1 takes one back. The token is judged
// again by the very record that changes, so that of two clients that come for
// the last use one gets it.
func (c *Clients) useInitialToken(ctx context.Context, name, presented string, n int) error {
	for range mostTries {
		var rec storage.Record[storage.InitialToken]
		var err error
		if n > 0 {
			rec, err = c.presented(ctx, presented)
		} else {
			rec, _, err = c.readInitialToken(ctx, name)
		}
		if err != nil {
			return err
		}
		token := rec.Value
		if !clients.SecretMatches(token.Hash, presented) {
			return nil // revoked meanwhile: there is nothing to give back to
		}
		token.Used += n
		_, err = c.Store.Commit(ctx, storage.Change{
			Partition: storage.RegistrationPartition,
			Checks:    []storage.Check{rec.Check(storage.InitialTokenKey(name))},
			Puts:      []storage.Put{initialPut(token)},
		})
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}
