package proof_test

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKillNineAndTheAPIs kills the server in the midst of revocations. Once it
// runs again, no API accepts a token whose revocation was acknowledged.
func TestKillNineAndTheAPIs(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	p, n := standalone(t, 1)
	apis := startAPIs(t, 2, n.url)
	issuer, acknowledged, cut := n.url, 0, 0
	for round := range rounds {
		// What to revoke, by the token that the API gets: a session by its
		// refresh token, and tokens of a client. Without a scope they get 403.
		revoke := map[string][2]string{}
		session := n.login("strict", "user0")
		revoke[session.Access] = [2]string{"strict", session.Token}
		soon(t, "a live session", apis, session.Access, 200)
		for range 8 {
			a := n.post("/token", "api", "grant_type", "client_credentials")
			revoke[a.Access] = [2]string{"api", a.Access}
			soon(t, "a live token", apis, a.Access, 403)
		}
		done := revokeAndKill(n, revoke, round%5)
		acknowledged, cut = acknowledged+len(done), cut+len(revoke)-len(done)
		n = p.startWith(func(cmd *exec.Cmd) {
			ownIssuer(cmd)
			cmd.Args = append(cmd.Args, "--listen", strings.TrimPrefix(issuer, "http://"))
		})
		for _, token := range done {
			soon(t, "a token whose revocation was acknowledged", apis, token, 401)
		}
	}
	if acknowledged < rounds || cut < rounds {
		t.Errorf("%d revocations acknowledged and %d cut off prove little", acknowledged, cut)
	}
	t.Logf("%d revocations were acknowledged, %d cut off by %d kills", acknowledged, cut, rounds)
}

// revokeAndKill revokes all it can until the server is killed, which is after so
// many were acknowledged, and returns what was.
func revokeAndKill(n *node, revoke map[string][2]string, enough int) (done []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	acknowledged := make(chan struct{}, len(revoke))
	for access, by := range revoke {
		wg.Go(func() {
			time.Sleep(rand.N(20 * time.Millisecond))
			if a := n.post("/revoke", by[0], "token", by[1]); a.status == 200 {
				mu.Lock()
				defer mu.Unlock()
				done = append(done, access)
				acknowledged <- struct{}{}
			}
		})
	}
	idle := make(chan struct{})
	go func() {
		wg.Wait()
		close(idle)
	}()
	for range enough {
		select {
		case <-acknowledged:
		case <-idle: // the store was busy for longer than it lets anyone wait
		}
	}
	// This is no wait for something to happen: it is when the power goes.
	time.Sleep(rand.N(time.Duration(enough)*time.Millisecond + 1))
	n.kill()
	wg.Wait()
	return done
}
