package accounts

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"jeton/clients"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// Clients administers the programs that may ask for tokens.
type Clients struct {
	Store  *storage.Store
	Grants *grants.Service
}

// Find returns a client.
func (c *Clients) Find(ctx context.Context, id string) (storage.Client, error) {
	if id == "" || len(id) > 255 || strings.ContainsRune(id, 0) {
		return storage.Client{}, notFound("client", id)
	}
	rec, _, err := c.Store.Client(ctx, id)
	if err == nil && !rec.Exists() {
		err = notFound("client", id)
	}
	return rec.Value, err
}

// List returns clients in the order of their ids, from the cursor after on, and
// the cursor of the following page, empty at the end.
func (c *Clients) List(ctx context.Context, after string, limit int) ([]storage.Client, string, error) {
	return listed[storage.Client](ctx, c.Store, storage.Query{Index: storage.IndexClients, After: after, Limit: limit})
}

// SameCookies finds clients whose cookies a browser could not tell from those of
// this one, see [clients.SameCookies]. That is allowed: a proxy may keep apart what
// looks like one host.
func (c *Clients) SameCookies(ctx context.Context, client storage.Client) (ids []string, err error) {
	if !client.ByCookie() {
		return nil, nil
	}
	err = c.Store.AllByIndex(ctx, storage.Query{Index: storage.IndexOrigins}, func(row storage.Row) error {
		other, err := storage.Decode[storage.Client](row)
		if c.Store.Skip(ctx, row, err) {
			return nil
		}
		if err == nil && clients.SameCookies(client, other.Value) && !slices.Contains(ids, other.Value.ID) {
			ids = append(ids, other.Value.ID)
		}
		return err
	})
	slices.Sort(ids)
	return ids, err
}

// NewClient is what [Clients.Add] makes a client of.
type NewClient struct {
	ID string `json:"client_id"`
	ClientSettings
	// Secret is one chosen by hand; empty makes one, unless the client is
	// public or authenticates with its own key.
	Secret string `json:"client_secret,omitempty"`
}

// Add makes a client and returns its secret where one was made: it cannot be
// read again.
func (c *Clients) Add(ctx context.Context, n NewClient, act Act) (client storage.Client, secret string, err error) {
	return c.add(ctx, ImportedClient{NewClient: n}, act)
}

// Judge finds what is wrong with a client before it is added.
func (c *Clients) Judge(n ImportedClient, act Act) error {
	_, _, err := c.judge(n, act)
	return err
}

func (c *Clients) judge(n ImportedClient, act Act) (client storage.Client, secret string, err error) {
	client.ID, client.Disabled = n.ID, n.Disabled
	n.apply(&client)
	var secretWrong error
	if client.SecretHash = n.SecretHash; n.SecretHash == "" && (usesSecret(client) || n.Secret != "") {
		secret, secretWrong = giveSecret(&client, n.Secret)
	}
	if err := allFaults(n.check(client, c.Grants.Settings), secretWrong); err != nil {
		return storage.Client{}, "", err
	}
	return client, secret, guard(act, Protected(client))
}

func (c *Clients) add(ctx context.Context, n ImportedClient, act Act) (client storage.Client, secret string, err error) {
	if client, secret, err = c.judge(n, act); err != nil {
		return storage.Client{}, "", err
	}
	if err := c.freeID(ctx, n.ID); err != nil {
		return storage.Client{}, "", err
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return storage.Client{}, "", err
	}
	client, err = c.insert(ctx, client, now, act)
	if err != nil {
		return storage.Client{}, "", err
	}
	return client, secret, nil
}

// insert writes a client that has been judged, if its id is free.
func (c *Clients) insert(ctx context.Context, client storage.Client, now time.Time, act Act) (storage.Client, error) {
	client.Created, client.Updated = now, now
	// The epoch of a client that is added anew after it was deleted must be one
	// that no token of the first has seen. Endings add one to it each, and no
	// store commits a million of them a second.
	client.Epoch = uint64(now.UnixMicro())
	partition := storage.ClientPartition(client.ID)
	// The second is the reservation of [Users.Add] for a given sub.
	taken := []storage.Key{storage.ClientKey(client.ID), storage.UserKey(client.ID)}
	err := settle(func() error {
		_, err := c.Store.Commit(ctx, storage.Change{
			Partition: partition,
			Checks:    []storage.Check{{Key: taken[0]}, {Key: taken[1]}},
			Puts: []storage.Put{
				storage.ClientPut(client),
				events.Put(clientEvent(events.ClientCreated, client.ID, now, act)),
			},
		})
		if errors.Is(err, storage.ErrConflict) {
			err = cmp.Or(stays(ctx, c.Store, partition, taken...),
				exists("the client_id", client.ID, "a client or a user's sub has it; choose another, or change that client"))
		}
		return err
	})
	if errors.Is(err, grants.ErrExists) {
		return storage.Client{}, err
	}
	return client, err
}

// freeID refuses an id that a user has as `sub`: the tokens of the two could
// not be told apart (RFC 9068 §5, RFC 9700 §4.15). A user whose random `sub`
// is being made at this moment is not seen, but nobody can know that `sub`.
func (c *Clients) freeID(ctx context.Context, id string) error {
	user, _, err := c.Store.User(ctx, id)
	if err == nil && user.Exists() {
		err = exists("the client_id", id, "a user has it as sub, and their tokens could not be told apart; choose another")
	}
	return err
}

// Disable refuses the client everything and ends all sessions through it.
func (c *Clients) Disable(ctx context.Context, id string, act Act) (storage.Client, error) {
	return c.change(ctx, id, events.ClientDisabled, act.ending(storage.ReasonClientDisabled), act, func(client *storage.Client) error {
		client.Disabled = true
		return nil
	})
}

// Enable lets a disabled client work again. Ended sessions stay ended.
func (c *Clients) Enable(ctx context.Context, id string, act Act) (storage.Client, error) {
	if client, err := c.Find(ctx, id); err != nil {
		return client, err
	}
	rec, _, err := c.Store.Client(ctx, id)
	if err != nil {
		return rec.Value, err
	}
	if rec.Exists() && !rec.Value.Disabled {
		if err := act.saw(rec.Value); err != nil {
			return rec.Value, err
		}
		err := c.Store.Confirm(ctx, storage.ClientPartition(id), rec.Check(storage.ClientKey(id)))
		if !errors.Is(err, storage.ErrConflict) { // else it is not any more, perhaps
			return rec.Value, err
		}
	}
	return c.change(ctx, id, events.ClientEnabled, nil, act, func(client *storage.Client) error {
		client.Disabled = false
		return guard(act, Protected(*client))
	})
}

// Delete ends all sessions through the client and forgets it. The id may be
// given to another client later.
func (c *Clients) Delete(ctx context.Context, id string, act Act) error {
	var created time.Time
	for range mostTries {
		client, err := c.change(ctx, id, events.ClientDeleted, act.ending(storage.ReasonClientDeleted), act, func(client *storage.Client) error {
			if !created.IsZero() && !client.Created.Equal(created) {
				return errOther
			}
			client.Disabled = true
			return guard(act, Protected(*client))
		})
		if errors.Is(err, errOther) {
			return nil
		}
		if err != nil {
			return err
		}
		// What it was decided on has been compared; that it is disabled now is our doing.
		created, act.Seen = client.Created, ""
		rec, _, err := c.Store.Client(ctx, id)
		if err != nil || !rec.Exists() || !rec.Value.Created.Equal(created) {
			return err
		}
		if !rec.Value.Disabled {
			continue // enabled meanwhile: there may be sessions again
		}
		_, err = c.Store.Commit(ctx, storage.Change{
			Partition: storage.ClientPartition(id),
			Checks:    []storage.Check{rec.Check(storage.ClientKey(id))},
			Deletes:   []storage.Key{storage.ClientKey(id)},
		})
		if err == nil && rec.Value.Unused() {
			c.Grants.FreePlace(ctx, id)
		}
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}

// errOther says that the id belongs to another client by now.
var errOther = errors.New("accounts: the client is gone, and another has its id")

// change applies set to the client, with the event, in one commit.
func (c *Clients) change(ctx context.Context, id, eventType string, end *grants.Ending, act Act, set func(*storage.Client) error) (storage.Client, error) {
	if _, err := c.Find(ctx, id); err != nil {
		return storage.Client{}, err
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return storage.Client{}, err
	}
	// What it was is compared within the commit, and last: what would be refused in
	// any case is refused as that (RFC 9110 §13.2.1).
	apply := func(client *storage.Client) error {
		was := *client
		if err := set(client); err != nil {
			return err
		}
		return act.saw(was)
	}
	return c.Grants.ChangeClient(ctx, id, apply, end, clientEvent(eventType, id, now, act))
}

// Protected reports whether the client is one that administers, or whose reports
// are believed.
func Protected(c storage.Client) bool {
	return c.Admin || slices.Contains(c.Scopes, grants.AdminScope) || slices.Contains(c.Scopes, grants.EventsScope)
}

func guard(act Act, protected bool) error {
	if protected && !act.Operator {
		return ErrOperatorOnly
	}
	return nil
}
