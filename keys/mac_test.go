package keys

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestMACsAreKeyedByPurposeAndFollowTheMasterKey(t *testing.T) {
	first := func(m *MasterKey, purpose, text string) string { return string(m.MACs(purpose, []byte(text))[0]) }
	one, two := testMaster(t, 1), testMaster(t, 2)
	if first(one, "a", "x") != first(testMaster(t, 1), "a", "x") || len(first(one, "a", "x")) != 32 {
		t.Error("not a function of key, purpose and text")
	}
	for what, other := range map[string]string{"text": first(one, "a", "y"), "purpose": first(one, "b", "x"), "key": first(two, "a", "x")} {
		if other == first(one, "a", "x") {
			t.Errorf("it does not depend on the %s", what)
		}
	}
	if len(one.MACs("a", nil)) != 1 {
		t.Error("there is one master key, and more than one MAC")
	}

	c := newClock()
	s := openStore(t, c)
	r := mustOpenWith(t, s, c, 1)
	before, after := r.master.MACs("a", []byte("x"))[0], two.MACs("a", []byte("x"))[0]
	if err := r.announce(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*MasterKey{r.master, mustOpenWith(t, s, c, 1).master, mustOpenWith(t, s, c, 2).master} {
		if all := m.MACs("a", []byte("x")); !has(all, before) || !has(all, after) || len(all) != 2 {
			t.Errorf("between two master keys: %x", all)
		}
	}
	if err := r.Rewrap(t.Context(), two, func(Reseal) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if all := r.master.MACs("a", []byte("x")); !bytes.Equal(all[0], after) || !has(all, before) {
		t.Errorf("after the change: %x", all)
	}
	if _, err := openWith(t, s, c, 1); !errors.Is(err, ErrSealed) {
		t.Error(err)
	}
}

func has(all [][]byte, one []byte) bool {
	return slices.ContainsFunc(all, func(b []byte) bool { return bytes.Equal(b, one) })
}
