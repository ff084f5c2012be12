package grants_test

import (
	"context"
	"fmt"
	"testing"

	"jeton/grants"
	"jeton/storage"
)

func (w *world) index(name string) []storage.Row {
	w.t.Helper()
	page, err := w.Store.List(context.Background(), storage.Query{Index: name, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return page.Rows
}

// What a login looks at is bounded by the limit, not by the sessions that were.
func TestSessionLimitCountsLiveSessionsOnly(t *testing.T) {
	w := newWorld(t, func(s *grants.Settings) { s.MaxSessions = 2 })
	for range 5 {
		w.login()
	}
	if live, all := len(w.index(storage.IndexLive("app"))), len(w.index(storage.IndexSessions)); live != 2 || all != 5 {
		t.Errorf("%d live of %d, want 2 of 5", live, all)
	}
	w.clock.Add(16 * storage.Day) // idle: the next login tidies them away
	w.login()
	if live := len(w.index(storage.IndexLive("app"))); live != 1 {
		t.Errorf("%d live after all but one were idle too long", live)
	}
}

// Who logs in after an ending has begun begins something new, whenever the
// ending gets round to visiting the sessions it ended.
func TestEndingLeavesLaterSessionsAlone(t *testing.T) {
	for _, sel := range []grants.Selection{{ClientID: "app"}, {Subject: "u-alice"}, {All: true}} {
		t.Run(fmt.Sprintf("%+v", sel), func(t *testing.T) {
			w := newWorld(t, nil)
			before := w.login()
			if sel.Subject == "" { // the first step alone: sessions are dead, none has been visited
				w.cutOff(sel, grants.Ending{Reason: storage.ReasonOperator})
			} else if _, err := w.End(t.Context(), sel, grants.Ending{Reason: storage.ReasonOperator}); err != nil {
				t.Fatal(err)
			}
			if w.live(before.AccessToken) {
				t.Fatal("the first step must end what was there")
			}
			after := w.login()
			machine, err := w.Token(t.Context(), grants.Request{GrantType: "client_credentials", Client: w.client("app")})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.ResumeEndings(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.live(before.AccessToken) || !w.live(after.AccessToken) || !w.live(machine.AccessToken) {
				t.Fatal("an ending reaches what was there before it, and nothing else")
			}
		})
	}
}

// The audience is part of the truth that each refresh reads again.
func TestAudienceIsReadAgain(t *testing.T) {
	w := newWorld(t, nil)
	set := func(audience ...string) {
		t.Helper()
		if _, err := w.ChangeClient(t.Context(), "app", func(c *storage.Client) error { c.Audience = audience; return nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
	set("https://a.example", "https://b.example")
	resp := w.login()
	set("https://a.example")
	resp, err := w.refresh(resp.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.VerifyAccess(t.Context(), resp.AccessToken)
	if err != nil || len(a.Audience) != 1 || a.Audience[0] != "https://a.example" {
		t.Fatal(a.Audience, err)
	}
}
