package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jeton/events"
	"jeton/storage"
)

// imported are the hashes of "plover umbra tin lighthouse", by kind.
var importedHashes = map[string]string{
	"argon2id": "$argon2id$v=19$m=8192,t=1,p=1$YN73sO5+91iWRXDLiiHgEw$7m+xk44O3zPfsA2GQ2BYPTgF5TWTP43rDC2EAsz7zXw",
	"bcrypt":   "$2b$10$Du1rtyBzj.cgQgC9yqbDEeKqxg24hSwR4RPkrWN2D4/rmsvIWWmEG",
	"scrypt":   "$scrypt$ln=12,r=8,p=1$c9rJb6CFOoL9M/UdoDgjPw$0iB8z5uyXJ4/IQpugJDcjQ8wCbj5NFRzGMyPZvDpXe0",
	"pbkdf2":   "$pbkdf2-sha256$100000$wStcbc93tCDHAksK3cZSIA$AoeVdKRI1rXxY9/S494lwPcAYS9FMeeSYATsPQ/F1sU",
}

// lines sends an import as the operator.
func (n *node) importLines(path, body string) answer {
	n.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/admin/v1/import"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-ndjson")
	w := httptest.NewRecorder()
	n.operate.ServeHTTP(w, r)
	a := answer{Response: w.Result(), body: w.Body.Bytes()}
	json.Unmarshal(a.body, &a.json)
	return a
}

func TestImportedHashesLogInAndAreUpgraded(t *testing.T) {
	n := start(t, options{})
	for kind, hash := range importedHashes {
		a := n.importLines("/users", `{"username":"`+kind+`","sub":"old-`+kind+`","roles":["ROLE_USER"],"password_hash":"`+hash+`"}`+"\n").ok(t, 200)
		if a.json["created"] != 1.0 {
			t.Fatalf("%s: %s", kind, a.body)
		}
		wrong := n.post("/token", form("grant_type", "password", "username", kind, "password", "plover umbra tin lighthousE"), app)
		wrong.want(t, 400, "invalid_grant")
		if rec, _, err := n.store.User(t.Context(), "old-"+kind); err != nil || rec.Value.PasswordHash != hash {
			t.Errorf("%s: a wrong password changed the hash (%v)", kind, err)
		}
		for range 2 { // by the imported hash, and by the one that replaced it
			n.post("/token", form("grant_type", "password", "username", kind, "password", "plover umbra tin lighthouse"), app).ok(t, 200)
		}
		rec, _, err := n.store.User(t.Context(), "old-"+kind)
		if err != nil || !strings.HasPrefix(rec.Value.PasswordHash, "$argon2id$v=19$m=7168,t=5,p=1$") {
			t.Errorf("%s: not upgraded: %.32s (%v)", kind, rec.Value.PasswordHash, err)
		}
	}
	if got := len(n.events(events.UserCreated)); got != 1+len(importedHashes) {
		t.Errorf("%d events of users", got)
	}
}

func TestImportTakesGoodLinesAndListsTheOthers(t *testing.T) {
	n := start(t, options{})
	body := strings.Join([]string{
		`{"username":"bob","roles":["ROLE_USER"]}`,
		``,
		`{"username":"carol","password_hash":"{SSHA}x"}`,
		`{"username":"dave","password":"plover umbra tin lighthouse"}`,
		`{"username":"ALICE"}`,
		`{"username":"alice","sub":"u-other"}`,
		`{"username":"erin","sub":"u-alice"}`,
		`{"username":"frank","sub":"app"}`,
		`{"username":"grace","disabled":true}`,
		`not json`,
		`{"username":"BOB"}`,
		`{"username":"heidi","password_hash":"$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}`,
		`{"username":"sub:x"}`,
	}, "\n")
	want := map[float64]string{3: "of no kind", 4: "no member", 6: "another sub", 7: "never given twice", 8: "id of a client", 10: "JSON object", 12: "costs more", 13: "cannot begin"}
	for round, created := range []float64{2, 0} {
		a := n.importLines("/users", body).ok(t, 200)
		// Of bob and BOB, under way together, one is made.
		if a.json["created"] != created || a.json["existing"] != 4-created {
			t.Errorf("round %d: %s", round, a.body)
		}
		list := a.json["faults"].([]any)
		if len(list) != len(want) {
			t.Errorf("round %d: %s", round, a.body)
		}
		for _, f := range list {
			f := f.(map[string]any)
			if w := want[f["line"].(float64)]; w == "" || !strings.Contains(f["error_description"].(string), w) {
				t.Errorf("round %d: %v", round, f)
			}
		}
	}
	if a := n.operator("GET", "/users/grace", "").ok(t, 200); a.json["disabled"] != true {
		t.Errorf("grace: %s", a.body)
	}
	for _, name := range []string{"carol", "dave", "erin", "frank", "heidi"} {
		n.operator("GET", "/users/"+name, "").want(t, 404, "not_found")
		// Nothing half done: the name is free, and so is the sub of who failed.
		n.operator("POST", "/users", `{"username":"`+name+`"}`).ok(t, 201)
	}
}

// Lines of one name are under way together, and one of them wins.
func TestImportOfOneNameManyTimes(t *testing.T) {
	n := start(t, options{})
	var body strings.Builder
	for i := range 200 {
		fmt.Fprintf(&body, `{"username":"%s"}`+"\n", []string{"bob", "Bob", "BOB"}[i%3])
	}
	if a := n.importLines("/users", body.String()).ok(t, 200); a.json["created"] != 1.0 || a.json["existing"] != 199.0 {
		t.Errorf("%s", a.body)
	}
}

// A run that died after it had taken the name, and before it had written the
// user, leaves nothing in the way of the next.
func TestImportGoesOnAfterACrash(t *testing.T) {
	n := start(t, options{})
	for _, p := range []storage.Change{
		{Partition: storage.ClientPartition("s-1"), Puts: []storage.Put{{Key: storage.UserKey("s-1"), Value: storage.Encode(storage.User{Subject: "s-1"})}}},
		{Partition: storage.NamePartition("bob"), Puts: []storage.Put{{Key: storage.Key{Kind: storage.KindName, ID: "bob"}, Value: []byte("s-1")}}},
		{Partition: storage.NamePartition("carol"), Puts: []storage.Put{{Key: storage.Key{Kind: storage.KindName, ID: "carol"}, Value: []byte("random")}}},
	} {
		_, err := n.store.Commit(t.Context(), p)
		must(t, err)
	}
	a := n.importLines("/users", `{"username":"bob","sub":"s-1"}`+"\n"+`{"username":"carol"}`).ok(t, 200)
	if a.json["created"] != 2.0 {
		t.Errorf("%s", a.body)
	}
	if a := n.operator("GET", "/users/bob", "").ok(t, 200); a.str("sub") != "s-1" {
		t.Errorf("%s", a.body)
	}
}

func TestImportOfClients(t *testing.T) {
	n := start(t, options{})
	sum := "sha256:" + strings.Repeat("0a", 32)
	body := strings.Join([]string{
		`{"client_id":"one","grant_types":["client_credentials"],"scope":"read","client_secret":"` + appSecret + `"}`,
		`{"client_id":"two","grant_types":["client_credentials"],"scope":"read","client_secret_hash":"` + sum + `","disabled":true}`,
		`{"client_id":"three","grant_types":["client_credentials"],"scope":"read"}`,
		`{"client_id":"four","grant_types":["client_credentials"],"client_secret_hash":"md5:00"}`,
		`{"client_id":"app","grant_types":["client_credentials"],"client_secret":"` + appSecret + `"}`,
		`{"client_id":"u-alice","grant_types":["password"],"public":true}`,
		`{"client_id":"five","grant_types":["password"],"public":true,"client_secret_hash":"` + sum + `"}`,
	}, "\n")
	a := n.importLines("/clients", body).ok(t, 200)
	if a.json["created"] != 2.0 || a.json["existing"] != 1.0 || len(a.json["faults"].([]any)) != 4 {
		t.Errorf("%s", a.body)
	}
	n.post("/token", form("grant_type", "client_credentials"), basic("one", appSecret)).ok(t, 200)
	if rec, _, err := n.store.Client(t.Context(), "two"); err != nil || !rec.Value.Disabled || rec.Value.SecretHash != sum {
		t.Errorf("two: %+v (%v)", rec.Value, err)
	}
	for _, id := range []string{"three", "four", "five", "u-alice"} {
		n.operator("GET", "/clients/"+id, "").want(t, 404, "not_found")
	}
}

func TestImportRefusesAnotherBody(t *testing.T) {
	n := start(t, options{})
	n.operator("POST", "/import/users", `{"username":"x"}`).want(t, 415, "invalid_request")
	n.importLines("/users", strings.Repeat("\n", 10_001)).want(t, 413, "invalid_request")
	n.importLines("/users", strings.Repeat(" ", 8<<20+1)).want(t, 413, "invalid_request")
	n.operator("GET", "/import/users", "").want(t, 405, "invalid_request")
}
