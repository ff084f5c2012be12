package grants_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"jeton/events/status"
	"jeton/grants"
	"jeton/keys"
	"jeton/passwords"
	"jeton/storage"
	"jeton/storage/chosen"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	issuer   = "http://127.0.0.1:9096"
	password = "wonderland-wonderland"
)

// world is a service on a real store, with a user and a client.
type world struct {
	*grants.Service
	clock *clock
	t     testing.TB
}

func newWorld(t testing.TB, set func(*grants.Settings)) *world {
	t.Helper()
	return newWorldOn(t, func(b storage.Backend) storage.Backend { return b }, set)
}

// newWorldOn is a world on a backend that is wrapped first.
func newWorldOn(t testing.TB, wrap func(storage.Backend) storage.Backend, set func(*grants.Settings)) *world {
	t.Helper()
	ctx, c := t.Context(), newClock()
	backend, err := chosen.Open(ctx, t.TempDir()+"/jeton.db", c.Now)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.New(wrap(backend))
	master, err := keys.NewMasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(ctx, store, master, keys.Config{Alg: keys.ES256, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	pw, err := passwords.New(passwords.Config{})
	if err != nil {
		t.Fatal(err)
	}
	places := status.New(store, status.Config{})
	t.Cleanup(func() { places.Close(); ring.Close(); store.Close() })
	w := &world{clock: c, t: t, Service: &grants.Service{
		Settings: grants.Settings{
			Issuer: issuer, AccessTokenTTL: 30 * time.Minute, RefreshTokenTTL: 15 * storage.Day, SessionTTL: 90 * storage.Day, MaxSessions: 100,
		},
		Store: store, Keys: ring, Master: master, Places: places, Passwords: pw, Log: slog.New(slog.DiscardHandler), Now: c.Now,
	}}
	if set != nil {
		set(&w.Settings)
	}
	w.addClient(storage.Client{ID: "app", Grants: grants.Types(), Scopes: []string{"read", "write"}})
	w.addUser("u-alice", "alice")
	return w
}

func (w *world) addClient(c storage.Client) {
	w.t.Helper()
	_, err := w.Store.Commit(w.t.Context(), storage.Change{Partition: storage.ClientPartition(c.ID), Puts: []storage.Put{
		{Key: storage.ClientKey(c.ID), Value: storage.Encode(c), Index: storage.ClientIndex(c)},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) addUser(sub, name string) {
	w.t.Helper()
	hash, err := w.Passwords.Hash(w.t.Context(), name, password)
	if err != nil {
		w.t.Fatal(err)
	}
	u := storage.User{Subject: sub, Username: name, PasswordHash: hash, Roles: []string{"ROLE_USER"}}
	for _, c := range []storage.Change{
		{Partition: storage.NamePartition(name), Puts: []storage.Put{{Key: storage.Key{Kind: storage.KindName, ID: name}, Value: []byte(sub)}}},
		{Partition: storage.UserPartition(sub), Puts: []storage.Put{{Key: storage.UserKey(sub), Value: storage.Encode(u), Index: []storage.Entry{{Name: storage.IndexUsers, Sort: name}}}}},
	} {
		if _, err := w.Store.Commit(w.t.Context(), c); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) client(id string) storage.Record[storage.Client] {
	w.t.Helper()
	c, _, err := w.Store.Client(context.Background(), id)
	if err != nil || !c.Exists() {
		w.t.Fatalf("client %s: %v", id, err)
	}
	return c
}

func (w *world) login() grants.Response {
	w.t.Helper()
	resp, err := w.Token(w.t.Context(), grants.Request{GrantType: "password", Client: w.client("app"), Username: "alice", Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

func (w *world) refresh(token string) (grants.Response, error) {
	return w.Token(context.Background(), grants.Request{GrantType: "refresh_token", Client: w.client("app"), RefreshToken: token})
}

func (w *world) live(token string) bool {
	w.t.Helper()
	_, err := w.VerifyAccess(w.t.Context(), token)
	if err != nil && code(err) != grants.InvalidToken {
		w.t.Fatal(err)
	}
	return err == nil
}

func code(err error) grants.Code {
	var e *grants.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func wantCode(t *testing.T, err error, want grants.Code) {
	t.Helper()
	if code(err) != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}
