package server_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"jeton/server"
)

// taken is a response writer whose connection can be taken.
type taken struct {
	http.ResponseWriter
	conn net.Conn
}

func (w taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// returned is what a lobby gets back.
type returned struct {
	conn net.Conn
	keep bool
}

// Answers to those who do not read hold up nobody else's.
func TestSlowReadersOfAListHoldUpNobody(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("access_token")
	path, _ := statusOf(t, token)
	etag := n.do("GET", path, "", "").Header.Get("ETag")
	back := make(chan returned, 100)
	lobby := &server.Lobby{
		Open: func() bool { return true }, Gone: func(net.Conn) bool { return false },
		Return: func(c net.Conn, _ []byte, keep bool) { back <- returned{c, keep} },
	}
	park := func() (theirs net.Conn) {
		theirs, ours := net.Pipe() // nothing of an answer fits into it
		t.Cleanup(func() { theirs.Close() })
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("If-None-Match", etag)
		r.Header.Set("Prefer", "wait=50")
		ctx, handled := context.WithCancel(lobby.Context(t.Context()))
		n.handler.ServeHTTP(taken{httptest.NewRecorder(), ours}, r.WithContext(ctx))
		handled()
		return theirs
	}
	var slow []net.Conn
	for range 50 {
		slow = append(slow, park())
	}
	quick := park()
	n.waiting(t, len(slow)+1)
	n.revoke(token).revoked(t, "token")
	resp, err := http.ReadResponse(bufio.NewReader(quick), nil)
	must(t, err)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Preference-Applied") != "wait=50" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	quick.Close()
	for _, c := range slow {
		c.Close()
	}
	kept := 0
	for range len(slow) + 1 {
		if r := <-back; r.keep {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d connections are kept, want the one whose peer has read", kept)
	}
}

// A node that is cut off from its store tells those who are parked so.
func TestL13_V13_ParkedWhileTheStoreGoesAway(t *testing.T) {
	n := start(t, options{})
	path, _ := statusOf(t, n.login().str("access_token"))
	etag := n.do("GET", path, "", "").Header.Get("ETag")
	back := make(chan returned, 1)
	lobby := &server.Lobby{
		Open: func() bool { return true }, Gone: func(net.Conn) bool { return false },
		Return: func(c net.Conn, _ []byte, keep bool) { back <- returned{c, keep} },
	}
	theirs, ours := net.Pipe()
	defer theirs.Close()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("If-None-Match", etag)
	r.Header.Set("Prefer", "wait=50")
	n.handler.ServeHTTP(taken{httptest.NewRecorder(), ours}, r.WithContext(lobby.Context(t.Context())))
	n.waiting(t, 1)
	must(t, n.store.Close())
	within(t, "the store is away", func() bool { return n.do("GET", path, "", "", header("If-None-Match", etag)).StatusCode == 503 })
	n.lists.Release()
	resp, err := http.ReadResponse(bufio.NewReader(theirs), nil)
	must(t, err)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}
