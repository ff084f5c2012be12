package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jeton/server"
	"jeton/storage"
)

// damage makes a record unreadable, where it stands in its indexes.
func (n *node) damage(p storage.Partition, keys ...storage.Key) {
	n.t.Helper()
	c := storage.Change{Partition: p}
	for _, k := range keys {
		c.Puts = append(c.Puts, storage.Put{Key: k, Value: []byte(`{"sid":`)})
	}
	_, err := n.store.Commit(n.t.Context(), c)
	must(n.t, err)
}

// One record that cannot be read costs nobody else anything: listings, sweeps
// and batches go on without it, and somebody is told.
func TestADamagedRecordIsPassedOver(t *testing.T) {
	t.Parallel()
	n, alice, spa, bob, _ := reporting(t)
	n.store.Log = n.grants.Log
	n.operator("POST", "/users", `{"username":"carol","sub":"u-carol","password":"`+password+`"}`).ok(t, 201)
	carol := n.post("/token", form("grant_type", "password", "username", "carol", "password", password), app).ok(t, 200)
	broken, _ := segment(t, alice.str("access_token"), 1)["sid"].(string)
	n.damage(storage.UserPartition("u-alice"), storage.SessionKey(broken))
	n.damage(storage.UserPartition("u-bob"), storage.UserKey("u-bob"))
	n.damage(storage.ClientPartition("other"), storage.ClientKey("other"))

	count := func(path string) int {
		t.Helper()
		a := n.operator("GET", path, "").ok(t, 200)
		var all []json.RawMessage
		must(t, json.Unmarshal(a.body, &all))
		return len(all)
	}
	if users, clients, sessions := count("/users"), count("/clients"), count("/sessions"); users != 2 || clients != 4 || sessions != 3 {
		t.Errorf("%d users, %d clients and %d sessions are listed", users, clients, sessions)
	}
	// Asked for by name, it is told what is the matter and what to do.
	for _, path := range []string{"/users/sub:u-bob", "/clients/other", "/sessions/" + broken} {
		a := n.operator("GET", path, "")
		if a.want(t, 500, "server_error"); !strings.Contains(a.str("error_description"), "jeton store check") {
			t.Errorf("%s: %s", path, a.str("error_description"))
		}
	}
	// A login counts the other sessions of the user.
	n.login()
	// A batch takes the other lines.
	lines := `{"username":"dave"}` + "\n" + `{"username":"bob"}` + "\n" + `{"username":"erin"}`
	r := httptest.NewRequest(http.MethodPost, "/admin/v1/import/users", strings.NewReader(lines))
	r.Header.Set("Content-Type", "application/x-ndjson")
	w := httptest.NewRecorder()
	n.operate.ServeHTTP(w, r)
	if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `"created":2`) || !strings.Contains(body, `"line":2`) {
		t.Errorf("import: %d %s", w.Code, body)
	}
	// The master key changes, and what can be read goes over to it.
	if a := n.operator("POST", "/keys/rewrap", `{"master_key":"`+base64.StdEncoding.EncodeToString(append(make([]byte, 31), 7))+`"}`).ok(t, 200); a.json["sessions"] != 4.0 {
		t.Errorf("rewrap: %s", a.body)
	}
	n.refresh(carol.str("refresh_token")).ok(t, 200)
	// A sweep reaches the others, those whose user cannot be read among them.
	n.operator("POST", "/sessions/revoke", `{"client_id":"app","reason":"leak"}`).ok(t, 200)
	n.bits(t, "of the same client", true, bob.str("access_token"), carol.str("access_token"))
	n.alive(t, "of another client", spa.str("access_token"))
	n.operator("POST", "/sessions/revoke", `{"all":true,"reason":"leak"}`).ok(t, 200)
	n.bits(t, "of all", true, spa.str("access_token"))
	must(t, n.grants.ResumeEndings(t.Context()))

	told := 0
	for _, line := range n.lines(0) {
		if text, _ := line["msg"].(string); strings.HasPrefix(text, "a record of the store is passed over") {
			told++
		}
	}
	if told != 3 {
		t.Errorf("the log tells of it %d times, want once for each record", told)
	}
	if n.store.Skipped() < 6 || !strings.Contains(n.metrics(), "\njeton_store_skipped_total ") {
		t.Errorf("%d times counted", n.store.Skipped())
	}
}

// A cursor of one's own and a name that no record can have are faults of who
// asks, and named.
func TestWhatCannotBeAskedForIsNamed(t *testing.T) {
	n := start(t, options{})
	for _, path := range []string{"/users?after=x", "/clients?after=x", "/sessions?after=x", "/sessions?client_id=app&after=AAAA"} {
		a := n.operator("GET", path, "")
		if a.want(t, 400, "invalid_request"); a.str("error_description") != "after: the cursor is not one that this listing returned: begin without it" {
			t.Errorf("%s: %s", path, a.str("error_description"))
		}
	}
	// Names that no record can have are mostly found wrong before; where one gets
	// as far as the store, it is no fault of that.
	_, err := n.store.Read(t.Context(), storage.UserPartition("u-alice"), storage.UserKey("a\x00b"))
	if status, says := server.Answer(err); status != 400 || says != "a value is empty or has a NUL character" {
		t.Errorf("%v is answered with %d %s", err, status, says)
	}
	_, err = n.store.Commit(t.Context(), storage.Change{Partition: "u/", Deletes: []storage.Key{{Kind: "", ID: "a"}}})
	if status, _ := server.Answer(err); status != 400 {
		t.Errorf("%v is answered with %d", err, status)
	}
}
