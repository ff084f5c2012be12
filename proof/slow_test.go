package proof_test

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestT29_SlowClients holds open hundreds of requests that never get finished: in
// their headers, in their body, and one that is never read. The server lets go
// of each, and of what it held for it.
func TestT29_SlowClients(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := newPlace(t, 0)
	n := p.startWith(func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--metrics-listen", "127.0.0.1:0") })
	before := n.goroutines()
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			begin := "POST /token HTTP/1.1\r\nHost: jeton\r\n"
			if i%2 == 0 { // a body that stays away
				begin += "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\ngrant_type="
			}
			if _, err := io.WriteString(c, begin); err != nil {
				t.Error(err)
			}
			c.SetReadDeadline(time.Now().Add(2 * time.Minute))
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("the server did not let go: %v", err)
			}
		})
	}
	if n.post("/introspect", "api", "token", "x").status != 200 {
		t.Error("others were not answered meanwhile")
	}
	wg.Wait()
	n.http.CloseIdleConnections()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		after := n.goroutines()
		if after <= before+5 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", after, before)
		}
	}
}

// figures is what the metrics say.
func (n *node) figures() string {
	n.t.Helper()
	resp, err := http.Get(n.metrics)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}

func (n *node) goroutines() int {
	n.t.Helper()
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)$`).FindStringSubmatch(n.figures())
	if m == nil {
		n.t.Fatal("no go_goroutines")
	}
	count, _ := strconv.Atoi(m[1])
	return count
}
