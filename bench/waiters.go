package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	waitingAPIs = 10_000
	ofOneSource = 50 // APIs behind one address
)

// waiters measures what 10,000 requests that wait for a list cost the server,
// and how long after the answer of /revoke the last of them is answered.
func waiters() error {
	dir, err := os.MkdirTemp("", "jeton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return err
	}
	p, err := newPlace(dir, binary, *storeURL, setup{"ES256", 100})
	if err != nil {
		return err
	}
	metrics, err := freeAddress()
	if err != nil {
		return err
	}
	proc, err := start(p.command("serve", "--listen", "127.0.0.1:0", "--max-connections", "21000", "--metrics-listen", metrics))
	if err != nil {
		return err
	}
	s := &server{process: proc, place: p}
	defer s.stop()
	t, err := s.tokens(s.login())
	if err != nil {
		return err
	}
	list, etag, err := listOf(t.Access)
	if err != nil {
		return err
	}
	idle := s.resident()
	all := make([]*waiting, waitingAPIs)
	begun := time.Now()
	for i := range all {
		if all[i], err = wait(list, etag, i); err != nil {
			return err
		}
		defer all[i].conn.Close()
	}
	took := time.Since(begun)
	if err := untilWaiting("http://" + metrics + "/metrics"); err != nil {
		return err
	}
	loaded := s.resident()

	revoke := s.form(clientApp, "/revoke", "token", t.Access)
	if _, err := revoke.send(&s.http); err != nil {
		return err
	}
	acknowledged := time.Now()
	after := make([]time.Duration, waitingAPIs)
	var wg sync.WaitGroup
	errs := make([]error, waitingAPIs)
	for i, w := range all {
		wg.Go(func() {
			if errs[i] = w.answered(); errs[i] == nil {
				after[i] = time.Since(acknowledged)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	slices.Sort(after)
	at := func(part float64) string {
		return after[int(part*float64(len(after)-1))].Round(time.Millisecond).String()
	}
	fmt.Printf("%s, %s on %s/%s, %d cores, load before %s. %d requests wait for one list (Prefer: wait=50):\n\n", time.Now().UTC().Format(time.DateOnly),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), loadAverage(), waitingAPIs)
	fmt.Println("| resident, idle | all waiting | each | to let all in | answered after /revoke: p50 | p99 | last |\n|---|---|---|---|---|---|---|")
	fmt.Printf("| %d MB | %d MB | %.1f KB | %s | %s | %s | %s |\n", idle>>20, loaded>>20, float64(loaded-idle)/waitingAPIs/1024,
		took.Round(time.Millisecond), at(0.5), at(0.99), at(1))
	return nil
}

// listOf is the address of the list that a token stands in, and its ETag.
func listOf(access string) (list *url.URL, etag string, err error) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return nil, "", errors.New("that is no access token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, "", err
	}
	var claims struct {
		Status struct {
			List struct {
				URI string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, "", err
	}
	if list, err = url.Parse(claims.Status.List.URI); err != nil {
		return nil, "", err
	}
	resp, err := http.Get(list.String())
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return list, resp.Header.Get("ETag"), err
}

// waiting is one API's connection.
type waiting struct {
	conn net.Conn
	r    *bufio.Reader
}

func wait(list *url.URL, etag string, i int) (*waiting, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/ofOneSource/250), byte(1+i/ofOneSource%250))}
	dialer := net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}
	conn, err := dialer.Dial("tcp", list.Host)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nIf-None-Match: %s\r\nPrefer: wait=50\r\n\r\n", list.Path, list.Host, etag)
	return &waiting{conn: conn}, err
}

func (w *waiting) answered() error {
	w.r = bufio.NewReader(w.conn)
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a waiting request was answered with %d", resp.StatusCode)
	}
	return nil
}

// untilWaiting returns once the server counts all of them.
func untilWaiting(metrics string) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(metrics)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if strings.Contains(string(text), fmt.Sprintf("\njeton_status_waiting %d\n", waitingAPIs)) {
			return nil
		}
	}
	return errors.New("not all requests are let wait")
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
