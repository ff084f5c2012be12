package accounts_test

import (
	"path/filepath"
	"slices"
	"testing"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
	"jeton/storage/chosen"
	"jeton/storage/sqlite"
)

// copied opens a copy of the store as it is now.
func (w *world) copied(path string) *storage.Store {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "old.db")
	if err := sqlite.Copy(w.t.Context(), path, file); err != nil {
		w.t.Fatal(err)
	}
	backend, err := sqlite.Open(w.t.Context(), sqlite.Options{Path: file, Apart: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { backend.Close() })
	return storage.New(backend)
}

// own is a token of the client itself.
func (w *world) own() string {
	w.t.Helper()
	client, _, err := w.store.Client(w.t.Context(), "app")
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.grants.Token(w.t.Context(), grants.Request{GrantType: storage.GrantClientCredentials, Client: client})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.AccessToken
}

// What was deleted since an old copy comes back under its own id and shut out;
// what is there stays as it is.
func TestBringBack(t *testing.T) {
	chosen.SQLiteOnly(t)
	w := newWorld(t)
	w.app()
	alice := w.alice()
	login, own := w.mustLogin(), w.own()
	for _, name := range []string{"bob", "carol"} {
		if _, err := w.users.Add(t.Context(), accounts.NewUser{Username: name, Roles: []string{"ROLE_USER"}}, operator); err != nil {
			t.Fatal(err)
		}
	}
	old := w.copied(w.path)
	for _, name := range []string{"alice", "bob"} {
		if err := w.users.Delete(t.Context(), name, operator); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.users.Add(t.Context(), accounts.NewUser{Username: "bob"}, operator); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.SetRoles(t.Context(), "carol", []string{"ROLE_LESS"}, operator); err != nil {
		t.Fatal(err)
	}
	if err := w.clients.Delete(t.Context(), "app", operator); err != nil {
		t.Fatal(err)
	}
	for round := range 2 { // once more changes nothing
		users, taken, err := w.users.BringBack(t.Context(), old, operator)
		if want := []string{"alice"}; err != nil || round == 0 && !slices.Equal(users, want) || round == 1 && len(users) > 0 {
			t.Errorf("round %d: the users %q are back, %v", round, users, err)
		}
		if !slices.Equal(taken, []string{"bob"}) {
			t.Errorf("the names %q are taken, want bob's", taken)
		}
		clients, _, err := w.clients.BringBack(t.Context(), old, operator)
		if err != nil || len(clients) != 1-round {
			t.Errorf("round %d: the clients %q are back, %v", round, clients, err)
		}
	}
	back, err := w.users.Find(t.Context(), "alice")
	if err != nil || back.Subject != alice.Subject || !back.Disabled || back.PasswordHash != alice.PasswordHash {
		t.Errorf("alice is %+v, %v", back, err)
	}
	if carol, err := w.users.Find(t.Context(), "carol"); err != nil || !slices.Equal(carol.Roles, []string{"ROLE_LESS"}) {
		t.Errorf("carol is %+v, %v", carol, err)
	}
	if app, err := w.clients.Find(t.Context(), "app"); err != nil || !app.Disabled {
		t.Errorf("the client is %+v, %v", app, err)
	}
	if _, err := w.users.Enable(t.Context(), "alice", operator); err != nil {
		t.Fatal(err)
	}
	if _, err := w.clients.Enable(t.Context(), "app", operator); err != nil {
		t.Fatal(err)
	}
	if w.live(login.AccessToken) || w.live(own) {
		t.Error("a token of before the deletion lives again")
	}
	if again := w.mustLogin(); !w.live(again.AccessToken) {
		t.Error("alice, let in again, gets tokens that are dead")
	}
}
