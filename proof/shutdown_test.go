package proof_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestAcceptedRequestsAreAnsweredAtTheEnd asks a server to end while it waits for
// the bodies of 16 refreshes: each is answered once its body is there.
func TestAcceptedRequestsAreAnsweredAtTheEnd(t *testing.T) {
	n := newPlace(t, 1).start()
	const many = 16
	var tokens [many]string
	for i := range tokens {
		tokens[i] = n.login("strict", "user0").Token
	}
	var open [many]*halfSent // a body may be late by 10 s, so all heads at once
	for i, token := range tokens {
		open[i] = n.sendHead(token)
	}
	n.signal(syscall.SIGTERM)
	n.untilClosed()
	for i, h := range open {
		if status := h.finish(); status != http.StatusOK {
			t.Errorf("refresh %d: status %d", i, status)
		}
	}
	if err := n.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestLoadBalancersLoseNothing keeps asking until /readyz says no, as a load
// balancer does: not one request fails, although the server was told to end at
// once.
func TestLoadBalancersLoseNothing(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := newPlace(t, 4)
	n := p.startWith(func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--shutdown-delay", "8s") })
	var asked atomic.Int64
	var turned atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		token := n.login("strict", fmt.Sprintf("user%d", i)).Token
		wg.Go(func() {
			for !turned.Load() {
				a := n.refresh("strict", token)
				if a.status != http.StatusOK {
					t.Errorf("refresh: %+v", a)
					return
				}
				token = a.Token
				asked.Add(1)
			}
		})
	}
	for asked.Load() < 20 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	n.signal(syscall.SIGTERM)
	for n.ready() {
		time.Sleep(time.Millisecond)
	}
	turned.Store(true)
	wg.Wait()
	n.untilClosed()
	if err := n.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) ready() bool {
	resp, err := n.http.Get(n.url + "/readyz")
	if err != nil {
		n.t.Fatalf("readyz was closed before it said no: %v", err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// untilClosed waits until nobody is let in any more.
func (n *node) untilClosed() {
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(time.Millisecond)
	}
}

// halfSent is a request whose body is still to come.
type halfSent struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	body string
}

// sendHead sends the head of a refresh, and returns once the server reads the
// body: it says so, since it is asked to (RFC 9110 §10.1.1).
func (n *node) sendHead(token string) *halfSent {
	n.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	h := &halfSent{n.t, conn, bufio.NewReader(conn), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()}
	fmt.Fprintf(conn, "POST /token HTTP/1.1\r\nHost: jeton\r\nAuthorization: Basic %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", base64.StdEncoding.EncodeToString([]byte("strict:"+secret)), len(h.body))
	if line, err := h.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		n.t.Fatalf("the server does not wait for the body: %q %v", line, err)
	}
	if _, err := h.r.ReadString('\n'); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// finish sends the body and returns the status, 0 for no answer.
func (h *halfSent) finish() int {
	if _, err := h.conn.Write([]byte(h.body)); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(h.r, nil)
	if err != nil {
		h.t.Log(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
