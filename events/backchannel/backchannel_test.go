package backchannel

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/events"
	"jeton/keys"
	"jeton/storage"
	"jeton/storage/chosen"
)

const issuer = "https://login.example"

// world is a notifier, and a client that answers as it is told.
type world struct {
	*Notifier
	t     *testing.T
	mu    sync.Mutex
	now   time.Time
	log   bytes.Buffer
	got   []string // logout tokens
	reply func() int
	uri   string
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// answers forgets what the client got, and says how it answers from now on.
func (w *world) answers(reply func() int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got, w.reply = nil, reply
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), reply: func() int { return 200 }}
	client := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		w.got = append(w.got, r.FormValue("logout_token"))
		rw.WriteHeader(w.reply())
	}))
	t.Cleanup(client.Close)
	backend, err := chosen.Open(t.Context(), t.TempDir()+"/jeton.db", w.time)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.New(backend)
	t.Cleanup(func() { store.Close() })
	master, err := keys.NewMasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), store, master, keys.Config{Alg: keys.ES256, Now: w.time, Settle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	w.uri = client.URL + "/logout"
	w.Notifier = &Notifier{Store: store, Keys: ring, Issuer: issuer, HTTP: client.Client(), Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	w.client("rp", w.uri)
	return w
}

func (w *world) put(p storage.Partition, puts ...storage.Put) {
	w.t.Helper()
	if _, err := w.Store.Commit(w.t.Context(), storage.Change{Partition: p, Puts: puts}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) client(id, uri string) {
	w.put(storage.ClientPartition(id), storage.Put{Key: storage.ClientKey(id), Value: storage.Encode(storage.Client{ID: id, BackchannelLogoutURI: uri})})
}

func (w *world) ended(client, sid string) {
	w.put(storage.UserPartition("u-alice"), storage.LogoutPut(storage.LogoutNotice{Subject: "u-alice", SessionID: sid, ClientID: client, Due: w.time()}))
}

func (w *world) work() {
	w.t.Helper()
	lease := events.NewLease(w.Store, "backchannel")
	if err := w.step(w.t.Context(), &lease); err != nil {
		w.t.Fatal(err)
	}
	lease.Release(w.t.Context())
}

func (w *world) left() int {
	w.t.Helper()
	page, err := w.Store.List(w.t.Context(), storage.Query{Index: storage.IndexLogouts, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(page.Rows)
}

func TestO15_LogoutToken(t *testing.T) {
	w := newWorld(t)
	w.ended("rp", "sid-1")
	w.work()
	if len(w.got) != 1 || w.left() != 0 {
		t.Fatalf("%d tokens, %d left", len(w.got), w.left())
	}
	var claims jsonClaims
	if err := w.Keys.Parse(t.Context(), w.time(), keys.UseSig, w.got[0], Type, &claims); err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(w.got[0], ".")[1])
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	event, _ := all["events"].(map[string]any)["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	if all["iss"] != issuer || all["sub"] != "u-alice" || all["sid"] != "sid-1" || event == nil || len(event) != 0 || len(all["jti"].(string)) < 22 ||
		all["exp"].(float64)-all["iat"].(float64) != 120 || all["nonce"] != nil || len(all) != 8 {
		t.Errorf("%s", raw)
	}
	if aud, _ := all["aud"].([]any); len(aud) != 1 || aud[0] != "rp" {
		t.Errorf("aud %v", all["aud"])
	}
}

// jsonClaims takes whatever claims there are.
type jsonClaims struct{ claims }

func TestO16_RetriesAreBounded(t *testing.T) {
	w := newWorld(t)
	for _, status := range []int{400, 500, 302} {
		w.answers(func() int { return status })
		w.ended("rp", "sid-1")
		for range 20 {
			w.work()
			w.advance(24 * time.Hour / 2)
		}
		if len(w.got) != most || w.left() != 0 {
			t.Errorf("%d: %d tries, %d left", status, len(w.got), w.left())
		}
	}
	if !strings.Contains(w.log.String(), "a client was not told") {
		t.Errorf("%s", &w.log)
	}
	t.Run("later each time", func(t *testing.T) {
		w.answers(func() int { return 503 })
		w.ended("rp", "sid-2")
		w.work()
		w.work()
		if len(w.got) != 1 {
			t.Errorf("%d tries at once", len(w.got))
		}
		w.advance(firstWait)
		w.answers(func() int { return 204 })
		w.work()
		if len(w.got) != 1 || w.left() != 0 {
			t.Errorf("%d tries, %d left", len(w.got), w.left())
		}
	})
	t.Run("whom nobody can tell", func(t *testing.T) {
		w.answers(func() int { return 200 })
		w.client("silent", "")
		w.ended("silent", "sid-3")
		w.ended("gone", "sid-4")
		w.work()
		if len(w.got) != 0 || w.left() != 0 {
			t.Errorf("%d tries, %d left", len(w.got), w.left())
		}
	})
	t.Run("one that is away holds up nobody", func(t *testing.T) {
		w.answers(func() int { return 200 })
		w.client("away", "https://127.0.0.1:1/")
		for i := range 40 {
			w.ended("away", "a"+string(rune('0'+i)))
		}
		w.ended("rp", "sid-5")
		w.work()
		if len(w.got) != 1 || w.left() != 40 {
			t.Errorf("%d tries, %d left", len(w.got), w.left())
		}
	})
}

func TestRunEndsWell(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	w.ended("rp", "sid-1")
	for w.left() > 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("nothing was sent")
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	<-done
}
