package proof_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// crossing is a store of many sessions that moves. Some are refreshed on the way,
// some end.
type crossing struct {
	*moving
	count  int
	proxy  *redistest.Proxy
	late   time.Duration // of what goes to Redis while copies are interrupted
	tokens []string      // by session
	over   map[int]bool  // sessions whose end was acknowledged

	at      atomic.Pointer[node]
	mu      sync.Mutex
	answers map[*node][2]time.Time // the first 200 of a server, and the last
}

// clientsInTurn are whom the sessions belong to, one after the other: see
// jeton/bench. They have single use.
var clientsInTurn = []string{"bench", "bench-fast"}

// onTheWay are refreshed while the store moves: the first of all sessions, as many
// as are not refreshed dozens of times meanwhile.
func (c *crossing) onTheWay() int { return c.count / 4 }

// TestMovingManySessions moves many sessions from SQLite to Redis and back by
// copies that are killed, and refreshes each of them after each way. SESSIONS is
// how many: with a million it takes a quarter of an hour, and what it logs stands
// in docs/OPERATING.md.
func TestMovingManySessions(t *testing.T) {
	t.Parallel()
	count, late := 4000, 50*time.Millisecond // so that a copy can be interrupted
	if n, err := strconv.Atoi(os.Getenv("SESSIONS")); err == nil {
		count, late = n, 0
	}
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := &crossing{count: count, proxy: redistest.Between(t, server.Addr), late: late, over: make(map[int]bool), answers: make(map[*node][2]time.Time)}
	c.moving = &moving{redis: "redis://" + c.proxy.Addr}
	if late == 0 {
		c.redis = "redis://" + server.Addr
	}
	c.place = &place{t: t, dir: t.TempDir(), env: []string{
		"JETON_MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "JETON_REDIS_PREFIX=crossing"}}
	first, back := "sqlite:"+filepath.Join(c.dir, "jeton.db"), "sqlite:"+filepath.Join(c.dir, "back.db")
	c.address = first
	c.seed()
	c.at.Store(c.start())
	c.cross(first, c.redis)
	c.refreshEach()
	c.cross(c.redis, back)
	c.refreshEach()
}

// seed makes the sessions. To log in so often would take hours.
func (c *crossing) seed() {
	c.t.Helper()
	began := time.Now()
	for _, client := range clientsInTurn {
		c.run(secret, "client", "add", client, "--grant", "password,refresh_token", "--scope", "read,write", "--secret-stdin")
	}
	cmd := exec.Command("go", "run", "jeton/bench", "-store", c.store(), "-sessions", strconv.Itoa(c.count), "fill")
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("bench fill: %v", err)
	}
	c.tokens = strings.Fields(string(out))
	if len(c.tokens) != c.count {
		c.t.Fatalf("%d refresh tokens for %d sessions", len(c.tokens), c.count)
	}
	c.t.Logf("%d sessions made in %v", c.count, time.Since(began).Round(time.Millisecond))
}

// cross moves the store, under a server.
func (c *crossing) cross(from, to string) {
	c.t.Helper()
	old := c.at.Load()
	var stop atomic.Bool
	var beside sync.WaitGroup
	for w := range 4 {
		beside.Go(func() {
			for i := w; !stop.Load(); i = (i + 4) % c.onTheWay() {
				if !c.refreshSession(i, false) {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	defer beside.Wait()
	defer stop.Store(true)
	c.proxy.Delay(c.late)
	c.interrupt(from, to, 0.3)
	c.end(old, 1)
	c.interrupt(from, to, 0.6)
	c.proxy.Delay(0)
	total, copied := c.whole(from, to)
	if copied > total*9/10 {
		c.t.Errorf("the copy began anew: %d of %d records", copied, total)
	}
	c.end(old, 2)
	c.whole(from, to)
	c.end(old, 3)
	if strings.HasPrefix(from, "sqlite:") {
		old.signal(syscall.SIGTERM)
		<-old.said
	}
	c.whole(from, to, "--finish")
	c.address = to
	next := c.start()
	c.at.Store(next)
	redistest.Until(c.t, "a session goes on at the new store", func() bool { return !c.span(next)[0].IsZero() })
	c.t.Logf("%s to %s: nobody was answered for %v", scheme(from), scheme(to), c.span(next)[0].Sub(c.span(old)[1]).Round(time.Millisecond))
	old.kill()
}

func scheme(url string) string { return strings.SplitN(url, ":", 2)[0] }

func (c *crossing) span(n *node) [2]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers[n]
}

// interrupt kills a copy once its journal tells of such a share of the records,
// and ends a session just before.
func (c *crossing) interrupt(from, to string, share float64) {
	c.t.Helper()
	cmd := c.copyCommand(from, to)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		cmd.Wait()
	}()
	const entry = 80 // bytes of the journal, at least: see copying.Journal
	for enough := int64(share * entry * float64(c.count)); c.journal() < enough; {
		select {
		case <-over:
			c.t.Fatalf("the copy ended before it could be interrupted: %s", &said)
		case <-time.After(time.Millisecond):
		}
	}
	cmd.Process.Signal(syscall.SIGSTOP) // or it may be over before a slow machine has ended the session
	c.end(c.at.Load(), 4+int(10*share))
	cmd.Process.Kill()
	<-over
	if cmd.ProcessState.Exited() {
		c.t.Fatalf("the copy ended before it could be interrupted: %s", &said)
	}
}

// journal is the size of the journal of a copy.
func (c *crossing) journal() (size int64) {
	files, _ := filepath.Glob(filepath.Join(c.dir, "*.journal"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	return size
}

// whole runs a copy to its end, and says what it took.
func (c *crossing) whole(from, to string, more ...string) (total, copied int64) {
	c.t.Helper()
	began := time.Now()
	cmd := c.copyCommand(from, to, append(more, "--json")...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	memory := make(chan int64)
	go func() { memory <- mostMemory(cmd.Process.Pid) }()
	err := cmd.Wait()
	most := <-memory
	if err != nil {
		c.t.Fatalf("jeton %s: %v\n%s\n%s", strings.Join(cmd.Args[1:], " "), err, out.Bytes(), said.Bytes())
	}
	var did struct{ Records, Copied, Compared int64 }
	if err := json.Unmarshal(out.Bytes(), &did); err != nil {
		c.t.Fatal(err)
	}
	took := time.Since(began)
	c.t.Logf("%s to %s %v: %d records seen, %d copied, %d compared in %v; %d MiB of memory, a journal of %d MiB",
		scheme(from), scheme(to), more, did.Records, did.Copied, did.Compared, took.Round(time.Millisecond), most>>20, c.journal()>>20)
	if most > 128<<20+200*did.Records {
		c.t.Errorf("the copy took %d MiB of memory", most>>20)
	}
	return did.Records, did.Copied
}

// mostMemory is what a process has had resident at most, as far as could be seen
// until its end. What the kernel says after that counts who started it too.
func mostMemory(pid int) (most int64) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, peak, ok := strings.Cut(string(status), "VmHWM:")
		if err != nil || !ok { // a process that has ended has no memory
			return most
		}
		kilobytes, _ := strconv.ParseInt(strings.Fields(peak)[0], 10, 64)
		most = kilobytes << 10
		time.Sleep(20 * time.Millisecond)
	}
}

// end ends some sessions, spread over all; which differs by turn.
func (c *crossing) end(n *node, turn int) {
	c.t.Helper()
	some := c.count - c.onTheWay()
	for i := c.onTheWay() + 11*turn + len(c.over); i < c.count && i > 0; i += some/5 + 1 {
		if c.over[i] {
			continue
		}
		if a := c.ask(n, i, "/revoke", "token", c.tokens[i]); a.status != 200 {
			c.t.Fatalf("the end of session %d: %+v", i, a)
		}
		c.over[i] = true
	}
}

// refreshSession refreshes a session that lives, where a server may be away.
func (c *crossing) refreshSession(i int, there bool) bool {
	n := c.at.Load()
	ask := func() answer {
		return c.ask(n, i, "/token", "grant_type", "refresh_token", "refresh_token", c.tokens[i])
	}
	a := ask()
	for end := time.Now().Add(time.Minute); there && a.status == 503 && time.Now().Before(end); a = ask() {
		time.Sleep(50 * time.Millisecond) // a disk that is busy with other things
	}
	switch {
	case a.status == 200:
		c.tokens[i] = a.Token
		c.mu.Lock()
		span := c.answers[n]
		if span[1] = time.Now(); span[0].IsZero() {
			span[0] = span[1]
		}
		c.answers[n] = span
		c.mu.Unlock()
		return true
	case there, a.status != 503 && a.status != 0:
		c.t.Errorf("session %d: %+v", i, a)
	}
	return false
}

// refreshEach refreshes all that live, and looks whether the others are dead.
func (c *crossing) refreshEach() {
	c.t.Helper()
	began, n := time.Now(), c.at.Load()
	var all sync.WaitGroup
	const workers = 16
	for w := range workers {
		all.Go(func() {
			for i := w; i < c.count && !c.t.Failed(); i += workers {
				if !c.over[i] {
					c.refreshSession(i, true)
				} else if a := c.ask(n, i, "/token", "grant_type", "refresh_token", "refresh_token", c.tokens[i]); a.Error != "invalid_grant" {
					c.t.Errorf("session %d, which was ended: %+v", i, a)
				}
			}
		})
	}
	all.Wait()
	c.t.Logf("%d sessions refreshed in %v, %d had ended", c.count-len(c.over), time.Since(began).Round(time.Millisecond), len(c.over))
}

// ask posts a form about a session, without noting its tokens as secrets, of which there would be
// too many.
func (c *crossing) ask(n *node, i int, path string, form ...string) (a answer) {
	values := url.Values{"client_id": {clientsInTurn[i%2]}, "client_secret": {secret}}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	resp, err := n.http.PostForm(n.url+path, values)
	if err != nil {
		return answer{}
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil && resp.StatusCode != http.StatusOK {
		return answer{}
	}
	a.status = resp.StatusCode
	return a
}
