package proof_test

import (
	"context"
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

const ledgerKills = 50

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
	for range ledgerKills {
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
		ledgerKills, len(l.revoked), len(l.ended), len(l.roles), len(l.events))
	if len(l.revoked) < 10*ledgerKills || len(l.ended) < 10 || len(l.roles) < 10 || len(l.events) < 10 {
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
