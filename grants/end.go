package grants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"jeton/events"
	"jeton/events/status"
	"jeton/storage"
)

// Ending says why sessions end, and who ends them.
type Ending struct {
	// Reason is one of the Reason constants of package storage.
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
	Note   string `json:"note,omitempty"`
	Source string `json:"source,omitempty"`
	// Except is a session that goes on where all of its user end. ExceptBrowser
	// is a browser, whose sign-in goes on with the sessions that came from it;
	// Except becomes their ids, with spaces between.
	Except        string `json:"except,omitempty"`
	ExceptBrowser string `json:"except_browser,omitempty"`
	// AccessOnly ends access tokens alone: their sessions go on, and the next
	// refresh of each mints a token by what is true then.
	AccessOnly bool `json:"access_only,omitempty"`
}

// Selection names sessions: one, those of a user, those of a client, those of a
// user through a client, or all.
type Selection struct {
	Subject   string `json:"sub,omitempty"`
	SessionID string `json:"sid,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	All       bool   `json:"all,omitempty"`
}

// End ends the selected sessions and returns how many it found alive. When it
// returns, no token is minted from any of them.
//
// Ending many is two steps. The first is one commit that bumps an epoch, which
// ends them all at one point in time, and writes down what is still to do. The
// second visits each session to set the bits of its live tokens. A crash
// between the two is made good by [Service.ResumeEndings].
func (s *Service) End(ctx context.Context, sel Selection, e Ending) (int, error) {
	switch {
	case sel.SessionID != "":
		return s.endOne(ctx, sel, e)
	case sel.All:
		return s.endAll(ctx, e)
	case sel.Subject != "" && sel.ClientID != "":
		now, err := s.Store.Now(ctx)
		if err != nil {
			return 0, err
		}
		return s.sweepSessions(ctx, sel, e, func(ses storage.Session) bool { return !ses.Created.After(now) })
	case sel.Subject != "":
		return s.endUser(ctx, sel.Subject, e)
	case sel.ClientID != "":
		_, n, err := s.changeClient(ctx, sel.ClientID, func(*storage.Client) error { return nil }, &e, nil)
		return n, err
	}
	return 0, errors.New("grants: nothing is selected")
}

// FindSession finds a session by its id alone.
func (s *Service) FindSession(ctx context.Context, sid string) (storage.Record[storage.Session], error) {
	var none storage.Record[storage.Session]
	page, err := s.Store.List(ctx, storage.Query{Index: storage.IndexSessions, Prefix: sid, Limit: 1})
	if err != nil {
		return none, err
	}
	if len(page.Rows) == 0 || page.Rows[0].ID != sid {
		return none, fmt.Errorf("session %q: %w", sid, ErrNotFound)
	}
	return storage.Decode[storage.Session](page.Rows[0])
}

func (s *Service) endOne(ctx context.Context, sel Selection, e Ending) (int, error) {
	ses, err := s.FindSession(ctx, sel.SessionID)
	if err != nil {
		return 0, err
	}
	if sel.Subject != "" && ses.Value.Subject != sel.Subject {
		return 0, fmt.Errorf("session %q: %w", sel.SessionID, ErrNotFound)
	}
	ended, err := s.endSession(ctx, ses.Value.Subject, ses.Value.ID, e)
	if ended {
		return 1, err
	}
	return 0, err
}

func (s *Service) endUser(ctx context.Context, sub string, e Ending) (int, error) {
	_, n, err := s.changeUser(ctx, sub, func(*storage.User) error { return nil }, &e, nil)
	return n, err
}

func (s *Service) endAll(ctx context.Context, e Ending) (int, error) {
	task := pending{Selection: Selection{All: true}, Ending: e, ID: newID()}
	err := retryConflicts(func() error {
		snap, err := s.Store.Read(ctx, storage.SystemPartition, storage.SystemKey)
		if err != nil {
			return err
		}
		system, err := storage.Decode[storage.System](snap.Rows[0])
		if err != nil {
			return err
		}
		check := system.Check(storage.SystemKey)
		system.Value.Epoch++
		task.Epoch = system.Value.Epoch
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.SystemPartition, Checks: []storage.Check{check},
			Puts: []storage.Put{{Key: storage.SystemKey, Value: storage.Encode(system.Value)}, task.put(), task.event(snap.Now)},
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.finish(ctx, storage.SystemPartition, task)
}

// pending is the note of an ending whose first step is done.
type pending struct {
	Selection Selection `json:"selection"`
	Ending    Ending    `json:"ending"`
	ID        string    `json:"id"`
	// Epoch is the one that began with the ending. What began under it, or
	// later, is none of its business, whenever the second step comes.
	Epoch uint64 `json:"epoch"`
	// Until is the moment after which what a user begins through a client is none
	// of its business: those two together have no epoch of their own.
	Until time.Time `json:"until,omitzero"`
}

// reaches reports whether a session is one that the ending ended.
func (p pending) reaches(ses storage.Session) bool {
	switch {
	case p.Ending.AccessOnly:
		return true // endAccessOf looks at both epochs that count
	case p.Selection.All:
		return ses.SystemEpoch < p.Epoch
	case p.Selection.Subject != "" && p.Selection.ClientID != "":
		return !ses.Created.After(p.Until)
	case p.Selection.ClientID != "":
		return ses.ClientEpoch < p.Epoch
	}
	return ses.UserEpoch < p.Epoch
}

func (p pending) key() storage.Key { return storage.Key{Kind: kindPending, ID: p.ID} }

func (p pending) put() storage.Put {
	return storage.Put{Key: p.key(), Value: storage.Encode(p), Index: []storage.Entry{{Name: indexPending, Sort: p.ID}}}
}

// event tells that the first step is done: from here on all of them are dead.
func (p pending) event(now time.Time) storage.Put {
	what := events.SessionsEnded
	if p.Ending.AccessOnly {
		what = events.TokensRevoked
	}
	e := events.New(what, now)
	e.Subject, e.ClientID, e.Kept = p.Selection.Subject, p.Selection.ClientID, p.Ending.Except
	e.Actor, e.Reason, e.Note, e.Source = p.Ending.By, p.Ending.Reason, p.Ending.Note, p.Ending.Source
	return events.Put(e)
}

const (
	kindPending  = "ending"
	indexPending = "endings"
)

// finish does the second step of an ending and strikes it off.
func (s *Service) finish(ctx context.Context, p storage.Partition, task pending) (int, error) {
	sel := task.Selection
	if sel.Subject == "" {
		// Other nodes may go by the old epoch for as long as their caches.
		if err := pause(ctx, storage.CacheAge); err != nil {
			return 0, err
		}
	}
	n, err := s.sweepSessions(ctx, sel, task.Ending, task.reaches)
	if err != nil {
		return n, err
	}
	if sel.All {
		if err := s.noteClients(ctx); err != nil {
			return n, err
		}
	}
	_, err = s.Store.Commit(ctx, storage.Change{Partition: p, Deletes: []storage.Key{task.key()}})
	return n, err
}

// noteClients has the status lists look at the blocks of all clients: they are of
// an epoch that is over.
func (s *Service) noteClients(ctx context.Context) error {
	return s.Store.AllByIndex(ctx, storage.Query{Index: storage.IndexClients}, func(row storage.Row) error {
		now, err := s.Store.Now(ctx)
		if err != nil {
			return err
		}
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: row.Partition, Puts: []storage.Put{status.ClientPut(row.ID, now)},
		})
		return err
	})
}

// ResumeEndings finishes the endings that a crash left half done. Two nodes
// that resume the same one do no harm.
func (s *Service) ResumeEndings(ctx context.Context) error {
	return s.Store.AllByIndex(ctx, storage.Query{Index: indexPending}, func(row storage.Row) error {
		task, err := storage.Decode[pending](row)
		if s.Store.Skip(ctx, row, err) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = s.finish(ctx, row.Partition, task.Value)
		return err
	})
}

// finishEvery is how often a node looks for endings that nobody finished.
const finishEvery = time.Minute

// Finish runs ResumeEndings until ctx ends.
func (s *Service) Finish(ctx context.Context) {
	for {
		if err := s.ResumeEndings(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "sessions that were ended together are dead, but not all could be visited yet; the next try comes by itself",
				"error", err, "in", finishEvery)
		}
		if pause(ctx, finishEvery) != nil {
			return
		}
	}
}

// sweepSessions ends each selected session that has not ended and that the
// ending reaches: who logs in while it goes on begins something new.
func (s *Service) sweepSessions(ctx context.Context, sel Selection, e Ending, reaches func(storage.Session) bool) (int, error) {
	n := 0
	alone := sel.Subject != "" && sel.ClientID != "" // no epoch ends these, nor confirms that they have ended
	var unconfirmed error
	err := s.Store.AllByIndex(ctx, selected(sel), func(row storage.Row) error {
		ses, err := storage.Decode[storage.Session](row)
		if s.Store.Skip(ctx, row, err) {
			return nil // dead by the epoch, as all of them
		}
		if err != nil || !reaches(ses.Value) || (sel.ClientID != "" && ses.Value.ClientID != sel.ClientID) {
			return err
		}
		if ses.Value.Ended != nil {
			if !alone || unconfirmed != nil {
				return nil
			}
			err = s.confirmEnded(ctx, ses.Value)
		} else {
			var ended bool
			if e.AccessOnly {
				ended, err = s.endAccessOf(ctx, ses.Value.Subject, ses.Value.ID)
			} else {
				ended, err = s.endSession(ctx, ses.Value.Subject, ses.Value.ID, e)
			}
			if ended {
				n++
			}
		}
		if alone && errors.Is(err, storage.ErrUnconfirmed) {
			unconfirmed = err // it is written: those that come after it end too
			return nil
		}
		if s.Store.Skip(ctx, row, err) { // its user cannot be read
			return nil
		}
		return err
	})
	return n, cmp.Or(err, unconfirmed)
}

// confirmEnded makes sure that a session that was found ended stays so.
func (s *Service) confirmEnded(ctx context.Context, ses storage.Session) error {
	if !s.Store.Durability().ReadsAhead {
		return nil
	}
	_, err := s.endSession(ctx, ses.Subject, ses.ID, Ending{Reason: ses.Ended.Reason, By: ses.Ended.By, Note: ses.Ended.Note})
	return err
}

// pause waits, unless the caller gives up.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("grants: given up while waiting for other nodes: %w", ctx.Err())
	}
}
