package grants

import (
	"context"
	"fmt"
	"strings"
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

// changeUser also runs what others add to the commit, each time it is tried.
func (s *Service) changeUser(ctx context.Context, sub string, change func(*storage.User) error, end *Ending, facts []storage.Event, others ...func(*storage.Change) error) (u storage.User, ended int, err error) {
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
			if err := s.keep(ctx, &commit, rec.Value, u, &task.Ending, now); err != nil {
				return err
			}
		}
		for _, add := range others {
			if err := add(&commit); err != nil {
				return err
			}
		}
		put := storage.Put{Key: storage.UserKey(sub), Value: storage.Encode(u)}
		if u.Claims.Email != rec.Value.Claims.Email {
			put.Index = storage.UserIndex(u)
		}
		follow(&commit, put, task, facts, now)
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
		// Later than any before, so that no two changes look alike however close.
		if c.Updated = now; !now.After(was.Updated) {
			c.Updated = was.Updated.Add(1)
		}
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

// keep lets what an ending excepts go on under the epoch that begins with it.
// What is over is not brought back.
func (s *Service) keep(ctx context.Context, c *storage.Change, before, after storage.User, e *Ending, now time.Time) error {
	if e.ExceptBrowser != "" {
		return s.keepBrowser(ctx, c, before, after, e, now)
	}
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

// keepBrowser does it for the sign-in of a browser, and the sessions from there.
func (s *Service) keepBrowser(ctx context.Context, c *storage.Change, before, after storage.User, e *Ending, now time.Time) error {
	signIns := storage.Query{Index: storage.IndexSignIns, Partition: c.Partition, Prefix: e.ExceptBrowser}
	err := s.Store.AllByIndex(ctx, signIns, func(row storage.Row) error {
		in, err := storage.Decode[storage.SignIn](row)
		if err != nil || in.Value.Browser != e.ExceptBrowser || in.Value.UserEpoch != before.Epoch {
			return err
		}
		in.Value.UserEpoch, in.Value.Used = after.Epoch, now
		c.Checks = append(c.Checks, in.Check(row.Key))
		c.Puts = append(c.Puts, s.signInPut(in.Value, now))
		return nil
	})
	if err != nil {
		return err
	}
	var kept []string
	sessions := storage.Query{Index: storage.IndexSessions, Partition: c.Partition}
	err = s.Store.AllByIndex(ctx, sessions, func(row storage.Row) error {
		ses, err := storage.Decode[storage.Session](row)
		if err != nil || ses.Value.Browser != e.ExceptBrowser || ses.Value.Ended != nil || ses.Value.UserEpoch != before.Epoch {
			return err
		}
		ses.Value.UserEpoch = after.Epoch
		c.Checks = append(c.Checks, ses.Check(row.Key))
		c.Puts = append(c.Puts, sessionPut(ses.Value, nil))
		kept = append(kept, ses.Value.ID)
		return nil
	})
	e.Except = strings.Join(kept, " ")
	return err
}

// follow adds a changed record to its commit, with what follows from it.
func follow(c *storage.Change, put storage.Put, task *pending, facts []storage.Event, now time.Time) {
	c.Puts = append(c.Puts, put)
	if task == nil {
		tell(c, facts, "")
		return
	}
	tell(c, facts, task.ID)
	c.Puts = append(c.Puts, task.put(), task.event(now))
}
