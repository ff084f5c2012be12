package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/storage"
)

func TestTokenIDCarriesPlace(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range []Place{{}, {1, 2}, {1<<32 - 1, 1<<20 - 1}, {1 << 31, 1<<32 - 1}, {1, 2}} {
		id := NewTokenID(p)
		if len(id) != 32 || seen[id] {
			t.Errorf("NewTokenID(%v) = %q: want 32 characters, never the same twice", p, id)
		}
		seen[id] = true
		if got, ok := PlaceOf(id); !ok || got != p {
			t.Errorf("PlaceOf(NewTokenID(%v)) = %v, %v", p, got, ok)
		}
	}
}

func TestPlaceOfIsStrict(t *testing.T) {
	id := NewTokenID(Place{3, 4})
	for _, bad := range []string{
		"", id[:31], id + "A", id + "=", id[:28] + "\n\n\n\n", "\r\n" + id[2:], id[:31] + "+", id[:31] + "/",
		strings.Repeat("=", 32), strings.Repeat("A", 1<<16),
	} {
		if p, ok := PlaceOf(bad); ok {
			t.Errorf("PlaceOf(%.40q) = %v, want none", bad, p)
		}
	}
}

func FuzzPlaceOf(f *testing.F) {
	f.Add(NewTokenID(Place{1, 2}))
	f.Add("")
	f.Add(strings.Repeat("A", 32))
	f.Fuzz(func(t *testing.T, jti string) {
		p, ok := PlaceOf(jti)
		if ok && NewTokenID(p)[24:] != jti[24:] {
			t.Errorf("PlaceOf(%q) = %v, whose ids end otherwise", jti, p)
		}
	})
}

func TestRevokedPut(t *testing.T) {
	s, clock := open(t, t.TempDir())
	now := clock.now()
	exp := now.Add(30 * time.Minute)
	var puts []storage.Put
	for _, index := range []uint32{1000345, 0, 145, 25460} {
		put, ok := RevokedPut(NewTokenID(Place{7, index}), now, exp)
		if !ok {
			t.Fatal("no row for an id with a place")
		}
		puts = append(puts, put)
	}
	if _, ok := RevokedPut("6f9d1f0e-not-ours", now, exp); ok {
		t.Error("a row for an id without a place")
	}
	commit(t, s, storage.Change{Partition: storage.UserPartition("u"), Puts: puts})

	list := func() (at []uint32) {
		err := s.AllByIndex(t.Context(), storage.Query{Index: storage.IndexRevoked(7)}, func(row storage.Row) error {
			rec, err := storage.Decode[storage.RevokedIndex](row)
			if p, _ := PlaceOf(row.ID); p != (Place{rec.Value.List, rec.Value.Index}) || rec.Value.TokenID != row.ID {
				t.Errorf("row %s says %+v", row.ID, rec.Value)
			}
			at = append(at, rec.Value.Index)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	want := []uint32{0, 145, 25460, 1000345}
	if got := list(); !slices.Equal(got, want) {
		t.Errorf("revoked places are %v, want %v in this order", got, want)
	}
	clock.advance(30*time.Minute + Grace - time.Second)
	if got := list(); !slices.Equal(got, want) {
		t.Errorf("after %v: %v, want them until the last clock agrees that the token is dead", 30*time.Minute+Grace, got)
	}
	clock.advance(2 * time.Second)
	if got := list(); len(got) != 0 {
		t.Errorf("rows outlive their tokens: %v", got)
	}
}
