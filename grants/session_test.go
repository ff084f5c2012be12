package grants_test

import (
	"testing"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

func TestThe33rdAccessTokenRevokesTheOldest(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.login()
	tokens := []string{resp.AccessToken}
	for len(tokens) < 32 {
		resp = w.must(resp.RefreshToken)
		tokens = append(tokens, resp.AccessToken)
	}
	for i, token := range tokens {
		if !w.live(token) {
			t.Fatalf("token %d of 32 is dead", i)
		}
	}
	resp = w.must(resp.RefreshToken)
	if w.live(tokens[0]) {
		t.Error("the oldest token outlived the 33rd")
	}
	for i, token := range append(tokens[1:], resp.AccessToken) {
		if !w.live(token) {
			t.Errorf("token %d is dead", i+1)
		}
	}
	// Expired ones make room by themselves.
	w.clock.Add(30*time.Minute + time.Second)
	next := w.must(resp.RefreshToken)
	if last := w.must(next.RefreshToken); !w.live(next.AccessToken) || !w.live(last.AccessToken) {
		t.Error("expired tokens still take room")
	}
}

func TestSessionLimitEndsTheOldestIdle(t *testing.T) {
	w := newWorld(t, func(s *grants.Settings) { s.MaxSessions = 3 })
	var sessions []grants.Response
	login := func() {
		w.clock.Add(time.Minute)
		sessions = append(sessions, w.login())
	}
	for range 3 {
		login()
	}
	w.clock.Add(time.Minute)
	sessions[0] = w.must(sessions[0].RefreshToken) // oldest, but in use
	login()
	if w.live(sessions[1].AccessToken) {
		t.Error("the session that was idle longest outlived the limit")
	}
	_, err := w.refresh(sessions[1].RefreshToken)
	wantCode(t, err, grants.InvalidGrant)
	for _, i := range []int{0, 2, 3} {
		if !w.live(sessions[i].AccessToken) {
			t.Errorf("session %d was ended", i)
		}
	}
	if ended := w.events(events.SessionEnded); len(ended) != 1 || ended[0].Reason != storage.ReasonSessionLimit {
		t.Errorf("events: %+v", ended)
	}
	// A client's own limit, and only of its own sessions.
	w.addClient(storage.Client{ID: "single", Grants: grants.Types(), Scopes: []string{"read"}, MaxSessions: 1})
	as := func() grants.Response {
		resp, err := w.Token(t.Context(), grants.Request{GrantType: "password", Client: w.client("single"), Username: "alice", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first, second := as(), as()
	if w.live(first.AccessToken) || !w.live(second.AccessToken) || !w.live(sessions[0].AccessToken) {
		t.Error("the limit of one client counts its own sessions, and no other's")
	}
}

func TestR10_LifetimesOfAClient(t *testing.T) {
	w := newWorld(t, nil)
	w.addClient(storage.Client{ID: "brief", Grants: grants.Types(), Scopes: []string{"read"},
		AccessTokenTTL: storage.Duration(time.Minute), RefreshTokenTTL: storage.Duration(10 * time.Minute), SessionTTL: storage.Duration(15 * time.Minute)})
	ask := func(r grants.Request) (grants.Response, error) {
		r.Client = w.client("brief")
		return w.Token(t.Context(), r)
	}
	a, err := ask(grants.Request{GrantType: "password", Username: "alice", Password: password})
	if err != nil || a.ExpiresIn != time.Minute {
		t.Fatal(a.ExpiresIn, err)
	}
	w.clock.Add(time.Minute)
	if w.live(a.AccessToken) {
		t.Error("an access token is alive at its end")
	}
	w.clock.Add(9*time.Minute - time.Second)
	b, err := ask(grants.Request{GrantType: "refresh_token", RefreshToken: a.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	// The absolute end, 15 min, comes before the idle one.
	w.clock.Add(4*time.Minute + 31*time.Second)
	c, err := ask(grants.Request{GrantType: "refresh_token", RefreshToken: b.RefreshToken})
	if err != nil || c.ExpiresIn != 30*time.Second {
		t.Fatal(c.ExpiresIn, err)
	}
	w.clock.Add(30 * time.Second)
	if w.live(c.AccessToken) {
		t.Error("an access token outlived its session")
	}
	_, err = ask(grants.Request{GrantType: "refresh_token", RefreshToken: c.RefreshToken})
	wantCode(t, err, grants.InvalidGrant)
	cc, err := ask(grants.Request{GrantType: "client_credentials"})
	if err != nil || cc.ExpiresIn != time.Minute {
		t.Fatal(cc.ExpiresIn, err)
	}
}
