package grants_test

import (
	"slices"
	"testing"
	"time"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

func window(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second }

// must refreshes and fails the test where that is refused.
func (w *world) must(token string) grants.Response {
	w.t.Helper()
	resp, err := w.refresh(token)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// from refreshes from another device.
func (w *world) from(agent, token string) (grants.Response, error) {
	return w.Token(w.t.Context(), grants.Request{
		GrantType: "refresh_token", Client: w.client("app"), RefreshToken: token,
		Source: grants.Source{Address: "192.0.2.7", Device: storage.Device{Agent: agent, Network: "192.0.2.0/24"}},
	})
}

func (w *world) roles(token string) []string {
	w.t.Helper()
	a, err := w.VerifyAccess(w.t.Context(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Roles
}

// events of a type that are waiting to be told.
func (w *world) events(eventType string) (list []storage.Event) {
	w.t.Helper()
	err := w.Store.AllByIndex(w.t.Context(), storage.Query{Index: storage.IndexOutbox}, func(r storage.Row) error {
		e, err := storage.Decode[storage.Event](r)
		if e.Value.Type == eventType {
			list = append(list, e.Value)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestR11_UndeliveredInStrictMode(t *testing.T) {
	t.Run("within a minute", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.login()
		b := w.must(a.RefreshToken)
		w.Undelivered(b)
		if lost := w.events(events.ResponseLost); len(lost) != 1 || lost[0].Subject != "u-alice" || lost[0].ClientID != "app" {
			t.Errorf("events: %+v", lost)
		}
		w.clock.Add(59 * time.Second)
		for range 2 {
			if again := w.must(a.RefreshToken); again.RefreshToken != b.RefreshToken || again.AccessToken != b.AccessToken {
				t.Fatal("a lost answer must come again as it was")
			}
		}
		c := w.must(b.RefreshToken)
		// The successor was used: the predecessor is spent, minute or not.
		_, err := w.refresh(a.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
		_, err = w.refresh(c.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
	})
	t.Run("after a minute", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.login()
		b := w.must(a.RefreshToken)
		w.Undelivered(b)
		w.clock.Add(time.Minute)
		_, err := w.refresh(a.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
		_, err = w.refresh(b.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
	})
	t.Run("told too late", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.login()
		b := w.must(a.RefreshToken)
		c := w.must(b.RefreshToken)
		w.Undelivered(b) // somebody has used it, so it did arrive
		if len(w.events(events.ResponseLost)) != 0 {
			t.Error("a rotation that is over was marked")
		}
		_, err := w.refresh(b.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
		_, err = w.refresh(c.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
	})
	t.Run("a session that has ended", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.login()
		b := w.must(a.RefreshToken)
		if _, err := w.Revoke(t.Context(), w.client("app").Value, b.RefreshToken, grants.Source{}); err != nil {
			t.Fatal(err)
		}
		w.Undelivered(b)
		_, err := w.refresh(a.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
	})
	t.Run("nothing was rotated", func(t *testing.T) {
		w := newWorld(t, nil)
		w.Undelivered(w.login())
		w.Undelivered(grants.Response{})
		if len(w.events(events.ResponseLost)) != 0 {
			t.Error("a login has no predecessor")
		}
	})
}

func TestR9_RetryTellsTheTruthOfNow(t *testing.T) {
	w := newWorld(t, window)
	// sameRefresh retries a and checks that only the access token is new.
	sameRefresh := func(t *testing.T, b, again grants.Response) {
		t.Helper()
		if again.RefreshToken != b.RefreshToken {
			t.Fatal("a retry made a second branch")
		}
		if again.AccessToken == b.AccessToken {
			t.Fatal("the access token says what is no longer so")
		}
		if !w.live(again.AccessToken) {
			t.Fatal("the new access token is dead")
		}
	}
	t.Run("roles changed", func(t *testing.T) {
		a := w.login()
		b := w.must(a.RefreshToken)
		if _, err := w.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.Roles = []string{"ROLE_X"}; return nil }, nil); err != nil {
			t.Fatal(err)
		}
		again := w.must(a.RefreshToken)
		sameRefresh(t, b, again)
		if got := w.roles(again.AccessToken); !slices.Equal(got, []string{"ROLE_X"}) {
			t.Errorf("roles %q", got)
		}
		if third := w.must(a.RefreshToken); third.AccessToken != again.AccessToken {
			t.Error("one change makes one new access token")
		}
		w.must(b.RefreshToken)
	})
	t.Run("scope narrowed", func(t *testing.T) {
		a := w.login()
		b := w.must(a.RefreshToken)
		again, err := w.Token(t.Context(), grants.Request{GrantType: "refresh_token", Client: w.client("app"), RefreshToken: a.RefreshToken, Scope: "read"})
		if err != nil || again.Scope != "read" {
			t.Fatal(again.Scope, err)
		}
		sameRefresh(t, b, again)
		if c := w.must(b.RefreshToken); c.Scope != "read write" {
			t.Errorf("scope %q: a narrow retry must not narrow the session", c.Scope)
		}
	})
	t.Run("access token revoked", func(t *testing.T) {
		a := w.login()
		b := w.must(a.RefreshToken)
		if _, err := w.Revoke(t.Context(), w.client("app").Value, b.AccessToken, grants.Source{}); err != nil {
			t.Fatal(err)
		}
		sameRefresh(t, b, w.must(a.RefreshToken))
		if w.live(b.AccessToken) {
			t.Error("a retry revived a revoked access token")
		}
		w.must(b.RefreshToken)
	})
	t.Run("access token expired", func(t *testing.T) {
		c := w.client("app").Value
		c.AccessTokenTTL = storage.Duration(2 * time.Second)
		w.addClient(c)
		a := w.login()
		b := w.must(a.RefreshToken)
		w.clock.Add(3 * time.Second)
		sameRefresh(t, b, w.must(a.RefreshToken))
	})
}

// A thief who retries in every window, while the owner rotates, is reuse at the
// third generation; a phone that changes networks now and then is not.
func TestR9_RetriesFromElsewhere(t *testing.T) {
	ride := func(w *world, token string) (next string, err error) {
		b, err := w.from("Firefox on Linux", token)
		if err != nil {
			return "", err
		}
		for range 2 { // twice in one generation counts once
			again, err := w.from("a thief", token)
			if err != nil {
				return b.RefreshToken, err
			}
			if again.RefreshToken != b.RefreshToken {
				w.t.Fatal("a branch")
			}
		}
		return b.RefreshToken, nil
	}
	t.Run("three in a row", func(t *testing.T) {
		w := newWorld(t, window)
		token, err := w.login().RefreshToken, error(nil)
		for i := range 2 {
			if token, err = ride(w, token); err != nil {
				t.Fatalf("generation %d: %v", i, err)
			}
		}
		token, err = ride(w, token)
		wantCode(t, err, grants.InvalidGrant)
		_, err = w.from("Firefox on Linux", token)
		wantCode(t, err, grants.InvalidGrant)
		if ended := w.events(events.SessionEnded); len(ended) != 1 || ended[0].Reason != storage.ReasonReuse || ended[0].Source != "192.0.2.7" {
			t.Errorf("events: %+v", ended)
		}
	})
	t.Run("not in a row", func(t *testing.T) {
		w := newWorld(t, window)
		token, err := w.login().RefreshToken, error(nil)
		for i := range 9 {
			if i%3 == 2 {
				token = w.must(token).RefreshToken
			} else if token, err = ride(w, token); err != nil {
				t.Fatalf("generation %d: %v", i, err)
			}
		}
	})
	t.Run("from one's own device", func(t *testing.T) {
		w := newWorld(t, window)
		token := w.login().RefreshToken
		for range 6 {
			b := w.must(token)
			w.must(token)
			token = b.RefreshToken
		}
	})
}

// The store's clock is the machine's, and machines are set back. That must not
// open the window of a strict client, or hold one open for as long.
func TestR9_ClockSetBackOpensNoWindow(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*grants.Settings)
		moved time.Duration
	}{{"strict", nil, -time.Second}, {"ten seconds", window, -time.Hour}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.set)
			a := w.login()
			w.must(a.RefreshToken)
			w.clock.Add(c.moved)
			_, err := w.refresh(a.RefreshToken)
			wantCode(t, err, grants.InvalidGrant)
		})
	}
	t.Run("a lost answer", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.login()
		w.Undelivered(w.must(a.RefreshToken))
		w.clock.Add(-time.Hour)
		_, err := w.refresh(a.RefreshToken)
		wantCode(t, err, grants.InvalidGrant)
	})
}
