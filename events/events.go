// Package events says what happened, and tells who needs to know.
//
// An event is written by the commit that makes it true ([New], [Put]), so none
// is lost and none is invented. A [Publisher] on one node at a time takes
// events from there and hands them to each [Subscriber] at least once; the
// audit log ([Audit]) is one. Package status, below this one, records which
// tokens are revoked; package webhooks, above it, tells other programs.
// [Sweeper] removes what has expired, events included.
//
// What is an event, and which commit it belongs to, is decided above, in
// packages grants and accounts. What strangers can cause without limit, such
// as failed logins, is logged and counted but is no event: it would let them
// fill the store.
package events

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync/atomic"
	"time"

	"jeton/storage"
)

// The types of events. Why a session ended is its reason, one of the Reason
// constants of package storage.
const (
	SessionStarted  = "session_started"
	SessionEnded    = "session_ended"
	SessionsEnded   = "sessions_ended" // all of a user, of a client, or (neither) of everyone
	TokenRevoked    = "token_revoked"
	TokensRevoked   = "tokens_revoked"   // all access tokens of a user or of a client; sessions go on
	ResponseLost    = "response_lost"    // a rotation's answer reached nobody
	BindingMismatch = "binding_mismatch" // a refresh came from another browser or address than the one before
	LostWrite       = "lost_write"       // the store had forgotten a rotation, and the session went on from it
	PasswordChanged = "password_changed" // by the user
	PasswordReset   = "password_reset"   // by somebody else
	ResetLinkMade   = "reset_link_made"  // a link by which a user may set a new one

	SignedIn       = "signed_in" // at the pages, in a browser
	SignedOut      = "signed_out"
	ConsentGranted = "consent_granted"
	ConsentRevoked = "consent_revoked"
	DeviceAllowed  = "device_allowed" // by a user who typed its code
	DeviceDenied   = "device_denied"

	UserCreated  = "user_created"
	UserDisabled = "user_disabled"
	UserEnabled  = "user_enabled"
	UserDeleted  = "user_deleted"
	RolesChanged = "roles_changed"

	ClaimsChanged = "claims_changed"

	// What only applications outside can know.
	Logout             = "logout"
	AccountDisabled    = "account_disabled"
	AccountCompromised = "account_compromised"
	ClientCompromised  = "client_compromised"

	ClientCreated       = "client_created"
	ClientChanged       = "client_changed"
	ClientSecretChanged = "client_secret_changed"
	ClientDisabled      = "client_disabled"
	ClientEnabled       = "client_enabled"
	ClientDeleted       = "client_deleted"

	RegistrationTokenAdded   = "registration_token_added"
	RegistrationTokenRevoked = "registration_token_revoked"

	KeyRotated  = "key_rotated"
	KeyImported = "key_imported"
	KeyRemoved  = "key_removed"

	MasterKeyChanged = "master_key_changed"

	StoreRestored      = "store_restored"
	DeadLettersDropped = "dead_letters_dropped" // by hand
)

// Kept is how long an event waits for subscribers that do not take it.
const Kept = 30 * 24 * time.Hour

// made counts the events of this process: it orders those of one moment, such
// as the events of one commit.
var made atomic.Uint32

// idEncoding keeps the order of what it encodes.
var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// New returns an event that happened at now, the store's time. Ids sort by
// time, then by the order of making in this process; the rest is random.
func New(eventType string, now time.Time) storage.Event {
	var id [8 + 4 + 8]byte
	binary.BigEndian.PutUint64(id[:], uint64(max(now.UnixNano(), 0)))
	binary.BigEndian.PutUint32(id[8:], made.Add(1))
	rand.Read(id[12:])
	return storage.Event{ID: idEncoding.EncodeToString(id[:]), Type: eventType, Time: now.UTC()}
}

// Put is the row of an event, for the commit that makes it true.
func Put(e storage.Event) storage.Put {
	return storage.Put{
		Key:     key(e),
		Value:   storage.Encode(e),
		Expires: e.Time.Add(Kept),
		Index:   []storage.Entry{{Name: storage.IndexOutbox, Sort: e.ID}},
	}
}

func key(e storage.Event) storage.Key { return storage.Key{Kind: storage.KindEvent, ID: e.ID} }
