package proof_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
	"jeton/verify"
)

// moving is a place whose store moves, with sessions that are never logged in
// again.
type moving struct {
	*place
	redis  string
	tokens []string // of the sessions that live
	ended  string   // the refresh token of one that was revoked
	access string   // and its access token
	alive  string   // an access token of a session that lives, from then
}

// TestMovingToAnotherStore moves a store from SQLite to Redis and back, while its
// sessions go on and one of them is revoked: nobody logs in again, and what was
// revoked on the way stays so.
func TestMovingToAnotherStore(t *testing.T) {
	server := redistest.Start(t)
	m := &moving{redis: "redis://" + server.Addr}
	m.place = &place{t: t, dir: t.TempDir(), env: []string{
		"JETON_MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "JETON_REDIS_PREFIX=moved"}}
	first := "sqlite:" + filepath.Join(m.dir, "jeton.db")
	m.address = first
	m.fill(3)
	n := m.start()
	for i := range 24 {
		m.tokens = append(m.tokens, n.login("strict", fmt.Sprintf("user%d", i%3)).Token)
	}

	m.during(n, func() { m.copy(0, first, m.redis) })
	m.revoke(n)
	m.copy(0, first, m.redis)
	// Nobody is kept from the old store, or let to the new one, before the end.
	m.refused(`the store is in use: end the servers`, first, m.redis, "--finish")
	m.notYet(m.redis, "is being filled by jeton store copy")
	m.refreshAll(n)
	n.kill()
	if said := m.copy(0, first, m.redis, "--finish", "--compare-all"); !strings.Contains(said, "Start the servers with --store "+m.redis) {
		t.Errorf("%s", said)
	}
	m.notYet(first, "was moved by jeton store copy, and is kept as")
	m.address = m.redis
	n = m.start()
	m.holds(n)

	// And back, under a server that finds out that the store has gone.
	back := "sqlite:" + filepath.Join(m.dir, "back.db")
	m.during(n, func() { m.copy(0, m.redis, back) })
	m.revoke(n)
	m.copy(0, m.redis, back, "--finish")
	if a := n.refresh("strict", m.tokens[0]); a.status != 503 || a.Error != "temporarily_unavailable" {
		t.Errorf("a refresh on the store that has moved: %+v", a)
	}
	n.kill()
	m.notYet(m.redis, "it was moved to sqlite:")
	m.address = back
	n = m.start()
	m.holds(n)

	// What was left can be taken up again, but not beside the other.
	m.refused("the store is in use: end the servers", m.redis, back, "--abandon")
	n.kill()
	if said := m.copy(0, m.redis, back, "--abandon"); !strings.Contains(said, "is known nowhere else") {
		t.Errorf("%s", said)
	}
	m.notYet(back, "was moved by jeton store copy")
	m.address = m.redis
	m.start().kill()

	// A store that it never went to is left alone.
	other := filepath.Join(m.dir, "other.db")
	m.address = "sqlite:" + other
	m.fill(1)
	m.copy(0, m.redis, m.address, "--abandon")
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func (m *moving) copyCommand(from, to string, more ...string) *exec.Cmd {
	return m.command(append([]string{"store", "copy", "--from", from, "--to", to}, more...)...)
}

// copy runs a copy that ends with that code, and returns what it said.
func (m *moving) copy(code int, from, to string, more ...string) string {
	m.t.Helper()
	cmd := m.copyCommand(from, to, more...)
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code {
		m.t.Fatalf("jeton %s: %d\n%s", strings.Join(cmd.Args[1:], " "), cmd.ProcessState.ExitCode(), out)
	}
	return string(out)
}

func (m *moving) refused(words, from, to string, more ...string) {
	m.t.Helper()
	if said := m.copy(1, from, to, more...); !strings.Contains(said, words) {
		m.t.Errorf("%s", said)
	}
}

// notYet starts a server that must not start, and asks with a command: each says
// why, and neither that the store does not answer.
func (m *moving) notYet(store, words string) {
	m.t.Helper()
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"client", "list"}} {
		out, err := m.command(append(args, "--store", store, "--admin-socket", filepath.Join(m.dir, "other.sock"))...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), words) || strings.Contains(string(out), "out of reach") {
			m.t.Errorf("%s on %s: %v\n%s", args[0], store, err, out)
		}
	}
}

func (m *moving) refreshAll(n *node) {
	m.t.Helper()
	var all sync.WaitGroup
	for i := range m.tokens {
		all.Go(func() {
			a := n.refresh("strict", m.tokens[i])
			if a.status != 200 {
				m.t.Errorf("session %d: %+v", i, a)
				return
			}
			m.tokens[i] = a.Token
		})
	}
	all.Wait()
}

// during refreshes all sessions for as long as something else takes.
func (m *moving) during(n *node, do func()) {
	done := make(chan struct{})
	var refreshing sync.WaitGroup
	refreshing.Go(func() {
		for {
			m.refreshAll(n)
			select {
			case <-done:
				return
			default:
			}
		}
	})
	do()
	close(done)
	refreshing.Wait()
}

// revoke ends the last session.
func (m *moving) revoke(n *node) {
	m.t.Helper()
	last := len(m.tokens) - 1
	a := n.refresh("strict", m.tokens[last])
	m.ended, m.access, m.tokens = a.Token, a.Access, m.tokens[:last]
	if a := n.post("/revoke", "strict", "token", m.ended); a.status != 200 {
		m.t.Fatalf("revoke: %+v", a)
	}
	a = n.refresh("strict", m.tokens[0])
	if a.status != 200 {
		m.t.Fatalf("refresh: %+v", a)
	}
	m.tokens[0], m.alive = a.Token, a.Access
}

// holds looks whether all is as it was.
func (m *moving) holds(n *node) {
	m.t.Helper()
	m.refreshAll(n)
	if a := n.refresh("strict", m.ended); a.status != 400 || a.Error != "invalid_grant" {
		m.t.Errorf("the session that was revoked: %+v", a)
	}
	if n.active(m.access) {
		m.t.Error("the access token of the session that was revoked is active")
	}
	// So say the status lists, which came along.
	v := verifierAt(m.t, n)
	if _, err := v.Verify(m.t.Context(), m.access); !errors.Is(err, verify.ErrRevoked) {
		m.t.Errorf("an API is shown the token that was revoked: %v", err)
	}
	if _, err := v.Verify(m.t.Context(), m.alive); err != nil {
		m.t.Errorf("an API is shown one that lives: %v", err)
	}
	if a := n.login("strict", "user0"); a.status != 200 || !n.active(a.Access) {
		m.t.Errorf("a login: %+v", a)
	}
	deadline := time.Now().Add(time.Minute)
	for status := 0; status != 200; status, _ = n.get("/readyz") {
		if time.Now().After(deadline) {
			m.t.Fatalf("readyz: %d", status)
		}
	}
}
