package storage_test

import (
	"testing"
	"time"

	"jeton/storage"
)

func TestAhead(t *testing.T) {
	before := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	after := before.Add(3 * time.Second)
	for _, c := range []struct {
		what  string
		store time.Duration // after before
		want  time.Duration
	}{
		{"the same", 0, 0},
		{"a late answer", 2 * time.Second, 0},
		{"at its end", 3 * time.Second, 0},
		{"ahead", 5*time.Minute + 3*time.Second, 5 * time.Minute},
		{"behind", -5 * time.Minute, -5 * time.Minute},
	} {
		if got := storage.Ahead(before.Add(c.store), before, after); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
