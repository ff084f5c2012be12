package grants_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// What is let in while a connection is taken back, after the last look at what
// there is, does not outlive that.
func TestNothingIsLetInBesideADisconnection(t *testing.T) {
	for _, what := range []string{"a device", "a code without consent"} {
		t.Run(what, func(t *testing.T) {
			b := new(between)
			w := newWorldOn(t, b.around, func(s *grants.Settings) {
				s.SignInIdle, s.SignInTTL, s.DeviceCodeTTL, s.DeviceInterval = time.Hour, time.Hour, 10*time.Minute, 5*time.Second
			})
			w.addClient(storage.Client{ID: "web", Grants: grants.Types(), Scopes: []string{"read"}, RedirectURIs: []string{"https://app.example/cb"}, Consent: storage.ConsentNever})
			ctx := t.Context()
			cookie, err := w.SignIn(ctx, grants.Login{Username: "alice", Password: password})
			if err != nil {
				t.Fatal(err)
			}
			in, ok, err := w.CurrentSignIn(ctx, cookie)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			if _, err := w.Token(ctx, grants.Request{GrantType: "password", Client: w.client("web"), Username: "alice", Password: password}); err != nil {
				t.Fatal(err)
			}
			let := func() error {
				request, err := w.CheckAuthorize(ctx, url.Values{"client_id": {"web"}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"},
					"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}, grants.Source{})
				if err == nil {
					_, err = w.Code(ctx, request, in, grants.Source{})
				}
				return err
			}
			if what == "a device" {
				codes, err := w.AskDevice(ctx, w.client("web"), "read", nil, grants.Source{})
				if err != nil {
					t.Fatal(err)
				}
				asked, err := w.FindDevice(ctx, codes.UserCode, "", grants.Source{})
				if err != nil {
					t.Fatal(err)
				}
				let = func() error { return w.AllowDevice(ctx, asked, in, grants.Source{}) }
			}
			once := func(c storage.Change) {
				if !slices.ContainsFunc(c.Puts, func(p storage.Put) bool { return p.Key.Kind == "ending" }) {
					return
				}
				b.commit.Store(nil)
				if err := let(); err != nil {
					t.Error(err)
				}
				if len(w.index(storage.IndexCodes)) != 1 {
					t.Error("nothing was let in")
				}
			}
			b.commit.Store(&once)
			if done, err := w.Disconnect(ctx, "u-alice", "web", grants.Ending{By: "u-alice"}); err != nil || done.Sessions != 1 {
				t.Errorf("%+v %v", done, err)
			}
			if left := w.index(storage.IndexCodes); len(left) != 0 {
				t.Errorf("%d are left", len(left))
			}
		})
	}
}
