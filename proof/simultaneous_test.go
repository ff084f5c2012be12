package proof_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

const (
	rounds = 200
	crowd  = 50
)

// TestR8_SimultaneousRefreshes presents one refresh token fifty times at once,
// 200 rounds, to one process and to four on one store. Promises 1, 2 and 3.
func TestR8_SimultaneousRefreshes(t *testing.T) {
	for _, processes := range []int{1, 4} {
		p := newPlace(t, 1)
		var nodes []*node
		for range processes {
			nodes = append(nodes, p.start())
		}
		t.Run(fmt.Sprintf("window 10s, %d processes", processes), func(t *testing.T) { lenient(t, nodes) })
		t.Run(fmt.Sprintf("window 0, %d processes", processes), func(t *testing.T) { strict(t, nodes) })
	}
}

// rush presents one token fifty times at once, spread over the nodes.
func rush(nodes []*node, client, token string) []answer {
	answers := make([]answer, crowd)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			<-begin
			answers[i] = nodes[i%len(nodes)].refresh(client, token)
		})
	}
	close(begin)
	wg.Wait()
	return answers
}

// lenient: fifty answers, all the one successor, and the session lives: each
// round goes on with the successor of the one before.
func lenient(t *testing.T, nodes []*node) {
	token := nodes[0].login("lenient", "user0").Token
	for round := range rounds {
		answers := rush(nodes, "lenient", token)
		for i, a := range answers {
			if a.status != 200 || a.Token != answers[0].Token {
				t.Fatalf("round %d: answer %d is %d %s, the first was %d %s", round, i, a.status, a.Error, answers[0].status, answers[0].Error)
			}
		}
		if generation(t, answers[0].Token) != generation(t, token)+1 {
			t.Fatalf("round %d: not the next generation", round)
		}
		token = answers[0].Token
		if round == rounds-1 && !nodes[len(nodes)-1].active(answers[crowd-1].Access) {
			t.Fatal("the session is not alive")
		}
	}
}

// strict: one answer, forty-nine refusals, and the session is over: for the
// winner too, whose token may be the thief's.
func strict(t *testing.T, nodes []*node) {
	logins := make(chan answer, 4)
	var maker sync.WaitGroup
	defer maker.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	maker.Go(func() { // the next session is made while this one is fought over
		for ctx.Err() == nil {
			select {
			case logins <- nodes[0].login("strict", "user0"):
			case <-ctx.Done():
			}
		}
	})
	for round := range rounds {
		begun := <-logins
		var won []answer
		for i, a := range rush(nodes, "strict", begun.Token) {
			switch {
			case a.status == 200:
				won = append(won, a)
			case a.status != 400 || a.Error != "invalid_grant":
				t.Fatalf("round %d: answer %d is %d %s", round, i, a.status, a.Error)
			}
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %d winners", round, len(won))
		}
		last := nodes[len(nodes)-1]
		if a := last.refresh("strict", won[0].Token); a.status != 400 || a.Error != "invalid_grant" {
			t.Fatalf("round %d: the session survived: %+v", round, a)
		}
		if last.active(won[0].Access) || last.active(begun.Access) {
			t.Fatalf("round %d: an access token survived", round)
		}
	}
}

// TestRefusedWithoutSpending: what is refused for another reason than the token
// leaves the token as it was.
func TestRefusedWithoutSpending(t *testing.T) {
	p := newPlace(t, 1)
	n := p.start()
	token := n.login("strict", "user0").Token
	for name, a := range map[string]answer{
		"another client": n.refresh("lenient", token),
		"wider scope":    n.post("/token", "strict", "grant_type", "refresh_token", "refresh_token", token, "scope", "read admin"),
		"no such client": n.refresh("nobody", token),
	} {
		if a.status == 200 || a.status >= 500 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := n.refresh("strict", token); a.status != 200 {
		t.Fatalf("the token was spent: %+v", a)
	}
}
