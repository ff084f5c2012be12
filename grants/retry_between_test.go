package grants_test

import (
	"context"
	"testing"

	"jeton/grants"
	"jeton/storage"
)

// The successor is used while a retry is under way that makes an access token of
// its own, since roles have changed: the retry came too late. Its access token
// must not reach anyone, for it is in no record, and nothing could revoke it.
func TestARetryThatLosesTellsOfNoAccessToken(t *testing.T) {
	h := &between{}
	w := newWorldOn(t, h.around, window)
	a := w.login()
	b := w.must(a.RefreshToken)
	if _, err := w.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error {
		u.Roles = []string{"ROLE_USER", "ROLE_ADMIN"}
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	var c grants.Response
	once := func(change storage.Change) {
		if change.Partition == storage.UserPartition("u-alice") {
			h.commit.Store(nil)
			var err error
			if c, err = w.Token(context.Background(), grants.Request{GrantType: "refresh_token", Client: w.client("app"), RefreshToken: b.RefreshToken}); err != nil {
				t.Error(err)
			}
		}
	}
	h.commit.Store(&once)
	late, err := w.refresh(a.RefreshToken)
	if c.RefreshToken == "" {
		t.Fatal("the successor was not used meanwhile: nothing was tried")
	}
	if err == nil && !w.live(late.AccessToken) {
		t.Fatalf("an access token of no record was answered")
	}
	wantCode(t, err, grants.InvalidGrant)
}
