package accounts_test

import (
	"fmt"
	"testing"

	"jeton/storage"
)

// What a user has allowed to clients has no end of its own.
func TestDeleteTakesConsentsAndSignInsAlong(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	old := w.alice()
	partition := storage.UserPartition(old.Subject)
	for range 2 { // also of a user who comes after
		var puts []storage.Put
		for i := range 450 {
			id := fmt.Sprintf("client-%d", i)
			puts = append(puts,
				storage.Put{Key: storage.ConsentKey(id), Value: storage.Encode(storage.Consent{Subject: old.Subject, ClientID: id}),
					Index: []storage.Entry{{Name: storage.IndexConsents, Sort: id}}},
				storage.Put{Key: storage.SignInKey(id), Value: storage.Encode(storage.SignIn{ID: id, Subject: old.Subject}),
					Index: []storage.Entry{{Name: storage.IndexSignIns, Sort: id}}})
		}
		if _, err := w.store.Commit(ctx, storage.Change{Partition: partition, Puts: puts}); err != nil {
			t.Fatal(err)
		}
		if err := w.users.Delete(ctx, "alice", operator); err != nil {
			t.Fatal(err)
		}
		for _, index := range []string{storage.IndexConsents, storage.IndexSignIns} {
			page, err := w.store.List(ctx, storage.Query{Index: index, Partition: partition, Limit: 1000})
			if err != nil || len(page.Rows) != 0 {
				t.Errorf("%s: %d are left, %v", index, len(page.Rows), err)
			}
		}
		snap, err := w.store.Read(ctx, partition, storage.ConsentKey("client-7"), storage.SignInKey("client-7"), storage.UserKey(old.Subject))
		if err != nil || snap.Rows[0].Version != 0 || snap.Rows[1].Version != 0 || snap.Rows[2].Version == 0 {
			t.Errorf("%+v, %v", snap.Rows, err)
		}
		old = w.alice()
		partition = storage.UserPartition(old.Subject)
	}
}
