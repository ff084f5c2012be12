package lists

import (
	"fmt"
	"testing"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// A store may have rows of a version that counted in 16 s, in an index named
// "revoked": no list lacks their bits for longer than it takes to
// read it again.
func TestL11_RowsOfAnOlderVersion(t *testing.T) {
	w := newWorld(t)
	older := func() (status.Place, storage.Put) {
		p, jti := w.token()
		put, _ := status.RevokedPut(jti, w.clock.Now(), w.clock.Now().Add(30*time.Minute))
		put.Index[1] = storage.Entry{Name: "revoked", Sort: fmt.Sprintf("%010d", w.clock.Now().Unix()/16)}
		return p, put
	}
	before, row := older()
	w.commit("u/x", row)
	if !w.latest(before.List).has(t, before.Index) {
		t.Error("what was revoked before the start is not in the list")
	}
	// While the older version still runs beside this one.
	beside, row := older()
	w.commit("u/y", row)
	for range 4 {
		w.clock.pass(readAgain / 3)
		w.look(0)
	}
	if !w.latest(before.List).has(t, beside.Index) {
		t.Error("what the older version revoked is not in the list when it was read again")
	}
}
