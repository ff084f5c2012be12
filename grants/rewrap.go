package grants

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"jeton/keys"
	"jeton/storage"
)

// rewrapAtOnce is how many sessions are sealed anew at the same time: the store
// commits together what has queued.
const rewrapAtOnce = 64

// Rewrap puts everything that is sealed under another master key, and returns
// how many sessions that took. Sessions go on meanwhile.
func (s *Service) Rewrap(ctx context.Context, to *keys.MasterKey, tell ...keys.Tell) (int, error) {
	var n atomic.Int64
	err := s.Keys.Rewrap(ctx, to, func(reseal keys.Reseal) error {
		return s.eachSession(ctx, func(row storage.Row) error {
			changed, err := s.resealSession(ctx, row, reseal)
			if changed {
				n.Add(1)
			}
			return err
		})
	}, tell...)
	return int(n.Load()), err
}

// eachSession visits all sessions, many at once.
func (s *Service) eachSession(ctx context.Context, visit func(storage.Row) error) error {
	q := storage.Query{Index: storage.IndexSessions, Limit: 1000}
	for {
		page, err := s.Store.List(ctx, q)
		if err != nil {
			return err
		}
		errs := make([]error, len(page.Rows))
		var wg sync.WaitGroup
		turns := make(chan struct{}, rewrapAtOnce)
		for i, row := range page.Rows {
			turns <- struct{}{}
			wg.Go(func() {
				defer func() { <-turns }()
				errs[i] = visit(row)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil || page.Next == "" {
			return err
		}
		q.After = page.Next
	}
}

// resealSession seals the secret of one session anew, whatever happens to the
// session meanwhile.
func (s *Service) resealSession(ctx context.Context, row storage.Row, reseal keys.Reseal) (bool, error) {
	for row.Version != 0 {
		rec, err := storage.Decode[storage.Session](row)
		if s.Store.Skip(ctx, row, err) {
			return false, nil // nothing in it can be used under either key
		}
		if err != nil {
			return false, err
		}
		ses := rec.Value
		sealed, changed, err := reseal(purposeSession, ses.Secret, []byte(ses.ID))
		if err != nil {
			return false, fmt.Errorf("grants: the secret of session %q opens with neither master key, end it: %w", ses.ID, err)
		}
		if !changed {
			return false, nil
		}
		ses.Secret = sealed
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: row.Partition,
			Checks:    []storage.Check{rec.Check(row.Key)},
			Puts:      []storage.Put{{Key: row.Key, Value: storage.Encode(ses), Expires: row.Expires}},
		})
		if err == nil || !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrUnknown) {
			return err == nil, err
		}
		snap, err := s.Store.Read(ctx, row.Partition, row.Key)
		if err != nil {
			return false, err
		}
		row = snap.Rows[0]
	}
	return false, nil
}
