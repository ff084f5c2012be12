package grants

import (
	"context"
	"fmt"
	"time"

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
		if err := s.repeated(ctx, p, facts); err != nil {
			return err
		}
		u = rec.Value
		if err := change(&u); err != nil {
			return err
		}
		u.Updated = now
		commit := storage.Change{Partition: p, Checks: []storage.Check{rec.Check(storage.UserKey(sub))}}
		if end != nil {
			task.Epoch = bump(&u.Epoch, &u.AccessEpoch, *end)
			task.Ending.Except = end.Except
			if err := s.keep(ctx, &commit, rec.Value, u, &task.Ending); err != nil {
				return err
			}
		}
		follow(&commit, storage.Put{Key: storage.UserKey(sub), Value: storage.Encode(u)}, task, facts, now)
		_, err = s.Store.Commit(ctx, commit)
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
		if err := s.repeated(ctx, p, facts); err != nil {
			return err
		}
		was := rec.Value
		c = rec.Value
		if err := change(&c); err != nil {
			return err
		}
		c.Updated = now
		if end != nil {
			task.Epoch = bump(&c.Epoch, &c.AccessEpoch, *end)
		}
		commit := storage.Change{Partition: p, Checks: []storage.Check{rec.Check(storage.ClientKey(clientID))}}
		follow(&commit, storage.ClientPut(c), task, facts, now)
		if end != nil || c.Disabled != was.Disabled {
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

// bump begins a new epoch, of sessions or of access tokens alone.
func bump(sessions, access *uint64, e Ending) uint64 {
	if e.AccessOnly {
		*access++
		return *access
	}
	*sessions++
	return *sessions
}

// keep lets the session that an ending excepts go on under the epoch that begins
// with it. One that is over is not brought back.
func (s *Service) keep(ctx context.Context, c *storage.Change, before, after storage.User, e *Ending) error {
	if e.Except == "" {
		return nil
	}
	rec, _, _, err := s.Store.SessionAndUser(ctx, before.Subject, e.Except)
	if err != nil {
		return err
	}
	ses := rec.Value
	if !rec.Exists() || ses.Ended != nil || ses.UserEpoch != before.Epoch {
		e.Except = ""
		return nil
	}
	ses.UserEpoch = after.Epoch
	c.Checks = append(c.Checks, rec.Check(storage.SessionKey(ses.ID)))
	c.Puts = append(c.Puts, sessionPut(ses, nil))
	return nil
}

// follow adds a changed record to its commit, with what follows from it.
func follow(c *storage.Change, put storage.Put, task *pending, facts []storage.Event, now time.Time) {
	c.Puts = append(c.Puts, put)
	tell(c, facts)
	if task != nil {
		c.Puts = append(c.Puts, task.put(), task.event(now))
	}
}
