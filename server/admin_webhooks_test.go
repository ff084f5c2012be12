package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"jeton/events"
	"jeton/events/webhooks"
	"jeton/storage"
)

// bury puts dead letters into the store.
func (n *node) bury(webhook string, count int) (ids []string) {
	n.t.Helper()
	now := n.clock.Now()
	c := storage.Change{Partition: storage.UserPartition("u-alice"), Puts: []storage.Put{}}
	for range count {
		e := events.New(events.SessionEnded, now)
		e.Subject = "u-alice"
		d := storage.Delivery{Webhook: webhook, Event: e, Since: now, Due: now, Attempts: 1, Tried: now, Error: "invalid_request", Dead: now}
		c.Puts = append(c.Puts, storage.Put{Key: storage.Key{Kind: storage.KindDelivery, ID: e.ID + "/" + webhook}, Value: storage.Encode(d),
			Expires: now.Add(webhooks.KeptDead), Index: []storage.Entry{{Name: storage.IndexDead(webhook), Sort: e.ID}}})
		ids = append(ids, e.ID)
	}
	_, err := n.store.Commit(n.t.Context(), c)
	must(n.t, err)
	return ids
}

func TestAdminWebhooks(t *testing.T) {
	n := start(t, options{webhooks: []webhooks.Webhook{{Name: "siem", URL: "https://siem.example/in?key=secret", Events: []string{"session_ended"}}}})
	ids := n.bury("siem", 5)
	get := func(path string, into any) http.Header {
		t.Helper()
		w := n.operatorCall("GET", path, "")
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		must(t, json.Unmarshal(w.Body.Bytes(), into))
		return w.Header()
	}
	var hooks []map[string]any
	get("/webhooks", &hooks)
	if len(hooks) != 1 || hooks[0]["dead_letters"] != 5.0 || hooks[0]["state"] != "ok" || hooks[0]["url"] != "https://siem.example/in" || hooks[0]["configured"] != true {
		t.Errorf("%v", hooks)
	}
	var letters []map[string]any
	header := get("/webhooks/siem/dead-letters?limit=2", &letters)
	if len(letters) != 2 || letters[0]["jti"] != ids[0] || letters[0]["last_error"] != "invalid_request" || !strings.Contains(header.Get("Link"), `rel="next"`) {
		t.Errorf("%v %v", letters, header)
	}
	if at, err := time.Parse(time.RFC3339, letters[0]["expires_at"].(string)); err != nil || at.Sub(n.clock.Now()) != webhooks.KeptDead {
		t.Errorf("expires at %v", letters[0]["expires_at"])
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/webhooks/siem/retry", `{}`, 400, "invalid_request"},
		{"POST", "/webhooks/siem/retry", `{"all":true,"jti":"x"}`, 400, "invalid_request"},
		{"POST", "/webhooks/siem/retry", `{"jti":"x"}`, 404, "the webhook has no dead letter of that event"},
		{"POST", "/webhooks/other/retry", `{"all":true}`, 404, "there is no such webhook"},
		{"DELETE", "/webhooks/siem/dead-letters/x", "", 404, "the webhook has no dead letter of that event"},
		{"DELETE", "/webhooks/siem/dead-letters?jti=x", "", 400, "invalid_request"},
		{"DELETE", "/webhooks/..%2f/dead-letters", "", 404, "not_found"},
		{"GET", "/webhooks/other/dead-letters", "", 404, "not_found"},
		{"GET", "/webhooks/siem/dead-letters?limit=0", "", 400, "invalid_request"},
		{"GET", "/webhooks/siem/dead-letters?after=x", "", 400, "after: the cursor is not one that this listing returned"},
		{"PUT", "/webhooks", `{}`, 405, ""},
		{"POST", "/webhooks/siem/retry", fmt.Sprintf(`{"jti":%q}`, ids[0]), 200, `"retried":1`},
		{"DELETE", "/webhooks/siem/dead-letters/" + ids[1], "", 200, `"dropped":1`},
		{"POST", "/webhooks/siem/retry", `{"all":true}`, 200, `"retried":3`},
		{"DELETE", "/webhooks/siem/dead-letters", "", 200, `"dropped":0`},
	} {
		if w := n.operatorCall(tt.method, tt.path, tt.body); w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, w.Code, w.Body)
		}
	}
	get("/webhooks", &hooks)
	if hooks[0]["dead_letters"] != 0.0 || hooks[0]["pending"] != 4.0 {
		t.Errorf("%v", hooks)
	}
	told := 0
	must(t, n.store.AllByIndex(t.Context(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		if rec, err := storage.Decode[storage.Event](row); err == nil && rec.Value.Type == events.DeadLettersDropped {
			told++
			if rec.Value.Note != "1 of webhook siem" || rec.Value.Actor != "operator" {
				t.Errorf("%+v", rec.Value)
			}
		}
		return nil
	}))
	if told != 1 {
		t.Errorf("%d events tell of dropped letters", told)
	}
}
