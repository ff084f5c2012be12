package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"jeton/measure"
)

// CacheAge bounds how stale [Store.CachedClient] and [Store.CachedSystem] may
// be on any node. Whoever bumps the epoch of a client or of the system waits
// this long before saying that nothing more is minted under the old one.
const CacheAge = time.Second

// Record is a typed row. Version 0 means that it does not exist.
type Record[T any] struct {
	Value   T
	Version uint64
}

// Exists reports whether the record was there.
func (r Record[T]) Exists() bool { return r.Version != 0 }

// Check is the condition that the record has not changed since it was read.
func (r Record[T]) Check(k Key) Check { return Check{k, r.Version} }

// Decode gives a row its type. An absent row decodes to the zero value.
func Decode[T any](row Row) (Record[T], error) {
	rec := Record[T]{Version: row.Version}
	if row.Version == 0 {
		return rec, nil
	}
	if fast, ok := any(&rec.Value).(textReader); ok && fast.readText(row.Value) {
		return rec, nil
	}
	if err := json.Unmarshal(row.Value, &rec.Value); err != nil {
		return rec, fmt.Errorf("%w: the %s %q, is it damaged, or of a newer version? %w", ErrDamaged, row.Kind, row.ID, err)
	}
	return rec, nil
}

// Encode is the value of a row. The records hold nothing that cannot be
// encoded.
func Encode(v any) []byte {
	if s, ok := v.(Session); ok {
		return s.appendText(make([]byte, 0, 1024))
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("storage: %T does not encode: %v", v, err))
	}
	return b
}

// Keys of the records there is one of in a partition.
var (
	SystemKey = Key{KindSystem, "-"}
	RingKey   = Key{KindRing, "-"}
)

// UserKey, SessionKey and ClientKey name the rows of those records.
func UserKey(sub string) Key    { return Key{KindUser, sub} }
func SessionKey(sid string) Key { return Key{KindSession, sid} }
func ClientKey(id string) Key   { return Key{KindClient, id} }

// The names of the indexes. Each lists its rows in the order given.
const (
	IndexUsers      = "users"      // users by normalised name
	IndexClients    = "clients"    // clients by id
	IndexSessions   = "sessions"   // sessions by sid
	IndexOutbox     = "outbox"     // events by time
	IndexKeys       = "keys"       // the key ring and its keys
	IndexKeyReaders = "keyreaders" // who fetches the key set
	IndexOrigins    = "origins"    // clients by "origin id" of each CORS origin
	IndexWebhooks   = "webhooks"   // the states of webhooks by name

	IndexInitialTokens = "initial" // initial access tokens by name
	IndexUnused        = "unused"  // the places of registered clients that nobody has used
)

// ClientIndex are the index entries of a client's row.
func ClientIndex(c Client) []Entry {
	entries := []Entry{{IndexClients, c.ID}}
	for _, origin := range c.CORSOrigins {
		entries = append(entries, Entry{IndexOrigins, origin + " " + c.ID})
	}
	return entries
}

// IndexClientSessions lists the sessions of one client by sid.
func IndexClientSessions(clientID string) string { return "sessions/" + clientID }

// IndexLive lists the sessions of one client that have not ended, by sid. Asked
// of one partition it is what the client's session limit counts.
func IndexLive(clientID string) string { return "live/" + clientID }

// IndexRevoked lists the revoked places of one status list by index.
func IndexRevoked(list uint32) string { return fmt.Sprintf("revoked/%08x", list) }

// IndexPending lists what a webhook has to be told, by when it is due.
func IndexPending(webhook string) string { return "pending/" + webhook }

// IndexDead lists the dead letters of a webhook by the id of the event.
func IndexDead(webhook string) string { return "dead/" + webhook }

// Store is a [Backend] with types on its rows, and the two caches that every
// request needs.
type Store struct {
	Backend
	Timings Timings
	// Log is told of records that cannot be read; nil tells nobody.
	Log *slog.Logger

	clients *cache[Record[Client]]
	system  *cache[Record[System]]

	sessions *decoded[Session]
	users    *decoded[User]

	damaged damaged
}

// mostDecoded is how many sessions and users are kept decoded: about 2 KB each.
const mostDecoded = 4096

// New puts types on a backend.
func New(b Backend) *Store {
	return &Store{
		Backend: b, clients: newCache[Record[Client]](10_000), system: newCache[Record[System]](1),
		sessions: newDecoded[Session](mostDecoded), users: newDecoded[User](mostDecoded),
	}
}

// Commit is Backend.Commit, measured; it also drops what the caches of this process hold
// of the partition, so that a process sees its own changes at once.
func (s *Store) Commit(ctx context.Context, c Change) (uint64, error) {
	timer := measure.Begin(ctx, measure.StoreCommit, &s.Timings.Commit.Took)
	v, err := s.Backend.Commit(ctx, c)
	timer.End()
	s.Timings.Commit.count(err)
	switch {
	case c.Partition == SystemPartition:
		s.system.drop(string(c.Partition))
	case len(c.Partition) > 2 && c.Partition[:2] == "c/":
		s.clients.drop(string(c.Partition))
	}
	return v, err
}

// UserByName finds a user by the normal form of the login name. The user is
// the one that the claim in [NamePartition] names and that bears the name.
func (s *Store) UserByName(ctx context.Context, name string) (Record[User], time.Time, error) {
	snap, err := s.Read(ctx, NamePartition(name), Key{KindName, name})
	if err != nil {
		return Record[User]{}, time.Time{}, err
	}
	if snap.Rows[0].Version == 0 {
		return Record[User]{}, snap.Now, nil
	}
	rec, now, err := s.User(ctx, string(snap.Rows[0].Value))
	if has, _ := NormalName(rec.Value.Username); has != name {
		// The claim has outlived its purpose: the user was deleted, or a crash
		// left the claim behind and the sub went to another name.
		return Record[User]{}, now, err
	}
	return rec, now, err
}

// User reads a user.
func (s *Store) User(ctx context.Context, sub string) (Record[User], time.Time, error) {
	snap, err := s.Read(ctx, UserPartition(sub), UserKey(sub))
	if err != nil {
		return Record[User]{}, time.Time{}, err
	}
	rec, err := Decode[User](snap.Rows[0])
	return rec, snap.Now, err
}

// SessionAndUser reads a session and its user as they were at one moment. Both
// may be shared with other readers: change neither's slices in place.
func (s *Store) SessionAndUser(ctx context.Context, sub, sid string) (Record[Session], Record[User], time.Time, error) {
	snap, err := s.Read(ctx, UserPartition(sub), SessionKey(sid), UserKey(sub))
	if err != nil {
		return Record[Session]{}, Record[User]{}, time.Time{}, err
	}
	session, err := s.sessions.decode(snap.Rows[0])
	if err != nil {
		return session, Record[User]{}, snap.Now, err
	}
	user, err := s.users.decode(snap.Rows[1])
	return session, user, snap.Now, err
}

// WroteSession tells that a commit of this process gave the session a version,
// so that whoever reads it next need not decode it.
func (s *Store) WroteSession(version uint64, ses Session) {
	s.sessions.put(writeKey{ses.ID, version}, ses)
}

// Confirm makes sure of what a read of a partition has found before somebody is
// told that it is so and nothing was left to do: with [Durability.ReadsAhead] it
// may be a write that was not confirmed, and may still be lost. The checks are the
// rows that were read; [ErrConflict] says that they have changed.
func (s *Store) Confirm(ctx context.Context, p Partition, checks ...Check) error {
	if !s.Durability().ReadsAhead {
		return nil
	}
	_, err := s.Commit(ctx, Change{Partition: p, Checks: checks})
	return err
}

// Client reads a client.
func (s *Store) Client(ctx context.Context, id string) (Record[Client], time.Time, error) {
	snap, err := s.Read(ctx, ClientPartition(id), ClientKey(id))
	if err != nil {
		return Record[Client]{}, time.Time{}, err
	}
	rec, err := Decode[Client](snap.Rows[0])
	return rec, snap.Now, err
}

// CachedClient reads a client, at most [CacheAge] old. That a client does not
// exist is never cached, so strangers cannot fill the cache and a new client
// works at once.
func (s *Store) CachedClient(ctx context.Context, id string) (Record[Client], error) {
	return s.clients.get(string(ClientPartition(id)), func() (Record[Client], bool, error) {
		rec, _, err := s.Client(ctx, id)
		return rec, rec.Exists(), err
	})
}

// CachedSystem reads the system record, at most [CacheAge] old.
func (s *Store) CachedSystem(ctx context.Context) (Record[System], error) {
	return s.system.get(string(SystemPartition), func() (Record[System], bool, error) {
		rec, err := s.System(ctx)
		return rec, true, err
	})
}

// Renew reads a client and the system record anew, for those who have seen that
// what is cached here is older than what another process went by.
func (s *Store) Renew(ctx context.Context, clientID string) (Record[Client], Record[System], error) {
	s.clients.drop(string(ClientPartition(clientID)))
	s.system.drop(string(SystemPartition))
	client, err := s.CachedClient(ctx, clientID)
	if err != nil {
		return client, Record[System]{}, err
	}
	system, err := s.CachedSystem(ctx)
	return client, system, err
}

// System reads the system record.
func (s *Store) System(ctx context.Context) (Record[System], error) {
	snap, err := s.Read(ctx, SystemPartition, SystemKey)
	if err != nil {
		return Record[System]{}, err
	}
	return Decode[System](snap.Rows[0])
}

// AllByIndex walks an index to its end, a page at a time.
func (s *Store) AllByIndex(ctx context.Context, q Query, visit func(Row) error) error {
	if q.Limit == 0 {
		q.Limit = 200
	}
	for {
		page, err := s.List(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range page.Rows {
			if err := visit(row); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}
