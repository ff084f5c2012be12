package grants_test

import (
	"context"
	"testing"

	"jeton/events/status"
	"jeton/grants"
	"jeton/storage"
)

// cutOff does the first step of an ending, and dies while it waits to do the
// second.
func (w *world) cutOff(sel grants.Selection, e grants.Ending) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		for changed := w.Store.Changed(); len(w.index("endings")) == 0; changed = w.Store.Changed() {
			<-changed
		}
	}()
	if _, err := w.End(ctx, sel, e); err == nil {
		w.t.Fatal("the ending was not cut off")
	}
}

// An ending is cut off between its two steps, as by a crash: the first has
// ended all sessions at one point, and whoever looks next finishes the second.
func TestEndingThatWasCutOffIsFinished(t *testing.T) {
	w := newWorld(t, nil)
	a := w.login()
	sessions, err := w.Store.List(t.Context(), storage.Query{Index: storage.IndexSessions, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	sid := sessions.Rows[0].ID
	w.cutOff(grants.Selection{ClientID: "app"}, grants.Ending{Reason: storage.ReasonOperator})
	if w.live(a.AccessToken) {
		t.Fatal("the first step must end the session by itself")
	}
	if ses, err := w.FindSession(t.Context(), sid); err != nil || ses.Value.Ended != nil {
		t.Fatalf("the second step was not cut off: %v %v", ses.Value.Ended, err)
	}
	if err := w.ResumeEndings(t.Context()); err != nil {
		t.Fatal(err)
	}
	ses, err := w.FindSession(t.Context(), sid)
	if err != nil || ses.Value.Ended == nil || len(ses.Value.Live) != 0 {
		t.Fatalf("the ending was not finished: %+v %v", ses.Value, err)
	}
	left, err := w.Store.List(t.Context(), storage.Query{Index: "endings", Limit: 1})
	if err != nil || len(left.Rows) != 0 {
		t.Fatalf("the note of the ending is still there: %v %v", left.Rows, err)
	}
}

// Likewise for access tokens alone: they are dead from the first step on, the
// session lives, and the second step revokes their places.
func TestRevokingAccessTokensThatWasCutOffIsFinished(t *testing.T) {
	w := newWorld(t, nil)
	a, untouched := w.login(), w.login()
	w.cutOff(grants.Selection{ClientID: "app"}, grants.Ending{Reason: storage.ReasonClientChanged, AccessOnly: true})
	if w.live(a.AccessToken) || w.live(untouched.AccessToken) {
		t.Fatal("the first step must revoke the access tokens by itself")
	}
	// One refreshes before the second step, which then leaves its new token alone.
	b := w.must(a.RefreshToken)
	if !w.live(b.AccessToken) || w.live(a.AccessToken) {
		t.Fatal("a refresh brings a token that lives, and none of before back")
	}
	if err := w.ResumeEndings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.live(b.AccessToken) || len(w.index("endings")) != 0 {
		t.Fatal("the ending was not finished, or reached too far")
	}
	if n := len(w.index(status.IndexRecent)); n != 3 { // two tokens and the client's blocks
		t.Errorf("%d places are revoked", n)
	}
	if w.must(untouched.RefreshToken).AccessToken == "" {
		t.Error("the session ended")
	}
}
