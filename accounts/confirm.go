package accounts

import (
	"context"
	"errors"

	"jeton/grants"
	"jeton/storage"
)

// stays makes sure of what was found in some of these rows, before somebody is
// told that what was asked for is there already: it may be a write that was
// answered with 503 since no replica had confirmed it, and may still be lost.
// storage.ErrConflict says that nothing is there any more, or not as it was; look
// again.
func stays(ctx context.Context, s *storage.Store, p storage.Partition, keys ...storage.Key) error {
	if !s.Durability().ReadsAhead {
		return nil
	}
	snap, err := s.Read(ctx, p, keys...)
	if err != nil {
		return err
	}
	there, checks := false, make([]storage.Check, len(keys))
	for i, row := range snap.Rows {
		there, checks[i] = there || row.Version != 0, storage.Check{Key: keys[i], Version: row.Version}
	}
	if !there {
		return storage.ErrConflict
	}
	return s.Confirm(ctx, p, checks...)
}

// userStays is stays for a user and the claim on the user's normalised name,
// which is in another partition.
func (u *Users) userStays(ctx context.Context, name, sub string) error {
	if err := stays(ctx, u.Store, storage.NamePartition(name), nameKey(name)); err != nil {
		return err
	}
	return stays(ctx, u.Store, storage.UserPartition(sub), storage.UserKey(sub))
}

func nameKey(name string) storage.Key { return storage.Key{Kind: storage.KindName, ID: name} }

// settle looks at what is there until it holds still.
func settle(look func() error) error {
	for range mostTries {
		if err := look(); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}

// found looks for what may have been there before, and makes sure of it.
func found(find, stays func() error) (there bool, err error) {
	err = settle(func() error {
		err := find()
		there = err == nil
		switch {
		case there:
			return stays()
		case errors.Is(err, grants.ErrNotFound):
			return nil
		}
		return err
	})
	return there && err == nil, err
}
