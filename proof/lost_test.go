package proof_test

import (
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	// lostReplies is how many replies to commits are lost, at least: losing of a
	// thousand.
	lostReplies = 1000
	losing      = 400

	lostSessions, lostWorkers = 48, 12
)

// TestR8_AThousandLostReplies cuts the connection to Redis after the script of a
// commit has run and before its reply has come, a thousand times, under two
// servers. No session of an innocent ends, and no token has two successors.
func TestR8_AThousandLostReplies(t *testing.T) {
	t.Parallel()
	t.Run("window 0", func(t *testing.T) { loseReplies(t, "strict", 1) })
	t.Run("window 10s", func(t *testing.T) { loseReplies(t, "lenient", 2) })
}

// loseReplies refreshes sessions, each token so many times at once.
func loseReplies(t *testing.T, client string, atOnce int) {
	p := newAlone(t)
	logged := new(lockedBuffer)
	nodes := []*node{p.startWith(func(*exec.Cmd) {}, logged), p.startWith(func(*exec.Cmd) {}, logged)}
	all := make([]answer, lostSessions) // the last of each session
	for i := range all {
		all[i] = nodes[i%2].login(client, "user0")
	}
	// What commit.lua is given, and no other script: see storage/redis/doc.go.
	p.proxy.LoseTo("evalsha", "}:f:", "}:p:", "}:x")
	p.proxy.Lose(losing)
	var refreshes, away atomic.Int64
	var busy sync.WaitGroup
	for w := range lostWorkers {
		busy.Go(func() {
			for round := 0; p.proxy.Lost.Load() < lostReplies && !t.Failed(); round++ {
				i := w + lostWorkers*(round%(lostSessions/lostWorkers))
				all[i] = soleSuccessor(t, nodes, client, all[i].Token, atOnce, &away)
				refreshes.Add(1)
			}
		})
	}
	busy.Wait()
	p.proxy.Lose(0)
	t.Logf("%d replies lost in %d refreshes; %d answers were 503", p.proxy.Lost.Load(), refreshes.Load(), away.Load())
	if refreshes.Load() < lostReplies && !t.Failed() {
		t.Error("fewer refreshes than lost replies: these were not to commits of refreshes")
	}
	for i, a := range all {
		if !nodes[i%2].active(a.Access) {
			t.Errorf("session %d has ended", i)
		}
		soleSuccessor(t, nodes, client, a.Token, 1, &away)
	}
	for _, line := range logged.lines() {
		if strings.Contains(line, "msg=session_ended") || strings.Contains(line, "msg=lost_write") {
			t.Error(line)
		}
	}
}

// soleSuccessor presents one token so many times at once, each at a server, and
// again where that could not answer, and returns what all got.
func soleSuccessor(t *testing.T, nodes []*node, client, token string, atOnce int, away *atomic.Int64) answer {
	t.Helper()
	answers := make([]answer, atOnce)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = nodes[i%len(nodes)].refresh(client, token)
			for try := 1; answers[i].status == 503 && try < 20; try++ {
				away.Add(1)
				answers[i] = nodes[(i+try)%len(nodes)].refresh(client, token)
			}
		})
	}
	all.Wait()
	for _, a := range answers {
		if a.status != 200 {
			t.Errorf("an innocent is answered with %+v", a)
			return answers[0]
		}
		if a.Token != answers[0].Token || generation(t, a.Token) != generation(t, token)+1 {
			t.Errorf("a token has two successors, of the generations %d and %d", generation(t, a.Token), generation(t, answers[0].Token))
		}
	}
	return answers[0]
}
