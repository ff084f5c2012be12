package grants_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events/status"
	"jeton/grants"
	"jeton/storage"
)

// between is a backend at which something happens between two steps of another.
type between struct {
	storage.Backend
	read   atomic.Pointer[func(storage.Partition)]
	commit atomic.Pointer[func(storage.Change)]
}

func (b *between) around(backend storage.Backend) storage.Backend {
	b.Backend = backend
	return b
}

func (b *between) Read(ctx context.Context, p storage.Partition, keys ...storage.Key) (storage.Snapshot, error) {
	snap, err := b.Backend.Read(ctx, p, keys...)
	if f := b.read.Load(); f != nil {
		(*f)(p)
	}
	return snap, err
}

func (b *between) Commit(ctx context.Context, c storage.Change) (uint64, error) {
	if f := b.commit.Load(); f != nil {
		(*f)(c)
	}
	return b.Backend.Commit(ctx, c)
}

// keepOnce lets the user change the password in a session, which that goes on
// in, right after somebody has read it.
func (w *world) keepOnce(b *between, sid string) {
	once := func(p storage.Partition) {
		if p != storage.UserPartition("u-alice") {
			return
		}
		b.read.Store(nil)
		_, err := w.ChangeUser(context.Background(), "u-alice", func(*storage.User) error { return nil },
			&grants.Ending{Reason: storage.ReasonPasswordChanged, Except: sid})
		if err != nil {
			w.t.Error(err)
		}
	}
	b.read.Store(&once)
}

// A session that goes on through a change of its user is not over: a logout that
// read it before ends all the same what it was asked to end, and so does reuse.
func TestEndingAllReachesASessionThatWasJustKept(t *testing.T) {
	for name, end := range map[string]func(w *world, a, b grants.Response) error{
		"logout": func(w *world, _, b grants.Response) error {
			_, err := w.Revoke(t.Context(), w.client("app").Value, b.RefreshToken, grants.Source{})
			return err
		},
		"reuse": func(w *world, a, _ grants.Response) error {
			if _, err := w.refresh(a.RefreshToken); err == nil {
				return errors.New("a spent token was taken")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &between{}
			w := newWorldOn(t, h.around, func(s *grants.Settings) { s.On.Logout, s.On.Reuse = grants.EndAllSessions, grants.EndAllSessions })
			a := w.login()
			b := w.must(a.RefreshToken)
			w.keepOnce(h, a.Session)
			if err := end(w, a, b); err != nil {
				t.Fatal(err)
			}
			if w.live(b.AccessToken) {
				t.Error("an access token lives on")
			}
			if _, err := w.refresh(b.RefreshToken); err == nil {
				t.Error("the session goes on")
			}
		})
	}
}

func (w *world) jti(token string) string {
	w.t.Helper()
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims.ID
}

// other is a second process that has the client in its cache as it is now.
func (w *world) other() *grants.Service {
	other := &grants.Service{
		Settings: w.Settings, Store: storage.New(w.Store.Backend), Keys: w.Keys, Master: w.Master, Places: w.Places,
		Passwords: w.Passwords, Log: w.Log, Now: w.Now,
	}
	if _, err := other.Store.CachedClient(w.t.Context(), "app"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := other.Store.CachedSystem(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return other
}

// Who logs in right after an ending is no part of it, whichever process is asked.
func TestNewSessionsLiveAtProcessesThatAreBehind(t *testing.T) {
	for name, sel := range map[string]grants.Selection{"client": {ClientID: "app"}, "all": {All: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			other, third := w.other(), w.other()
			w.cutOff(sel, grants.Ending{Reason: storage.ReasonOperator}) // the first step of it is done
			a := w.login()
			if _, err := third.VerifyAccess(t.Context(), a.AccessToken); err != nil {
				t.Errorf("introspection: %v", err)
			}
			if _, err := other.Token(t.Context(), grants.Request{GrantType: "refresh_token", Client: w.client("app"), RefreshToken: a.RefreshToken}); err != nil {
				t.Errorf("refresh: %v", err)
			}
		})
	}
}

// A role that is lost while another process does not know yet that the client
// was narrowed: the token that was minted between the two is dead at once, and
// its bit set.
func TestALostRoleBesideANarrowedClient(t *testing.T) {
	w := newWorld(t, nil)
	a := w.login()
	other := w.other()
	w.cutOff(grants.Selection{ClientID: "app"}, grants.Ending{Reason: storage.ReasonClientChanged, AccessOnly: true})
	b := w.must(a.RefreshToken)
	_, err := other.ChangeUser(t.Context(), "u-alice", func(u *storage.User) error { u.Roles = nil; return nil },
		&grants.Ending{Reason: storage.ReasonRolesChanged, AccessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.VerifyAccess(t.Context(), b.AccessToken); err == nil {
		t.Error("the token lives on at the process that is behind")
	}
	snap, err := w.Store.Read(t.Context(), storage.UserPartition("u-alice"), status.RevokedKey(w.jti(b.AccessToken)))
	if err != nil || snap.Rows[0].Version == 0 {
		t.Errorf("the token's bit is not set (%v)", err)
	}
}

// A block that is leased to a client while everything is ended belongs to what
// was ended: no token comes from it.
func TestNoMachineTokenIsBornOfWhatWasEnded(t *testing.T) {
	h := &between{}
	w := newWorldOn(t, h.around, nil)
	once := func(c storage.Change) {
		if len(c.Puts) != 1 || c.Puts[0].Kind != storage.KindBlock || c.Partition != storage.ClientPartition("app") {
			return
		}
		h.commit.Store(nil)
		if _, err := w.End(context.Background(), grants.Selection{All: true}, grants.Ending{Reason: storage.ReasonOperator}); err != nil {
			t.Error(err)
		}
	}
	h.commit.Store(&once)
	resp, err := w.Token(t.Context(), grants.Request{GrantType: "client_credentials", Client: w.client("app")})
	if err != nil {
		t.Fatal(err)
	}
	place, _ := status.PlaceOf(w.jti(resp.AccessToken))
	rec, err := w.Store.Read(t.Context(), storage.ClientPartition("app"), status.BlockKey(place))
	if err != nil {
		t.Fatal(err)
	}
	block, err := storage.Decode[storage.StatusBlock](rec.Rows[0])
	if err != nil {
		t.Fatal(err)
	}
	client, system, err := w.Store.Renew(t.Context(), "app")
	if err != nil || block.Value.Epoch != status.Epoch(client.Value, system.Value) || !w.live(resp.AccessToken) {
		t.Errorf("the token is of epoch %d, today's is %d (%v)", block.Value.Epoch, status.Epoch(client.Value, system.Value), err)
	}
}
