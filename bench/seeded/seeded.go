// Package seeded fills a store with users and their sessions, written as the
// server writes them, and makes the refresh tokens that their logins would have
// been answered with. To log in so often would take hours. It is for what
// measures and tries large stores, and leaves clients and the store to others.
package seeded

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events/status"
	"jeton/keys"
	"jeton/storage"
)

// PerUser is how many sessions a user has.
const PerUser = 4

// Sessions are so many, numbered from 0, which belong to the clients in turn.
type Sessions struct {
	Count   int
	Clients []string
	Issuer  string
	Master  *keys.MasterKey
	Ring    *keys.Ring
}

// Fill writes them all.
func (s *Sessions) Fill(ctx context.Context, store *storage.Store) error {
	epochs := make(map[string]uint64)
	for _, id := range s.Clients {
		client, _, err := store.Client(ctx, id)
		if err != nil {
			return err
		}
		epochs[id] = client.Value.Epoch
	}
	// As logins some minutes ago have left them.
	begun := time.Now().UTC().Truncate(time.Second).Add(-10 * time.Minute)
	const writers = 64
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for user := w; user*PerUser < s.Count; user += writers {
				if _, err := store.Commit(ctx, s.user(user, epochs, begun)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// Client is the client of a session.
func (s *Sessions) Client(session int) string { return s.Clients[session%len(s.Clients)] }

// idOf is an id that can be told from its number. Its last twelve bytes are as
// random as those of real ids. The first four spread the users evenly, in the
// order in which they are written: a million at random places would write each
// page of the file a hundred times over. The acts still take them at random.
func idOf(kind byte, user, i int) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte{kind}, uint64(i)))
	binary.BigEndian.PutUint32(sum[:], uint32(user)<<12)
	return sum[:16]
}

func subjectOf(user int) string {
	return base64.RawURLEncoding.EncodeToString(idOf('u', user, user))
}

func sidOf(session int) string {
	return base64.RawURLEncoding.EncodeToString(idOf('s', session/PerUser, session))
}

func rotIDOf(session int) []byte { return idOf('r', session, session) }

// secret is that of all sessions here.
var secret = []byte("a secret of 32 bytes for benches")

// user is one user with sessions.
func (s *Sessions) user(user int, epochs map[string]uint64, begun time.Time) storage.Change {
	u := storage.User{
		Subject: subjectOf(user), Username: fmt.Sprintf("user-%08d", user), Roles: []string{"ROLE_USER"}, Created: begun, Updated: begun,
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIDE2$dGhlIGhhc2ggb2YgYSBwYXNzd29yZCwgMzIgYnl0ZXM",
	}
	change := storage.Change{Partition: storage.UserPartition(u.Subject), Puts: []storage.Put{{
		Key: storage.UserKey(u.Subject), Value: storage.Encode(u), Index: []storage.Entry{{Name: storage.IndexUsers, Sort: u.Username}},
	}}}
	for i := user * PerUser; i < min((user+1)*PerUser, s.Count); i++ {
		change.Puts = append(change.Puts, s.session(i, u, epochs[s.Client(i)], begun))
	}
	return change
}

func (s *Sessions) session(i int, of storage.User, epoch uint64, begun time.Time) storage.Put {
	ses := storage.Session{
		ID: sidOf(i), Subject: of.Subject, ClientID: s.Client(i), Scope: "read write", Audience: []string{s.Issuer}, AMR: []string{"pwd"},
		Created: begun, AuthTime: begun, End: begun.Add(90 * storage.Day), ClientEpoch: epoch,
		Generation: 1, RotID: rotIDOf(i), Rotated: begun,
		Secret:  s.Master.Seal("session secret", secret, []byte(sidOf(i))),
		Device:  storage.Device{Agent: "Firefox on Linux", Network: "192.0.2.0/24"},
		Refresh: storage.IssuedRefresh{KeyID: "-", Issued: begun, Expires: begun.Add(15 * storage.Day)},
		Access: storage.IssuedAccess{
			KeyID: strings.Repeat("k", 43), ID: status.NewTokenID(status.Place{List: 1, Index: uint32(i)}),
			Issued: begun, Expires: begun.Add(30 * time.Minute), Scope: "read write", Roles: of.Roles,
		},
	}
	ses.Live = []storage.LiveAccess{{ID: ses.Access.ID, Expires: ses.Access.Expires}}
	return storage.Put{
		Key: storage.SessionKey(ses.ID), Value: storage.Encode(ses), Expires: begun.Add(23 * storage.Day).Truncate(storage.Day),
		Index: []storage.Entry{
			{Name: storage.IndexSessions, Sort: ses.ID}, {Name: storage.IndexClientSessions(ses.ClientID), Sort: ses.ID},
			{Name: storage.IndexLive(ses.ClientID), Sort: ses.ID},
		},
	}
}

// RefreshToken is the first one of a session: what its login was answered with.
func (s *Sessions) RefreshToken(session int) (string, error) {
	sid, rotID := sidOf(session), rotIDOf(session)
	mac := hmac.New(sha256.New, secret)
	mac.Write(append([]byte(sid), 0))
	mac.Write(binary.BigEndian.AppendUint64(nil, 1))
	mac.Write(rotID)
	now := time.Now()
	token, _, err := s.Ring.Sign(context.Background(), now, keys.UseRefresh, "rt+jwt", jwt.MapClaims{
		"sub": subjectOf(session / PerUser), "sid": sid, "gen": 1, "client_id": s.Client(session),
		"iat": now.Unix() - 600, "exp": now.Add(15 * storage.Day).Unix(),
		"jti": base64.RawURLEncoding.EncodeToString(mac.Sum(rotID)),
	})
	return token, err
}
