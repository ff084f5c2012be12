package storage

import (
	"strings"
	"time"
)

// Reset is a link by which a user may set a new password, once. It lives in
// [UserPartition] of Subject, under the hash of what the link holds, and the
// commit that sets the password deletes it.
type Reset struct {
	ID      string `json:"id"`
	Subject string `json:"sub"`
	// By is who had it made, as in [Ended]; Email where it was sent, empty for
	// one that was handed over. It counts while that is the user's address.
	By    string `json:"by"`
	Email string `json:"email,omitempty"`
	// PasswordChanged is that of the user when it was made: a password that was
	// set since then ends it.
	PasswordChanged time.Time `json:"password_changed,omitzero"`
	Expires         time.Time `json:"exp"`
}

// ResetMails are the times at which links were mailed to a user, the latest last.
//
// Own are those for which somebody asked from a place that the user was known
// from, when the others were used up.
type ResetMails struct {
	Sent []time.Time `json:"sent"`
	Own  []time.Time `json:"own,omitempty"`
}

// ResetKey names the row of a link, ResetMailsKey that of the times.
func ResetKey(id string) Key { return Key{KindReset, id} }

var ResetMailsKey = Key{KindResetMails, "-"}

// The kinds of those rows.
const (
	KindReset      = "reset"
	KindResetMails = "resetmails"
)

// IndexMails lists users by "address sub", the address as [MailKey] makes it.
const IndexMails = "mails"

// UserIndex are the index entries of a user's row: none for what is left of a
// deleted one.
func UserIndex(u User) []Entry {
	entries := []Entry{}
	if name, err := NormalName(u.Username); err == nil {
		entries = append(entries, Entry{IndexUsers, name})
	}
	if u.Claims.Email != "" {
		entries = append(entries, Entry{IndexMails, MailKey(u.Claims.Email) + " " + u.Subject})
	}
	return entries
}

// MailKey is a mail address as it is looked for. Only the letters of ASCII are
// folded: by what else looks alike, an address would find another's owner.
func MailKey(address string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, address)
}
