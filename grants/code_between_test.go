package grants_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"jeton/grants"
	"jeton/storage"
)

// The pair of RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// pages is a world with a client for the code grant, and alice signed in.
type pages struct {
	*world
	*between
	cookie string
}

func newPages(t *testing.T) *pages {
	t.Helper()
	h := new(between)
	p := &pages{between: h, world: newWorldOn(t, h.around, func(s *grants.Settings) { s.SignInIdle, s.SignInTTL = 2*time.Hour, 12*time.Hour })}
	p.addClient(storage.Client{ID: "pages", Grants: grants.Types(), Scopes: []string{"read"}, RedirectURIs: []string{"https://app.example/cb"}})
	p.cookie = p.signIn()
	return p
}

func (p *pages) signIn() string {
	p.t.Helper()
	cookie, err := p.SignIn(p.t.Context(), grants.Login{Username: "alice", Password: password})
	if err != nil {
		p.t.Fatal(err)
	}
	return cookie
}

func codeRequest() url.Values {
	return url.Values{"response_type": {"code"}, "client_id": {"pages"}, "redirect_uri": {"https://app.example/cb"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
}

// agree says yes to a request, as far as the pages' last step.
func (p *pages) agree(sent url.Values, cookie string) (string, error) {
	p.t.Helper()
	ctx := context.Background()
	a, err := p.CheckAuthorize(ctx, sent, grants.Source{})
	if err != nil {
		return "", err
	}
	in, ok, err := p.CurrentSignIn(ctx, cookie)
	if err != nil || !ok {
		p.t.Fatalf("not signed in: %v", err)
	}
	return p.Agree(ctx, a, in, grants.Source{})
}

func (p *pages) redeem(code string) (grants.Response, error) {
	return p.Token(context.Background(), grants.Request{GrantType: storage.GrantAuthorizationCode, Client: p.client("pages"), Code: code, Verifier: verifier})
}

// before lets something happen right before the first commit from now on.
func (p *pages) before(act func() error) {
	once := func(storage.Change) {
		p.commit.Store(nil)
		if err := act(); err != nil {
			p.t.Error(err)
		}
	}
	p.commit.Store(&once)
}

// left counts the sessions that live, the codes, and the consents.
func (p *pages) left() (sessions, codes, consents int) {
	p.t.Helper()
	for index, count := range map[string]*int{storage.IndexSessions: &sessions, storage.IndexCodes: &codes, storage.IndexConsents: &consents} {
		err := p.Store.AllByIndex(p.t.Context(), storage.Query{Index: index, Partition: storage.UserPartition("u-alice")}, func(row storage.Row) error {
			ses, err := storage.Decode[storage.Session](row)
			if index != storage.IndexSessions || ses.Value.Ended == nil {
				*count++
			}
			return err
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return sessions, codes, consents
}

// changes are what can happen to a user between a decision and its commit.
func (p *pages) changes() map[string]func() error {
	ctx := context.Background()
	change := func(set func(*storage.User), ending *grants.Ending) func() error {
		return func() error {
			_, err := p.ChangeUser(ctx, "u-alice", func(u *storage.User) error { set(u); return nil }, ending)
			return err
		}
	}
	return map[string]func() error{
		"signed out":   func() error { _, err := p.SignOut(ctx, p.cookie, ""); return err },
		"disabled":     change(func(u *storage.User) { u.Disabled = true }, nil),
		"all is ended": change(func(*storage.User) {}, &grants.Ending{Reason: storage.ReasonPasswordChanged}),
	}
}

// What was decided on a sign-in and a user that have changed before the commit
// is not done: no code of them is made, no code of them becomes a session, and
// nobody is signed in by a password that was one.
func TestW12_WhatChangesBeforeTheCommitCounts(t *testing.T) {
	for _, what := range []string{"signed out", "disabled", "all is ended"} {
		t.Run("a code is redeemed: "+what, func(t *testing.T) {
			p := newPages(t)
			code, err := p.agree(codeRequest(), p.cookie)
			if err != nil {
				t.Fatal(err)
			}
			p.before(p.changes()[what])
			if resp, err := p.redeem(code); err == nil && p.live(resp.AccessToken) {
				t.Error("a session of what has ended")
			}
			if sessions, _, _ := p.left(); sessions != 0 {
				t.Errorf("%d sessions", sessions)
			}
		})
		t.Run("a code is made: "+what, func(t *testing.T) {
			p := newPages(t)
			p.before(p.changes()[what])
			if code, err := p.agree(codeRequest(), p.cookie); err == nil {
				t.Errorf("%q", code)
			}
			if sessions, codes, consents := p.left(); sessions+codes+consents != 0 {
				t.Errorf("%d sessions, %d codes, %d consents", sessions, codes, consents)
			}
		})
		if what == "signed out" {
			continue // of another browser
		}
		t.Run("a sign-in: "+what, func(t *testing.T) {
			p := newPages(t)
			p.before(p.changes()[what])
			cookie, err := p.SignIn(t.Context(), grants.Login{Username: "alice", Password: password})
			if err != nil {
				return
			}
			if _, ok, err := p.CurrentSignIn(t.Context(), cookie); ok || err != nil {
				t.Errorf("signed in: %v, %v", ok, err)
			}
		})
	}
}

// A login that brings the hash of a password up to date does not undo what was
// done to its user meanwhile.
func TestNewHashOverwritesNothing(t *testing.T) {
	p := newPages(t)
	const hash, old = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*" // of crypt_blowfish
	if _, err := p.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.PasswordHash = hash; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	p.before(p.changes()["disabled"])
	if _, err := p.SignIn(t.Context(), grants.Login{Username: "alice", Password: old}); err == nil {
		t.Error("signed in")
	}
	snap, err := p.Store.Read(t.Context(), storage.UserPartition("u-alice"), storage.UserKey("u-alice"))
	if err != nil {
		t.Fatal(err)
	}
	if user, err := storage.Decode[storage.User](snap.Rows[0]); err != nil || !user.Value.Disabled {
		t.Errorf("no longer disabled: %v", err)
	}
}

// Another tab's code, or another login in the same browser, is no reason to
// refuse: the decision is made again on what is there.
func TestAnotherTabIsNoObstacle(t *testing.T) {
	p := newPages(t)
	p.before(func() error { _, err := p.agree(codeRequest(), p.cookie); return err })
	code, err := p.agree(codeRequest(), p.cookie)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.redeem(code); err != nil {
		t.Error(err)
	}
	if _, codes, consents := p.left(); codes != 1 || consents != 1 {
		t.Errorf("%d codes, %d consents", codes, consents)
	}
}

// Of two browsers that use one pushed request at the same time, one gets an
// answer; of two clicks in one browser, both.
func TestX4_PushedRequestIsUsedByOneBrowser(t *testing.T) {
	for what, same := range map[string]bool{"two browsers": false, "two clicks": true} {
		t.Run(what, func(t *testing.T) {
			p := newPages(t)
			uri, err := p.Push(t.Context(), p.client("pages").Value, codeRequest())
			if err != nil {
				t.Fatal(err)
			}
			other := p.cookie
			if !same {
				other = p.signIn()
			}
			sent := url.Values{"client_id": {"pages"}, "request_uri": {uri}}
			p.before(func() error { _, err := p.agree(sent, other); return err })
			code, err := p.agree(sent, p.cookie)
			if refused, _ := errors.AsType[*grants.Error](err); same != (err == nil) || !same && (refused == nil || refused.Code != grants.InvalidRequestURI) {
				t.Errorf("%q, %v", code, err)
			}
			if _, codes, _ := p.left(); codes != map[bool]int{true: 2, false: 1}[same] {
				t.Errorf("%d codes", codes)
			}
		})
	}
}
