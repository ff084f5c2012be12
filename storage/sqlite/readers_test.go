package sqlite

import (
	"path/filepath"
	"testing"
)

// TestWhatIsOpenIsReadWithFirst: who reads alone opens one connection, whose
// statements are prepared once.
func TestWhatIsOpenIsReadWithFirst(t *testing.T) {
	s := openAt(t, Options{Path: filepath.Join(t.TempDir(), "jeton.db")})
	read := func(*conn) error { return nil }
	for range 3 * cap(s.readers) {
		if err := s.reader(t.Context(), read); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.readers) != 1 {
		t.Errorf("%d connections are open", len(s.readers))
	}
	within := func(*conn) error { return s.reader(t.Context(), read) }
	if err := s.reader(t.Context(), within); err != nil || len(s.readers) != 2 {
		t.Errorf("two at once: %d connections are open, %v", len(s.readers), err)
	}
	if err := s.reader(t.Context(), func(*conn) error { return errDamaged }); err != errDamaged {
		t.Fatal(err)
	}
	if open, more := len(s.readers), len(s.places); open != 1 || open+more != cap(s.readers) {
		t.Errorf("after one has failed %d are open and %d may be", open, more)
	}
}
