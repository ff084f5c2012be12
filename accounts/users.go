package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"jeton/events"
	"jeton/grants"
	"jeton/passwords"
	"jeton/storage"
)

// Users administers the people who can log in.
type Users struct {
	Store     *storage.Store
	Grants    *grants.Service
	Passwords *passwords.Passwords
}

// SubjectPrefix addresses a user by `sub` where a login name is expected, as in
// "sub:248289761001". No login name begins with it.
const SubjectPrefix = "sub:"

// Deleted reports whether the record is what is left of a deleted user: the
// `sub`, which no other user may ever get, since APIs know their users by it.
func Deleted(u storage.User) bool { return u.Username == "" }

// Find returns a user by login name or, after [SubjectPrefix], by `sub`.
func (u *Users) Find(ctx context.Context, name string) (storage.User, error) {
	var rec storage.Record[storage.User]
	var err error
	if sub, ok := strings.CutPrefix(name, SubjectPrefix); ok {
		if !validSubject(sub) {
			return storage.User{}, notFound("user", name)
		}
		rec, _, err = u.Store.User(ctx, sub)
	} else {
		normal, bad := storage.NormalName(name)
		if bad != nil {
			return storage.User{}, notFound("user", name)
		}
		rec, _, err = u.Store.UserByName(ctx, normal)
	}
	switch {
	case err != nil:
		return storage.User{}, err
	case Deleted(rec.Value):
		return storage.User{}, notFound("user", name)
	}
	return rec.Value, nil
}

// List returns users in the order of their normalised names, from the cursor
// after on, and the cursor of the following page, empty at the end. A page may
// hold fewer than limit users without being the last.
func (u *Users) List(ctx context.Context, prefix, after string, limit int) ([]storage.User, string, error) {
	if prefix != "" {
		normal, err := storage.NormalName(prefix)
		if err != nil {
			return nil, "", &InvalidError{[]string{"the prefix is not the beginning of a name: " + err.Error()}}
		}
		prefix = normal
	}
	users, next, err := listed[storage.User](ctx, u.Store, storage.Query{Index: storage.IndexUsers, Prefix: prefix, After: after, Limit: limit})
	return slices.DeleteFunc(users, Deleted), next, err
}

// SetPassword gives the user a new password. What it ends is a setting: by
// default all sessions, for whoever holds them, where somebody else sets it
// anew, and all others where the users themselves do.
func (u *Users) SetPassword(ctx context.Context, name, password string, act Act) (storage.User, error) {
	user, err := u.Find(ctx, name)
	if err != nil {
		return user, err
	}
	hash, err := u.hash(ctx, user.Username, password)
	if err != nil {
		return storage.User{}, err
	}
	what, reaction := u.OnPassword(act, user.Subject)
	e := act.endingOf(storage.ReasonPasswordReset)
	if what == events.PasswordChanged {
		e = act.endingOf(storage.ReasonPasswordChanged)
		e.Except, e.ExceptBrowser = act.Session, act.Browser
	}
	end := reaction.Ending(e)
	return u.change(ctx, user.Subject, what, end, act, func(user *storage.User) {
		user.PasswordHash, user.PasswordChanged = hash, user.Updated
	})
}

// OnPassword tells a change of one's own password from a reset by another, and
// what follows from each.
func (u *Users) OnPassword(act Act, sub string) (what string, reaction grants.Reaction) {
	on := u.Grants.Settings.On
	if act.By != sub {
		return events.PasswordReset, on.PasswordReset.To(grants.OnPasswordReset)
	}
	return events.PasswordChanged, on.PasswordChange.To(grants.OnPasswordChange)
}

// hash judges and hashes a new password.
func (u *Users) hash(ctx context.Context, username, password string) (string, error) {
	hash, err := u.Passwords.Hash(ctx, username, password)
	var refused *passwords.RefusedError
	if errors.As(err, &refused) {
		return "", &InvalidError{[]string{refused.Error()}}
	}
	return hash, err
}

// errMoved says that the record is no longer what the caller looked at.
var errMoved = errors.New("accounts: the record has moved")

// RolesTag is another one for other roles.
func RolesTag(user storage.User) string { return "roles " + strings.Join(user.Roles, " ") }

// SetRoles replaces the roles of the user. Tokens minted from now on carry them.
// What becomes of those of before is a setting: by default sessions go on, and
// where a role was lost their access tokens are revoked at once.
func (u *Users) SetRoles(ctx context.Context, name string, roles []string, act Act) (storage.User, error) {
	roles, wrong := checkRoles(roles)
	if err := wrong.err(); err != nil {
		return storage.User{}, err
	}
	for range mostTries {
		user, err := u.Find(ctx, name)
		if err != nil {
			return user, err
		}
		if act.Seen != "" && act.Seen != RolesTag(user) {
			return user, ErrChanged
		}
		if slices.Equal(user.Roles, roles) {
			user, ok, err := u.settled(ctx, user.Subject, func(user storage.User) bool { return slices.Equal(user.Roles, roles) })
			if ok || err != nil {
				return user, err
			}
			continue
		}
		now, err := u.Store.Now(ctx)
		if err != nil {
			return storage.User{}, err
		}
		event := events.New(events.RolesChanged, now)
		event.Subject, event.Actor, event.Source = user.Subject, act.By, act.Source
		event.Note = "from [" + strings.Join(user.Roles, " ") + "] to [" + strings.Join(roles, " ") + "]"
		if act.Note != "" {
			event.Note += ": " + act.Note
		}
		e := act.endingOf(storage.ReasonRolesChanged)
		e.Note = event.Note
		end := u.Grants.Settings.On.ToRoles(user.Roles, roles).Ending(e)
		changed, err := u.Grants.ChangeUser(ctx, user.Subject, func(fresh *storage.User) error {
			if Deleted(*fresh) || !slices.Equal(fresh.Roles, user.Roles) {
				return errMoved // the event would tell of the wrong old roles
			}
			fresh.Roles, fresh.Updated = roles, now
			return nil
		}, end, event)
		if !errors.Is(err, errMoved) {
			return changed, err
		}
	}
	return storage.User{}, errContended
}

// Disable refuses the user all new tokens and ends all sessions.
func (u *Users) Disable(ctx context.Context, name string, act Act) (storage.User, error) {
	user, err := u.Find(ctx, name)
	if err != nil {
		return user, err
	}
	// Once more for one who is disabled: it finishes what a crash interrupted.
	return u.change(ctx, user.Subject, events.UserDisabled, act.ending(storage.ReasonUserDisabled), act, func(user *storage.User) {
		user.Disabled = true
	})
}

// Enable lets a disabled user log in again. Ended sessions stay ended.
func (u *Users) Enable(ctx context.Context, name string, act Act) (storage.User, error) {
	user, err := u.Find(ctx, name)
	if err != nil {
		return user, err
	}
	if user, ok, err := u.settled(ctx, user.Subject, func(user storage.User) bool { return !user.Disabled }); ok || err != nil {
		return user, err
	}
	return u.change(ctx, user.Subject, events.UserEnabled, nil, act, func(user *storage.User) {
		user.Disabled = false
	})
}

// settled reports whether a user is so already, so that there is nothing to do,
// and will stay so whatever becomes of the store.
func (u *Users) settled(ctx context.Context, sub string, so func(storage.User) bool) (user storage.User, ok bool, err error) {
	rec, _, err := u.Store.User(ctx, sub)
	if err != nil || Deleted(rec.Value) || !so(rec.Value) {
		return rec.Value, false, err
	}
	err = u.Store.Confirm(ctx, storage.UserPartition(sub), rec.Check(storage.UserKey(sub)))
	if errors.Is(err, storage.ErrConflict) { // not any more, perhaps
		return rec.Value, false, nil
	}
	return rec.Value, err == nil, err
}

// change applies set to the user, with the event, in one commit.
func (u *Users) change(ctx context.Context, sub, eventType string, end *grants.Ending, act Act, set func(*storage.User)) (storage.User, error) {
	now, err := u.Store.Now(ctx)
	if err != nil {
		return storage.User{}, err
	}
	event := events.New(eventType, now)
	event.Subject, event.Actor, event.Note, event.Source = sub, act.By, act.Note, act.Source
	return u.Grants.ChangeUser(ctx, sub, func(user *storage.User) error {
		if Deleted(*user) {
			return notFound("user", SubjectPrefix+sub)
		}
		user.Updated = now
		set(user)
		return nil
	}, end, event)
}

// mostRoles bounds what every token of a user carries.
const mostRoles = 100

// checkRoles returns the roles without repetition, never nil.
func checkRoles(roles []string) ([]string, faults) {
	var wrong faults
	out := make([]string, 0, len(roles))
	for _, r := range roles {
		switch {
		case !printable(r, 64, `"'\`):
			wrong.add("the role %q is not 1 to 64 printable ASCII characters without space, quote and backslash", r)
		case !slices.Contains(out, r):
			out = append(out, r)
		}
	}
	if len(out) > mostRoles {
		wrong.add("%d roles are too many: every token carries them, take at most %d", len(out), mostRoles)
	}
	return out, wrong
}
