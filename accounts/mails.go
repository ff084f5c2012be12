package accounts

import (
	"context"
	"errors"
	"time"

	"jeton/storage"
)

// mailsVersion is that of the index of mail addresses: of what [storage.UserIndex]
// makes of an address. Where that comes to be otherwise, this is one more, and the
// next start makes the index anew.
const mailsVersion = 1

// Two rows of the system: mailsIndexed stands in the store once every user in it is
// found by address, mailsAt says meanwhile how far it has come.
var (
	mailsIndexed = storage.Key{Kind: "mailsindexed", ID: "-"}
	mailsAt      = storage.Key{Kind: "mailsindexing", ID: "-"}
)

// mailsMark is what they say. A version of before wrote none: it was the first.
type mailsMark struct {
	Version int `json:"version"`
	// After is where a listing of users goes on.
	After string `json:"after,omitempty"`
}

// The users are looked through in pages, and how far that has come is written down
// after some of them.
const (
	mailsPage  = 100
	mailsPages = 10
)

// IndexMails puts those users into the index of mail addresses whose address was
// set by a version that had none, or another one, and returns how many they were. It
// looks through all users once in the life of a store; cut off, it goes on where it
// was. What runs at the same time, here or elsewhere, does no harm. Between two
// pages it waits for rest, which is told how long the one before took.
func (u *Users) IndexMails(ctx context.Context, rest func(context.Context, time.Duration) error) (n int, err error) {
	after, err := u.mailsLeft(ctx)
	if err != nil || after == nil {
		return 0, err
	}
	q := storage.Query{Index: storage.IndexUsers, After: *after, Limit: mailsPage}
	for pages := 1; ; pages++ {
		began := time.Now()
		page, err := u.Store.List(ctx, q)
		if errors.Is(err, storage.ErrCursor) { // of the store that this one was moved from
			q.After = ""
			page, err = u.Store.List(ctx, q)
		}
		if err != nil {
			return n, err
		}
		added, err := u.indexMails(ctx, page.Rows)
		if n += added; err != nil {
			return n, err
		}
		if page.Next == "" {
			return n, u.markMails(ctx, mailsIndexed, mailsMark{Version: mailsVersion})
		}
		if q.After = page.Next; pages%mailsPages == 0 {
			if err := u.markMails(ctx, mailsAt, mailsMark{mailsVersion, q.After}); err != nil {
				return n, err
			}
		}
		if err := rest(ctx, time.Since(began)); err != nil {
			return n, err
		}
	}
}

// mailsLeft is where to go on, nil where all is done.
func (u *Users) mailsLeft(ctx context.Context) (*string, error) {
	snap, err := u.Store.Read(ctx, storage.SystemPartition, mailsIndexed, mailsAt)
	if err != nil {
		return nil, err
	}
	done, err := storage.Decode[mailsMark](snap.Rows[0])
	if err != nil {
		return nil, err
	}
	at, err := storage.Decode[mailsMark](snap.Rows[1])
	switch {
	case err != nil:
		return nil, err
	case done.Exists() && max(done.Value.Version, 1) >= mailsVersion:
		return nil, nil
	case at.Value.Version != mailsVersion:
		at.Value.After = ""
	}
	return &at.Value.After, nil
}

func (u *Users) markMails(ctx context.Context, key storage.Key, m mailsMark) error {
	change := storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{{Key: key, Value: storage.Encode(m)}}}
	if key == mailsIndexed {
		change.Deletes = []storage.Key{mailsAt}
	}
	_, err := u.Store.Commit(ctx, change)
	return err
}

// indexMails does it for a page of users.
func (u *Users) indexMails(ctx context.Context, rows []storage.Row) (n int, err error) {
	for _, row := range rows {
		rec, err := storage.Decode[storage.User](row)
		if u.Store.Skip(ctx, row, err) || err == nil && rec.Value.Claims.Email == "" {
			continue
		}
		if err != nil {
			return n, err
		}
		added, err := u.indexMail(ctx, rec.Value.Subject)
		if err != nil {
			return n, err
		}
		if added {
			n++
		}
	}
	return n, nil
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

// yield rests for as long as the work took, a little at least: half of what one
// caller can have of the store is left to logins, and more where it is slow.
func yield(ctx context.Context, took time.Duration) error {
	t := time.NewTimer(min(max(took, 10*time.Millisecond), time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Index runs IndexMails until it has come to its end, or ctx has.
func (r *Recovery) Index(ctx context.Context) {
	for {
		n, err := r.Users.IndexMails(ctx, yield)
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
