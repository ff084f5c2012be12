package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Requests under way when the server is told to end are answered, new ones are
// not taken, and the exit code is 0.
func TestRequestsUnderWayAreAnswered(t *testing.T) {
	s, err := start(t.TempDir(), testVars(), "--demo")
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	address := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := "grant_type=client_credentials&client_id=demo&client_secret=demo-secret"
	fmt.Fprintf(conn, "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err) // the handler reads the body: the request is under way
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("tcp", address); err != nil {
			break
		} else if c.Close(); time.Now().After(end) {
			t.Fatal("the server takes new connections while it ends")
		}
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	err = <-s.done
	s.done <- err
	if err != nil {
		t.Fatal(err)
	}
}

// Servers that begin one store at the same moment agree on its keys.
func TestServersBeginOneStoreTogether(t *testing.T) {
	dir := t.TempDir()
	var (
		mu   sync.Mutex
		sets = map[string]int{}
		all  sync.WaitGroup
	)
	for range 4 {
		all.Go(func() {
			s, err := start(dir, testVars())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.kill()
			resp, err := insecure.Get(s.url + "/.well-known/jwks.json")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			sets[string(b)]++
		})
	}
	all.Wait()
	if len(sets) != 1 {
		t.Fatalf("there are %d key sets", len(sets))
	}
}

// A connection over the limit waits, and those that are open are served.
func TestConnectionLimit(t *testing.T) {
	s, err := start(t.TempDir(), testVars(), "--max-connections", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	address := strings.TrimPrefix(s.url, "http://")
	ask := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		return c, bufio.NewReader(c)
	}
	first, in := ask()
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err)
	}
	second, in := ask()
	defer second.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := http.ReadResponse(in, nil)
		answered <- err
	}()
	// It cannot be seen that something never happens; that it happens only
	// after the first has gone, can.
	select {
	case err := <-answered:
		t.Fatalf("two connections are served at once (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// testVars is an environment in which nothing is set.
func testVars() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "JETON_SIGNING_ALG=ES256", "GORACE=atexit_sleep_ms=0"}
}
