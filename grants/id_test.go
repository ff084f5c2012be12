package grants

import "testing"

// On a command line a session id that begins with a dash would be a flag.
func TestNoIDBeginsWithADash(t *testing.T) {
	for range 1000 {
		if id := newID(); id[0] == '-' || len(id) != 22 {
			t.Fatal(id)
		}
	}
}
