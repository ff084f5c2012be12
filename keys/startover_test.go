package keys

import (
	"errors"
	"testing"
)

// A ring that starts over knows none of its keys, signs at once, and does so
// with the algorithm that it had.
func TestStartOver(t *testing.T) {
	for _, keep := range []bool{false, true} {
		r, c := newRing(t, Config{Alg: ES256})
		access, _ := sign(t, r, c.Now(), UseSig, "at+jwt")
		refresh, _ := sign(t, r, c.Now(), UseRefresh, "rt+jwt")
		before := publishedIDs(t, r)
		r.config.Alg = RS256 // as the one who runs this may have it
		if err := r.StartOver(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if err := parse(r, c.Now(), UseSig, "at+jwt", access); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a token of before: %v", err)
		}
		if err := parse(r, c.Now(), UseRefresh, "rt+jwt", refresh); (err == nil) != keep || err != nil && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a refresh token of before, kept %v: %v", keep, err)
		}
		after := publishedIDs(t, r)
		for _, id := range after {
			for _, old := range before {
				if id == old {
					t.Errorf("the key %s is still published", id)
				}
			}
		}
		if len(after) != len(before) {
			t.Errorf("%d keys are published, before it were %d", len(after), len(before))
		}
		for _, use := range []string{UseSig, UseStatus, UseRefresh} {
			token, _ := sign(t, r, c.Now(), use, "x")
			if err := parse(r, c.Now(), use, "x", token); err != nil {
				t.Errorf("%s does not sign: %v", use, err)
			}
		}
		for _, k := range r.List(c.Now()) {
			if k.Use != UseRefresh && k.Alg != ES256 {
				t.Errorf("the new key of %s is for %s", k.Use, k.Alg)
			}
		}
	}
}
