package proof_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// alone is a place on a Redis of its own, behind a proxy.
type alone struct {
	*place
	server *redistest.Server
	proxy  *redistest.Proxy
}

func newAlone(t *testing.T, args ...string) *alone {
	t.Helper()
	p := &alone{place: &place{t: t, dir: t.TempDir()}, server: redistest.Start(t, args...)}
	p.proxy = redistest.Between(t, p.server.Addr)
	p.address = "redis://" + p.proxy.Addr
	p.fill(1)
	return p
}

// get asks with GET and returns status and headers.
func (n *node) get(path string) (int, http.Header) {
	resp, err := n.http.Get(n.url + path)
	if err != nil {
		return 0, nil
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// away checks what a node says while its store is away: 503 to all that needs
// it, never a verdict; key set and metadata as ever.
func (n *node) away(token, access string) {
	n.t.Helper()
	var all sync.WaitGroup
	for what, ask := range map[string]func() answer{
		"refresh": func() answer { return n.refresh("strict", token) },
		"login": func() answer {
			return n.post("/token", "strict", "grant_type", "password", "username", "user0", "password", password)
		},
		"revoke":     func() answer { return n.post("/revoke", "strict", "token", token) },
		"introspect": func() answer { return n.post("/introspect", "api", "token", access) },
	} {
		all.Go(func() {
			if a := ask(); a.status != 503 || a.Error != "temporarily_unavailable" {
				n.t.Errorf("%s while the store is away: %+v", what, a)
			}
		})
	}
	all.Go(func() {
		if status, h := n.get("/readyz"); status != 503 || h.Get("Retry-After") == "" {
			n.t.Errorf("readyz while the store is away: %d, %v", status, h)
		}
	})
	n.public()
	all.Wait()
}

// public checks what needs no store.
func (n *node) public() {
	n.t.Helper()
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/healthz"} {
		if status, _ := n.get(path); status != 200 {
			n.t.Errorf("%s: %d", path, status)
		}
	}
}

// goesOn checks that a session lives and everything works.
func (n *node) goesOn(token string) answer {
	n.t.Helper()
	a := n.patiently(func() answer { return n.refresh("strict", token) })
	if a.status != 200 || !n.active(a.Access) {
		n.t.Errorf("the session does not go on: %+v", a)
	}
	return a
}

// Away: killed and started again with what it has on its disk; stopped and
// continued; cut off from one server, while another goes on.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	p := newAlone(t, "--appendonly", "yes", "--appendfsync", "always")
	n, said := p.heard()
	a := n.login("strict", "user0")

	p.server.Kill()
	n.away(a.Token, a.Access)
	said.says(t, "Redis is out of reach")
	p.server.Run()
	a = n.goesOn(a.Token)

	p.server.Signal(syscall.SIGSTOP)
	n.away(a.Token, a.Access)
	p.server.Signal(syscall.SIGCONT)
	a = n.goesOn(a.Token)

	p.proxy.Cut(true)
	n.away(a.Token, a.Access)
	beside := &place{t: t, dir: p.dir, address: "redis://" + p.server.Addr, env: []string{"JETON_ADMIN_SOCKET=" + t.TempDir() + "/s"}}
	other := beside.start()
	a = other.goesOn(a.Token)
	if a := other.post("/revoke", "strict", "token", a.Token); a.status != 200 {
		t.Errorf("revoke at the other server: %+v", a)
	}
	p.proxy.Cut(false)
	if a := n.patiently(func() answer { return n.refresh("strict", a.Token) }); a.Error != "invalid_grant" {
		t.Errorf("the server that is back has missed a revocation: %+v", a)
	}
}

// Restarted empty: the sessions are gone, and nobody is told that they never
// were.
func TestRedisRestartedEmpty(t *testing.T) {
	t.Parallel()
	p := newAlone(t)
	n, said := p.heard()
	a := n.login("strict", "user0")
	// As if there was nothing, until its data is back.
	p.proxy.Point(redistest.Start(t).Addr)
	n.away(a.Token, a.Access)
	said.says(t, "Redis no longer holds the store")
	p.proxy.Point(p.server.Addr)
	a = n.goesOn(a.Token)

	p.server.Kill()
	p.server.Forget()
	p.server.Run()
	n.away(a.Token, a.Access)

	// Whoever starts now begins a new store, in which nothing of before is right.
	other, told := (&place{t: t, dir: p.dir, address: p.address, env: []string{"JETON_ADMIN_SOCKET=" + t.TempDir() + "/s"}}).heard()
	told.says(t, "began a new store")
	if a := other.refresh("strict", a.Token); a.Error != "invalid_client" {
		t.Errorf("a new store knows the client: %+v", a)
	}
}

func TestRedisFull(t *testing.T) {
	t.Parallel()
	p := newAlone(t)
	n, said := p.heard()
	a, revoked := n.login("strict", "user0"), n.login("strict", "user0")
	p.server.Do("config", "set", "maxmemory", "100kb") // less than it has
	for what, a := range map[string]answer{"refresh": n.refresh("strict", a.Token), "revoke": n.post("/revoke", "strict", "token", revoked.Token)} {
		if a.status != 503 {
			t.Errorf("%s without memory: %+v", what, a)
		}
	}
	if !n.active(a.Access) {
		t.Error("introspection does not go on")
	}
	n.public()
	said.says(t, "Redis has no memory left")
	p.server.Do("config", "set", "maxmemory", "0")
	n.goesOn(a.Token)
	n.goesOn(revoked.Token)
}

// A master that became a replica, such as an old one that was found again, is
// not read from either.
func TestRedisReadOnly(t *testing.T) {
	t.Parallel()
	p := newAlone(t)
	n, said := p.heard()
	a := n.login("strict", "user0")
	fresh := redistest.Start(t, "--replicaof", "127.0.0.1 "+strings.TrimPrefix(p.server.Addr, "127.0.0.1:"))
	redistest.Until(t, "the other has all", func() bool { return fresh.Offset() > 0 && fresh.Offset() == p.server.Offset() })
	fresh.Do("replicaof", "no", "one")
	p.server.Do("replicaof", "127.0.0.1", fresh.Port)
	n.away(a.Token, a.Access)
	said.says(t, "this Redis is a replica")
	p.proxy.Point(fresh.Addr)
	n.goesOn(a.Token)
}

// Slow, and a network that loses replies and delivers requests late: no session
// of an innocent ends, and none has two branches.
func TestRepliesLostOnTheWay(t *testing.T) {
	t.Parallel()
	p := newAlone(t)
	n := p.start()
	token := n.login("strict", "user0").Token
	p.proxy.Lose(60)
	p.proxy.Postpone(30)
	rounds, retries := 150, 0
	if !testing.Short() {
		rounds = 400
	}
	for round := range rounds {
		gen := generation(t, token)
		a := n.refresh("strict", token)
		for ; a.status == 503 && retries < 10*rounds; retries++ {
			a = n.refresh("strict", token)
		}
		if a.status != 200 || generation(t, a.Token) != gen+1 {
			t.Fatalf("round %d: %+v", round, a)
		}
		token = a.Token
	}
	t.Logf("%d replies lost, %d requests late, %d answered with 503", p.proxy.Lost.Load(), p.proxy.Postponed.Load(), retries)
	if p.proxy.Lost.Load() < 20 || p.proxy.Postponed.Load() < 10 {
		t.Error("the network was no trouble")
	}
}

// Slow: everything comes later, until a call takes more than its 5 s.
func TestRedisSlow(t *testing.T) {
	t.Parallel()
	p := newAlone(t)
	n, said := p.heard()
	a := n.login("strict", "user0")
	p.proxy.Delay(300 * time.Millisecond)
	a = n.refresh("strict", a.Token)
	if a.status != 200 {
		t.Fatalf("late by 300 ms: %+v", a)
	}
	p.proxy.Delay(8 * time.Second)
	if b := n.refresh("strict", a.Token); b.status != 503 {
		t.Errorf("late by 8 s: %+v", b)
	}
	n.public()
	said.says(t, "Redis is out of reach")
	p.proxy.Delay(0)
	p.proxy.Sever()
	n.goesOn(a.Token)
}

// With a user that may do what OPERATING.md says it has to, over the password in
// a file; a master key is never made; readyz says what may be lost.
func TestRedisWithAUserOfItsOwn(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "OPERATING.md"))
	if err != nil {
		t.Fatal(err)
	}
	acl := regexp.MustCompile("`(\\+@connection [^`]+)`").FindSubmatch(doc)
	if acl == nil {
		t.Fatal("OPERATING.md does not say what the user of Redis needs")
	}
	server := redistest.Start(t, "--requirepass", "sesame-of-the-administrator")
	server.Login("sesame-of-the-administrator")
	const redisPassword = "sesame-of-the-server"
	args := []any{"acl", "setuser", "jeton", "on", ">" + redisPassword}
	for word := range strings.FieldsSeq(string(acl[1])) {
		args = append(args, word)
	}
	server.Do(args...)
	p := &place{t: t, dir: t.TempDir(), address: "redis://jeton@" + server.Addr}
	file := filepath.Join(p.dir, "redis.password")
	if err := os.WriteFile(file, []byte(redisPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"JETON_REDIS_PREFIX=jeton", "JETON_REDIS_PASSWORD_FILE=" + file}
	p.fill(1)
	n := p.start()
	n.goesOn(n.login("strict", "user0").Token)
	resp, err := n.http.Get(n.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"store_may_lose":["nothing is written to disk`) {
		t.Errorf("readyz: %s, %v", body, err)
	} else if !regexp.MustCompile(`"store":\["(Redis|Valkey) [0-9.]+, maxmemory-policy noeviction, nothing on disk, replicas 0, `).Match(body) {
		t.Errorf("readyz does not say how Redis is set up: %s", body)
	}
	cmd := p.command("client", "list")
	cmd.Dir = t.TempDir()
	cmd.Env = append(cmd.Env, "JETON_MASTER_KEY=", "JETON_ADMIN_SOCKET="+cmd.Dir+"/other.sock")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "give the same one as the other servers of the store have") || strings.Contains(string(out), "openssl") || strings.Contains(string(out), redisPassword) {
		t.Errorf("without the master key of the store: %v\n%s", err, out)
	}
	begin := p.command("client", "add", "web", "--public", "--grant", "password")
	begin.Dir = cmd.Dir
	begin.Env = append(cmd.Env, "JETON_REDIS_PREFIX=jeton:another")
	out, err = begin.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no master key is made for it: (umask 077; openssl rand") || strings.Contains(string(out), redisPassword) {
		t.Errorf("without a master key for a new store: %v\n%s", err, out)
	}
}
