package proof_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// revocationKills is how often the server dies in TestS21_KillNineUnderRevocations.
const revocationKills = 50

// fewestRevocations are acknowledged before each kill.
const fewestRevocations = 6

// heard is what a webhook was told has been revoked, and how often: sessions by
// their sid, tokens of clients by their jti.
type heard struct {
	mu      sync.Mutex
	revoked map[string]int
	jtis    map[string]int
	failed  map[string]bool
	news    chan struct{}
}

// stumbles fails one event in ten, the first time only: the pause before a third
// attempt would prove nothing more.
func (h *heard) stumbles(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed[id] || rand.IntN(10) > 0 {
		return false
	}
	h.failed[id] = true
	return true
}

// listen starts a receiver that now and then fails or hangs up.
func (h *heard) listen(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		id, what := readSET(string(body))
		if what == "" {
			t.Errorf("not a SET of a revocation: %s", body)
		}
		if h.stumbles(id) {
			if rand.IntN(2) == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h.mu.Lock()
		h.revoked[what]++
		h.jtis[id]++
		h.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		select {
		case h.news <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// readSET reads whose end a SET tells of.
func readSET(set string) (id, what string) {
	var claims struct {
		ID      string `json:"jti"`
		Subject struct {
			Session struct {
				ID string `json:"id"`
			} `json:"session"`
		} `json:"sub_id"`
		Events map[string]struct {
			Reason map[string]string `json:"reason_admin"`
		} `json:"events"`
	}
	parts := strings.Split(set, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return "", ""
	}
	for _, e := range claims.Events {
		if token, ok := strings.CutPrefix(e.Reason["en"], "jti "); ok {
			return claims.ID, token
		}
	}
	return claims.ID, claims.Subject.Session.ID
}

// TestS21_KillNineUnderRevocations kills the server fifty times while sessions
// and tokens are revoked and events delivered. Each end that was acknowledged is
// told to the webhook, at least once and under one jti.
func TestS21_KillNineUnderRevocations(t *testing.T) {
	p := newPlace(t, 1)
	p.run(secret, "client", "add", "machine", "--grant", "client_credentials", "--scope", "read", "--secret-stdin")
	h := &heard{revoked: map[string]int{}, jtis: map[string]int{}, failed: map[string]bool{}, news: make(chan struct{}, 1)}
	config := filepath.Join(p.dir, "jeton.yaml")
	text := fmt.Sprintf("outbound-allow: [127.0.0.1]\nwebhooks:\n  - name: siem\n    url: %s/in\n    events: [session_ended, token_revoked]\n", h.listen(t).URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func() *node {
		return p.startWith(func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--config", config) })
	}
	acknowledged := map[string]bool{}
	kills := revocationKills
	if testing.Short() {
		kills /= 5
	}
	for range kills {
		for what := range revokeUntilKilled(t, serve()) {
			acknowledged[what] = true
		}
	}
	if len(acknowledged) < fewestRevocations*kills/2 {
		t.Fatalf("%d revocations prove little", len(acknowledged))
	}
	serve()
	end := time.After(2 * time.Minute)
	for missing := h.missing(acknowledged); missing > 0; missing = h.missing(acknowledged) {
		select {
		case <-h.news:
			end = time.After(2 * time.Minute)
		case <-end:
			t.Fatalf("%d of %d events did not arrive", missing, len(acknowledged))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.jtis) != len(h.revoked) {
		t.Errorf("%d jti for %d ends", len(h.jtis), len(h.revoked))
	}
	calls := 0
	for _, n := range h.jtis {
		calls += n
	}
	t.Logf("%d revocations were acknowledged before %d kills; %d events arrived in %d deliveries", len(acknowledged), kills, len(h.jtis), calls)
}

// revokeUntilKilled revokes a session and tokens of a client until the server is
// killed, and returns what was acknowledged.
func revokeUntilKilled(t *testing.T, n *node) map[string]bool {
	acknowledged := map[string]bool{}
	var mu sync.Mutex
	enough := make(chan struct{}, 1000)
	revoke := func(client, token, what string) bool {
		if n.post("/revoke", client, "token", token).status != 200 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		acknowledged[what] = true
		select {
		case enough <- struct{}{}:
		default:
		}
		return true
	}
	login := n.login("strict", "user0")
	var wg sync.WaitGroup
	wg.Go(func() { revoke("strict", login.Token, claim(t, login.Access, "sid")) })
	for range 4 {
		wg.Go(func() {
			for {
				a := n.post("/token", "machine", "grant_type", "client_credentials")
				if a.status != 200 || !revoke("machine", a.Access, claim(t, a.Access, "jti")) {
					return
				}
			}
		})
	}
	idle := make(chan struct{})
	go func() {
		wg.Wait()
		close(idle)
	}()
	for range fewestRevocations {
		select {
		case <-enough:
		case <-idle: // the store was busy for longer than it lets anyone wait
		}
	}
	// This is no wait for something to happen: it is when the power goes.
	<-time.After(time.Duration(30+rand.IntN(170)) * time.Millisecond)
	n.cmd.Process.Kill()
	wg.Wait()
	n.kill()
	return acknowledged
}

func (h *heard) missing(acknowledged map[string]bool) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for what := range acknowledged {
		if h.revoked[what] == 0 {
			n++
		}
	}
	return n
}

// claim reads a claim of an access token.
func claim(t *testing.T, access, name string) string {
	parts := strings.Split(access, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	var claims map[string]any
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		t.Errorf("not a token: %s", access)
	}
	value, _ := claims[name].(string)
	return value
}
