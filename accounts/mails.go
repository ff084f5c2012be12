package accounts

import (
	"context"
	"errors"
	"time"

	"jeton/storage"
)

// mailsIndexed stands in the store once every user in it is found by address.
var mailsIndexed = storage.Key{Kind: "mailsindexed", ID: "-"}

// IndexMails puts those users into the index of mail addresses whose address was
// set by a version that had none, and returns how many they were. It looks through
// all users once in the life of a store; what runs at the same time, here or
// elsewhere, does no harm.
func (u *Users) IndexMails(ctx context.Context) (n int, err error) {
	snap, err := u.Store.Read(ctx, storage.SystemPartition, mailsIndexed)
	if err != nil || snap.Rows[0].Version != 0 {
		return 0, err
	}
	err = u.Store.AllByIndex(ctx, storage.Query{Index: storage.IndexUsers}, func(row storage.Row) error {
		rec, err := storage.Decode[storage.User](row)
		if u.Store.Skip(ctx, row, err) || err == nil && rec.Value.Claims.Email == "" {
			return nil
		}
		if err != nil {
			return err
		}
		added, err := u.indexMail(ctx, rec.Value.Subject)
		if added {
			n++
		}
		return err
	})
	if err != nil {
		return n, err
	}
	_, err = u.Store.Commit(ctx, storage.Change{
		Partition: storage.SystemPartition, Puts: []storage.Put{{Key: mailsIndexed, Value: []byte("{}")}},
	})
	return n, err
}

// indexMail writes a user's row as it is, with its entries.
func (u *Users) indexMail(ctx context.Context, sub string) (added bool, err error) {
	p := storage.UserPartition(sub)
	for range mostTries {
		rec, _, err := u.Store.User(ctx, sub)
		if err != nil || Deleted(rec.Value) || rec.Value.Claims.Email == "" {
			return false, err
		}
		entry := storage.MailKey(rec.Value.Claims.Email) + " " + sub
		page, err := u.Store.List(ctx, storage.Query{Index: storage.IndexMails, Partition: p, Prefix: entry, Limit: 1})
		if err != nil || len(page.Rows) > 0 {
			return false, err
		}
		_, err = u.Store.Commit(ctx, storage.Change{
			Partition: p, Checks: []storage.Check{rec.Check(storage.UserKey(sub))},
			Puts: []storage.Put{{Key: storage.UserKey(sub), Value: storage.Encode(rec.Value), Index: storage.UserIndex(rec.Value)}},
		})
		if !errors.Is(err, storage.ErrConflict) {
			return err == nil, err
		}
	}
	return false, errContended
}

// indexEvery is how often it is tried while the store does not answer.
const indexEvery = time.Minute

// Index runs IndexMails until it has come to its end, or ctx has.
func (r *Recovery) Index(ctx context.Context) {
	for {
		n, err := r.Users.IndexMails(ctx)
		if n > 0 {
			r.Log.InfoContext(ctx, "users whose mail address an older version had set are found by it now", "users", n)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		r.Log.WarnContext(ctx, "not all users can be found by their mail address yet; the next try comes by itself", "error", err, "in", indexEvery)
		t := time.NewTimer(indexEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}
