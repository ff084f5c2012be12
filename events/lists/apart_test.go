package lists

import (
	"testing"
	"time"

	"jeton/events/status"
	"jeton/storage"
)

// A revocation bears the time of the master that has it. Of one whose clock is
// behind by as much as nobody is warned of, and that took a second to be
// committed, the next look learns all the same, not one that looks far back.
func TestL11_RevocationsOfAMasterWhoseClockIsBehind(t *testing.T) {
	if status.Near < storage.MostApart+time.Second {
		t.Errorf("looks begin %v back: clocks may be apart by %v before anybody hears of it", status.Near, storage.MostApart)
	}
	for _, behind := range []time.Duration{4500 * time.Millisecond, storage.MostApart} {
		w := newWorld(t)
		p, jti := w.token()
		w.latest(p.List)
		w.clock.pass(time.Minute)
		w.latest(p.List) // a look far back; the next one is deepEvery away
		w.revoke(jti, behind+time.Second)
		w.clock.pass(lookPause)
		if !w.latest(p.List).has(t, p.Index) {
			t.Errorf("%v behind: not published by the next look", behind)
		}
		if !w.deep.Before(w.clock.Now()) {
			t.Fatal("that look was one far back, and shows nothing")
		}
	}
}
