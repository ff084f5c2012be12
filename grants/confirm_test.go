package grants_test

import (
	"context"
	"testing"

	"jeton/storage"
)

// ahead is a store whose reads may see what is not confirmed yet. It loses the
// answer to a commit, and somebody changes the session between the read that finds
// the write there and the commit that confirms it.
type ahead struct {
	storage.Backend
	lose      bool
	meanwhile func()
}

func (a *ahead) around(b storage.Backend) storage.Backend {
	a.Backend = b
	return a
}

func (a *ahead) Durability() storage.Durability { return storage.Durability{ReadsAhead: true} }

func (a *ahead) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if f := a.meanwhile; f != nil && len(c.Puts)+len(c.Deletes) == 0 {
		a.meanwhile = nil
		f()
	}
	version, err := a.Backend.Commit(ctx, c)
	if a.lose && err == nil {
		a.lose = false
		return 0, storage.ErrUnknown
	}
	return version, err
}

// A rotation of which nobody knew is found in the store, and before that is
// confirmed its session changes. Whoever decides anew then takes for a thief the
// very client whose write it is.
func TestR8_OwnRotationThatChangesBeforeItIsConfirmed(t *testing.T) {
	store := &ahead{}
	w := newWorldOn(t, store.around, nil)
	a := w.login()
	store.lose = true
	tried := false
	store.meanwhile = func() {
		tried = true
		ses, _, _, err := w.Store.SessionAndUser(t.Context(), "u-alice", a.Session)
		if err == nil {
			_, err = w.Store.Commit(t.Context(), storage.Change{
				Partition: storage.UserPartition("u-alice"),
				Puts:      []storage.Put{{Key: storage.SessionKey(ses.Value.ID), Value: storage.Encode(ses.Value), Expires: ses.Value.Refresh.Expires}},
			})
		}
		if err != nil {
			t.Error(err)
		}
	}
	b := w.must(a.RefreshToken)
	if !tried {
		t.Fatal("nothing was changed meanwhile")
	}
	w.must(b.RefreshToken)
}
