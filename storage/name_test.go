package storage_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"jeton/storage"
)

func TestNormalNameFoldsSpellingsOfOneName(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"alice", "ALICE"},
		{"\u00c9lodie", "e\u0301lodie"}, // composed capital, decomposed small
		{"Straße", "STRASSE"},
		{"ΑΛΈΞΗΣ", "αλέξης"}, // final sigma
		{"\u212bngstrom", "ångstrom"},
		{"a b", "A B"},
		{"\u13a0\u13f0", "\uab70\u13f8"}, // Cherokee, which folds to capitals
	} {
		a, errA := storage.NormalName(c.a)
		b, errB := storage.NormalName(c.b)
		if errA != nil || errB != nil || a != b {
			t.Errorf("%q and %q: %q (%v), %q (%v); want one name", c.a, c.b, a, errA, b, errB)
		}
	}
}

func TestNormalNameKeepsDifferentNamesApart(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"alice", "alicе"}, {"a", "ä"}, {"x1", "x²"}} {
		a, errA := storage.NormalName(c.a)
		b, errB := storage.NormalName(c.b)
		if errA != nil || errB != nil || a == b {
			t.Errorf("%q and %q: %q (%v), %q (%v); want two names", c.a, c.b, a, errA, b, errB)
		}
	}
}

func TestNormalNameRefuses(t *testing.T) {
	for what, name := range map[string]string{
		"empty": "", "leading space": " a", "trailing space": "a\u00a0", "newline": "a\nb", "NUL": "a\x00",
		"zero-width space": "a\u200bb", "bidi override": "\u202eevil", "line separator": "a\u2028b", "unassigned": "a\u0378",
		"not UTF-8": "a\xff", "too long": strings.Repeat("a", 256), "too long once folded": strings.Repeat("\u0149", 127),
	} {
		if got, err := storage.NormalName(name); err == nil {
			t.Errorf("%s: %q became %q, want an error", what, name, got)
		}
	}
	if _, err := storage.NormalName(strings.Repeat("a", 255)); err != nil {
		t.Error(err)
	}
}

// A normal form that is not a fixed point would let a name be claimed twice.
func TestNormalNameIsIdempotent(t *testing.T) {
	check := func(name string) {
		once, err := storage.NormalName(name)
		if err != nil {
			return
		}
		if twice, err := storage.NormalName(once); err != nil || twice != once {
			t.Errorf("%+q -> %+q -> %+q (%v)", name, once, twice, err)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		check("a" + string(r) + "b")
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		check("a" + string([]rune{rune(random.IntN(0x3000)), rune(random.IntN(0x3000)), rune(0x300 + random.IntN(0x70))}))
	}
}
