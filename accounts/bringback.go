package accounts

import (
	"context"
	"errors"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// BringBack adds the users of an older copy of the store that were deleted
// since, each under its `sub`. They come disabled: that they were deleted was
// meant to shut them out, until an operator says that it was not. It returns
// their names, and those that somebody else bears now and that stay away.
func (u *Users) BringBack(ctx context.Context, from *storage.Store, act Act) (back, taken []string, err error) {
	err = from.AllByIndex(ctx, storage.Query{Index: storage.IndexUsers}, func(row storage.Row) error {
		old, err := storage.Decode[storage.User](row)
		if err != nil || Deleted(old.Value) {
			return err
		}
		is, _, err := u.Store.User(ctx, old.Value.Subject)
		if err != nil || is.Exists() && !Deleted(is.Value) {
			return err
		}
		switch err := u.bringBack(ctx, old.Value, is, act); {
		case errors.Is(err, grants.ErrExists):
			taken = append(taken, old.Value.Username)
		case err != nil:
			return err
		default:
			back = append(back, old.Value.Username)
		}
		return nil
	})
	return back, taken, err
}

func (u *Users) bringBack(ctx context.Context, user storage.User, tombstone storage.Record[storage.User], act Act) error {
	name, err := storage.NormalName(user.Username)
	if err != nil {
		return err
	}
	if err := u.claim(ctx, name, user.Username, user.Subject); err != nil {
		return err
	}
	now, err := u.Store.Now(ctx)
	if err != nil {
		return err
	}
	user.Disabled, user.Updated, user.Epoch = true, now, max(user.Epoch, tombstone.Value.Epoch)+1
	event := events.New(events.UserCreated, now)
	event.Subject, event.Actor, event.Note, event.Source = user.Subject, act.By, act.Note, act.Source
	_, err = u.Store.Commit(ctx, storage.Change{
		Partition: storage.UserPartition(user.Subject),
		Checks:    []storage.Check{tombstone.Check(storage.UserKey(user.Subject))},
		Puts: []storage.Put{
			{Key: storage.UserKey(user.Subject), Value: storage.Encode(user), Index: storage.UserIndex(user)},
			events.Put(event),
		},
	})
	return err
}

// BringBack does for clients what [Users.BringBack] does for users.
func (c *Clients) BringBack(ctx context.Context, from *storage.Store, act Act) (back, taken []string, err error) {
	err = from.AllByIndex(ctx, storage.Query{Index: storage.IndexClients}, func(row storage.Row) error {
		old, err := storage.Decode[storage.Client](row)
		if err != nil {
			return err
		}
		is, now, err := c.Store.Client(ctx, old.Value.ID)
		if err != nil || is.Exists() {
			return err
		}
		client := old.Value
		client.Disabled, client.Updated = true, now
		client.Epoch = uint64(now.UnixMicro()) // as for one that is added, see [Clients.Add]
		_, err = c.Store.Commit(ctx, storage.Change{
			Partition: storage.ClientPartition(client.ID),
			Checks:    []storage.Check{{Key: storage.ClientKey(client.ID)}, {Key: storage.UserKey(client.ID)}},
			Puts: []storage.Put{
				storage.ClientPut(client),
				events.Put(clientEvent(events.ClientCreated, client.ID, now, act)),
			},
		})
		switch {
		case errors.Is(err, storage.ErrConflict): // a user got the id as `sub`
			taken = append(taken, client.ID)
		case err != nil:
			return err
		default:
			back = append(back, client.ID)
		}
		return nil
	})
	return back, taken, err
}
