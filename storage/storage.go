// Package storage holds the records of Jeton and the contract that a database
// has to keep for them.
//
// The words are those of the field: a [Client] is a program registered to ask
// for tokens, a [User] is a person, a [Session] is one login of one user
// through one client on one device (what RFC 9700 calls a token family and
// RFC 7009 a grant). Nothing is stored per token: a refresh token names a
// session and a generation, and the record of that session, changed in place,
// says whether the token is still the one that counts.
//
// Records that one commit may change together share a [Partition]: a user with
// all sessions and pending events, or a client. [Backend] is the whole of what
// a database does: read some rows of one partition at one moment, commit a
// change to one partition all or nothing, list rows by an index. It knows no
// OAuth. [Store] puts types on the rows. The rules (when a token may be
// refreshed, what a revocation ends) live above, in package grants.
package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The outcomes of a [Backend] call that callers tell apart. Backends wrap them
// with the cause.
var (
	// ErrConflict: a check of the change did not hold. Nothing was written.
	// Read again and decide again.
	ErrConflict = errors.New("storage: the record has changed meanwhile")
	// ErrUnavailable: the store did not answer, or refused to write. Nothing
	// was written.
	ErrUnavailable = errors.New("storage: the store is unavailable")
	// ErrClosed is an ErrUnavailable that stays: this process has closed the store.
	ErrClosed = fmt.Errorf("%w: it has been closed", ErrUnavailable)
	// ErrUnknown: the store may or may not have written the change. Only a
	// read tells.
	ErrUnknown = errors.New("storage: the outcome of the write is unknown")
	// ErrUnconfirmed: the change is written and can be read, but it is not yet
	// as durable as the store was told to make it, and may be lost. Nobody must
	// be told that it is done.
	ErrUnconfirmed = errors.New("storage: the write could not be confirmed")
	// ErrInvalid: a name that no row can have, being empty or with a NUL byte.
	// Nothing was read or written, and asking again changes nothing.
	ErrInvalid = errors.New("storage: a name is empty or has a NUL byte")
	// ErrCursor: [Query.After] is not a cursor that this listing returned.
	ErrCursor = errors.New("storage: the cursor is not one that this listing returned")
)

// Partition names the records that one commit may change together. Two
// partitions are independent: no order is promised between their commits.
type Partition string

// UserPartition holds the user, all sessions of the user, and their revoked
// indexes and events.
func UserPartition(sub string) Partition { return Partition("u/" + sub) }

// ClientPartition holds the client, the blocks of status indexes leased for
// it, its used assertion ids and its events.
func ClientPartition(id string) Partition { return Partition("c/" + id) }

// NamePartition holds the claim of one normalised login name.
func NamePartition(name string) Partition { return Partition("n/" + name) }

// ListPartition holds one status list: which of its blocks are leased.
func ListPartition(list string) Partition { return Partition("l/" + list) }

// WebhookPartition holds what is known of one webhook. What it has to be told
// lies with the events.
func WebhookPartition(name string) Partition { return Partition("w/" + name) }

// RegistrationPartition holds what bounds how clients register themselves: the
// initial access tokens, and a place for each client that nobody has used.
const RegistrationPartition Partition = "r"

// KeyPartition holds the key ring.
const KeyPartition Partition = "k"

// SystemPartition holds what there is one of: the system epoch, leases of
// background work.
const SystemPartition Partition = "s"

// Key names a row within its partition. Neither part may be empty or hold a
// NUL byte.
type Key struct{ Kind, ID string }

// Row is one stored record.
type Row struct {
	Partition Partition
	Key
	// Value is nil when the row is absent.
	Value []byte
	// Version is 0 when the row is absent. Each write gives the row a version
	// it never had before, also across deletion and re-creation, so that equal
	// versions mean the same write.
	Version uint64
	// Expires is the store time from which the row counts as absent; zero
	// means never.
	Expires time.Time
}

// Snapshot is what [Backend.Read] saw at one moment.
type Snapshot struct {
	// Now is the store's time at that moment. It runs all windows and
	// expiries, so that nodes with different clocks agree.
	Now  time.Time
	Rows []Row
}

// Check is a condition of a change: the row has exactly this version, 0 for
// absent.
type Check struct {
	Key
	Version uint64
}

// Entry puts a row into the ordered index Name at the place Sort. Rows with
// equal Sort stand side by side.
type Entry struct{ Name, Sort string }

// Put writes a row.
type Put struct {
	Key
	Value   []byte
	Expires time.Time
	// Index replaces the row's index entries. nil keeps the entries it has,
	// which makes a change in place cheap; an empty slice removes them.
	Index []Entry
}

// Change is what one commit does to one partition.
type Change struct {
	Partition Partition
	Checks    []Check
	Puts      []Put
	Deletes   []Key
}

// Query asks for rows of one index in the order of (Sort, partition, kind, id).
type Query struct {
	Index string
	// Partition limits the answer to one partition and makes it a snapshot of
	// it. Empty asks for the rows of all partitions, without that promise.
	Partition Partition
	// Prefix limits the answer to entries whose Sort starts with it.
	Prefix string
	// From limits it to entries whose Sort is not less, byte by byte.
	From string
	// After is the cursor that the page before returned; empty starts at the
	// front.
	After string
	// Limit is the most rows to return; it must be positive.
	Limit int
}

// Page is a part of an index.
type Page struct {
	Now  time.Time
	Rows []Row
	// Next is the cursor of the following page, empty at the end.
	Next string
}

// Durability is what an acknowledged commit is worth, and what is dated in it.
type Durability struct {
	// Weaknesses says in words for the operator how the store may lose what it
	// has acknowledged; none for a store that does not.
	Weaknesses []string
	// Setup is what decides that, in words; none for a store that has no choice.
	Setup []string
	// ReadsAhead: a read may see what is not yet as durable as a commit that was
	// acknowledged, such as a change that ended with ErrUnconfirmed. Whoever tells
	// somebody of it commits a change that writes nothing first.
	ReadsAhead bool
	// ClocksApart is how far the clocks of machines that share the store's rows
	// are apart, at least, as of the last look: each dates what it has by its own.
	ClocksApart time.Duration
}

// Backend is a database. Its methods are safe for concurrent use, by any
// number of processes on one store.
//
// An expired row is an absent row: Read and List leave it out, a check sees
// version 0, whether or not Sweep has removed it.
type Backend interface {
	// Read returns the rows of the keys, in their order, as they were at one
	// moment; an absent row has Version 0. It sees every change whose Commit
	// returned before Read was called, on whichever node. Errors wrap
	// ErrUnavailable or ErrInvalid.
	Read(ctx context.Context, p Partition, keys ...Key) (Snapshot, error)

	// Commit applies the change if all its checks hold, all or nothing, and
	// returns the version that its puts now carry. When it returns nil the
	// change is as durable as the store can make it. Errors wrap ErrConflict,
	// ErrUnavailable, ErrUnknown, ErrUnconfirmed or ErrInvalid as said there; a
	// change that contradicts itself, or is too large, wraps none of them: it is a
	// defect of the caller. A change that
	// writes nothing confirms what it checks: with nil, that is as durable as a
	// commit. A cancelled ctx stops the waiting, never a write half way: once begun, Commit waits for the
	// outcome and reports it. Commit is never retried by the backend.
	Commit(ctx context.Context, c Change) (version uint64, err error)

	// List returns a page of an index. Like Read it sees every change whose
	// Commit returned before. Errors wrap ErrUnavailable or ErrCursor.
	List(ctx context.Context, q Query) (Page, error)

	// Now is the store's time.
	Now(ctx context.Context) (time.Time, error)

	// Changed returns a channel that is closed after some process has changed
	// the store, within 200 ms of its commit. It may be closed without cause.
	// It never replaces a check: it tells caches when to look again.
	Changed() <-chan struct{}

	// Durability says what an acknowledged commit is worth, as the store is set
	// up now.
	Durability() Durability

	// Sweep removes up to limit rows that have expired, and says how many.
	Sweep(ctx context.Context, limit int) (int, error)

	// Close ends background work and releases the store. Commits under way
	// finish first.
	Close() error
}
