package keys

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestJ5_RemovedKeyIsReplacedAtOnce(t *testing.T) {
	r, c := newRing(t, Config{})
	other := openRing(t, r.store, c, Config{})
	token, kid, err := r.Sign(t.Context(), c.Now(), UseSig, typAccess, testClaims())
	if err != nil {
		t.Fatal(err)
	}
	next := r.snap.Load().waiting(UseSig).ID
	removed, signs, err := r.Remove(t.Context(), kid)
	if err != nil || removed.KeyID != kid || removed.State != Current || signs.KeyID != next {
		t.Fatalf("removed %+v, signs %+v, %v", removed, signs, err)
	}
	if set := string(r.KeySet().JSON); strings.Contains(set, kid) || !strings.Contains(set, next) {
		t.Errorf("the key set is %s", set)
	}
	claims := testClaims()
	if err := r.Parse(t.Context(), c.Now(), UseSig, token, typAccess, &claims); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("its token: %v", err)
	}
	if _, by, err := r.Sign(t.Context(), c.Now(), UseSig, typAccess, testClaims()); err != nil || by != next {
		t.Errorf("signed by %s, %v", by, err)
	}
	if w := r.snap.Load().waiting(UseSig); w == nil || w.ID == next {
		t.Error("there is no next key after it")
	}
	if err := other.refresh(t.Context()); err != nil || strings.Contains(string(other.KeySet().JSON), kid) {
		t.Errorf("another node still has it (%v)", err)
	}
	if _, _, err := r.Remove(t.Context(), kid); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a second time: %v", err)
	}
}

func TestRemoveOfKeysThatDoNotSign(t *testing.T) {
	r, c := newRing(t, Config{})
	first := r.snap.Load().current(c.Now(), UseSig).ID
	waiting := r.snap.Load().waiting(UseSig).ID
	removed, signs, err := r.Remove(t.Context(), waiting)
	if err != nil || removed.State != Next || signs.KeyID != first || r.snap.Load().waiting(UseSig) == nil {
		t.Fatalf("the waiting key: %+v, %+v, %v", removed, signs, err)
	}
	// A rotation to a key that is removed before it signs is off.
	scheduled, err := r.Rotate(t.Context(), UseSig, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, signs, err = r.Remove(t.Context(), scheduled.KeyID); err != nil || signs.KeyID != first || !signs.Removes.IsZero() {
		t.Fatalf("the scheduled key: signs %+v, %v", signs, err)
	}
	c.pass(30 * 24 * time.Hour)
	if n, err := r.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	// A retired one leaves alone.
	if _, err := r.Rotate(t.Context(), UseSig, true); err != nil {
		t.Fatal(err)
	}
	now := r.snap.Load().current(c.Now(), UseSig).ID
	if removed, signs, err = r.Remove(t.Context(), first); err != nil || removed.State != Retired || signs.KeyID != now {
		t.Errorf("the retired key: %+v, %+v, %v", removed, signs, err)
	}
	// So does a key for refresh tokens, whose successor nobody has to know.
	refresh := r.snap.Load().current(c.Now(), UseRefresh).ID
	if _, signs, err = r.Remove(t.Context(), refresh); err != nil || signs.KeyID == refresh || signs.Use != UseRefresh || signs.State != Current {
		t.Errorf("the refresh key: %+v, %v", signs, err)
	}
}

func TestTheLastKeyStays(t *testing.T) {
	r, c := newRing(t, Config{})
	if _, err := r.change(t.Context(), func(s *snapshot, e *edit) {
		if w := s.waiting(UseSig); w != nil {
			e.deletes = append(e.deletes, w.ID)
		}
	}); err != nil {
		t.Fatal(err)
	}
	only := r.snap.Load().current(c.Now(), UseSig).ID
	if _, _, err := r.Remove(t.Context(), only); !errors.Is(err, ErrLastKey) {
		t.Errorf("removing the only key: %v", err)
	}
	if cur := r.snap.Load().current(c.Now(), UseSig); cur == nil || cur.ID != only {
		t.Error("it is gone")
	}
}
