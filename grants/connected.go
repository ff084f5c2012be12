package grants

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"jeton/events"
	"jeton/storage"
)

// Connection is an application that a user has let in: by a consent that is
// remembered, by sessions that are open, or by both.
type Connection struct {
	Client storage.Client
	// Scopes are what the user has agreed to, since Granted and last at Updated;
	// without a consent that is remembered they are empty and the times zero.
	Scopes           []string
	Granted, Updated time.Time
	// Sessions are those that are open, LastUsed is when one of them was last
	// refreshed.
	Sessions int
	LastUsed time.Time
}

// Disconnected is what [Service.Disconnect] has taken back.
type Disconnected struct {
	Consent  bool
	Sessions int
}

// Connections lists the applications of a user by client id.
func (s *Service) Connections(ctx context.Context, sub string) ([]Connection, error) {
	found := map[string]*Connection{}
	at := func(client storage.Client) *Connection {
		if found[client.ID] == nil {
			found[client.ID] = &Connection{Client: client}
		}
		return found[client.ID]
	}
	q := storage.Query{Index: storage.IndexConsents, Partition: storage.UserPartition(sub)}
	err := s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Consent](row)
		if err != nil {
			return err
		}
		client, err := s.Store.CachedClient(ctx, rec.Value.ClientID)
		if err != nil || !counts(rec.Value, client) {
			return err
		}
		c := at(client.Value)
		c.Scopes, c.Granted, c.Updated = rec.Value.Scopes, rec.Value.Granted, rec.Value.Updated
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.eachOpen(ctx, sub, func(ses storage.Session) error {
		client, err := s.Store.CachedClient(ctx, ses.ClientID)
		if err != nil {
			return err
		}
		c := at(client.Value)
		c.Sessions++
		if ses.Rotated.After(c.LastUsed) {
			c.LastUsed = ses.Rotated
		}
		return nil
	})
	out := make([]Connection, 0, len(found))
	for _, c := range found {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Connection) int { return cmp.Compare(a.Client.ID, b.Client.ID) })
	return out, err
}

// counts reports whether a consent is to this client, and not to one that had
// the id before.
func counts(c storage.Consent, client storage.Record[storage.Client]) bool {
	return !c.Granted.IsZero() && client.Exists() && c.ClientCreated.Equal(client.Value.Created)
}

// eachOpen visits the sessions of a user of which a token may still be good.
func (s *Service) eachOpen(ctx context.Context, sub string, visit func(storage.Session) error) error {
	user, now, err := s.Store.User(ctx, sub)
	if err != nil {
		return err
	}
	q := storage.Query{Index: storage.IndexSessions, Partition: storage.UserPartition(sub)}
	return s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		rec, err := storage.Decode[storage.Session](row)
		if err != nil {
			return err
		}
		ses := rec.Value
		over, err := s.Over(ctx, ses, user)
		open := now.Before(ses.Refresh.Expires) || len(unexpired(ses.Live, now)) > 0
		if err != nil || over != "" || !open || !now.Before(ses.End) {
			return err
		}
		return visit(ses)
	})
}

// Disconnect takes back what a user has allowed a client: the consent that is
// remembered, the codes that are under way, and the client's sessions of that
// user. When it returns no token is minted of any of it. Where there is nothing
// it is [ErrNotFound], and nothing is written.
//
// As in [Service.End] there are two steps. The first is one commit, from which
// on nothing new comes of the consent; it notes what is still to do. The second
// ends each session. [Service.ResumeEndings] makes a crash in between good.
func (s *Service) Disconnect(ctx context.Context, sub, clientID string, e Ending) (Disconnected, error) {
	var d Disconnected
	task := pending{Selection: Selection{Subject: sub, ClientID: clientID}, Ending: e, ID: newID()}
	p := storage.UserPartition(sub)
	err := retryConflicts(func() error {
		change, had, err := s.disconnection(ctx, &task)
		if err != nil {
			return err
		}
		d.Consent = had
		_, err = s.Store.Commit(ctx, change)
		return err
	})
	if err != nil {
		return Disconnected{}, err
	}
	d.Sessions, err = s.finish(ctx, p, task)
	return d, err
}

// disconnection is the first step of [Service.Disconnect]; had says that there
// was a consent that counted.
func (s *Service) disconnection(ctx context.Context, task *pending) (change storage.Change, had bool, err error) {
	sub, clientID, key := task.Selection.Subject, task.Selection.ClientID, storage.ConsentKey(task.Selection.ClientID)
	change.Partition = storage.UserPartition(sub)
	letIn := storage.LetInKey(clientID)
	snap, err := s.Store.Read(ctx, change.Partition, key, letIn)
	if err != nil {
		return change, false, err
	}
	consent, err := storage.Decode[storage.Consent](snap.Rows[0])
	if err != nil {
		return change, false, err
	}
	client, _, err := s.Store.Client(ctx, clientID)
	if err != nil {
		return change, false, err
	}
	had, task.Until = counts(consent.Value, client), snap.Now
	// What is let in after the look below, a device or a code, changes one of them.
	change.Checks = []storage.Check{consent.Check(key), {Key: letIn, Version: snap.Rows[1].Version}}
	if consent.Exists() {
		change.Deletes = []storage.Key{key}
	}
	codes, err := s.endCodesOf(ctx, &change, clientID)
	if err != nil {
		return change, false, err
	}
	open := 0
	err = s.eachOpen(ctx, sub, func(ses storage.Session) error {
		if ses.ClientID == clientID {
			open++
		}
		return nil
	})
	if err == nil && !had && codes == 0 && open == 0 {
		err = fmt.Errorf("consent to the client %q, or a session: %w", clientID, ErrNotFound)
	}
	change.Puts = []storage.Put{task.put()}
	if had {
		e := events.New(events.ConsentRevoked, snap.Now)
		e.Subject, e.ClientID, e.Actor, e.Source, e.Note = sub, clientID, task.Ending.By, task.Ending.Source, task.Ending.Note
		change.Puts = append(change.Puts, events.Put(e))
	}
	return change, had, err
}

// endCodesOf deletes the codes of a client, and the approvals of its devices, that
// nobody has redeemed, as [Service.endCodes] does those of a browser. Both say
// whose they are in the same words.
func (s *Service) endCodesOf(ctx context.Context, change *storage.Change, clientID string) (n int, err error) {
	q := storage.Query{Index: storage.IndexCodes, Partition: change.Partition}
	err = s.Store.AllByIndex(ctx, q, func(row storage.Row) error {
		code, err := storage.Decode[storage.AuthorizationCode](row)
		if err != nil || code.Value.ClientID != clientID {
			return err
		}
		n++
		change.Checks = append(change.Checks, code.Check(row.Key))
		change.Deletes = append(change.Deletes, row.Key)
		return nil
	})
	return n, err
}
