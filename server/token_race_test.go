package server_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"jeton/accounts"
	"jeton/grants"
	"jeton/storage"
)

// crowd sends the same refresh many times at once.
func (n *node) crowd(size int, token string) []answer {
	n.t.Helper()
	n.http.Transport.(*http.Transport).MaxIdleConnsPerHost = size
	answers, begin := make([]answer, size), make(chan struct{})
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			<-begin
			answers[i] = n.refresh(token)
		})
	}
	close(begin)
	wg.Wait()
	return answers
}

func TestR8_CrowdWithoutAWindow(t *testing.T) {
	n := start(t, options{})
	for range 6 {
		login := n.login()
		var won []answer
		for _, a := range n.crowd(64, login.str("refresh_token")) {
			if a.StatusCode == 200 {
				won = append(won, a)
				continue
			}
			a.want(t, 400, "invalid_grant")
			a.wellFormed(t)
		}
		if len(won) != 1 {
			t.Fatalf("%d of 64 have won", len(won))
		}
		n.refresh(won[0].str("refresh_token")).want(t, 400, "invalid_grant")
		if n.active(won[0].str("access_token")) || n.active(login.str("access_token")) {
			t.Fatal("the session lives")
		}
	}
}

func TestR8_R9_CrowdInTheWindow(t *testing.T) {
	n := start(t, options{settings: func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second }})
	last := n.login()
	for range 12 {
		answers := n.crowd(64, last.str("refresh_token"))
		for _, a := range answers {
			a.want(t, 200, "")
			if a.str("refresh_token") != answers[0].str("refresh_token") || a.str("access_token") != answers[0].str("access_token") {
				t.Fatal("two successors of one token")
			}
		}
		if answers[0].str("refresh_token") == last.str("refresh_token") {
			t.Fatal("the token was not rotated")
		}
		last = answers[0]
		if gen := segment(t, last.str("refresh_token"), 1)["gen"]; !n.active(last.str("access_token")) || gen == nil {
			t.Fatal("the session is over")
		}
	}
	if gen := segment(t, last.str("refresh_token"), 1)["gen"]; gen != 13.0 {
		t.Errorf("generation %v after 12 rotations", gen)
	}
}

func TestR9_R11_RetryWindow(t *testing.T) {
	n := start(t, options{settings: func(s *grants.Settings) { s.RefreshRetryWindow = 10 * time.Second }})
	again := func(t *testing.T, was, a answer) {
		t.Helper()
		a.want(t, 200, "")
		if a.str("refresh_token") != was.str("refresh_token") || a.str("access_token") != was.str("access_token") {
			t.Fatal("a retry got something else")
		}
	}
	t.Run("R9 the predecessor, until the successor is used", func(t *testing.T) {
		first := n.login()
		second := n.refresh(first.str("refresh_token"))
		again(t, second, n.refresh(first.str("refresh_token")))
		n.clock.Add(9 * time.Second)
		again(t, second, n.refresh(first.str("refresh_token")))
		// Another client's retry is none.
		n.post("/token", form("grant_type", "refresh_token", "refresh_token", first.str("refresh_token")), basic("other", apiSecret)).want(t, 400, "invalid_grant")
		third := n.refresh(second.str("refresh_token"))
		third.want(t, 200, "")
		again(t, third, n.refresh(second.str("refresh_token")))
		n.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")
		n.refresh(third.str("refresh_token")).want(t, 400, "invalid_grant")
		if n.active(third.str("access_token")) {
			t.Error("a grandparent's replay must end the session")
		}
	})
	t.Run("R9 the window closes", func(t *testing.T) {
		first := n.login()
		second := n.refresh(first.str("refresh_token"))
		n.clock.Add(10 * time.Second)
		n.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")
		n.refresh(second.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	t.Run("R9 a refused retry spends nothing", func(t *testing.T) {
		first := n.login()
		second := n.refresh(first.str("refresh_token"))
		n.refresh(first.str("refresh_token"), "scope", "admin").want(t, 400, "invalid_scope")
		again(t, second, n.refresh(first.str("refresh_token")))
		n.refresh(second.str("refresh_token")).want(t, 200, "")
	})
	t.Run("R9 a revoked session has no retries", func(t *testing.T) {
		first := n.login()
		second := n.refresh(first.str("refresh_token"))
		n.revoke(second.str("refresh_token")).want(t, 200, "")
		n.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")
	})
	t.Run("R9 a client has a window of its own", func(t *testing.T) {
		strict := accounts.ClientSettings{RetryWindow: accounts.To(new(storage.Duration))}
		_, _, err := n.clients.Set(t.Context(), "app", strict, accounts.Act{Operator: true})
		must(t, err)
		first := n.login()
		n.refresh(first.str("refresh_token")).want(t, 200, "")
		n.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")

		minute := storage.Duration(time.Minute)
		_, _, err = n.clients.Set(t.Context(), "app", accounts.ClientSettings{RetryWindow: accounts.To(&minute)}, accounts.Act{Operator: true})
		must(t, err)
		first = n.login()
		second := n.refresh(first.str("refresh_token"))
		n.clock.Add(59 * time.Second)
		again(t, second, n.refresh(first.str("refresh_token")))
	})
}
