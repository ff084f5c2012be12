package accounts_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/events/status"
	"jeton/grants"
	"jeton/keys"
	"jeton/passwords"
	"jeton/storage"
	"jeton/storage/chosen"
)

const (
	issuer = "https://login.example"
	good   = "wonderland-wonderland"
	better = "through the looking-glass"
)

var operator = accounts.Act{By: "operator", Note: "because", Operator: true}

// world is the administration of a real store, and the grants beside it.
type world struct {
	t       *testing.T
	path    string
	store   *storage.Store
	grants  *grants.Service
	users   *accounts.Users
	clients *accounts.Clients
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	path := t.TempDir() + "/jeton.db"
	backend, err := chosen.Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.New(backend)
	master, err := keys.NewMasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(ctx, store, master, keys.Config{Alg: keys.ES256})
	if err != nil {
		t.Fatal(err)
	}
	pw, err := passwords.New(passwords.Config{ServiceWords: []string{"login.example"}})
	if err != nil {
		t.Fatal(err)
	}
	places := status.New(store, status.Config{})
	t.Cleanup(func() { places.Close(); ring.Close(); store.Close() })
	g := &grants.Service{
		Settings: grants.Settings{
			Issuer: issuer, AccessTokenTTL: 30 * time.Minute, RefreshTokenTTL: storage.Day, SessionTTL: 30 * storage.Day, MaxSessions: 100,
		},
		Store: store, Keys: ring, Master: master, Places: places, Passwords: pw, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	return &world{
		t: t, path: path, store: store, grants: g,
		users:   &accounts.Users{Store: store, Grants: g, Passwords: pw},
		clients: &accounts.Clients{Store: store, Grants: g},
	}
}

// app adds a client that can do everything, alice a user who can log in.
func (w *world) app() string {
	w.t.Helper()
	_, secret, err := w.clients.Add(w.t.Context(), accounts.NewClient{ID: "app", ClientSettings: accounts.ClientSettings{
		Grants: accounts.To(grants.Types()), RedirectURIs: accounts.To([]string{"https://app.example/cb"}), Scope: accounts.To("read write"),
	}}, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w *world) alice() storage.User {
	w.t.Helper()
	u, err := w.users.Add(w.t.Context(), accounts.NewUser{Username: "alice", Roles: []string{"ROLE_USER"}, Password: good}, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) login(name, password string) (grants.Response, error) {
	client, _, err := w.store.Client(context.Background(), "app")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.grants.Token(context.Background(), grants.Request{GrantType: "password", Client: client, Username: name, Password: password})
}

func (w *world) mustLogin() grants.Response {
	w.t.Helper()
	resp, err := w.login("alice", good)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

func (w *world) live(token string) bool {
	_, err := w.grants.VerifyAccess(w.t.Context(), token)
	return err == nil
}

// events returns the events of a type.
func (w *world) events(eventType string) []storage.Event {
	w.t.Helper()
	var found []storage.Event
	err := w.store.AllByIndex(w.t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		e, err := storage.Decode[storage.Event](row)
		if e.Value.Type == eventType {
			found = append(found, e.Value)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) names() []string {
	w.t.Helper()
	users, next, err := w.users.List(w.t.Context(), "", "", 100)
	if err != nil || next != "" {
		w.t.Fatal(err, next)
	}
	var names []string
	for _, u := range users {
		names = append(names, u.Username)
	}
	return names
}

// wantFaults checks that err lists a fault for each of the words, and no more.
func wantFaults(t *testing.T, err error, words ...string) {
	t.Helper()
	var invalid *accounts.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("error %v, want an InvalidError", err)
	}
	for _, w := range words {
		if !slices.ContainsFunc(invalid.Faults, func(f string) bool { return strings.Contains(f, w) }) {
			t.Errorf("no fault speaks of %q: %q", w, invalid.Faults)
		}
	}
	if len(invalid.Faults) != len(words) {
		t.Errorf("%d faults, want %d: %q", len(invalid.Faults), len(words), invalid.Faults)
	}
}
