package grants_test

import (
	"testing"
	"time"

	"jeton/grants"
	"jeton/storage"
)

func (w *world) forget(keep bool) {
	w.t.Helper()
	err := w.Forget(w.t.Context(), grants.Forgotten{
		Since: w.clock.Now(), Longest: storage.Day, KeepSessions: keep,
		Ending: grants.Ending{Reason: storage.ReasonStoreRestored, By: "operator", Note: "from backup.db"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// What cannot be known to be alive is dead from the commit on, before anybody
// has visited the sessions; who logs in after that is not touched.
func TestForgetEndsAllOfBefore(t *testing.T) {
	w := newWorld(t, nil)
	old := w.login()
	own, err := w.Token(t.Context(), grants.Request{GrantType: storage.GrantClientCredentials, Client: w.client("app")})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Add(time.Minute)
	w.forget(false)
	if w.live(old.AccessToken) || w.live(own.AccessToken) {
		t.Error("an access token of before is active")
	}
	_, err = w.refresh(old.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	fresh := w.login()
	if err := w.ResumeEndings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.live(fresh.AccessToken) {
		t.Error("a session of after was ended too")
	}
	if _, err := w.refresh(fresh.RefreshToken); err != nil {
		t.Errorf("a session of after does not refresh: %v", err)
	}
}

// Kept sessions go on where the backup has them.
func TestForgetKeepsSessions(t *testing.T) {
	w := newWorld(t, nil)
	old := w.login()
	w.forget(true)
	if _, err := w.refresh(old.RefreshToken); err != nil {
		t.Errorf("a session that was to be kept does not refresh: %v", err)
	}
}
