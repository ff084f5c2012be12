package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"jeton/events"
	"jeton/leaktest"
	"jeton/storage"
)

// watch sees all that the servers of this package's tests are sent, answer and
// write. TestMain fails when one of the secrets among it was written.
var watch leaktest.Watch

func TestMain(m *testing.M) {
	watch.Secret("password", password)
	watch.Secret("client secret", appSecret)
	watch.Secret("client secret", apiSecret)
	os.Exit(leaktest.Run(traced{m}, &watch))
}

// secretMembers are parameters and members of JSON that hold secrets.
var secretMembers = []string{
	"password", "client_secret", "client_assertion", "refresh_token", "access_token", "token", "password_hash", "client_secret_hash", "master_key", "pem",
}

// watchRequest tells watch what a request holds.
func watchRequest(r *http.Request, body string) {
	if f, err := url.ParseQuery(body); err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		for _, name := range secretMembers {
			for _, v := range f[name] {
				watch.Secret(name, v)
			}
		}
	}
	for line := range strings.Lines(body) {
		watchJSON([]byte(line))
	}
	for _, v := range r.Header.Values("Authorization") {
		scheme, value, _ := strings.Cut(v, " ")
		watch.Secret("Authorization", value)
		if raw, err := base64.StdEncoding.DecodeString(value); err == nil && strings.EqualFold(scheme, "Basic") {
			_, secret, _ := strings.Cut(string(raw), ":")
			watch.Secret("client secret", secret)
			if plain, err := url.QueryUnescape(secret); err == nil {
				watch.Secret("client secret", plain)
			}
		}
	}
}

// watchAnswer keeps the tokens of an answer, and what it says of a failure.
func watchAnswer(status int, body []byte) {
	watchJSON(body)
	if status >= 400 {
		watch.Wrote("answer", body)
	}
}

func watchJSON(body []byte) {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return
	}
	for _, name := range secretMembers {
		if v, ok := object[name].(string); ok {
			watch.Secret(name, v)
		}
	}
}

// watchEnd looks at what a node leaves: its metrics, and its events as the
// audit log writes them.
func (n *node) watchEnd() {
	w := httptest.NewRecorder()
	n.server.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	watch.Wrote("metrics", w.Body.Bytes())
	audit := events.Audit(slog.NewJSONHandler(watch.Writer("audit log", io.Discard), nil))
	n.store.AllByIndex(context.Background(), storage.Query{Index: storage.IndexOutbox}, func(row storage.Row) error {
		watch.Wrote("event", row.Value)
		rec, err := storage.Decode[storage.Event](row)
		if err == nil {
			err = audit(context.Background(), rec.Value)
		}
		return err
	})
}
