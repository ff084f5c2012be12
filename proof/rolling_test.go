package proof_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestRollingRestart ends the servers of a store behind a load balancer one
// after the other, as OPERATING.md says, and puts a new one in the place of each,
// while clients log in, refresh, introspect, read the key set and wait for
// changes of a status list. Not one of their requests fails.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	t.Run("three on Redis", func(t *testing.T) { rolling(t, newAlone(t).place, 3, false) })
	t.Run("two on Redis, chosen by connection", func(t *testing.T) { rolling(t, newAlone(t).place, 2, true) })
	t.Run("two on SQLite", func(t *testing.T) {
		p := &place{t: t, dir: t.TempDir()}
		p.address = "sqlite:" + p.dir + "/jeton.db"
		p.fill(1)
		rolling(t, p, 2, false)
	})
}

// drain is how long a server that was told to end goes on while it says that it
// is not ready: longer than a few probes of the balancer, on a busy machine too.
const drain = 3 * time.Second

// settled is how long after a revocation a list changes no more.
const settled = 500 * time.Millisecond

func rolling(t *testing.T, p *place, servers int, byConnection bool) {
	t.Parallel()
	begin := func() *node {
		return p.startWith(func(cmd *exec.Cmd) {
			cmd.Args = append(cmd.Args, "--shutdown-delay", drain.String(), "--max-sessions", "10000")
		})
	}
	b := newBalancer(t, byConnection)
	nodes, backends := make([]*node, servers), make([]*backend, servers)
	for i := range nodes {
		nodes[i] = begin()
		backends[i] = b.add(nodes[i])
	}
	l := newTraffic(b.client())
	l.begin()
	for i, n := range nodes {
		l.calm.Store(false)
		l.until(20)
		l.calm.Store(true)
		time.Sleep(settled) // who waits for a list now is answered because the server ends
		n.signal(syscall.SIGTERM)
		if err := n.ended(); err != nil {
			t.Errorf("server %d ended with %v", i, err)
		}
		b.forget(backends[i])
		nodes[i] = begin()
		backends[i] = b.add(nodes[i])
	}
	l.calm.Store(false)
	l.until(20)
	l.end()
	for i, s := range b.servers {
		if s.served.Load() == 0 {
			t.Errorf("server %d of %d was asked nothing", i, len(b.servers))
		}
	}
	t.Logf("%v; nobody listened: %d", l, b.refused.Load())
}

// ended waits for the end of a server that was told to.
func (n *node) ended() error {
	<-n.said // Wait closes what it is read from
	return n.cmd.Wait()
}

// traffic is clients that do not stop, and what they did.
type traffic struct {
	*node
	all  sync.WaitGroup
	over atomic.Bool
	// calm: nothing is revoked, so that who waits for a list waits on.
	calm atomic.Bool
	mu   sync.Mutex
	done map[string]int
}

func newTraffic(n *node) *traffic { return &traffic{node: n, done: make(map[string]int)} }

func (l *traffic) String() string { return fmt.Sprint(l.done) }

// begin sets them going: each does one thing again and again.
func (l *traffic) begin() {
	for range 3 {
		token, times := l.login("strict", "user0").Token, 0
		l.again("refresh", func() bool {
			if times++; times%30 == 0 { // the 33rd access token would revoke the first
				token = l.login("strict", "user0").Token
			}
			a := l.refresh("strict", token)
			token = a.Token
			return a.status == http.StatusOK
		})
	}
	a := l.login("strict", "user0")
	l.again("login", func() bool {
		mine := l.post("/token", "strict", "grant_type", "password", "username", "user0", "password", password)
		return mine.status == http.StatusOK && (l.calm.Load() || l.post("/revoke", "strict", "token", mine.Token).status == http.StatusOK)
	})
	l.again("introspect", func() bool { return l.active(a.Access) })
	l.again("key set", func() bool {
		status, _ := l.get("/.well-known/jwks.json")
		return status == http.StatusOK
	})
	list := listOf(l.t, a.Access)
	for range 8 {
		etag := ""
		l.again("list", func() bool {
			status, now := l.await(list, etag, 30)
			etag = now
			return status == http.StatusOK || status == http.StatusNotModified
		})
	}
}

// pace leaves the machine something for the servers.
const pace = 5 * time.Millisecond

func (l *traffic) again(what string, act func() bool) {
	l.mu.Lock()
	l.done[what] += 0
	l.mu.Unlock()
	l.all.Go(func() {
		for !l.over.Load() && !l.t.Failed() {
			if !act() {
				l.t.Errorf("%s failed", what)
				return
			}
			l.mu.Lock()
			l.done[what]++
			l.mu.Unlock()
			time.Sleep(pace)
		}
	})
}

// until waits until each thing was done some times more.
func (l *traffic) until(more int) {
	l.mu.Lock()
	least := make(map[string]int)
	for what, n := range l.done {
		least[what] = n + more
	}
	l.mu.Unlock()
	for !l.t.Failed() {
		enough := true
		l.mu.Lock()
		for what, n := range least {
			enough = enough && l.done[what] >= n
		}
		l.mu.Unlock()
		if enough {
			return
		}
		time.Sleep(pace)
	}
}

func (l *traffic) end() {
	l.over.Store(true)
	l.all.Wait()
}

// listOf is the path of the status list that an access token is in.
func listOf(t *testing.T, token string) string {
	t.Helper()
	var claims struct {
		Status struct {
			List struct {
				URI string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(claims.Status.List.URI)
	if err != nil || at.Path == "" {
		t.Fatalf("the token is in no list: %s, %v", raw, err)
	}
	return at.Path
}

// await reads a list, and waits for a change of the one that is known.
func (n *node) await(path, etag string, seconds int) (status int, now string) {
	r, err := http.NewRequest(http.MethodGet, n.url+path, nil)
	if err != nil {
		n.t.Error(err)
		return 0, ""
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
		r.Header.Set("Prefer", fmt.Sprintf("wait=%d", seconds))
	}
	resp, err := n.http.Do(r)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		n.t.Errorf("a list was cut off: %v", err)
	}
	return resp.StatusCode, resp.Header.Get("ETag")
}

// TestEndingServersSendConnectionsAway: where a client has a connection to one
// server, by a balancer that does not read HTTP, being unready sends nobody away.
// So a server that is to end says with each answer that its connection ends, and
// closes none that it has not said so of.
func TestEndingServersSendConnectionsAway(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1)
	n := p.startWith(func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--shutdown-delay", "8s") })
	token := n.login("strict", "user0").Token
	kept := make([]*keptOpen, 3)
	for i := range kept {
		kept[i] = n.keep()
		if kept[i].refresh(&token) {
			t.Error("a connection ends while nobody has asked the server to")
		}
	}
	n.signal(syscall.SIGTERM)
	for n.ready() {
		time.Sleep(time.Millisecond)
	}
	for i, c := range kept {
		if !c.refresh(&token) {
			t.Errorf("connection %d stays, and the server ends", i)
		}
	}
	if !n.keep().refresh(&token) { // who comes all the same is served
		t.Error("a new connection stays")
	}
	if err := n.ended(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// keptOpen is a connection that its client keeps for more requests.
type keptOpen struct {
	*node
	conn net.Conn
	r    *bufio.Reader
}

func (n *node) keep() *keptOpen {
	n.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	return &keptOpen{n, conn, bufio.NewReader(conn)}
}

// refresh refreshes, and reports whether the server ends the connection with the
// answer.
func (c *keptOpen) refresh(token *string) (ends bool) {
	c.t.Helper()
	body := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {*token}}.Encode()
	r, err := http.NewRequest(http.MethodPost, c.url+"/token", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("strict", secret)
	if err := r.Write(c.conn); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, r)
	if err != nil {
		c.t.Fatalf("the connection was closed under a request: %v", err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("refresh: %d, %v", resp.StatusCode, err)
	}
	*token = a.Token
	return resp.Close
}
