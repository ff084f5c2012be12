package server_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
)

func TestRewrapKeepsSessions(t *testing.T) {
	n := startAdmin(t, options{})
	h, idle := n.holder(), n.login()
	next := bytes.Repeat([]byte{7}, 32)
	body := `{"master_key":"` + base64.StdEncoding.EncodeToString(next) + `"}`
	n.bearer("POST", "/keys/rewrap", body, n.opsToken("jeton:admin")).want(t, 403, "access_denied")
	n.operator("POST", "/keys/rewrap", `{"master_key":"x"}`).want(t, 400, "invalid_request")
	if a := n.operator("POST", "/keys/rewrap", body).ok(t, 200); a.json["sessions"] != 2.0 {
		t.Errorf("%s", a.body)
	}
	h.rotate(t)
	n.alive(t, "after the change", h.access)
	n.refresh(idle.str("refresh_token")).ok(t, 200)
	n.login()
	// All of it opens with the new key alone.
	master, err := keys.NewMasterKey(next)
	must(t, err)
	sessions := 0
	must(t, n.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexSessions}, func(row storage.Row) error {
		sessions++
		return grants.CheckSession(master, row)
	}))
	if sessions != 3 {
		t.Errorf("%d sessions", sessions)
	}
	if e := n.events("master_key_changed"); len(e) != 1 || e[0].Actor != "operator" {
		t.Errorf("events %+v", e)
	}
}
