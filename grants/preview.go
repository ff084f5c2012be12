package grants

import (
	"context"
	"errors"
	"time"

	"jeton/storage"
)

// Preview is what [Service.End] would end, as far as it was looked at.
type Preview struct {
	// Sessions live, of so many Users through so many Clients. Tokens are their
	// live access tokens.
	Sessions, Users, Clients, Tokens int
	// More says that there are sessions which were not looked at: what is counted is
	// the least that it can be.
	More bool
}

// MostPreviewed is how many sessions a preview looks at: enough to see that it
// is far more than was meant.
const MostPreviewed = 2000

// Preview counts what ending a selection would end, where the session except goes
// on. It changes nothing, and what begins or ends in the meantime is not in it.
func (s *Service) Preview(ctx context.Context, sel Selection, except string) (Preview, error) {
	c, err := s.counting(ctx)
	if err != nil {
		return Preview{}, err
	}
	if sel.SessionID != "" {
		ses, err := s.FindSession(ctx, sel.SessionID)
		if err == nil {
			err = c.add(ctx, ses.Value)
		}
		return c.done(err)
	}
	return c.all(ctx, selected(sel), func(ses storage.Session) bool {
		return (sel.ClientID == "" || ses.ClientID == sel.ClientID) && ses.ID != except
	})
}

// PreviewKey counts the sessions whose refresh token, or whose latest access token
// where that lives, is under a key of the ring.
func (s *Service) PreviewKey(ctx context.Context, kid string) (Preview, error) {
	c, err := s.counting(ctx)
	if err != nil {
		return Preview{}, err
	}
	return c.all(ctx, selected(Selection{All: true}), func(ses storage.Session) bool {
		return ses.Refresh.KeyID == kid || ses.Access.KeyID == kid && c.now.Before(ses.Access.Expires)
	})
}

func (s *Service) counting(ctx context.Context) (*counting, error) {
	now, err := s.Store.Now(ctx)
	return &counting{service: s, now: now, users: make(map[string]storage.Record[storage.User]), owners: make(map[string]bool), clients: make(map[string]bool)}, err
}

// all counts those of a listing that are meant.
func (c *counting) all(ctx context.Context, q storage.Query, meant func(storage.Session) bool) (Preview, error) {
	looked, store := 0, c.service.Store
	err := store.AllByIndex(ctx, q, func(row storage.Row) error {
		if looked++; looked > MostPreviewed {
			return errEnough
		}
		ses, err := storage.Decode[storage.Session](row)
		if store.Skip(ctx, row, err) {
			return nil
		}
		if err != nil || !meant(ses.Value) {
			return err
		}
		return c.add(ctx, ses.Value)
	})
	return c.done(err)
}

// selected lists the sessions of a selection, with others of the same user where
// it names a client too.
func selected(sel Selection) storage.Query {
	q := storage.Query{Index: storage.IndexSessions}
	if sel.Subject != "" {
		q.Partition = storage.UserPartition(sel.Subject)
	} else if sel.ClientID != "" {
		q.Index = storage.IndexClientSessions(sel.ClientID)
	}
	return q
}

// counting adds up sessions, reading each user once.
type counting struct {
	service *Service
	now     time.Time
	users   map[string]storage.Record[storage.User]
	owners  map[string]bool
	clients map[string]bool
	Preview
}

func (c *counting) add(ctx context.Context, ses storage.Session) error {
	if ses.Ended != nil || !c.now.Before(ses.End) || !c.now.Before(ses.Refresh.Expires) && len(unexpired(ses.Live, c.now)) == 0 {
		return nil
	}
	user, ok := c.users[ses.Subject]
	if !ok {
		var err error
		if user, _, err = c.service.Store.User(ctx, ses.Subject); err != nil {
			return err
		}
		c.users[ses.Subject] = user
	}
	over, err := c.service.Over(ctx, ses, user)
	if err != nil || over != "" {
		return err
	}
	c.Sessions++
	c.Tokens += len(unexpired(ses.Live, c.now))
	c.owners[ses.Subject], c.clients[ses.ClientID] = true, true
	return nil
}

func (c *counting) done(err error) (Preview, error) {
	if errors.Is(err, errEnough) {
		c.More, err = true, nil
	}
	c.Preview.Users, c.Preview.Clients = len(c.owners), len(c.clients)
	return c.Preview, err
}
