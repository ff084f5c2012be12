package accounts

import (
	"context"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// handedTTL is how long a link counts that an operator hands over.
const handedTTL = 24 * time.Hour

// ResetPath is where links for a new password lead, below the issuer.
const ResetPath = "/reset/"

// ResetLink makes a link by which the user sets a new password, once. Who hands
// it over never knows the password. What others add goes into the same commit, or
// refuses it.
func (u *Users) ResetLink(ctx context.Context, name string, act Act, others ...func(*storage.Change) error) (user storage.User, link string, expires time.Time, err error) {
	if user, err = u.Find(ctx, name); err != nil {
		return user, "", expires, err
	}
	if user.Disabled {
		return user, "", expires, &InvalidError{[]string{"the user is disabled, and could not sign in with a new password: enable the user first"}}
	}
	secret, expires, err := u.Grants.NewReset(ctx, storage.Reset{Subject: user.Subject, By: act.By}, handedTTL, act.Note, act.Source, false, others...)
	return user, u.resetURL(secret), expires, err
}

func (u *Users) resetURL(secret string) string { return u.Grants.Settings.Issuer + ResetPath + secret }

// SetByLink sets a new password for whoever came by such a link. A password that
// the rules refuse uses nothing up.
func (u *Users) SetByLink(ctx context.Context, link, password, source string) (storage.User, grants.Reaction, error) {
	user, err := u.Grants.ResetFor(ctx, link)
	if err != nil {
		return user, "", err
	}
	hash, err := u.hash(ctx, user.Username, password)
	if err != nil {
		return user, "", err
	}
	return u.Grants.SetByReset(ctx, link, hash, source)
}

// mostOfAddress is how many users of one mail address are mailed.
const mostOfAddress = 5

// ByMail finds the users who have a mail address.
func (u *Users) ByMail(ctx context.Context, address string) ([]storage.User, error) {
	page, err := u.Store.List(ctx, storage.Query{Index: storage.IndexMails, Prefix: storage.MailKey(address) + " ", Limit: mostOfAddress})
	if err != nil {
		return nil, err
	}
	var users []storage.User
	for _, row := range page.Rows {
		rec, err := storage.Decode[storage.User](row)
		if err != nil {
			return nil, err
		}
		users = append(users, rec.Value)
	}
	return users, nil
}
