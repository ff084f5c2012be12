package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/clients"
	"jeton/clients/documents"
	"jeton/dpop"
	"jeton/events"
	"jeton/events/lists"
	"jeton/events/status"
	"jeton/events/webhooks"
	"jeton/grants"
	"jeton/keys"
	"jeton/mail"
	"jeton/mail/mailtest"
	"jeton/passwords"
	"jeton/server"
	"jeton/storage"
	"jeton/storage/chosen"
	"jeton/throttle"
	"jeton/traces"
	wellknown "jeton/well-known"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// What every node has: a confidential client with all grants, a public one
// without client_credentials, one that may introspect, and alice.
const (
	appSecret = "app-secret-app-secret-app-secret-"
	apiSecret = "api-secret-api-secret-api-secret-"
	password  = "wonderland-wonderland"
	callback  = "https://app.example/cb"
)

// options set up a node.
type options struct {
	issuer   string // default: the URL of the test server
	alg      string // default ES256, which signs quickly
	settings func(*grants.Settings)
	proxies  []netip.Prefix
	outbound *http.Client
	wrap     func(storage.Backend) storage.Backend // before anybody uses the store
	nonces   bool                                  // DPoP proofs need one
	throttle bool                                  // most tests fail on purpose, and are not to be slowed
	scopes   []string
	webhooks []webhooks.Webhook
	history  time.Duration  // how long events are kept
	traces   *traces.Tracer // default one of all tests
	mail     *mailtest.Server
	callers  []netip.Prefix // whose traceparent counts
	// documents are the hosts whose clients come by a document.
	documents []string
}

// openResources are what such clients may ask for.
var openResources = []string{"https://mcp.example", "https://mcp.example/two"}

// node is a whole server on a real store, reached over HTTP.
type node struct {
	t       testing.TB
	url     string // of the issuer
	clock   *clock
	path    string // of the store's file
	store   *storage.Store
	grants  *grants.Service
	users   *accounts.Users
	clients *accounts.Clients
	server  *server.Server
	lists   *lists.Publisher
	http    *http.Client
	log     *syncBuffer
	handler http.Handler // the public surface, without the network before it
	operate http.Handler // the admin API behind the operator's door
}

// syncBuffer gathers the log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	watch.Wrote("log", p)
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// hashing is the row of the OWASP table with the least memory, which is what a
// hash costs most by under the race detector.
var hashing = passwords.Config{Memory: 7168, Passes: 5}

// aliceHash is alice's password as each node keeps it, hashed once.
var aliceHash = sync.OnceValues(func() (string, error) {
	p, err := passwords.New(hashing)
	if err != nil {
		return "", err
	}
	return p.Rehash(context.Background(), password)
})

func start(t testing.TB, o options) *node {
	t.Helper()
	n := bare(t, o)
	ctx := t.Context()
	must(t, n.addClient(accounts.NewClient{ID: "app", Secret: appSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To(grants.Types()), Scope: accounts.To("read write"),
		RedirectURIs: accounts.To([]string{callback})}}))
	must(t, n.addClient(accounts.NewClient{ID: "other", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To(grants.Types()), Scope: accounts.To("read write"),
		RedirectURIs: accounts.To([]string{callback})}}))
	must(t, n.addClient(accounts.NewClient{ID: "api", Secret: apiSecret, ClientSettings: accounts.ClientSettings{
		Grants: accounts.To([]string{"client_credentials"}), Introspect: accounts.To(true)}}))
	must(t, n.addClient(accounts.NewClient{ID: "spa", ClientSettings: accounts.ClientSettings{
		AuthMethod: accounts.To(storage.AuthNone), Grants: accounts.To([]string{"password", "refresh_token"}),
		Scope: accounts.To("read write"), CORSOrigins: accounts.To([]string{"https://spa.example"})}}))
	hash, err := aliceHash()
	must(t, err)
	_, err = n.users.Add(ctx, accounts.NewUser{Username: "alice", Subject: "u-alice", Roles: []string{"ROLE_USER"}, PasswordHash: hash}, accounts.Act{Operator: true})
	must(t, err)
	return n
}

func (n *node) addClient(c accounts.NewClient) error {
	_, _, err := n.clients.Add(n.t.Context(), c, accounts.Act{Operator: true, By: "operator"})
	return err
}

// bare is a node without clients and users.
func bare(t testing.TB, o options) *node {
	t.Helper()
	n := &node{t: t, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, log: new(syncBuffer)}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.handler.ServeHTTP(w, r) }))
	if o.issuer == "" {
		o.issuer = web.URL
	}
	n.url = web.URL + mustURL(t, o.issuer).Path
	n.http = web.Client()
	if o.traces == nil {
		o.traces = shared.tracer
	}
	n.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.alg == "" {
		o.alg = keys.ES256
	}
	n.path = t.TempDir() + "/jeton.db"
	backend, err := chosen.Open(t.Context(), n.path, n.clock.Now)
	must(t, err)
	if o.wrap != nil {
		backend = o.wrap(backend)
	}
	n.store = storage.New(backend)
	master, err := keys.NewMasterKey(make([]byte, 32))
	must(t, err)
	ring, err := keys.Open(t.Context(), n.store, master, keys.Config{Alg: o.alg, Now: n.clock.Now, Settle: time.Millisecond, PromotionWait: time.Hour})
	must(t, err)
	pw, err := passwords.New(hashing)
	must(t, err)
	places := status.New(n.store, status.Config{})
	logger := slog.New(server.WithRequestID(slog.NewJSONHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	n.grants = &grants.Service{
		Settings: grants.Settings{Issuer: o.issuer, AccessTokenTTL: 30 * time.Minute, RefreshTokenTTL: 15 * storage.Day, SessionTTL: 90 * storage.Day, MaxSessions: 100,
			SignInIdle: 2 * time.Hour, SignInTTL: 12 * time.Hour,
			DeviceCodeTTL: 10 * time.Minute, DeviceInterval: 5 * time.Second, OpenResources: openResources},
		Store: n.store, Keys: ring, Master: master, Places: places, Passwords: pw,
		Proofs: &dpop.Checker{Store: n.store, Master: master, RequireNonce: o.nonces}, Log: logger, Now: n.clock.Now,
	}
	if o.throttle {
		n.grants.Throttle, err = throttle.Open(t.Context(), throttle.Config{Store: n.store, Now: n.clock.Now})
		must(t, err)
		t.Cleanup(func() { n.grants.Throttle.Close() })
	}
	if o.documents != nil {
		n.grants.Documents = documents.New(documents.Config{
			HTTP: o.outbound, Hosts: o.documents, Scopes: []string{"openid", "offline_access", "mcp"}, Log: logger, Now: n.clock.Now,
		})
	}
	if o.settings != nil {
		o.settings(&n.grants.Settings)
	}
	auth, err := clients.New(clients.Config{Store: n.store, Issuer: o.issuer, HTTP: o.outbound, Now: n.clock.Now, Unstored: n.grants.Documents.Client})
	must(t, err)
	n.lists = lists.New(lists.Config{Store: n.store, Keys: ring, Issuer: o.issuer, Log: logger})
	published := server.Published(n.grants.Settings, o.scopes)
	published.DocumentClients = n.grants.Documents.On()
	docs, err := wellknown.Routes(published, ring)
	must(t, err)
	n.users = &accounts.Users{Store: n.store, Grants: n.grants, Passwords: pw}
	n.clients = &accounts.Clients{Store: n.store, Grants: n.grants}
	admin := &server.Admin{Users: n.users, Clients: n.clients, Grants: n.grants, Webhooks: &webhooks.Queues{Store: n.store, Hooks: o.webhooks}}
	n.server, err = server.New(server.Config{Recovery: n.recovery(o.mail, logger), Issuer: o.issuer, TrustedProxies: o.proxies, Log: logger, Lists: n.lists, Traces: o.traces, TraceCallers: o.callers, Requests: server.RequestLog{All: true, QuietOneIn: 3}, ServiceName: "Jeton",
		History: events.History{Store: n.store, Kept: o.history}}, n.grants, auth, docs, admin)
	must(t, err)
	n.handler, n.operate = n.server.Handler(), admin.OperatorDoor()
	t.Cleanup(func() {
		n.watchEnd()
		n.lists.Close()
		web.Close()
		places.Close()
		ring.Close()
		n.store.Close()
	})
	return n
}

// recovery mails links through a mail server, until the test ends.
func (n *node) recovery(to *mailtest.Server, logger *slog.Logger) *accounts.Recovery {
	if to == nil {
		return nil
	}
	sender, err := mail.New(mail.Config{
		Host: to.Host, Port: to.Port, TLS: mail.STARTTLS, CAs: to.CAs, From: "Jeton <login@example.com>", Hello: "localhost", Log: logger,
	})
	must(n.t, err)
	r := accounts.NewRecovery(accounts.Recovery{Users: n.users, Mail: sender, Service: "Jeton", TTL: 30 * time.Minute, Log: logger})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { r.Run(ctx) })
	work.Go(func() { sender.Run(ctx) })
	n.t.Cleanup(func() { cancel(); work.Wait() })
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	must(t, err)
	return u
}

// answer is a response, read.
type answer struct {
	*http.Response
	body []byte
	json map[string]any
}

// str is a member of the JSON body as a string.
func (a answer) str(name string) string {
	s, _ := a.json[name].(string)
	return s
}

// do sends a request; change may add headers.
func (n *node) do(method, path, contentType, body string, change ...func(*http.Request)) answer {
	n.t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(n.t.Context()), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, c := range change {
		c(r)
	}
	watchRequest(r, body)
	resp, err := n.http.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{Response: resp}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		n.t.Fatal(err)
	}
	watchAnswer(a.StatusCode, a.body)
	heldAlone(n.t, a)
	json.Unmarshal(a.body, &a.json)
	return a
}

// post sends a form.
func (n *node) post(path string, f url.Values, change ...func(*http.Request)) answer {
	n.t.Helper()
	return n.do(http.MethodPost, path, "application/x-www-form-urlencoded", f.Encode(), change...)
}

// basic authenticates as RFC 6749 §2.3.1 says.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

func rawBasic(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Basic "+value) }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func app(r *http.Request) { basic("app", appSecret)(r) }

func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

func loginForm(more ...string) url.Values {
	return form(append([]string{"grant_type", "password", "username", "alice", "password", password}, more...)...)
}

// login signs alice in through the client app.
func (n *node) login(more ...string) answer {
	n.t.Helper()
	a := n.post("/token", loginForm(more...), app)
	if a.StatusCode != 200 {
		n.t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	return a
}

func (n *node) refresh(token string, more ...string) answer {
	n.t.Helper()
	return n.post("/token", form(append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...), app)
}

func (n *node) revoke(token string, more ...string) answer {
	n.t.Helper()
	return n.post("/revoke", form(append([]string{"token", token}, more...)...), app)
}

// active asks /introspect as the client api, which may see all tokens.
func (n *node) active(token string) bool {
	n.t.Helper()
	a := n.post("/introspect", form("token", token), basic("api", apiSecret))
	if a.StatusCode != 200 {
		n.t.Fatalf("introspect: %d %s", a.StatusCode, a.body)
	}
	return a.json["active"] == true
}

// want checks status and error code.
func (a answer) want(t testing.TB, status int, code string) {
	t.Helper()
	if a.StatusCode != status || a.str("error") != code {
		t.Fatalf("got %d %.200s, want %d %s", a.StatusCode, a.body, status, code)
	}
}

// operatorCall uses the admin API as the operator.
func (n *node) operatorCall(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/admin/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	watchRequest(r, body)
	w := httptest.NewRecorder()
	n.operate.ServeHTTP(w, r)
	watchAnswer(w.Code, w.Body.Bytes())
	return w
}

// segment decodes a part of a JWT without checking it.
func segment(t testing.TB, token string, part int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a compact JWT: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[part])
	must(t, err)
	var m map[string]any
	must(t, json.Unmarshal(raw, &m))
	return m
}
