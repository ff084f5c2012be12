package grants_test

import (
	"testing"

	"jeton/grants"
	"jeton/storage"
)

// A request that was authenticated before its client lost a scope and reaches the
// store after that mints nothing that says otherwise, and nothing that the lists
// would not know as revoked.
func TestRequestsThatBeganBeforeTheirClientWasNarrowed(t *testing.T) {
	w := newWorld(t, nil)
	stale, resp := w.client("app"), w.login()
	narrow := func(c *storage.Client) error { c.Scopes = []string{"read"}; return nil }
	if _, err := w.ChangeClient(t.Context(), "app", narrow, &grants.Ending{Reason: storage.ReasonClientChanged, AccessOnly: true}); err != nil {
		t.Fatal(err)
	}
	refreshed, err := w.Token(t.Context(), grants.Request{GrantType: "refresh_token", Client: stale, RefreshToken: resp.RefreshToken})
	if err != nil || refreshed.Scope != "read" || !w.live(refreshed.AccessToken) {
		t.Errorf("refresh: scope %q, %v", refreshed.Scope, err)
	}
	if _, err := w.Token(t.Context(), grants.Request{GrantType: "password", Client: stale, Username: "alice", Password: password}); code(err) != grants.InvalidGrant {
		t.Errorf("login: %v", err)
	}
	if e := w.events("session_ended"); len(e) != 1 || e[0].Reason != storage.ReasonClientChanged {
		t.Errorf("events %+v", e)
	}
	machine, err := w.Token(t.Context(), grants.Request{GrantType: "client_credentials", Client: stale})
	if err != nil || machine.Scope != "read" || !w.live(machine.AccessToken) {
		t.Errorf("client_credentials: scope %q, %v", machine.Scope, err)
	}
}
