package grants_test

import (
	"testing"
	"time"

	"jeton/grants"
	"jeton/storage"
)

func TestR7_ReuseEndsTheSession(t *testing.T) {
	w := newWorld(t, nil)
	first := w.login()
	second, err := w.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if !w.live(first.AccessToken) || !w.live(second.AccessToken) {
		t.Fatal("an ordinary refresh must leave older access tokens alone")
	}
	_, err = w.refresh(first.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	_, err = w.refresh(second.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	if w.live(first.AccessToken) || w.live(second.AccessToken) {
		t.Fatal("the session's access tokens outlived it")
	}
}

func TestR9_RetryWindow(t *testing.T) {
	w := newWorld(t, func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second })
	a := w.login()
	b, err := w.refresh(a.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Add(9 * time.Second)
	again, err := w.refresh(a.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if again.RefreshToken != b.RefreshToken || again.AccessToken != b.AccessToken {
		t.Fatal("a retry must get the same successor")
	}
	if again.ExpiresIn != b.ExpiresIn-9*time.Second {
		t.Fatalf("expires_in of a retry is %v", again.ExpiresIn)
	}
	c, err := w.refresh(b.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	// The grandparent inside the window is reuse.
	_, err = w.refresh(a.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	_, err = w.refresh(c.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
}

func TestR9_WindowCloses(t *testing.T) {
	w := newWorld(t, func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second })
	a := w.login()
	b, err := w.refresh(a.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Add(10 * time.Second)
	_, err = w.refresh(a.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	_, err = w.refresh(b.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
}

func TestR10_IdleAndAbsoluteEnd(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.login()
	w.clock.Add(15*storage.Day + time.Second)
	_, err := w.refresh(resp.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)

	resp = w.login()
	for range 8 { // 8 × 10 days: each within the idle time
		w.clock.Add(10 * storage.Day)
		if resp, err = w.refresh(resp.RefreshToken); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Add(10 * storage.Day)
	_, err = w.refresh(resp.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
}

func TestR3_R4_Scope(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.login()
	if resp.Scope != "read write" {
		t.Fatalf("scope %q", resp.Scope)
	}
	ask := func(token, scope string) (grants.Response, error) {
		return w.Token(t.Context(), grants.Request{GrantType: "refresh_token", Client: w.client("app"), RefreshToken: token, Scope: scope})
	}
	_, err := ask(resp.RefreshToken, "read admin")
	wantCode(t, err, grants.InvalidScope)
	narrow, err := ask(resp.RefreshToken, "read")
	if err != nil || narrow.Scope != "read" {
		t.Fatal(narrow.Scope, err)
	}
	wide, err := ask(narrow.RefreshToken, "")
	if err != nil || wide.Scope != "read write" {
		t.Fatal(wide.Scope, err)
	}
}

func TestR17_TruthIsReadAgain(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.login()
	if _, err := w.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.Roles = []string{"ROLE_X"}; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	resp, err := w.refresh(resp.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.VerifyAccess(t.Context(), resp.AccessToken)
	if err != nil || len(a.Roles) != 1 || a.Roles[0] != "ROLE_X" {
		t.Fatal(a.Roles, err)
	}
	end := &grants.Ending{Reason: storage.ReasonUserDisabled, By: "operator"}
	if _, err := w.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.Disabled = true; return nil }, end); err != nil {
		t.Fatal(err)
	}
	if w.live(resp.AccessToken) {
		t.Fatal("the access token of a disabled user is alive")
	}
	_, err = w.refresh(resp.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
}

// A record that says disabled is enough, by whatever way it came to say so.
func TestR17_DisabledWithoutAnEnding(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.login()
	set := func(disabled bool) {
		t.Helper()
		if _, err := w.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.Disabled = disabled; return nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	_, err := w.refresh(resp.RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	if w.live(resp.AccessToken) {
		t.Error("the access token of a disabled user is alive")
	}
	set(false)
	w.must(resp.RefreshToken) // the refusal spent nothing
}

// Between the commit that bumps an epoch and the sweep that visits the sessions
// a server may die: the epoch alone must end them.
func TestR12_AnEpochAloneEndsSessions(t *testing.T) {
	for name, bump := range map[string]func(*world) error{
		"user": func(w *world) error {
			_, err := w.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.Epoch++; return nil }, nil)
			return err
		},
		"client": func(w *world) error {
			_, err := w.ChangeClient(t.Context(), "app", func(c *storage.Client) error { c.Epoch++; return nil }, nil)
			return err
		},
		"system": func(w *world) error {
			_, err := w.Store.Commit(t.Context(), storage.Change{Partition: storage.SystemPartition, Puts: []storage.Put{
				{Key: storage.SystemKey, Value: storage.Encode(storage.System{Epoch: 7})}}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			resp := w.login()
			if err := bump(w); err != nil {
				t.Fatal(err)
			}
			_, err := w.refresh(resp.RefreshToken)
			wantCode(t, err, grants.InvalidGrant)
			if w.live(resp.AccessToken) {
				t.Error("the access token is alive")
			}
			if !w.live(w.login().AccessToken) {
				t.Error("a new login must work")
			}
		})
	}
}

func TestEndEverything(t *testing.T) {
	w := newWorld(t, nil)
	a := w.login()
	cc, err := w.Token(t.Context(), grants.Request{GrantType: "client_credentials", Client: w.client("app")})
	if err != nil {
		t.Fatal(err)
	}
	if !w.live(cc.AccessToken) {
		t.Fatal("dead at birth")
	}
	n, err := w.End(t.Context(), grants.Selection{All: true}, grants.Ending{Reason: storage.ReasonOperator})
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if w.live(a.AccessToken) || w.live(cc.AccessToken) {
		t.Fatal("something outlived the end of everything")
	}
	b := w.login()
	if !w.live(b.AccessToken) {
		t.Fatal("a new login must work")
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t, nil)
	a := w.login()
	b, err := w.refresh(a.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	app := w.client("app").Value
	if _, err := w.Revoke(t.Context(), app, a.AccessToken, grants.Source{}); err != nil {
		t.Fatal(err)
	}
	if w.live(a.AccessToken) || !w.live(b.AccessToken) {
		t.Fatal("revoking one access token must leave its siblings alone")
	}
	// V17: a spent refresh token, revoked by its owner, ends the session.
	if _, err := w.Revoke(t.Context(), app, a.RefreshToken, grants.Source{}); err != nil {
		t.Fatal(err)
	}
	if w.live(b.AccessToken) {
		t.Fatal("the session lives")
	}
}
