package server_test

import (
	"testing"

	"jeton/storage"
)

// Rows that one commit writes share a version: so every event is in the commit of
// what it tells, and no crash can part the two.
func TestS21_EventsAreInTheCommitOfWhatTheyTell(t *testing.T) {
	t.Parallel()
	n := start(t, options{})
	user, client := storage.UserPartition("u-alice"), storage.ClientPartition("app")
	login := n.login()
	sid, _ := segment(t, login.str("access_token"), 1)["sid"].(string)
	check := func(eventType string, p storage.Partition, k storage.Key) {
		t.Helper()
		var event uint64
		must(t, n.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
			e, err := storage.Decode[storage.Event](row)
			if e.Value.Type == eventType {
				event = row.Version
			}
			return err
		}))
		snap, err := n.store.Read(t.Context(), p, k)
		must(t, err)
		if event == 0 || snap.Rows[0].Version != event {
			t.Errorf("%s: the event is of the commit %d, the record of %d", eventType, event, snap.Rows[0].Version)
		}
	}
	session, ring := storage.SessionKey(sid), storage.RingKey
	check("session_started", user, session)
	n.revoke(login.str("access_token")).revoked(t, "token")
	check("token_revoked", user, session)
	n.revoke(login.str("refresh_token")).revoked(t, "session")
	check("session_ended", user, session)
	for _, act := range []struct {
		method, path, body string
		events             []string
		p                  storage.Partition
		k                  storage.Key
	}{
		{"PUT", "/users/alice/roles", `{"roles":["x"]}`, []string{"roles_changed", "tokens_revoked"}, user, storage.UserKey("u-alice")},
		{"PUT", "/users/alice/password", `{"password":"and what she found there"}`, []string{"password_reset", "sessions_ended"}, user, storage.UserKey("u-alice")},
		{"POST", "/events", `{"type":"account_disabled","sub":"u-alice","id":"1"}`, []string{"account_disabled", "user_disabled"}, user, storage.UserKey("u-alice")},
		{"POST", "/users/alice/enable", `{}`, []string{"user_enabled"}, user, storage.UserKey("u-alice")},
		{"POST", "/clients/app/secret", `{}`, []string{"client_secret_changed"}, client, storage.ClientKey("app")},
		{"PATCH", "/clients/app", `{"scope":"read"}`, []string{"client_changed", "tokens_revoked"}, client, storage.ClientKey("app")},
		{"POST", "/clients/app/disable", `{}`, []string{"client_disabled", "sessions_ended"}, client, storage.ClientKey("app")},
		{"POST", "/clients/app/enable", `{}`, []string{"client_enabled"}, client, storage.ClientKey("app")},
		{"POST", "/keys/rotate", `{"now":true}`, []string{"key_rotated"}, storage.KeyPartition, ring},
	} {
		n.operator(act.method, act.path, act.body).ok(t, 200)
		for _, what := range act.events {
			check(what, act.p, act.k)
		}
	}
	kid, _ := segment(t, n.machine("other", apiSecret), 0)["kid"].(string)
	n.operator("DELETE", "/keys/"+kid, "").ok(t, 200)
	check("key_removed", storage.KeyPartition, ring)
	// What changes nothing is not told.
	before := len(n.events("user_enabled")) + len(n.events("roles_changed"))
	n.operator("POST", "/users/alice/enable", `{}`).ok(t, 200)
	n.operator("PUT", "/users/alice/roles", `{"roles":["x"]}`).ok(t, 200)
	if after := len(n.events("user_enabled")) + len(n.events("roles_changed")); after != before {
		t.Errorf("%d events, %d before", after, before)
	}
}
