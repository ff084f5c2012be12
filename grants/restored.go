package grants

import (
	"context"
	"time"

	"jeton/events"
	"jeton/events/status"
	"jeton/storage"
)

// Forgotten is what a backup that is put back does not know.
type Forgotten struct {
	// Since is the store time of the last change that it knows.
	Since time.Time
	// Longest is the life of the longest access token that was minted since.
	Longest time.Duration
	// KeepSessions lets the sessions of the backup go on.
	KeepSessions bool
	// Ending says who puts it back, and from what.
	Ending Ending
}

// Forget deals with all that happened after a backup was made, when nobody
// knows any more what it was: what may have been revoked is, in one commit. All
// sessions of the backup are over, since each may have ended, and since whoever
// has a refresh token that was spent after the backup could use it again. The
// status lists of before say of all their tokens that they are revoked, and new
// lists are opened. The keys are the caller's business (keys.Ring.StartOver).
//
// The sessions are visited one by one when a server runs, see
// [Service.ResumeEndings]; they are dead from here on.
func (s *Service) Forget(ctx context.Context, f Forgotten) error {
	task := pending{Selection: Selection{All: true}, Ending: f.Ending, ID: newID()}
	through, err := s.lastList(ctx)
	if err != nil {
		return err
	}
	return retryConflicts(func() error {
		snap, err := s.Store.Read(ctx, storage.SystemPartition, storage.SystemKey)
		if err != nil {
			return err
		}
		rec, err := storage.Decode[storage.System](snap.Rows[0])
		if err != nil {
			return err
		}
		system := rec.Value
		system.Restored = &storage.Restored{
			At: snap.Now, From: uint32(f.Since.Unix()), Through: max(through, uint32(snap.Now.Unix())+status.MostAhead),
			Until: snap.Now.Add(f.Longest + status.Grace),
		}
		puts := []storage.Put{restoredEvent(f.Ending, snap.Now)}
		if !f.KeepSessions {
			system.Epoch++
			task.Epoch = system.Epoch
			puts = append(puts, task.put(), task.event(snap.Now))
		}
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.SystemPartition, Checks: []storage.Check{rec.Check(storage.SystemKey)},
			Puts:    append(puts, storage.Put{Key: storage.SystemKey, Value: storage.Encode(system)}),
			Deletes: leases,
		})
		return err
	})
}

// Restored tells that the store was restored and nothing was forgotten.
func (s *Service) Restored(ctx context.Context, e Ending) error {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.Store.Commit(ctx, storage.Change{
		Partition: storage.SystemPartition, Puts: []storage.Put{restoredEvent(e, now)}, Deletes: leases,
	})
	return err
}

// leases are those of who publishes events and who delivers them. Nobody holds
// them any more when a store is restored, so nobody has to wait for their end.
var leases = []storage.Key{{Kind: storage.KindLease, ID: "events"}, {Kind: storage.KindLease, ID: "webhooks"}}

func restoredEvent(e Ending, now time.Time) storage.Put {
	event := events.New(events.StoreRestored, now)
	event.Actor, event.Note = e.By, e.Note
	return events.Put(event)
}

// lastList is the greatest number of a status list that the store knows: a
// clock that was ahead may have given it.
func (s *Service) lastList(ctx context.Context) (last uint32, err error) {
	err = s.Store.AllByIndex(ctx, storage.Query{Index: status.IndexLists}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.StatusList](row)
		last = max(last, rec.Value.Number)
		return err
	})
	return last, err
}
