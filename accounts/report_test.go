package accounts_test

import (
	"context"
	"testing"

	"jeton/accounts"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

func (w *world) undone() (left int) {
	w.t.Helper()
	err := w.store.AllByIndex(context.Background(), storage.Query{Index: "endings"}, func(storage.Row) error { left++; return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return left
}

// cutOff takes a report and dies between the two steps of what it begins.
func (w *world) cutOff(r accounts.Report) {
	w.t.Helper()
	before := w.undone()
	ctx, cancel := context.WithCancel(w.t.Context())
	go func() {
		defer cancel()
		for changed := w.store.Changed(); w.undone() == before; changed = w.store.Changed() {
			<-changed
		}
	}()
	if _, err := w.reports().Take(ctx, r, reporter); err == nil {
		w.t.Fatal("the report was not cut off")
	}
}

func (w *world) reports() *accounts.Reports {
	return &accounts.Reports{Users: w.users, Clients: w.clients}
}

var reporter = accounts.Act{By: "client:hr"}

// A report that comes again finishes what it began itself, and leaves alone what
// else is under way: that may be all sessions of the largest client.
func TestARepeatedReportResumesItsOwnEndingOnly(t *testing.T) {
	w := newWorld(t)
	w.app()
	w.alice()
	if _, _, err := w.clients.Add(t.Context(), accounts.NewClient{ID: "other", ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{storage.GrantPassword}), Scope: accounts.To("read")}}, operator); err != nil {
		t.Fatal(err)
	}
	tokens := w.mustLogin()
	leak := accounts.Report{Type: events.ClientCompromised, ClientID: "app", ID: "leak-1"}
	w.cutOff(leak)
	w.cutOff(accounts.Report{Type: events.ClientCompromised, ClientID: "other", ID: "leak-1"})
	if w.live(tokens.AccessToken) || w.undone() != 2 {
		t.Fatalf("%d endings are to be finished", w.undone())
	}
	again, err := w.reports().Take(t.Context(), leak, reporter)
	if err != nil || !again.Repeated || again.Event == "" {
		t.Fatalf("%+v %v", again, err)
	}
	if w.undone() != 1 {
		t.Errorf("%d endings are left, want that of the other report", w.undone())
	}
	if n := len(w.events(events.SessionEnded)); n != 1 {
		t.Errorf("%d sessions were told to have ended", n)
	}
	// Once more there is nothing to finish, and what left nothing behind has
	// nothing either.
	for range 2 {
		if _, err := w.reports().Take(t.Context(), leak, reporter); err != nil {
			t.Fatal(err)
		}
	}
	w.grants.Settings.On.PasswordReset = grants.DoNothing
	for i := range 2 {
		got, err := w.reports().Take(t.Context(), accounts.Report{Type: events.PasswordReset, Username: "alice", ID: "reset-1"}, reporter)
		if err != nil || got.Repeated != (i == 1) {
			t.Errorf("%+v %v", got, err)
		}
	}
	if w.undone() != 1 {
		t.Errorf("%d endings are left", w.undone())
	}
	if err := w.grants.ResumeEndings(t.Context()); err != nil || w.undone() != 0 {
		t.Errorf("%d are left, %v", w.undone(), err)
	}
}
