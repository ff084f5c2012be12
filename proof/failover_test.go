package proof_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// pair is a place on a master of Redis that has one replica, behind an address
// that can be led from the one to the other.
type pair struct {
	*place
	master, replica *redistest.Server
	proxy           *redistest.Proxy
}

func newPair(t *testing.T, env ...string) *pair {
	t.Helper()
	p := &pair{place: &place{t: t, dir: t.TempDir(), env: env}, master: redistest.Start(t)}
	p.replica = p.master.Replica()
	p.proxy = redistest.Between(t, p.master.Addr)
	p.address = "redis://" + p.proxy.Addr
	p.fill(1)
	return p
}

// split cuts the replica off: what is written from here on it never sees.
func (p *pair) split() {
	p.t.Helper()
	same := func() bool {
		return p.master.Offset() == p.replica.Offset()
	}
	redistest.Until(p.t, "the replica has all", same)
	p.replica.Do("replicaof", "no", "one")
}

// fail makes the replica the master.
func (p *pair) fail() {
	p.master.Kill()
	p.proxy.Point(p.replica.Addr)
}

// A failover that loses an acknowledged rotation: the client goes on, with the
// access token that it has, and the token that was spent ends the session.
func TestAFailoverThatLosesARotationHeals(t *testing.T) {
	p := newPair(t)
	n := p.start()
	first := n.login("strict", "user0")
	p.split()
	lost := n.refresh("strict", first.Token)
	if lost.status != 200 {
		t.Fatalf("before the failover: %+v", lost)
	}
	p.fail()
	if n.active(lost.Access) {
		t.Error("an access token is known that the store has forgotten: nothing was lost, so nothing is shown")
	}
	next := n.patiently(func() answer { return n.refresh("strict", lost.Token) })
	if next.status != 200 || generation(t, next.Token) != generation(t, lost.Token)+1 {
		t.Fatalf("the client does not go on: %+v", next)
	}
	if !n.active(next.Access) || !n.active(lost.Access) || !n.active(first.Access) {
		t.Error("an access token of a session that goes on is dead")
	}
	if a := n.refresh("strict", first.Token); a.Error != "invalid_grant" {
		t.Errorf("the spent token: %+v", a)
	}
	if n.active(next.Access) || n.active(lost.Access) || n.active(first.Access) {
		t.Error("an access token outlives the session that its reuse has ended")
	}
	if a := n.refresh("strict", next.Token); a.Error != "invalid_grant" {
		t.Errorf("the session outlives the reuse: %+v", a)
	}
}

// The same, and whoever has the spent token comes first: the store takes it for
// the one that counts. When the client comes the fork shows, and ends.
func TestAForkAfterAFailoverEnds(t *testing.T) {
	p := newPair(t)
	n := p.start()
	first := n.login("strict", "user0")
	p.split()
	lost := n.refresh("strict", first.Token)
	p.fail()
	thief := n.patiently(func() answer { return n.refresh("strict", first.Token) })
	if thief.status != 200 || generation(t, thief.Token) != generation(t, lost.Token) {
		t.Fatalf("nothing was lost, so nothing is shown: %+v", thief)
	}
	if a := n.refresh("strict", lost.Token); a.Error != "invalid_grant" {
		t.Errorf("the other branch: %+v", a)
	}
	if a := n.refresh("strict", thief.Token); a.Error != "invalid_grant" {
		t.Errorf("the fork lives: %+v", a)
	}
	if n.active(thief.Access) {
		t.Error("an access token of the fork lives")
	}
}

// With a replica that has to confirm nothing acknowledged is lost: neither a
// rotation nor, least of all, a revocation. What it did not confirm was answered
// with 503, and can be asked for again.
func TestNothingConfirmedIsLostInAFailover(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := newPair(t, "JETON_REDIS_WAIT_REPLICAS=1")
	n := p.start()
	kept, ended, open := n.login("strict", "user0"), n.login("strict", "user0"), n.login("strict", "user0")
	token := kept.Token
	kept = n.patiently(func() answer { return n.refresh("strict", token) }) // a busy replica may not confirm in time
	if kept.status != 200 {
		t.Fatalf("with the replica: %+v", kept)
	}
	if a := n.patiently(func() answer { return n.post("/revoke", "strict", "token", ended.Token) }); a.status != 200 {
		t.Fatalf("revoke: %+v", a)
	}
	p.split()
	for range 2 { // the second time there is nothing left to write
		if a := n.refresh("strict", open.Token); a.status != 503 {
			t.Errorf("a rotation without the replica: %+v", a)
		}
		if a := n.post("/revoke", "strict", "token", kept.Token); a.status != 503 {
			t.Errorf("a revocation without the replica: %+v", a)
		}
	}
	// To refuse is safe before it is confirmed, and does not wait for that.
	if n.active(kept.Access) {
		t.Error("the access token of a session is active while its revocation is not confirmed")
	}
	p.fail()
	p.replica.Replica()
	if a := n.patiently(func() answer { return n.refresh("strict", ended.Token) }); a.Error != "invalid_grant" {
		t.Errorf("a revocation was forgotten: %+v", a)
	}
	for name, token := range map[string]string{"kept": kept.Token, "open": open.Token} {
		if a := n.patiently(func() answer { return n.refresh("strict", token) }); a.status != 200 {
			t.Errorf("the session %s: %+v", name, a)
		}
	}
}

// A client that was answered with 503 because a replica did not confirm asks
// again, and goes on when the replica is back, in strict mode too (promise 5).
func TestAnUnconfirmedRotationIsAnsweredLater(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := newPair(t, "JETON_REDIS_WAIT_REPLICAS=1")
	n := p.start()
	first := n.login("strict", "user0")
	p.replica.Kill()
	for range 3 {
		if a := n.refresh("strict", first.Token); a.status != 503 {
			t.Fatalf("without the replica: %+v", a)
		}
	}
	p.master.Replica()
	next := n.patiently(func() answer { return n.refresh("strict", first.Token) })
	if next.status != 200 || generation(t, next.Token) != generation(t, first.Token)+1 {
		t.Fatalf("with the replica back: %+v", next)
	}
	if a := n.patiently(func() answer { return n.refresh("strict", next.Token) }); a.status != 200 {
		t.Errorf("the successor: %+v", a)
	}
}

// patiently asks again while the store is away.
func (n *node) patiently(ask func() answer) answer {
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if a := ask(); a.status != 503 && a.status != 0 || time.Now().After(end) {
			return a
		}
	}
}

// So is an operator: that a user is as asked for already, by a change that no
// replica has confirmed, is no reason to say yes.
func TestAnUnconfirmedChangeIsNotTakenForDone(t *testing.T) {
	t.Parallel()
	p := newPair(t, "JETON_REDIS_WAIT_REPLICAS=1")
	n := p.start()
	p.run(secret, "client", "add", "shop", "--grant", "client_credentials", "--secret-stdin")
	n.login("strict", "user0")
	p.run(password, "user", "add", "user1", "--role", "ROLE_USER", "--password-stdin")
	p.run("", "user", "disable", "user1")
	p.run("", "client", "disable", "shop")
	machine := n.post("/token", "api", "grant_type", "client_credentials")
	p.split()
	door := p.socket()
	var all sync.WaitGroup
	for path, body := range map[string]string{
		"PUT /users/user0/roles": `{"roles":[]}`, "POST /users/user1/enable": `{}`, "PUT /users/user0/claims": `{"name":"Zero"}`,
		"POST /clients/shop/enable": `{}`, "POST /events": `{"type":"account_compromised","username":"user1","id":"1"}`,
		"POST /sessions/revoke": `{"username":"user0","client_id":"strict","reason":"a drill"}`,
	} {
		all.Go(func() {
			for range 2 { // the second time there is nothing left to write
				if status, text := administer(door, path, body); status != 503 {
					t.Errorf("%s: %d %s", path, status, text)
				}
			}
		})
	}
	all.Go(func() {
		for range 2 {
			if a := n.post("/revoke", "api", "token", machine.Access); a.status != 503 {
				t.Errorf("revoking a client's own token: %+v", a)
			}
		}
	})
	all.Wait()
}

// Without a replica that confirms, all sessions of a user and a client are ended
// all the same, those behind one that had ended before too: the answer is 503, and
// no token of theirs is worth anything.
func TestWhatIsUnconfirmedStopsNoEnding(t *testing.T) {
	t.Parallel()
	p := newPair(t, "JETON_REDIS_WAIT_REPLICAS=1")
	n := p.start()
	var all []answer
	for range 6 {
		all = append(all, n.login("strict", "user0"))
	}
	for _, a := range all[:3] {
		n.post("/revoke", "strict", "token", a.Token)
	}
	p.split()
	if status, text := administer(p.socket(), "POST /sessions/revoke", `{"username":"user0","client_id":"strict","reason":"a drill"}`); status != 503 {
		t.Errorf("%d %s", status, text)
	}
	for i, a := range all {
		if n.active(a.Access) {
			t.Errorf("session %d lives", i)
		}
	}
}

// administer asks at the operator's door.
func administer(door *http.Client, what, body string) (int, string) {
	method, path, _ := strings.Cut(what, " ")
	r, err := http.NewRequest(method, "http://jeton/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := door.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}
