package accounts_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/storage"
)

// hesitant is a store on a Redis whose replicas do not confirm what is written to
// some partitions.
type hesitant struct {
	storage.Backend
	about string // the beginning of their names, empty for none
}

func (h *hesitant) Durability() storage.Durability { return storage.Durability{ReadsAhead: true} }

func (h *hesitant) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	version, err := h.Backend.Commit(ctx, c)
	if err == nil && h.about != "" && strings.HasPrefix(string(c.Partition), h.about) {
		err = storage.ErrUnconfirmed
	}
	return version, err
}

// What is there by a write that no replica has confirmed is not yet there: an
// import that says so, or that it was made by somebody else, would be wrong after
// a failover.
func TestWhatIsThereUnconfirmedIsNotTakenForImported(t *testing.T) {
	user := accounts.NewUser{Username: "bob", Subject: "u-bob", Roles: []string{"ROLE_USER"}, Password: good}
	client := accounts.NewClient{ID: "shop", Secret: better + better, ClientSettings: accounts.ClientSettings{Grants: accounts.To([]string{"client_credentials"})}}
	for what, add := range map[string]func(*world) error{
		"user import": func(w *world) error { _, err := w.users.Import(t.Context(), user, operator); return err },
		"user add":    func(w *world) error { _, err := w.users.Add(t.Context(), user, operator); return err },
		"client import": func(w *world) error {
			_, err := w.clients.Import(t.Context(), accounts.ImportedClient{NewClient: client}, operator)
			return err
		},
		"client add": func(w *world) error { _, _, err := w.clients.Add(t.Context(), client, operator); return err },
	} {
		for _, about := range []string{"n/", "u/", "c/"} {
			if about != "c/" && strings.HasPrefix(what, "client") {
				continue
			}
			t.Run(what+" "+about, func(t *testing.T) {
				w := newWorld(t)
				h := &hesitant{w.store.Backend, about}
				w.users.Store = storage.New(h)
				w.clients.Store = w.users.Store
				for n := range 3 { // again there may be nothing left to write
					if err := add(w); !errors.Is(err, storage.ErrUnconfirmed) {
						t.Errorf("%d: %v", n, err)
					}
				}
				h.about = ""
				err := add(w)
				if strings.HasSuffix(what, "import") && err != nil || err != nil && !strings.Contains(err.Error(), "exists") {
					t.Errorf("confirmed: %v", err)
				}
				found, err := w.users.Find(t.Context(), "bob")
				if strings.HasPrefix(what, "user") && (err != nil || found.Subject != "u-bob") {
					t.Errorf("%+v, %v", found, err)
				}
			})
		}
	}
}
