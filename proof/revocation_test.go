package proof_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const revocationKills = 50

// ledger is what was acknowledged: it must be true for ever after.
type ledger struct {
	mu      sync.Mutex
	revoked []string          // access tokens
	events  map[string]string // ids of events that an answer named, with their types
	ended   map[string]bool   // sids
	roles   []string          // notes of changes of roles
	alone   map[string]int    // how many tokens were revoked one by one, by sid or client
}

func (l *ledger) note(write func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	write()
}

// worker does one kind of revocation, again and again, with a session of its own
// where it needs one. It forgets what was under way when the server died.
type worker struct {
	*ledger
	n     *node
	admin *http.Client
	user  string
	last  answer // of the session
	count int
	// unsure: a report was under way when the server died.
	unsure bool
}

// TestKillNineLosesNoRevocation kills the server fifty times, at random steps of
// revocations. After each start no list lacks the bit of a revocation that was
// acknowledged before, and in the end the audit log has every event.
func TestKillNineLosesNoRevocation(t *testing.T) {
	kinds := []func(*worker) bool{(*worker).revokeMachine, (*worker).revokeAccess, (*worker).changeRoles, (*worker).report, (*worker).logout}
	p := newPlace(t, len(kinds))
	p.run(secret, "client", "add", "machine", "--grant", "client_credentials", "--secret-stdin")
	l := &ledger{events: map[string]string{}, ended: map[string]bool{}, alone: map[string]int{}}
	workers := make([]*worker, len(kinds))
	for i := range workers {
		workers[i] = &worker{ledger: l, admin: p.socket(), user: fmt.Sprintf("user%d", i)}
	}
	logged := new(lockedBuffer)
	run := func() *node {
		return p.startWith(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "JETON_LOG_FORMAT=json") }, logged)
	}
	n := run()
	for range revocationKills {
		var wg sync.WaitGroup
		acknowledged := make(chan struct{}, 1000)
		for i, w := range workers {
			w.n = n
			wg.Go(func() {
				for kinds[i](w) {
					acknowledged <- struct{}{}
				}
			})
		}
		idle := make(chan struct{})
		go func() {
			wg.Wait()
			close(idle)
		}()
		for range rand.IntN(40) {
			select {
			case <-acknowledged:
			case <-idle: // the store was busy for longer than it lets anyone wait
			}
		}
		// This is no wait for something to happen: it is when the power goes.
		<-time.After(time.Duration(rand.IntN(5000)) * time.Microsecond)
		n.cmd.Process.Kill()
		<-idle
		n.kill()
		n = run()
		l.checkLists(t, n)
		if t.Failed() {
			return
		}
	}
	t.Logf("acknowledged before %d kills: %d access tokens revoked, %d sessions ended, %d changes of roles, %d reports",
		revocationKills, len(l.revoked), len(l.ended), len(l.roles), len(l.events))
	if len(l.revoked) < 10*revocationKills || len(l.ended) < 10 || len(l.roles) < 10 || len(l.events) < 10 {
		t.Error("that proves little")
	}
	l.checkAudit(t, logged)
}

// socket is a client of the operator's door.
func (p *place) socket() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, // each server has a new one
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "admin.sock"))
		},
	}}
}

// administer reports whether the server acknowledged.
func (w *worker) administer(method, path, body string, answer any) bool {
	r, err := http.NewRequest(method, "http://jeton/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		w.n.t.Error(err)
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.admin.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return false
	}
	if resp.StatusCode != 200 {
		if resp.StatusCode != 503 { // the store while it closes
			w.n.t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, b)
		}
		return false
	}
	return answer == nil || json.Unmarshal(b, answer) == nil
}

// session makes sure of a session with a fresh access token.
func (w *worker) session() bool {
	if w.last.Token != "" {
		if a := w.n.refresh("lenient", w.last.Token); a.status == 200 {
			w.last = a
			return true
		} else if a.status == 0 || a.status == 503 {
			return false
		}
	}
	w.last = w.n.post("/token", "lenient", "grant_type", "password", "username", w.user, "password", password)
	return w.last.status == 200
}

func (w *worker) revokeMachine() bool {
	a := w.n.post("/token", "machine", "grant_type", "client_credentials")
	if a.status != 200 || w.n.post("/revoke", "machine", "token", a.Access).status != 200 {
		return false
	}
	w.note(func() { w.revoked = append(w.revoked, a.Access); w.alone["machine"]++ })
	return true
}

func (w *worker) revokeAccess() bool {
	if !w.session() || w.n.post("/revoke", "lenient", "token", w.last.Access).status != 200 {
		return false
	}
	w.note(func() {
		w.revoked = append(w.revoked, w.last.Access)
		w.alone[claim(w.n.t, w.last.Access, "sid")]++
	})
	return true
}

func (w *worker) changeRoles() bool {
	if !w.session() {
		return false
	}
	w.count++
	role := fmt.Sprintf("ROLE_%d", w.count)
	var now struct{ Roles []string }
	if !w.administer("GET", "/users/"+w.user, "", &now) {
		return false
	}
	if !w.administer("PUT", "/users/"+w.user+"/roles", `{"roles":["`+role+`"]}`, nil) {
		return false
	}
	w.note(func() {
		w.revoked = append(w.revoked, w.last.Access)
		w.roles = append(w.roles, fmt.Sprintf("from %s to [%s]", now.Roles, role))
	})
	return true
}

// report ends the session by a report, which it sends again until it gets an
// answer.
func (w *worker) report() bool {
	if !w.unsure {
		if !w.session() {
			return false
		}
		w.count++
	}
	w.unsure = true
	var taken struct{ Event string }
	if !w.administer("POST", "/events", fmt.Sprintf(`{"type":"account_compromised","username":%q,"id":"r%d"}`, w.user, w.count), &taken) {
		return false
	}
	w.unsure = false
	w.note(func() {
		w.revoked = append(w.revoked, w.last.Access)
		w.events[taken.Event] = "account_compromised"
		w.ended[claim(w.n.t, w.last.Access, "sid")] = true
	})
	w.last = answer{}
	return true
}

func (w *worker) logout() bool {
	if !w.session() || w.n.post("/revoke", "lenient", "token", w.last.Token).status != 200 {
		return false
	}
	w.note(func() {
		w.revoked = append(w.revoked, w.last.Access)
		w.ended[claim(w.n.t, w.last.Access, "sid")] = true
	})
	w.last = answer{}
	return true
}

func payload(t *testing.T, token string) []byte {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func claim(t *testing.T, token, name string) string {
	t.Helper()
	var claims map[string]any
	if err := json.Unmarshal(payload(t, token), &claims); err != nil {
		t.Fatal(err)
	}
	s, _ := claims[name].(string)
	return s
}

// checkLists asks for every list once, and looks for the bit of each token.
func (l *ledger) checkLists(t *testing.T, n *node) {
	t.Helper()
	lists := map[string][]byte{}
	for _, token := range l.revoked {
		var claims struct {
			Status struct {
				List struct {
					Index int    `json:"idx"`
					URI   string `json:"uri"`
				} `json:"status_list"`
			}
		}
		if err := json.Unmarshal(payload(t, token), &claims); err != nil {
			t.Fatal(err)
		}
		at := claims.Status.List
		if lists[at.URI] == nil {
			lists[at.URI] = n.list(strings.TrimPrefix(at.URI, issuer))
		}
		if lists[at.URI][at.Index/8]>>(at.Index%8)&1 != 1 {
			t.Errorf("the list lacks the bit %d of an acknowledged revocation", at.Index)
		}
	}
}

// list fetches and inflates a status list.
func (n *node) list(path string) []byte {
	n.t.Helper()
	resp, err := n.http.Get(n.url + path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		n.t.Fatalf("%s: %d %s %v", path, resp.StatusCode, body, err)
	}
	var claims struct {
		List struct {
			Bits string `json:"lst"`
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload(n.t, string(body)), &claims); err != nil {
		n.t.Fatal(err)
	}
	packed, err := base64.RawURLEncoding.DecodeString(claims.List.Bits)
	if err != nil {
		n.t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		n.t.Fatal(err)
	}
	bits, err := io.ReadAll(r)
	if err != nil {
		n.t.Fatal(err)
	}
	return bits
}

// lockedBuffer gathers what all the servers logged.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(l.b.String(), "\n")
}

// checkAudit waits for the audit log to have everything: the lease of a
// publisher that was killed has to run out first, which takes 40 s.
func (l *ledger) checkAudit(t *testing.T, logged *lockedBuffer) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		missing := l.missing(logged.lines())
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the audit log lacks %d events: %.2000s", len(missing), strings.Join(missing, "\n"))
		}
		<-time.After(500 * time.Millisecond)
	}
}

// missing are the acknowledged facts that no line tells of.
func (l *ledger) missing(lines []string) (missing []string) {
	seen := map[string]string{}
	ended, notes, alone := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, line := range lines {
		var e struct {
			Type    string `json:"msg"`
			Event   string `json:"event"`
			Session string `json:"sid"`
			Client  string `json:"client_id"`
			Note    string `json:"note"`
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.Event == "" || seen[e.Event] != "" {
			continue
		}
		seen[e.Event] = e.Type
		switch {
		case e.Type == "session_ended":
			ended[e.Session] = true
		case e.Type == "roles_changed":
			notes[e.Note] = true
		case e.Type == "token_revoked" && e.Session == "":
			alone[e.Client]++
		case e.Type == "token_revoked":
			alone[e.Session]++
		}
	}
	for id, what := range l.events {
		if seen[id] != what {
			missing = append(missing, what+" "+id)
		}
	}
	for sid := range l.ended {
		if !ended[sid] {
			missing = append(missing, "session_ended "+sid)
		}
	}
	for _, note := range l.roles {
		if !notes[note] {
			missing = append(missing, "roles_changed "+note)
		}
	}
	for of, count := range l.alone {
		if alone[of] < count {
			missing = append(missing, fmt.Sprintf("token_revoked of %s: %d of %d", of, alone[of], count))
		}
	}
	return missing
}
