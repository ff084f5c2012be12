package accounts

import (
	"context"
	"errors"
	"slices"
	"time"

	"jeton/events"
	"jeton/storage"
)

// tombstone is what stays of a user: that the `sub` was given away.
func tombstone(sub string, epoch uint64, created, now time.Time) storage.User {
	return storage.User{Subject: sub, Disabled: true, Roles: []string{}, Created: created, Updated: now, Epoch: epoch}
}

// Delete ends all sessions of the user, forgets everything about them but the
// `sub`, and frees the name.
func (u *Users) Delete(ctx context.Context, name string, act Act) error {
	user, err := u.Find(ctx, name)
	if err != nil {
		return err
	}
	normal, err := storage.NormalName(user.Username)
	if err != nil {
		return err
	}
	_, err = u.change(ctx, user.Subject, events.UserDeleted, act.ending(storage.ReasonUserDeleted), act, func(user *storage.User) {
		*user = tombstone(user.Subject, user.Epoch, user.Created, user.Updated)
	})
	if err != nil {
		return err
	}
	// From here on the user is gone. What follows only tidies up: a listing
	// leaves tombstones out, and a claim by one is free for the taking.
	if err := u.unlist(ctx, user.Subject); err != nil {
		return err
	}
	if err := u.forget(ctx, user.Subject); err != nil {
		return err
	}
	return u.release(ctx, normal, user.Subject)
}

// unlist takes a tombstone out of the index of users.
func (u *Users) unlist(ctx context.Context, sub string) error {
	return retry(func() error {
		rec, _, err := u.Store.User(ctx, sub)
		if err != nil || !rec.Exists() || !Deleted(rec.Value) {
			return err
		}
		_, err = u.Store.Commit(ctx, storage.Change{
			Partition: storage.UserPartition(sub),
			Checks:    []storage.Check{rec.Check(storage.UserKey(sub))},
			Puts:      []storage.Put{{Key: storage.UserKey(sub), Value: storage.Encode(rec.Value), Index: []storage.Entry{}}},
		})
		return err
	})
}

// forget deletes what the user has allowed to clients, which would stay for good,
// and in which browsers the user was signed in. No more can come: that takes a
// user who is there.
func (u *Users) forget(ctx context.Context, sub string) error {
	var rows []storage.Key
	for _, index := range []string{storage.IndexConsents, storage.IndexSignIns} {
		q := storage.Query{Index: index, Partition: storage.UserPartition(sub)}
		if err := u.Store.AllByIndex(ctx, q, func(row storage.Row) error {
			rows = append(rows, row.Key)
			return nil
		}); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(rows, 200) {
		if _, err := u.Store.Commit(ctx, storage.Change{Partition: storage.UserPartition(sub), Deletes: some}); err != nil {
			return err
		}
	}
	return nil
}

// release gives up the claim of a name, if it is still that of sub.
func (u *Users) release(ctx context.Context, name, sub string) error {
	partition, key := storage.NamePartition(name), storage.Key{Kind: storage.KindName, ID: name}
	return retry(func() error {
		snap, err := u.Store.Read(ctx, partition, key)
		if err != nil || string(snap.Rows[0].Value) != sub {
			return err
		}
		_, err = u.Store.Commit(ctx, storage.Change{
			Partition: partition,
			Checks:    []storage.Check{{Key: key, Version: snap.Rows[0].Version}},
			Deletes:   []storage.Key{key},
		})
		return err
	})
}

// retry decides again while the truth changed under a commit.
func retry(act func() error) error {
	for range mostTries {
		if err := act(); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return errContended
}
