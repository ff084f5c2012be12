package accounts

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"jeton/events"
	"jeton/passwords"
	"jeton/storage"
)

// NewUser is what [Users.Add] makes a user of.
type NewUser struct {
	Username string
	// Subject is the `sub` to take, for users who had one before; empty makes
	// a random one.
	Subject string
	Roles   []string
	Claims  storage.Claims
	// Password may be empty: the user cannot log in until one is set.
	Password string
	// PasswordHash is a password that another program hashed, instead of
	// Password. The first login replaces it by a hash of today's settings.
	PasswordHash string
	Disabled     bool
}

// Add makes a user. The login name is claimed first, in the one partition that
// all who want the name meet in, and the user is written then. A claim whose
// user was never written, because the process died, is taken over by the next
// who asks for the name.
func (u *Users) Add(ctx context.Context, n NewUser, act Act) (storage.User, error) {
	name, roles, err := u.check(n)
	if err != nil {
		return storage.User{}, err
	}
	hash := n.PasswordHash
	if n.Password != "" {
		if hash, err = u.hash(ctx, n.Username, n.Password); err != nil {
			return storage.User{}, err
		}
	}
	sub := n.Subject
	if sub == "" {
		sub = newSubject()
	} else if err := settle(func() error { return u.reserve(ctx, sub) }); err != nil {
		return storage.User{}, err
	}
	if err := u.claim(ctx, name, n.Username, sub); err != nil {
		return storage.User{}, err
	}
	now, err := u.Store.Now(ctx)
	if err != nil {
		return storage.User{}, err
	}
	user := storage.User{Subject: sub, Username: n.Username, PasswordHash: hash, Roles: roles, Claims: n.Claims, Disabled: n.Disabled, Created: now, Updated: now}
	if hash != "" {
		user.PasswordChanged = now
	}
	event := events.New(events.UserCreated, now)
	event.Subject, event.Actor, event.Note, event.Source = sub, act.By, act.Note, act.Source
	_, err = u.Store.Commit(ctx, storage.Change{
		Partition: storage.UserPartition(sub),
		Checks:    []storage.Check{{Key: storage.UserKey(sub)}},
		Puts: []storage.Put{
			{Key: storage.UserKey(sub), Value: storage.Encode(user), Index: storage.UserIndex(user)},
			events.Put(event),
		},
	})
	if errors.Is(err, storage.ErrConflict) {
		return storage.User{}, exists("the user", n.Username, "somebody else has just added it")
	}
	if err != nil {
		return storage.User{}, err
	}
	return user, nil
}

// Judge finds what is wrong with a user before it is added.
func (u *Users) Judge(n NewUser) error {
	_, _, err := u.check(n)
	return err
}

// check gathers all that is wrong with a new user.
func (u *Users) check(n NewUser) (name string, roles []string, err error) {
	var wrong faults
	name, bad := storage.NormalName(n.Username)
	switch {
	case bad != nil:
		wrong.add("%s", bad)
	case strings.HasPrefix(name, SubjectPrefix):
		wrong.add("a user name cannot begin with %q, which addresses users by sub", SubjectPrefix)
	case name == "." || name == "..":
		wrong.add("a user name cannot be %q, which means another place in a path", name)
	}
	if n.Subject != "" && !validSubject(n.Subject) {
		wrong.add("the sub is not 1 to 255 printable ASCII characters without space")
	}
	roles, bads := checkRoles(n.Roles)
	wrong = append(append(wrong, bads...), checkClaims(n.Claims)...)
	if n.Password != "" {
		var refused *passwords.RefusedError
		if errors.As(u.Passwords.Check(n.Username, n.Password), &refused) {
			wrong.add("%s", refused)
		}
	}
	if n.PasswordHash != "" {
		if err := passwords.CheckStored(n.PasswordHash); err != nil {
			wrong.add("password_hash: %s", err)
		}
	}
	return name, roles, wrong.err()
}

// validSubject holds for 255 ASCII characters (OpenID Connect Core §2).
func validSubject(sub string) bool { return printable(sub, 255, "") }

// newSubject is 127 random bits, so it was never used and nobody can have
// registered a client under it beforehand. It never begins with a dash, which
// on a command line is a flag.
func newSubject() string {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// reserve keeps clients from taking a given `sub` as their id (RFC 9068 §5).
// The row stands in the client's partition, where [Clients.Add] checks for it
// in its own commit, so neither can slip past the other. It stays for good, as
// a `sub` does.
func (u *Users) reserve(ctx context.Context, sub string) error {
	if old, _, err := u.Store.User(ctx, sub); err != nil {
		return err
	} else if old.Exists() {
		if err := stays(ctx, u.Store, storage.UserPartition(sub), storage.UserKey(sub)); err != nil {
			return err
		}
		return exists("the sub", sub, "a sub is never given twice, not after deletion either; leave it out and one is made")
	}
	_, err := u.Store.Commit(ctx, storage.Change{
		Partition: storage.ClientPartition(sub),
		Checks:    []storage.Check{{Key: storage.ClientKey(sub)}},
		Puts:      []storage.Put{{Key: storage.UserKey(sub), Value: storage.Encode(storage.User{Subject: sub})}},
	})
	if errors.Is(err, storage.ErrConflict) {
		return exists("the sub", sub, "it is the id of a client, whose own tokens carry it as sub; choose another")
	}
	return err
}

// claim takes the normalised name for sub, or says whose it is.
func (u *Users) claim(ctx context.Context, name, username, sub string) error {
	partition, key := storage.NamePartition(name), nameKey(name)
	return settle(func() error {
		snap, err := u.Store.Read(ctx, partition, key)
		if err != nil {
			return err
		}
		row := snap.Rows[0]
		if row.Version != 0 && string(row.Value) == sub {
			// Ours: of this call, or of one that ended before the user was written.
			return u.Store.Confirm(ctx, partition, storage.Check{Key: key, Version: row.Version})
		}
		if row.Version != 0 {
			free, err := u.abandoned(ctx, name, string(row.Value))
			if err == nil && !free {
				err = cmp.Or(u.userStays(ctx, name, string(row.Value)),
					exists("the user", username, "choose another name, or change that user"))
			}
			if err != nil {
				return err
			}
		}
		_, err = u.Store.Commit(ctx, storage.Change{
			Partition: partition,
			Checks:    []storage.Check{{Key: key, Version: row.Version}},
			Puts:      []storage.Put{{Key: key, Value: []byte(sub)}},
		})
		if errors.Is(err, storage.ErrUnknown) {
			return storage.ErrConflict // the next look tells
		}
		return err
	})
}

// abandoned reports whether the owner named by a claim does not bear the name.
// An owner that is not there might still be about to be written by a slow
// process: the tombstone that is left in its place makes that write fail, so
// that a name never has two users.
func (u *Users) abandoned(ctx context.Context, name, owner string) (bool, error) {
	rec, now, err := u.Store.User(ctx, owner)
	if err != nil {
		return false, err
	}
	if rec.Exists() {
		has, _ := storage.NormalName(rec.Value.Username)
		return has != name, nil
	}
	_, err = u.Store.Commit(ctx, storage.Change{
		Partition: storage.UserPartition(owner),
		Checks:    []storage.Check{{Key: storage.UserKey(owner)}},
		Puts:      []storage.Put{{Key: storage.UserKey(owner), Value: storage.Encode(tombstone(owner, 0, now, now))}},
	})
	return err == nil, err
}
