package proof_test

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"jeton/storage/redis/redistest"
)

// These, with redis_test.go, failover_test.go and clock_test.go, are the rows of
// "When Redis fails" in docs/OPERATING.md.

// heard starts a server, and keeps what it logs.
func (p *place) heard() (*node, *lockedBuffer) {
	p.t.Helper()
	said := new(lockedBuffer)
	return p.startWith(func(*exec.Cmd) {}, said), said
}

// says waits until it stands in the log: that is what an operator sees.
func (l *lockedBuffer) says(t *testing.T, words string) {
	t.Helper()
	redistest.Until(t, "the log says "+words, func() bool { return strings.Contains(strings.Join(l.lines(), "\n"), words) })
}

// A failover of a Redis that nothing waits for forgets the last moments, as the
// server has said beforehand. What was ended in them lives again, what was begun
// in them has never been; whatever was there before goes on.
func TestWhatAFailoverLosesWithoutConfirmation(t *testing.T) {
	p := newPair(t)
	n, said := p.heard()
	said.says(t, "commits do not wait for all 1 replicas: a failover loses the last writes, revocations among them")
	kept, ended := n.login("strict", "user0"), n.login("strict", "user0")
	p.split()
	begun := n.login("strict", "user0")
	if a := n.post("/revoke", "strict", "token", ended.Token); a.status != 200 || n.active(ended.Access) {
		t.Fatalf("revoke: %+v", a)
	}
	p.run("", "client", "disable", "lenient")
	p.fail()
	if a := n.patiently(func() answer { return n.refresh("strict", begun.Token) }); a.Error != "invalid_grant" {
		t.Errorf("a login that was lost: %+v", a)
	}
	said.says(t, "Redis has lost acknowledged writes")
	if a := n.refresh("strict", ended.Token); a.status != 200 {
		t.Errorf("nothing was lost, so nothing is shown: %+v", a)
	}
	if a := n.patiently(func() answer {
		return n.post("/token", "lenient", "grant_type", "password", "username", "user0", "password", password)
	}); a.status != 200 {
		t.Errorf("nothing was lost, so nothing is shown: %+v", a)
	}
	n.goesOn(kept.Token)
}

// A Redis that removes what it has is refused at the start, unless the operator
// wants that, and is told then what it can cost.
func TestARedisThatEvictsIsRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	p := &place{t: t, dir: t.TempDir(), address: "redis://" + server.Addr}
	out, err := p.command("serve", "--listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--redis-allow-eviction") {
		t.Errorf("it is not refused: %v\n%s", err, out)
	}
	p.env = []string{"JETON_REDIS_ALLOW_EVICTION=true"}
	p.fill(1)
	n, said := p.heard()
	said.says(t, "when its memory is full Redis removes sessions, revocations and keys")
	resp, err := n.http.Get(n.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "maxmemory-policy allkeys-lru") ||
		!strings.Contains(string(body), "Redis removes sessions") {
		t.Errorf("readyz: %s, %v", body, err)
	}
}
