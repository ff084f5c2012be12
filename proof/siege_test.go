package proof_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// besieged is a server behind a proxy that tells where requests come from, and
// that hashes so many passwords at a time.
func besieged(t *testing.T, hashes string) *node {
	t.Helper()
	p := newPlace(t, 1)
	p.run("", "client", "add", "spa", "--public", "--grant", "password,refresh_token", "--scope", "read")
	return p.startWith(func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "--metrics-listen", "127.0.0.1:0", "--trusted-proxies", "127.0.0.0/8", "--kdf-concurrency", hashes,
			"--refresh-retry-window", "10s", "--log-requests", "failed")
	})
}

// ask sends a form of the public client from an address.
func (n *node) ask(from string, pairs ...string) answer {
	n.t.Helper()
	form := url.Values{"client_id": {"spa"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, n.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		n.t.Error(err)
		return answer{}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", from)
	return n.send(r)
}

// figure is a metric's value, the sum over its labels.
func (n *node) figure(name string) (sum float64) {
	n.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(n.figures(), -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			n.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// TestT24_N6_Siege sends wrong guesses at one user from fifty sources, as fast as
// the server takes them. Few are looked at; the user goes on, by refreshing and
// by signing in from where she is known; and it takes no more memory.
func TestT24_N6_Siege(t *testing.T) {
	n := besieged(t, "2")
	const home = "203.0.113.5"
	login := []string{"grant_type", "password", "username", "user0", "password", password}
	first := n.ask(home, login...)
	if first.status != 200 {
		t.Fatalf("%+v", first)
	}
	var guesses, looked, others atomic.Int64
	const attackers, all = 16, 2000
	var wg sync.WaitGroup
	for range attackers {
		wg.Go(func() {
			for i := guesses.Add(1); i <= all; i = guesses.Add(1) {
				switch a := n.ask(fmt.Sprintf("198.51.100.%d", i%50), "grant_type", "password", "username", "user0", "password", fmt.Sprint("guess number ", i)); a.status {
				case 400:
					looked.Add(1)
				case 429, 503: // the queue for hashing was full
				default:
					others.Add(1)
				}
			}
		})
	}
	token := first.Token
	for turn := 0; guesses.Load() < all; turn++ {
		a := n.ask(home, "grant_type", "refresh_token", "refresh_token", token)
		if a.status != 200 {
			t.Fatalf("refresh %d: %+v", turn, a)
		}
		token = a.Token
		if turn%20 == 0 {
			a := n.ask(home, login...)
			for a.status == 503 { // a machine that is busy with other things
				a = n.ask(home, login...)
			}
			if a.status != 200 {
				t.Fatalf("from a known place: %+v", a)
			}
		}
	}
	wg.Wait()
	if looked.Load() == 0 || looked.Load() > 100 || others.Load() > 0 {
		t.Errorf("%d of %d guesses were looked at, %d were answered otherwise", looked.Load(), all, others.Load())
	}
	if used := n.figure("process_resident_memory_bytes"); used > 256<<20 {
		t.Errorf("the server takes %.0f MiB", used/(1<<20))
	}
	if a := n.ask("192.0.2.77", login...); a.status != 429 {
		t.Errorf("the right password from a place that is not known has to wait: %+v", a)
	}
}

// TestN7_HashingHoldsUpNobodyElse fills the queue for hashing passwords by names
// that nobody has, each from a source of its own. Who refreshes does not stand in
// it: they are answered while others still wait.
func TestN7_HashingHoldsUpNobodyElse(t *testing.T) {
	n := besieged(t, "1")
	first := n.ask("203.0.113.5", "grant_type", "password", "username", "user0", "password", password)
	if first.status != 200 {
		t.Fatalf("%+v", first)
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	var sent atomic.Int64
	defer wg.Wait()
	defer stop.Store(true)
	for range 150 {
		wg.Go(func() {
			for !stop.Load() {
				i := sent.Add(1)
				if a := n.ask(fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), "grant_type", "password", "username", fmt.Sprint("nobody", i), "password", "x"); a.status != 400 && a.status != 503 && a.status != 429 {
					t.Errorf("a stranger: %+v", a)
				}
			}
		})
	}
	for n.figure("jeton_kdf_waiting") < 20 {
	}
	token := first.Token
	for range 20 {
		a := n.ask("203.0.113.5", "grant_type", "refresh_token", "refresh_token", token)
		if a.status != 200 {
			t.Fatalf("refresh: %+v", a)
		}
		token = a.Token
	}
	if n.figure("jeton_kdf_waiting") == 0 {
		t.Error("nobody waits any more: this has shown nothing")
	}
}
