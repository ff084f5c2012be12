package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// peer is one connection to the door.
type peer struct {
	*hall
	conn net.Conn
	in   *bufio.Reader
	last string // what was sent
}

func (h *hall) dial() *peer {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.address)
	h.must(err)
	if h.tls != nil {
		config := h.tls.Clone()
		config.ServerName = "127.0.0.1"
		conn = tls.Client(conn, config)
	}
	h.must(conn.SetDeadline(time.Now().Add(patience)))
	h.t.Cleanup(func() { conn.Close() })
	return &peer{hall: h, conn: conn, in: bufio.NewReader(conn)}
}

// waitFor is a request that waits; more are lines of its head.
func waitFor(path, etag string, wait int, more ...string) string {
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\nPrefer: wait=%d\r\n", path, etag, wait)
	for _, line := range more {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

func (p *peer) send(text string) {
	p.t.Helper()
	p.last = text
	_, err := io.WriteString(p.conn, text)
	p.must(err)
}

// read reads one answer.
func (p *peer) read() (*http.Response, []byte) {
	p.t.Helper()
	resp, err := http.ReadResponse(p.in, nil)
	p.must(err)
	body, err := io.ReadAll(resp.Body)
	p.must(err)
	return resp, body
}

func (p *peer) answer(want int) *http.Response {
	p.t.Helper()
	resp, body := p.read()
	// A machine that is busy with thousands may not have looked into the store for
	// three seconds, and says so. Who asks again is answered.
	for want == http.StatusOK && resp.StatusCode == http.StatusServiceUnavailable && strings.Count(p.last, "\r\n\r\n") == 1 {
		p.send(p.last)
		resp, body = p.read()
	}
	// Every ten seconds the same bits are another text.
	if resp.StatusCode != want && (want != http.StatusNotModified || resp.StatusCode != http.StatusOK) {
		p.t.Fatalf("answered with %d %s, want %d", resp.StatusCode, body, want)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}
