package keys

import (
	"errors"
	"testing"
	"time"

	"jeton/storage"
)

// openWith opens the ring of a store with a master key, or says why not.
func openWith(t *testing.T, s *storage.Store, c *clock, seed byte) (*Ring, error) {
	t.Helper()
	r, err := Open(t.Context(), s, testMaster(t, seed), Config{Alg: ES256, Now: c.Now, Settle: time.Millisecond})
	if err == nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

func mustOpenWith(t *testing.T, s *storage.Store, c *clock, seed byte) *Ring {
	t.Helper()
	r, err := openWith(t, s, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRewrapChangesTheMasterKey(t *testing.T) {
	c := newClock()
	s := openStore(t, c)
	r, beside := mustOpenWith(t, s, c, 1), mustOpenWith(t, s, c, 1)
	token, _, err := r.Sign(t.Context(), c.Now(), UseSig, typAccess, testClaims())
	if err != nil {
		t.Fatal(err)
	}
	before := r.master.Seal("x", []byte("secret"), nil)
	var after []byte
	err = r.Rewrap(t.Context(), testMaster(t, 2), func(reseal Reseal) error {
		// Whoever starts now may have either key, and both open both.
		if err := beside.refresh(t.Context()); err != nil {
			t.Error(err)
		}
		sealed := map[string][]byte{"old": before, "new": r.master.Seal("x", []byte("secret"), nil)}
		for _, m := range []*MasterKey{beside.master, mustOpenWith(t, s, c, 1).master, mustOpenWith(t, s, c, 2).master} {
			for name, v := range sealed {
				if text, err := m.Open("x", v, nil); err != nil || string(text) != "secret" {
					t.Errorf("what the %s key sealed does not open: %v", name, err)
				}
			}
			if _, err := testMaster(t, 2).Open("x", m.Seal("x", []byte("y"), nil), nil); err != nil {
				t.Error("something is still sealed under the old key")
			}
		}
		if _, err := openWith(t, s, c, 3); !errors.Is(err, ErrSealed) {
			t.Errorf("a third key: %v", err)
		}
		var changed bool
		var err error
		after, changed, err = reseal("x", before, nil)
		if _, again, _ := reseal("x", after, nil); !changed || again {
			t.Errorf("sealed anew: %v, and once more: %v", changed, again)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Both running processes go on; a start needs the new key.
	for _, running := range []*Ring{r, beside, mustOpenWith(t, s, c, 2)} {
		if err := running.refresh(t.Context()); err != nil {
			t.Error(err)
		}
		claims := testClaims()
		if err := running.Parse(t.Context(), c.Now(), UseSig, token, typAccess, &claims); err != nil {
			t.Error(err)
		}
		if text, err := running.master.Open("x", after, nil); err != nil || string(text) != "secret" {
			t.Errorf("the value that was sealed anew: %v", err)
		}
		if _, err := testMaster(t, 2).Open("x", running.master.Seal("x", nil, nil), nil); err != nil {
			t.Error("a process still seals under the old key")
		}
	}
	if _, err := openWith(t, s, c, 1); !errors.Is(err, ErrSealed) {
		t.Errorf("the old key still opens: %v", err)
	}
	if err := r.Rewrap(t.Context(), testMaster(t, 2), func(Reseal) error { t.Error("sealed anew once more"); return nil }); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := r.Rewrap(t.Context(), testMaster(t, 3), nil); !errors.Is(err, ErrOldMaster) {
		t.Errorf("another change without a restart: %v", err)
	}
	if _, err := r.Rotate(t.Context(), UseSig, true); err != nil {
		t.Error(err)
	}
	mustOpenWith(t, s, c, 2)
}

// Wherever it is cut off, both keys open the store, and either goes on.
func TestRewrapGoesOnAfterACrash(t *testing.T) {
	crash := errors.New("crash")
	for _, seed := range []byte{1, 2} {
		c := newClock()
		s := openStore(t, c)
		r := mustOpenWith(t, s, c, 1)
		if err := r.announce(t.Context(), testMaster(t, 2)); err != nil {
			t.Fatal(err)
		}
		resumed := mustOpenWith(t, s, c, seed)
		if err := resumed.Rewrap(t.Context(), testMaster(t, 3), nil); !errors.Is(err, ErrRewrap) {
			t.Errorf("with another key meanwhile: %v", err)
		}
		if err := resumed.Rewrap(t.Context(), testMaster(t, 2), func(Reseal) error { return crash }); !errors.Is(err, crash) {
			t.Fatal(err)
		}
		for _, either := range []byte{1, 2} {
			mustOpenWith(t, s, c, either)
		}
		resumed = mustOpenWith(t, s, c, seed)
		if err := resumed.Rewrap(t.Context(), testMaster(t, 2), func(Reseal) error { return nil }); err != nil {
			t.Fatal(err)
		}
		mustOpenWith(t, s, c, 2)
		if _, err := openWith(t, s, c, 1); !errors.Is(err, ErrSealed) {
			t.Errorf("the old key still opens: %v", err)
		}
	}
}
