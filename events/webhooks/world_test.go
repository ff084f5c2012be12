package webhooks

import (
	"bytes"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events"
	"jeton/keys"
	"jeton/storage"
	"jeton/storage/chosen"
)

const issuer = "https://login.example"

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// clock is the store's time in tests.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// world is a store, its keys, and whatever dispatches on it.
type world struct {
	t     *testing.T
	dir   string
	clock *clock
	store *storage.Store
	ring  *keys.Ring
	log   *syncBuffer
	seen  storage.Event // the last one made
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: new(clock), log: new(syncBuffer)}
	w.clock.ns.Store(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).UnixNano())
	w.store = w.open(w.clock.now)
	master, err := keys.NewMasterKey(make([]byte, 32))
	must(t, err)
	w.ring, err = keys.Open(t.Context(), w.store, master, keys.Config{Alg: keys.ES256, Now: w.clock.now, Settle: time.Millisecond})
	must(t, err)
	t.Cleanup(w.ring.Close)
	return w
}

// open is the store as another process has it.
func (w *world) open(now func() time.Time) *storage.Store {
	w.t.Helper()
	b, err := chosen.Open(w.t.Context(), filepath.Join(w.dir, "jeton.db"), now)
	must(w.t, err)
	w.t.Cleanup(func() { b.Close() })
	return storage.New(b)
}

// dispatcher delivers to hooks, some of which may have certificates of tests.
func (w *world) dispatcher(hooks []Webhook, roots ...*x509.Certificate) *Dispatcher {
	pool := x509.NewCertPool()
	for _, c := range roots {
		pool.AddCert(c)
	}
	return NewDispatcher(Config{
		Queues: Queues{Store: w.store, Hooks: hooks}, Keys: w.ring, Issuer: issuer, Allow: loopback, RootCAs: pool,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
}

// emit makes events of a user and has them published.
func (w *world) emit(d *Dispatcher, n int) (ids []string) {
	w.t.Helper()
	c := storage.Change{Partition: storage.UserPartition("u-alice")}
	for range n {
		w.seen = events.New(events.SessionEnded, w.clock.now())
		w.seen.Subject, w.seen.Session, w.seen.Reason = "u-alice", "sid1", storage.ReasonRevoked
		c.Puts = append(c.Puts, d.Follow(w.seen)...)
		ids = append(ids, w.seen.ID)
	}
	_, err := w.store.Commit(w.t.Context(), c)
	must(w.t, err)
	return ids
}

// turn does what is due for the only receiver.
func (w *world) turn(d *Dispatcher) {
	w.t.Helper()
	must(w.t, d.turn(w.t.Context(), d.receivers[0]))
}

// want compares what waits and what is dead.
func (w *world) want(d *Dispatcher, pending, dead int) {
	w.t.Helper()
	all, err := d.List(w.t.Context())
	must(w.t, err)
	if len(all) != len(d.Hooks) || all[0].Pending != pending || all[0].Dead != dead {
		w.t.Fatalf("%+v: want %d waiting and %d dead", all, pending, dead)
	}
}

// target is a receiver, which answers as told and remembers what it verified.
type target struct {
	*httptest.Server
	mu     sync.Mutex
	calls  int
	ids    []string
	answer http.HandlerFunc // nil takes all
	auth   []string
}

// receive starts a receiver that verifies each SET as it should.
func (w *world) receive(answer http.HandlerFunc) *target {
	t := &target{answer: answer}
	t.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		must(w.t, err)
		id := w.verify(string(body), t.URL)["jti"].(string)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/secevent+jwt" || r.Header.Get("Accept") != "application/json" {
			w.t.Errorf("%s %v", r.Method, r.Header)
		}
		t.mu.Lock()
		t.calls++
		t.ids = append(t.ids, id)
		t.auth = append(t.auth, r.Header.Get("Authorization"))
		answer := t.answer
		t.mu.Unlock()
		if answer == nil {
			rw.WriteHeader(http.StatusAccepted)
			return
		}
		answer(rw, r)
	}))
	w.t.Cleanup(t.Close)
	return t
}

func (t *target) set(answer http.HandlerFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = answer
}

func (t *target) called() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}

func (t *target) hook(name string) Webhook { return Webhook{Name: name, URL: t.URL} }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func says(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// verify reads a SET as a receiver has to: by the published keys, its type,
// issuer and audience.
func (w *world) verify(set, audience string) jwt.MapClaims {
	w.t.Helper()
	published, err := keys.ParseJWKSet(w.ring.KeySet().JSON)
	must(w.t, err)
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{keys.ES256}), jwt.WithIssuer(issuer), jwt.WithAudience(audience)).
		ParseWithClaims(set, claims, func(t *jwt.Token) (any, error) {
			for _, k := range published {
				if k.KeyID == t.Header["kid"] {
					return k.Key, nil
				}
			}
			return nil, jwt.ErrTokenUnverifiable
		})
	if err != nil {
		w.t.Errorf("the SET does not verify: %v", err)
		return jwt.MapClaims{"jti": ""}
	}
	if token.Header["typ"] != "secevent+jwt" {
		w.t.Errorf("header %v", token.Header)
	}
	return claims
}

func (w *world) logged(part string) int { return strings.Count(w.log.String(), part) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
