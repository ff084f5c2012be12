package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// hall is a door with a server behind it, and what the tests of waiting
// requests know of both.
type hall struct {
	t       *testing.T
	d       *door
	n       *node
	handler http.Handler
	address string
	tls     *tls.Config // of its clients, if it speaks TLS
	log     *lockedBuffer
	shut    func()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eachWay runs a test on plain connections and on TLS.
func eachWay(t *testing.T, test func(t *testing.T, h *hall)) {
	for _, name := range []string{"plain", "TLS"} {
		t.Run(name, func(t *testing.T) { test(t, newHall(t, name == "TLS")) })
	}
}

func newHall(t *testing.T, secure bool) *hall {
	h := &hall{t: t, log: new(lockedBuffer)}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags, true)
	addFlags(flags, false)
	s, err := load(flags, []string{"JETON_STORE=sqlite:" + filepath.Join(t.TempDir(), "jeton.db"), "JETON_SIGNING_ALG=ES256",
		"JETON_TRUSTED_PROXIES=127.0.0.0/8", "JETON_LOG_REQUESTS=all", "JETON_LOG_QUIET=1"})
	h.must(err)
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	h.n, err = openNode(t.Context(), s, "http://127.0.0.1:9096", log)
	h.must(err)
	h.must(populate(t.Context(), h.n, rand.Text()))
	srv, err := h.n.server(s)
	h.must(err)
	h.handler = srv.Handler()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.address = l.Addr().String()
	h.d = newDoor(h.handler, l, 10_000, log)
	h.d.RegisterOnShutdown(h.n.lists.Release)
	var cert *certificate
	if secure {
		dir := t.TempDir()
		h.must(writePair("x", func(name string) string { return filepath.Join(dir, name) }))
		cert, err = loadCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), log)
		h.must(err)
		pem, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
		h.must(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		h.tls = &tls.Config{RootCAs: roots}
	}
	ended := make(chan error, 1)
	go func() { ended <- h.d.serve(cert) }()
	h.shut = sync.OnceFunc(func() {
		h.d.shut()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := len(h.d.listener.(*entrance).room); n != 0 {
			t.Errorf("%d connections are counted at the end", n)
		}
		h.n.close()
	})
	t.Cleanup(h.shut)
	return h
}

func (h *hall) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// inside asks past the door.
func (h *hall) inside(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

func (h *hall) form(path string, v url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("demo", demoSecret)
	w := h.inside(r)
	if w.Code != http.StatusOK {
		h.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w
}

// token is a new token, the path of its list, and the tag of that.
func (h *hall) token() (token, path, etag string) {
	h.t.Helper()
	var a struct {
		Token string `json:"access_token"`
	}
	h.must(json.Unmarshal(h.form("/token", url.Values{"grant_type": {"client_credentials"}}).Body.Bytes(), &a))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(a.Token, ".")[1])
	h.must(err)
	var claims struct {
		Status struct {
			List struct{ URI string } `json:"status_list"`
		}
	}
	h.must(json.Unmarshal(payload, &claims))
	u, err := url.Parse(claims.Status.List.URI)
	h.must(err)
	w := h.inside(httptest.NewRequest(http.MethodGet, u.Path, nil))
	return a.Token, u.Path, w.Header().Get("ETag")
}

func (h *hall) revoke(token string) { h.form("/revoke", url.Values{"token": {token}}) }

// until waits for what happens in another goroutine.
func (h *hall) until(what string, holds func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("%s: not so", what)
		}
	}
}

// parked waits until so many requests are in the lobby, and wait.
func (h *hall) parked(want int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d are parked", want), func() bool { return h.inLobby(forAnswer) == want && h.n.lists.Waiting() == want })
}

func (h *hall) inLobby(p place) (n int) {
	h.d.lobby.mu.Lock()
	defer h.d.lobby.mu.Unlock()
	for _, at := range h.d.lobby.out {
		if at == p {
			n++
		}
	}
	return n
}

func TestParkedRequestIsAnsweredAsAnyOther(t *testing.T) {
	eachWay(t, func(t *testing.T, h *hall) {
		token, path, etag := h.token()
		p := h.dial()
		for _, zip := range []string{"identity", "gzip"} {
			// The one that does not come by the door waits in its handler.
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("If-None-Match", etag)
			r.Header.Set("Prefer", "wait=50")
			r.Header.Set("Accept-Encoding", zip)
			r.RemoteAddr = "[::1]:1"
			blocking := make(chan *httptest.ResponseRecorder)
			go func() { blocking <- h.inside(r) }()
			h.until("one waits in its handler", func() bool { return h.n.lists.Waiting() == 1 })
			p.send(waitFor(path, etag, 50, "Accept-Encoding: "+zip, "X-Request-Id: parked-"+zip))
			h.until("both wait", func() bool { return h.inLobby(forAnswer) == 1 && h.n.lists.Waiting() == 2 })
			h.revoke(token)
			want, got := <-blocking, p.answer(http.StatusOK)
			body, _ := io.ReadAll(got.Body)
			if !bytes.Equal(body, want.Body.Bytes()) || got.ContentLength != int64(len(body)) || got.Proto != "HTTP/1.1" || got.Close {
				t.Errorf("%s: %d bytes, want %d, %s", zip, len(body), want.Body.Len(), got.Proto)
			}
			if got.Header.Get("X-Request-Id") != "parked-"+zip || got.Header.Get("Date") == "" {
				t.Errorf("%v", got.Header)
			}
			got.Header.Del("Date")
			want.Header().Set("X-Request-Id", "parked-"+zip)
			if !maps.EqualFunc(got.Header, want.Header(), func(a, b []string) bool { return strings.Join(a, ",") == strings.Join(b, ",") }) {
				t.Errorf("%s: parked %v\nelse %v", zip, got.Header, want.Header())
			}
			h.until("the request is logged", func() bool {
				for line := range strings.Lines(h.log.String()) {
					if strings.Contains(line, `"parked-`+zip) {
						return strings.Contains(line, `"status":200`) && strings.Contains(line, "{list}") && strings.Contains(line, fmt.Sprintf(`"bytes_out":%d`, len(body)))
					}
				}
				return false
			})
			token, path, etag = h.token()
		}
		// The same connection serves what comes next.
		p.send(waitFor(path, etag, 1))
		if a := p.answer(http.StatusNotModified); a.Header.Get("Preference-Applied") != "wait=1" || a.StatusCode == http.StatusNotModified && a.Header.Get("Content-Length") != "" {
			t.Errorf("%v", a.Header)
		}
		h.until("it may go on", func() bool { return h.inLobby(forRequest) == 1 })
		p.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		p.answer(http.StatusOK)
		p.send(waitFor(path, etag, 50, "Connection: close"))
		h.parked(1)
		h.revoke(token)
		if a := p.answer(http.StatusOK); !a.Close {
			t.Error("a connection that was to be closed is kept")
		}
		if _, err := p.in.ReadByte(); err != io.EOF {
			t.Errorf("it is open: %v", err)
		}
	})
}

func TestThousandsParkedAreReleased(t *testing.T) {
	eachWay(t, func(t *testing.T, h *hall) {
		many := 2000
		if h.tls != nil {
			many = 300 // handshakes are dear
		}
		token, path, etag := h.token()
		peers := make([]*peer, many)
		wait := func() {
			for i, p := range peers {
				if p == nil { // TLS begins with what is sent first, and has 5 s for that
					p = h.dial()
					peers[i] = p
				}
				p.send(waitFor(path, etag, 50, fmt.Sprintf("X-Forwarded-For: 10.0.0.%d", i%20)))
			}
			h.parked(many)
		}
		wait()
		h.revoke(token)
		for _, p := range peers {
			p.answer(http.StatusOK)
		}
		_, path, etag = h.token()
		wait()
		done := make(chan struct{})
		go func() { defer close(done); h.shut() }()
		for _, p := range peers {
			if a := p.answer(http.StatusNotModified); !a.Close || a.Header.Get("Preference-Applied") == "" {
				t.Fatalf("%v", a.Header)
			}
		}
		<-done
		if len(h.d.lobby.out) != 0 {
			t.Errorf("%d are in the lobby", len(h.d.lobby.out))
		}
	})
}

// Peers that have left hold their source's seats no longer than until somebody
// needs one.
func TestSeatsOfThoseWhoHaveLeft(t *testing.T) {
	eachWay(t, func(t *testing.T, h *hall) {
		_, path, etag := h.token()
		const most = 256 // of one source
		var leaving []*peer
		for i := range most {
			p := h.dial()
			p.send(waitFor(path, etag, 50))
			if i%3 == 0 {
				leaving = append(leaving, p)
			}
		}
		h.parked(most)
		// ask waits until as many wait, or is answered.
		ask := func(many int) (waits bool) {
			p := h.dial()
			p.send(waitFor(path, etag, 50))
			waited := make(chan bool, 1)
			go func() {
				_, err := p.in.Peek(1)
				waited <- err != nil // at the end of the test
			}()
			for ; ; time.Sleep(time.Millisecond) {
				select {
				case waits := <-waited:
					return waits
				default:
				}
				if h.n.lists.Waiting() == many {
					return true
				}
			}
		}
		if ask(most + 1) {
			t.Fatal("one too many waits")
		}
		for _, p := range leaving {
			p.conn.Close()
		}
		// There is a look each second.
		h.until("one more may wait", func() bool { return ask(most - len(leaving) + 1) })
		h.parked(most - len(leaving) + 1)
	})
}

func TestRequestsBehindAParkedOne(t *testing.T) {
	eachWay(t, func(t *testing.T, h *hall) {
		token, path, etag := h.token()
		p := h.dial()
		health := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
		p.send(waitFor(path, etag, 50) + health + waitFor(path, etag, 1) + health)
		h.parked(1)
		h.revoke(token)
		a := p.answer(http.StatusOK)
		p.answer(http.StatusOK)
		p.answer(http.StatusOK) // the tag is an old one now
		p.answer(http.StatusOK)
		p.send(waitFor(path, a.Header.Get("ETag"), 1) + waitFor(path, a.Header.Get("ETag"), 1) + health)
		for range 2 {
			if a := p.answer(http.StatusNotModified); a.Header.Get("Preference-Applied") != "wait=1" {
				t.Errorf("%v", a.Header)
			}
		}
		p.answer(http.StatusOK)
		// While it is parked.
		p.send(waitFor(path, a.Header.Get("ETag"), 1))
		h.parked(1)
		p.send(health)
		p.answer(http.StatusNotModified)
		p.answer(http.StatusOK)
	})
}

func TestHTTP2WaitsInItsHandler(t *testing.T) {
	h := newHall(t, true)
	token, path, etag := h.token()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: h.tls.Clone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "https://"+h.address+path, nil)
	h.must(err)
	r.Header.Set("If-None-Match", etag)
	r.Header.Set("Prefer", "wait=50")
	go func() {
		h.until("it waits", func() bool { return h.n.lists.Waiting() == 1 })
		h.revoke(token)
	}()
	resp, err := client.Do(r)
	h.must(err)
	resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK || resp.Header.Get("Preference-Applied") != "wait=50" || len(h.d.lobby.out) != 0 {
		t.Errorf("%s %d %v", resp.Proto, resp.StatusCode, resp.Header)
	}
}

// A connection whose answer was given, and that asks nothing, holds nobody up.
func TestIdleConnectionsOfTheLobbyAreClosed(t *testing.T) {
	eachWay(t, func(t *testing.T, h *hall) {
		_, path, etag := h.token()
		p := h.dial()
		p.send(waitFor(path, etag, 1))
		p.answer(http.StatusNotModified)
		h.until("it may go on", func() bool { return h.inLobby(forRequest) == 1 })
		h.shut()
		if _, err := p.in.ReadByte(); err != io.EOF {
			t.Errorf("it is open: %v", err)
		}
	})
}
