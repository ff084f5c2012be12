package proof_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	kills   = 20
	workers = 12
	// fewestSteps are taken before each kill.
	fewestSteps = 30
)

// story is what one worker knows of one session: only what was acknowledged.
type story struct {
	user   string
	tokens []string // each refresh token the client was given, in order
	access string
	// revoked: the revocation was acknowledged. unsure: a request was under
	// way when the server died, so the session may be one generation on.
	revoked, unsure bool
}

// TestKillNine kills the server twenty times under load. What it acknowledged
// before holds after: rotations, revocations, and that a spent token is spent.
func TestKillNine(t *testing.T) {
	p := newPlace(t, workers)
	n := p.start()
	stories := make([]*story, workers)
	rotations, revocations := 0, 0
	for round := range kills {
		for i := range stories {
			if s := stories[i]; s == nil || s.revoked || s.unsure || len(s.tokens) > 400 {
				stories[i] = begin(n, fmt.Sprintf("user%d", i))
			}
		}
		load(n, stories, time.Duration(100+rand.IntN(400))*time.Millisecond, fewestSteps)
		n = p.start()
		for _, s := range stories {
			rotations += len(s.tokens) - 1
			if s.revoked {
				revocations++
			}
			check(t, n, round, s)
		}
	}
	if rotations < 100*kills/10 || revocations == 0 {
		t.Fatalf("%d rotations and %d revocations prove little", rotations, revocations)
	}
	t.Logf("%d rotations and %d revocations were acknowledged before %d kills", rotations, revocations, kills)
}

func begin(n *node, user string) *story {
	a := n.login("lenient", user)
	return &story{user: user, tokens: []string{a.Token}, access: a.Access}
}

// load refreshes and revokes until the server is killed: after a while, and so
// many steps, which a slow machine takes longer for.
func load(n *node, stories []*story, d time.Duration, steps int64) {
	var dead atomic.Bool
	var done atomic.Int64
	var wg sync.WaitGroup
	for _, s := range stories {
		wg.Go(func() {
			for !dead.Load() && !s.revoked {
				if s.step(n) {
					return
				}
				done.Add(1)
			}
		})
	}
	idle := make(chan struct{})
	go func() {
		wg.Wait()
		close(idle)
	}()
	for begun, over := time.Now(), false; !over && (time.Since(begun) < d || done.Load() < steps); {
		select {
		case <-idle: // nobody has a session any more
			over = true
		case <-time.After(time.Millisecond):
		}
	}
	n.cmd.Process.Kill()
	dead.Store(true)
	wg.Wait()
	n.kill()
}

// step does one thing and reports whether the server died meanwhile.
func (s *story) step(n *node) (died bool) {
	last := s.tokens[len(s.tokens)-1]
	if rand.IntN(60) == 0 {
		a := n.post("/revoke", "lenient", "token", last)
		s.revoked, s.unsure = a.status == 200, a.status != 200
		return a.status != 200
	}
	a := n.refresh("lenient", last)
	if a.status == 200 {
		s.tokens, s.access = append(s.tokens, a.Token), a.Access
		return false
	}
	s.unsure = true
	if a.status != 0 && a.status != 503 {
		n.t.Errorf("under load: %+v", a)
	}
	return true
}

// check asks the new server about the session. It runs within the retry window
// of 10 s, so a rotation whose answer was lost is a retry.
func check(t *testing.T, n *node, round int, s *story) {
	t.Helper()
	last := s.tokens[len(s.tokens)-1]
	if s.revoked {
		if a := n.refresh("lenient", last); a.status != 400 || a.Error != "invalid_grant" {
			t.Fatalf("round %d: an acknowledged revocation was lost: %+v", round, a)
		}
		if n.active(s.access) {
			t.Fatalf("round %d: an access token outlived its acknowledged revocation", round)
		}
		return
	}
	a := n.refresh("lenient", last)
	if s.unsure && a.status == 400 {
		return // the revocation that was under way went through
	}
	if a.status != 200 {
		t.Fatalf("round %d: an acknowledged rotation was lost: %+v", round, a)
	}
	if want := generation(t, last) + 1; generation(t, a.Token) != want {
		t.Fatalf("round %d: generation %d after %d", round, generation(t, a.Token), generation(t, last))
	}
	s.tokens, s.access = append(s.tokens, a.Token), a.Access
	if k := len(s.tokens); k >= 3 && rand.IntN(3) == 0 {
		if a := n.refresh("lenient", s.tokens[rand.IntN(k-2)]); a.status != 400 {
			t.Fatalf("round %d: a spent token is alive: %+v", round, a)
		}
		s.revoked = true // that was reuse: a new session for the next round
	}
}
