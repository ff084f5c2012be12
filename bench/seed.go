package main

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
	"jeton/storage/redis"
	"jeton/storage/sqlite"
)

// perUser is how many sessions a user has.
const perUser = 4

// openStore opens the store beside the server.
func (p *place) openStore(ctx context.Context) (*storage.Store, error) {
	if file, ok := strings.CutPrefix(p.url(), "sqlite:"); ok {
		backend, err := sqlite.Open(ctx, sqlite.Options{Path: file})
		if err != nil {
			return nil, err
		}
		return storage.New(backend), nil
	}
	at, err := redis.ParseURL(p.url())
	if err != nil {
		return nil, err
	}
	backend, err := redis.Open(ctx, redis.Options{Address: at})
	if err != nil {
		return nil, err
	}
	return storage.New(backend), nil
}

// seed fills the store with sessions, written as the server writes them. They
// are made here, since to log in so often would take hours.
func (p *place) seed(ctx context.Context, master *keys.MasterKey) error {
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if p.ring, err = keys.Open(ctx, store, master, keys.Config{Alg: p.alg}); err != nil {
		return err
	}
	p.ring.Close() // it signs on, in memory
	epochs := make(map[string]uint64)
	for _, id := range []string{clientApp, clientFast} {
		client, _, err := store.Client(ctx, id)
		if err != nil {
			return err
		}
		epochs[id] = client.Value.Epoch
	}
	before, begun := p.size(), time.Now()
	const writers = 64
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for user := w; user*perUser < p.sessions; user += writers {
				if _, err := store.Commit(ctx, userOf(user, p.sessions, master, epochs, begun)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	p.seedRate = float64(p.sessions) / time.Since(begun).Seconds()
	p.perSession = (p.size() - before) / int64(p.sessions)
	close(errs)
	return <-errs
}

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
	return base64.RawURLEncoding.EncodeToString(idOf('s', session/perUser, session))
}

func rotIDOf(session int) []byte { return idOf('r', session, session) }

// sessionSecret is the secret of all sessions here.
var sessionSecret = []byte("a secret of 32 bytes for benches")

// userOf is a user with sessions, as logins some minutes ago have left them.
func userOf(user, sessions int, master *keys.MasterKey, epochs map[string]uint64, now time.Time) storage.Change {
	now = now.UTC().Truncate(time.Second).Add(-10 * time.Minute)
	u := storage.User{
		Subject: subjectOf(user), Username: fmt.Sprintf("user-%08d", user), Roles: []string{"ROLE_USER"}, Created: now, Updated: now,
		PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIDE2$dGhlIGhhc2ggb2YgYSBwYXNzd29yZCwgMzIgYnl0ZXM",
	}
	change := storage.Change{Partition: storage.UserPartition(u.Subject), Puts: []storage.Put{{
		Key: storage.UserKey(u.Subject), Value: storage.Encode(u), Index: []storage.Entry{{Name: storage.IndexUsers, Sort: u.Username}},
	}}}
	for i := user * perUser; i < min((user+1)*perUser, sessions); i++ {
		ses := storage.Session{
			ID: sidOf(i), Subject: u.Subject, ClientID: clientOf(i), Scope: "read write", Audience: []string{issuer}, AMR: []string{"pwd"},
			Created: now, AuthTime: now, End: now.Add(90 * storage.Day), ClientEpoch: epochs[clientOf(i)],
			Generation: 1, RotID: rotIDOf(i), Rotated: now,
			Secret:  master.Seal("session secret", sessionSecret, []byte(sidOf(i))),
			Device:  storage.Device{Agent: "Firefox on Linux", Network: "192.0.2.0/24"},
			Refresh: storage.IssuedRefresh{KeyID: "-", Issued: now, Expires: now.Add(15 * storage.Day)},
			Access: storage.IssuedAccess{
				KeyID: strings.Repeat("k", 43), ID: status.NewTokenID(status.Place{List: 1, Index: uint32(i)}),
				Issued: now, Expires: now.Add(30 * time.Minute), Scope: "read write", Roles: u.Roles,
			},
		}
		ses.Live = []storage.LiveAccess{{ID: ses.Access.ID, Expires: ses.Access.Expires}}
		change.Puts = append(change.Puts, storage.Put{
			Key: storage.SessionKey(ses.ID), Value: storage.Encode(ses), Expires: now.Add(23 * storage.Day).Truncate(storage.Day),
			Index: []storage.Entry{
				{Name: storage.IndexSessions, Sort: ses.ID}, {Name: storage.IndexClientSessions(ses.ClientID), Sort: ses.ID},
				{Name: storage.IndexLive(ses.ClientID), Sort: ses.ID},
			},
		})
	}
	return change
}

func clientOf(session int) string {
	if session%2 == 0 {
		return clientApp
	}
	return clientFast
}

// refreshToken is the first one of a session: what its login was answered with.
func (p *place) refreshToken(session int) (string, error) {
	sid, rotID := sidOf(session), rotIDOf(session)
	mac := hmac.New(sha256.New, sessionSecret)
	mac.Write(append([]byte(sid), 0))
	mac.Write(binary.BigEndian.AppendUint64(nil, 1))
	mac.Write(rotID)
	now := time.Now()
	token, _, err := p.ring.Sign(context.Background(), now, keys.UseRefresh, "rt+jwt", jwt.MapClaims{
		"sub": subjectOf(session / perUser), "sid": sid, "gen": 1, "client_id": clientOf(session),
		"iat": now.Unix() - 600, "exp": now.Add(15 * storage.Day).Unix(),
		"jti": base64.RawURLEncoding.EncodeToString(mac.Sum(rotID)),
	})
	return token, err
}
