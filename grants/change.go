package grants

import (
	"context"
	"fmt"
	"time"

	"jeton/events"
	"jeton/events/status"
	"jeton/storage"
)

// ChangeUser changes a user's record. change is given the record as it is and
// may run several times, until a commit finds it unchanged. With an ending, all
// sessions of the user end at that very commit; see [Service.End].
func (s *Service) ChangeUser(ctx context.Context, sub string, change func(*storage.User) error, end *Ending, facts ...storage.Event) (storage.User, error) {
	u, _, err := s.changeUser(ctx, sub, change, end, facts)
	return u, err
}

func (s *Service) changeUser(ctx context.Context, sub string, change func(*storage.User) error, end *Ending, facts []storage.Event) (u storage.User, ended int, err error) {
	p := storage.UserPartition(sub)
	var task *pending
	if end != nil {
		task = &pending{Selection: Selection{Subject: sub}, Ending: *end, ID: newID()}
	}
	err = retryConflicts(func() error {
		rec, now, err := s.Store.User(ctx, sub)
		if err != nil {
			return err
		}
		if !rec.Exists() {
			return fmt.Errorf("user %q: %w", sub, ErrNotFound)
		}
		u = rec.Value
		if err := change(&u); err != nil {
			return err
		}
		u.Updated = now
		if end != nil {
			u.Epoch++
			task.Epoch = u.Epoch
		}
		_, err = s.Store.Commit(ctx, changing(p, rec.Check(storage.UserKey(sub)), storage.Put{Key: storage.UserKey(sub), Value: storage.Encode(u)}, task, facts, now))
		return err
	})
	if err != nil || task == nil {
		return u, 0, err
	}
	ended, err = s.finish(ctx, p, *task)
	return u, ended, err
}

// ChangeClient does for a client what ChangeUser does for a user. Every node
// goes by the change within [storage.CacheAge]; with an ending it waits for
// that before it returns.
func (s *Service) ChangeClient(ctx context.Context, clientID string, change func(*storage.Client) error, end *Ending, facts ...storage.Event) (storage.Client, error) {
	c, _, err := s.changeClient(ctx, clientID, change, end, facts)
	return c, err
}

func (s *Service) changeClient(ctx context.Context, clientID string, change func(*storage.Client) error, end *Ending, facts []storage.Event) (c storage.Client, ended int, err error) {
	p := storage.ClientPartition(clientID)
	var task *pending
	if end != nil {
		task = &pending{Selection: Selection{ClientID: clientID}, Ending: *end, ID: newID()}
	}
	err = retryConflicts(func() error {
		rec, now, err := s.Store.Client(ctx, clientID)
		if err != nil {
			return err
		}
		if !rec.Exists() {
			return fmt.Errorf("client %q: %w", clientID, ErrNotFound)
		}
		was := rec.Value
		c = rec.Value
		if err := change(&c); err != nil {
			return err
		}
		c.Updated = now
		if end != nil {
			c.Epoch++
			task.Epoch = c.Epoch
		}
		commit := changing(p, rec.Check(storage.ClientKey(clientID)),
			storage.Put{Key: storage.ClientKey(clientID), Value: storage.Encode(c), Index: storage.ClientIndex(c)}, task, facts, now)
		if c.Epoch != was.Epoch || c.Disabled != was.Disabled {
			commit.Puts = append(commit.Puts, status.ClientPut(clientID, now))
		}
		_, err = s.Store.Commit(ctx, commit)
		return err
	})
	if err != nil || task == nil {
		return c, 0, err
	}
	ended, err = s.finish(ctx, p, *task)
	return c, ended, err
}

// changing is the commit of a changed record with what follows from it.
func changing(p storage.Partition, check storage.Check, put storage.Put, task *pending, facts []storage.Event, now time.Time) storage.Change {
	c := storage.Change{Partition: p, Checks: []storage.Check{check}, Puts: []storage.Put{put}}
	for _, e := range facts {
		c.Puts = append(c.Puts, events.Put(e))
	}
	if task != nil {
		c.Puts = append(c.Puts, task.put(), task.event(now))
	}
	return c
}
