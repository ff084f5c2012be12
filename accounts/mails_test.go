package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

func noRest(context.Context, time.Duration) error { return nil }

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
	if n, err := w.users.IndexMails(t.Context(), noRest); n != 4 || err != nil {
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
	if n, err := w.users.IndexMails(t.Context(), noRest); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// With many users it rests between two pages; cut off there, it goes on from where
// it was written down that it had come to.
func TestMailsAreIndexedInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const users = 1250
	for i := range users {
		w.before(fmt.Sprintf("u%04d", i), fmt.Sprintf("u%04d@example.com", i), false)
	}
	stopped := errors.New("the server ends")
	rests := 0
	n, err := w.users.IndexMails(t.Context(), func(context.Context, time.Duration) error {
		if rests++; rests == 12 {
			return stopped
		}
		return nil
	})
	if n != 1200 || !errors.Is(err, stopped) {
		t.Fatalf("%d, %v", n, err)
	}
	rests = 0
	n, err = w.users.IndexMails(t.Context(), func(context.Context, time.Duration) error { rests++; return nil })
	if n != users-1200 || err != nil || rests != 2 { // from 1,000 on
		t.Errorf("%d users in %d pages, %v", n, rests+1, err)
	}
	if got := w.byMail("U1249@example.com"); !slices.Equal(got, []string{"u1249"}) {
		t.Errorf("%q", got)
	}
	if n, err := w.users.IndexMails(t.Context(), noRest); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
}

// The mark says of which index it is. That of before said nothing, and was of the
// first; a place that another store or another index has written down is none.
func TestMarkOfTheMailsHasAVersion(t *testing.T) {
	for name, c := range map[string]struct {
		kind, mark string
		want       int
	}{
		"none":                {"mailsother", `{}`, 3},
		"of before":           {"mailsindexed", `{}`, 0},
		"of this index":       {"mailsindexed", `{"version":1}`, 0},
		"of a later one":      {"mailsindexed", `{"version":2}`, 0},
		"a place of another":  {"mailsindexing", `{"version":99,"after":"PLACE"}`, 3},
		"a place of this one": {"mailsindexing", `{"version":1,"after":"PLACE"}`, 1},
		"a place of no store": {"mailsindexing", `{"version":1,"after":"?"}`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i := range 3 {
				w.before(fmt.Sprintf("u%d", i), fmt.Sprintf("u%d@example.com", i), false)
			}
			page, err := w.store.List(t.Context(), storage.Query{Index: storage.IndexUsers, Limit: 2})
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.store.Commit(t.Context(), storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{
				{Key: storage.Key{Kind: c.kind, ID: "-"}, Value: []byte(strings.ReplaceAll(c.mark, "PLACE", page.Next))},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := w.users.IndexMails(t.Context(), noRest); n != c.want || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
}
