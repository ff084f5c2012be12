package accounts_test

import (
	"fmt"
	"slices"
	"testing"

	"jeton/accounts"
	"jeton/storage"
)

// before adds a user as the versions did that had no index of mail addresses.
func (w *world) before(name, mail string, disabled bool) {
	w.t.Helper()
	u := storage.User{Subject: "s-" + name, Username: name, PasswordHash: "x", Disabled: disabled, Roles: []string{"ROLE_USER"}, Claims: storage.Claims{Email: mail}}
	_, err := w.store.Commit(w.t.Context(), storage.Change{Partition: storage.UserPartition(u.Subject), Puts: []storage.Put{
		{Key: storage.UserKey(u.Subject), Value: storage.Encode(u), Index: []storage.Entry{{Name: storage.IndexUsers, Sort: name}}},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) byMail(address string) (names []string) {
	w.t.Helper()
	users, err := w.users.ByMail(w.t.Context(), address)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, u := range users {
		names = append(names, u.Username)
	}
	slices.Sort(names)
	return names
}

// A store from before has users whose address is in their record and in no index.
func TestMailsOfAStoreFromBeforeAreFound(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.before(fmt.Sprintf("old%d", i), fmt.Sprintf("Old%d@example.com", i), i == 2)
	}
	w.before("twin", "old0@EXAMPLE.com", false)
	w.before("none", "", false)
	_, err := w.users.Add(t.Context(), accounts.NewUser{Username: "new", Password: "a lantern above the harbour", Claims: storage.Claims{Email: "new@example.com"}}, operator)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.byMail("old0@example.com"); got != nil {
		t.Fatalf("found before: %q", got)
	}
	was, err := w.users.Find(t.Context(), "sub:s-old1")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.users.IndexMails(t.Context()); n != 4 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for address, want := range map[string][]string{"old0@example.com": {"old0", "twin"}, "old1@example.com": {"old1"}, "old2@example.com": {"old2"}, "new@example.com": {"new"}, "": nil} {
		if got := w.byMail(address); !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", address, got, want)
		}
	}
	if is, err := w.users.Find(t.Context(), "sub:s-old1"); err != nil || fmt.Sprint(is) != fmt.Sprint(was) {
		t.Errorf("%+v, before %+v, %v", is, was, err)
	}
	if list, _, err := w.users.List(t.Context(), "", "", 100); err != nil || len(list) != 6 {
		t.Errorf("%d users, %v", len(list), err)
	}
	// Once in the life of a store.
	w.before("later", "later@example.com", false)
	if n, err := w.users.IndexMails(t.Context()); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
