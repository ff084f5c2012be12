package accounts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"jeton/accounts"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

func TestAddedUserCanLogIn(t *testing.T) {
	w := newWorld(t)
	w.app()
	u, err := w.users.Add(t.Context(), accounts.NewUser{Username: "Élodie", Roles: []string{"ROLE_USER", "ROLE_USER"}, Password: good}, operator)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Subject) < 22 || strings.Contains(strings.ToLower(u.Subject), "lodie") || !slices.Equal(u.Roles, []string{"ROLE_USER"}) {
		t.Errorf("user %+v", u)
	}
	for _, name := range []string{"Élodie", "e\u0301LODIE"} {
		if _, err := w.login(name, good); err != nil {
			t.Errorf("%+q: %v", name, err)
		}
	}
	for _, name := range []string{"élodie", accounts.SubjectPrefix + u.Subject} {
		if found, err := w.users.Find(t.Context(), name); err != nil || found.Subject != u.Subject {
			t.Errorf("Find(%q): %v, %v", name, found, err)
		}
	}
	if e := w.events(events.UserCreated); len(e) != 1 || e[0].Subject != u.Subject || e[0].Actor != "operator" {
		t.Errorf("events %+v", e)
	}
}

func TestAddRefusesWithAllFaultsAtOnce(t *testing.T) {
	w := newWorld(t)
	_, err := w.users.Add(t.Context(), accounts.NewUser{
		Username: " x", Subject: "ü", Roles: []string{`a"b`, "", "fine", strings.Repeat("x", 65)}, Password: "short",
	}, operator)
	wantFaults(t, err, "user name", "sub", `a\"b`, `""`, "xxxxx", "password is refused")
	for _, name := range []string{"sub:x", "SUB:x", ".", ".."} {
		_, err := w.users.Add(t.Context(), accounts.NewUser{Username: name}, operator)
		wantFaults(t, err, "user name")
	}
	if names := w.names(); len(names) != 0 {
		t.Errorf("users %q after refusals", names)
	}
	if e := w.events(events.UserCreated); len(e) != 0 {
		t.Errorf("events %+v after refusals", e)
	}
}

func TestOneNameHasOneUser(t *testing.T) {
	w := newWorld(t)
	var won, lost int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := w.users.Add(t.Context(), accounts.NewUser{Username: []string{"Bob", "bob", "BOB"}[i%3]}, operator)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, grants.ErrExists):
				lost++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 || lost != 31 || len(w.names()) != 1 {
		t.Errorf("%d won, %d lost, users %q", won, lost, w.names())
	}
}

// A process died between the claim of a name and the user. The next who wants
// the name gets it, and should the process not be dead but slow, its write fails.
func TestAbandonedClaimIsTakenOver(t *testing.T) {
	w := newWorld(t)
	claim := storage.Key{Kind: storage.KindName, ID: "bob"}
	if _, err := w.store.Commit(t.Context(), storage.Change{
		Partition: storage.NamePartition("bob"), Puts: []storage.Put{{Key: claim, Value: []byte("slow")}},
	}); err != nil {
		t.Fatal(err)
	}
	u, err := w.users.Add(t.Context(), accounts.NewUser{Username: "bob"}, operator)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.store.Commit(t.Context(), storage.Change{
		Partition: storage.UserPartition("slow"), Checks: []storage.Check{{Key: storage.UserKey("slow")}},
		Puts: []storage.Put{{Key: storage.UserKey("slow"), Value: storage.Encode(storage.User{Subject: "slow", Username: "bob"})}},
	})
	if !errors.Is(err, storage.ErrConflict) {
		t.Errorf("the slow process's write: %v, want a conflict", err)
	}
	if found, err := w.users.Find(t.Context(), "bob"); err != nil || found.Subject != u.Subject {
		t.Errorf("bob is %v, %v", found, err)
	}
	if _, err := w.users.Find(t.Context(), "sub:slow"); !errors.Is(err, grants.ErrNotFound) {
		t.Errorf("the abandoned sub: %v", err)
	}
}

// The import that died is run again: same name, same sub.
func TestAddWithGivenSubGoesOnAfterACrash(t *testing.T) {
	w := newWorld(t)
	for _, c := range []storage.Change{
		{Partition: storage.ClientPartition("s-1"), Puts: []storage.Put{{Key: storage.UserKey("s-1"), Value: []byte("{}")}}},
		{Partition: storage.NamePartition("bob"), Puts: []storage.Put{{Key: storage.Key{Kind: storage.KindName, ID: "bob"}, Value: []byte("s-1")}}},
	} {
		if _, err := w.store.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := w.users.Add(t.Context(), accounts.NewUser{Username: "bob", Subject: "s-1"}, operator); err != nil || u.Subject != "s-1" {
		t.Errorf("%v, %v", u, err)
	}
}

// A claim that names a user of another name is none: nobody gets in by it.
func TestStrayClaimIsNoOtherName(t *testing.T) {
	w := newWorld(t)
	w.app()
	u := w.alice()
	if _, err := w.store.Commit(t.Context(), storage.Change{
		Partition: storage.NamePartition("bob"),
		Puts:      []storage.Put{{Key: storage.Key{Kind: storage.KindName, ID: "bob"}, Value: []byte(u.Subject)}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("bob", good); err == nil {
		t.Error("alice can log in as bob")
	}
	if _, err := w.users.Find(t.Context(), "bob"); !errors.Is(err, grants.ErrNotFound) {
		t.Errorf("bob: %v", err)
	}
	if bob, err := w.users.Add(t.Context(), accounts.NewUser{Username: "bob"}, operator); err != nil || bob.Subject == u.Subject {
		t.Errorf("bob: %v, %v", bob, err)
	}
}

func TestSubIsNeverGivenTwice(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if _, err := w.users.Add(ctx, accounts.NewUser{Username: "a", Subject: "s-1"}, operator); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.Add(ctx, accounts.NewUser{Username: "b", Subject: "s-1"}, operator); !errors.Is(err, grants.ErrExists) {
		t.Errorf("a sub in use: %v", err)
	}
	if err := w.users.Delete(ctx, "a", operator); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.Add(ctx, accounts.NewUser{Username: "b", Subject: "s-1"}, operator); !errors.Is(err, grants.ErrExists) {
		t.Errorf("a sub of a deleted user: %v", err)
	}
	if _, err := w.users.Find(ctx, "b"); !errors.Is(err, grants.ErrNotFound) {
		t.Errorf("the refused user: %v", err)
	}
}

func TestJ22_SubAndClientIDAreDisjoint(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.app()
	client := func(id string) error {
		_, _, err := w.clients.Add(ctx, accounts.NewClient{ID: id, ClientSettings: accounts.ClientSettings{
			Grants: accounts.To([]string{"client_credentials"}), Scope: accounts.To("read"),
		}}, operator)
		return err
	}
	if _, err := w.users.Add(ctx, accounts.NewUser{Username: "eve", Subject: "app"}, operator); !errors.Is(err, grants.ErrExists) {
		t.Errorf("a sub that is a client_id: %v", err)
	}
	if err := client(w.alice().Subject); !errors.Is(err, grants.ErrExists) {
		t.Errorf("a client_id that is a random sub: %v", err)
	}
	for i := range 40 {
		id := fmt.Sprintf("both-%d", i)
		var userErr, clientErr error
		var both sync.WaitGroup
		both.Go(func() { _, userErr = w.users.Add(ctx, accounts.NewUser{Username: id, Subject: id}, operator) })
		both.Go(func() { clientErr = client(id) })
		both.Wait()
		if (userErr == nil) == (clientErr == nil) {
			t.Fatalf("%s: user %v, client %v; want exactly one", id, userErr, clientErr)
		}
	}
}

func TestSetPasswordEndsAllSessions(t *testing.T) {
	w := newWorld(t)
	w.app()
	u := w.alice()
	tokens := w.mustLogin()
	_, err := w.users.SetPassword(t.Context(), "alice", "alice-alice-alice", operator)
	wantFaults(t, err, "password is refused")
	if !w.live(tokens.AccessToken) {
		t.Fatal("a refused password ended the session")
	}
	changed, err := w.users.SetPassword(t.Context(), "ALICE", better, operator)
	if err != nil || changed.PasswordChanged.Before(u.PasswordChanged) {
		t.Fatal(changed, err)
	}
	if w.live(tokens.AccessToken) {
		t.Error("the session outlived the password")
	}
	if _, err := w.login("alice", good); err == nil {
		t.Error("the old password still works")
	}
	if _, err := w.login("alice", better); err != nil {
		t.Error(err)
	}
	ended := w.events(events.SessionEnded)
	if len(ended) != 1 || ended[0].Reason != storage.ReasonPasswordReset || ended[0].Note != "because" {
		t.Errorf("events %+v", ended)
	}
	if e := w.events(events.PasswordReset); len(e) != 1 || e[0].Subject != u.Subject {
		t.Errorf("events %+v", e)
	}
}

func TestSetRolesReplacesAndTells(t *testing.T) {
	w := newWorld(t)
	w.app()
	w.alice()
	tokens := w.mustLogin()
	if _, err := w.users.SetRoles(t.Context(), "alice", []string{"ROLE_ADMIN", "x"}, operator); err != nil {
		t.Fatal(err)
	}
	if w.live(tokens.AccessToken) {
		t.Error("an access token outlived its role")
	}
	if u, err := w.users.SetRoles(t.Context(), "alice", []string{"ROLE_ADMIN", "x"}, operator); err != nil || len(u.Roles) != 2 {
		t.Error(u, err)
	}
	e := w.events(events.RolesChanged)
	if len(e) != 1 || e[0].Note != "from [ROLE_USER] to [ROLE_ADMIN x]: because" {
		t.Errorf("events %+v", e)
	}
	_, err := w.users.SetRoles(t.Context(), "alice", []string{"a b", `c\d`, "e'f"}, operator)
	wantFaults(t, err, "a b", `c\\d`, "e'f")
	if u, err := w.users.SetRoles(t.Context(), "alice", nil, operator); err != nil || u.Roles == nil || len(u.Roles) != 0 {
		t.Error(u, err)
	}
}

// The events of changes that race tell one story.
func TestRacingRoleChangesTellTheRolesThatWere(t *testing.T) {
	w := newWorld(t)
	w.alice()
	const changes = 24
	var all sync.WaitGroup
	for i := range changes {
		all.Go(func() {
			if _, err := w.users.SetRoles(t.Context(), "alice", []string{fmt.Sprintf("R%d", i)}, operator); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	next := make(map[string]string)
	for _, e := range w.events(events.RolesChanged) {
		var from, to string
		if _, err := fmt.Sscanf(e.Note, "from [%s to [%s because", &from, &to); err != nil {
			t.Fatal(e.Note, err)
		}
		if other, told := next[from]; told {
			t.Fatalf("%s became both %s and %s", from, other, to)
		}
		next[from] = strings.TrimSuffix(to, ":")
	}
	steps := 0
	for role, ok := next["ROLE_USER]"]; ok; role, ok = next[role] {
		steps++
	}
	if steps != changes {
		t.Errorf("the story has %d of %d steps: %v", steps, changes, next)
	}
}

func TestDisableEndsSessionsAndEnableOpensNone(t *testing.T) {
	w := newWorld(t)
	w.app()
	w.alice()
	tokens := w.mustLogin()
	if u, err := w.users.Disable(t.Context(), "alice", operator); err != nil || !u.Disabled {
		t.Fatal(u, err)
	}
	if _, err := w.login("alice", good); err == nil || w.live(tokens.AccessToken) {
		t.Error("a disabled user is let in")
	}
	if u, err := w.users.Enable(t.Context(), "alice", operator); err != nil || u.Disabled {
		t.Fatal(u, err)
	}
	if w.live(tokens.AccessToken) {
		t.Error("enabling revived a session")
	}
	w.mustLogin()
	if ended := w.events(events.SessionEnded); len(ended) != 1 || ended[0].Reason != storage.ReasonUserDisabled {
		t.Errorf("events %+v", ended)
	}
}

func TestDeleteForgetsAllButTheSub(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.app()
	old := w.alice()
	tokens := w.mustLogin()
	if err := w.users.Delete(ctx, "alice", operator); err != nil {
		t.Fatal(err)
	}
	if w.live(tokens.AccessToken) {
		t.Error("the session outlived its user")
	}
	if _, err := w.login("alice", good); err == nil {
		t.Error("a deleted user can log in")
	}
	for _, name := range []string{"alice", "sub:" + old.Subject} {
		if _, err := w.users.Find(ctx, name); !errors.Is(err, grants.ErrNotFound) {
			t.Errorf("Find(%q): %v", name, err)
		}
		for what, act := range map[string]func() error{
			"Delete":  func() error { return w.users.Delete(ctx, name, operator) },
			"Enable":  func() error { _, err := w.users.Enable(ctx, name, operator); return err },
			"SetRole": func() error { _, err := w.users.SetRoles(ctx, name, nil, operator); return err },
		} {
			if err := act(); !errors.Is(err, grants.ErrNotFound) {
				t.Errorf("%s(%q): %v", what, name, err)
			}
		}
	}
	rec, _, err := w.store.User(ctx, old.Subject)
	if err != nil || rec.Value.PasswordHash != "" || rec.Value.Username != "" || len(rec.Value.Roles) != 0 || !rec.Value.Disabled {
		t.Errorf("what is left: %+v, %v", rec.Value, err)
	}
	if names := w.names(); len(names) != 0 {
		t.Errorf("users %q", names)
	}
	if again := w.alice(); again.Subject == old.Subject {
		t.Error("the sub was given again")
	}
	if e := w.events(events.UserDeleted); len(e) != 1 || e[0].Subject != old.Subject {
		t.Errorf("events %+v", e)
	}
}

// The process died after the user was deleted, before the name was freed and
// the index tidied.
func TestDeleteThatDiedHalfWay(t *testing.T) {
	w := newWorld(t)
	old := w.alice()
	if _, err := w.grants.ChangeUser(t.Context(), old.Subject, func(u *storage.User) error {
		*u = storage.User{Subject: u.Subject, Disabled: true, Epoch: u.Epoch}
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	if names := w.names(); len(names) != 0 {
		t.Errorf("users %q", names)
	}
	if u := w.alice(); u.Subject == old.Subject {
		t.Error("the sub was given again")
	}
}

func TestListUsersPagesInOrder(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"carol", "Bert", "ada", "Berta"} {
		if _, err := w.users.Add(t.Context(), accounts.NewUser{Username: name}, operator); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for after, more := "", true; more; more = after != "" {
		users, next, err := w.users.List(t.Context(), "", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			names = append(names, u.Username)
		}
		after = next
	}
	if want := []string{"ada", "Bert", "Berta", "carol"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	users, _, err := w.users.List(t.Context(), "BERT", "", 10)
	if err != nil || len(users) != 2 {
		t.Errorf("prefix BERT: %v, %v", users, err)
	}
	if _, _, err = w.users.List(t.Context(), "", "no cursor", 10); !errors.Is(err, storage.ErrCursor) {
		t.Errorf("error %v, want ErrCursor", err)
	}
}
