package grants_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// dying is a store whose caller goes away right after the note of an ending is
// written.
type dying struct {
	storage.Backend
	gone atomic.Pointer[context.CancelFunc]
}

func (d *dying) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	v, err := d.Backend.Commit(ctx, c)
	if gone := d.gone.Load(); gone != nil && slices.ContainsFunc(c.Puts, func(p storage.Put) bool { return p.Key.Kind == "ending" }) {
		(*gone)()
	}
	return v, err
}

// A disconnection is cut off between its two steps, as by a crash: whoever looks
// next ends the sessions, and those alone that were there.
func TestDisconnectionThatWasCutOffIsFinished(t *testing.T) {
	d := new(dying)
	w := newWorldOn(t, func(b storage.Backend) storage.Backend { d.Backend = b; return d }, nil)
	w.addUser("u-bob", "bob")
	w.addClient(storage.Client{ID: "web", Grants: grants.Types(), Scopes: []string{"read"}})
	before := w.login()
	others, err := w.Token(t.Context(), grants.Request{GrantType: "password", Client: w.client("web"), Username: "alice", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.gone.Store(&cancel)
	if _, err := w.Disconnect(ctx, "u-alice", "app", grants.Ending{Reason: storage.ReasonConsentRevoked, By: "operator"}); err == nil {
		t.Fatal("it was not cut off")
	}
	if !w.live(before.AccessToken) || len(w.index("endings")) != 1 {
		t.Fatal("the second step was not cut off")
	}
	w.clock.Add(time.Second)
	after := w.login()
	if err := w.ResumeEndings(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.live(before.AccessToken) || len(w.index("endings")) != 0 {
		t.Error("the disconnection was not finished")
	}
	if !w.live(after.AccessToken) || !w.live(others.AccessToken) {
		t.Error("it reached too far")
	}
	ses, err := w.FindSession(t.Context(), before.Session)
	if err != nil || ses.Value.Ended == nil || ses.Value.Ended.Reason != storage.ReasonConsentRevoked || ses.Value.Ended.By != "operator" {
		t.Errorf("%+v %v", ses.Value.Ended, err)
	}
	d.gone.Store(nil)
	if done, err := w.Disconnect(t.Context(), "u-alice", "app", grants.Ending{Reason: storage.ReasonConsentRevoked}); err != nil || done != (grants.Disconnected{Sessions: 1}) {
		t.Errorf("%+v %v", done, err)
	}
	if _, err := w.Disconnect(t.Context(), "u-alice", "app", grants.Ending{}); !errors.Is(err, grants.ErrNotFound) || len(w.index("endings")) != 0 {
		t.Errorf("nothing was there: %v", err)
	}
	if _, err := w.Disconnect(t.Context(), "u-bob", "app", grants.Ending{}); !errors.Is(err, grants.ErrNotFound) {
		t.Errorf("nothing was there: %v", err)
	}
}

// Even where a consent is taken back after the last look at it there is no code.
func TestNoCodeIsCommittedOnAConsentThatIsGone(t *testing.T) {
	b := new(between)
	w := newWorldOn(t, b.around,
		func(s *grants.Settings) { s.SignInIdle, s.SignInTTL = time.Hour, time.Hour })
	w.addClient(storage.Client{ID: "web", Grants: grants.Types(), Scopes: []string{"read"}, RedirectURIs: []string{"https://app.example/cb"}})
	ctx := t.Context()
	request, err := w.CheckAuthorize(ctx, url.Values{"client_id": {"web"}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}, grants.Source{})
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := w.SignIn(ctx, grants.Login{Username: "alice", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	in := func() grants.SignedIn {
		in, ok, err := w.CurrentSignIn(ctx, cookie)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return in
	}
	if _, err := w.Agree(ctx, request, in(), grants.Source{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Code(ctx, request, in(), grants.Source{}); err != nil {
		t.Fatal(err)
	}
	once := func(c storage.Change) {
		if !slices.ContainsFunc(c.Puts, func(p storage.Put) bool { return p.Key.Kind == storage.KindCode }) {
			return
		}
		b.commit.Store(nil)
		if done, err := w.Disconnect(ctx, "u-alice", "web", grants.Ending{By: "u-alice"}); err != nil || !done.Consent {
			t.Errorf("%+v %v", done, err)
		}
	}
	b.commit.Store(&once)
	if _, err := w.Code(ctx, request, in(), grants.Source{}); code(err) != grants.ConsentRequired {
		t.Errorf("got a code: %v", err)
	}
	if left := w.index(storage.IndexCodes); len(left) != 0 {
		t.Errorf("%d codes are left", len(left))
	}
}
