package server_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestR11_HalfAnAnswerIsNoLostAnswer: over HTTP/2 a client decides how much of an
// answer is sent. A thief of a refresh token that takes the new one and leaves the
// end must not be able to have the rotation taken for one that nobody got: the
// token's owner, who comes next, would not be told from a client that asks again,
// and the theft would not be seen.
func TestR11_HalfAnAnswerIsNoLostAnswer(t *testing.T) {
	n := start(t, options{})
	first := n.login().str("refresh_token")

	over := make(chan struct{}, 1)
	at := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { over <- struct{}{} }()
		n.handler.ServeHTTP(w, r)
	}))
	at.EnableHTTP2 = true
	at.StartTLS()
	defer at.Close()
	thief := &halfReader{t: t}
	thief.dial(at.Listener.Addr())
	second := thief.refresh(first)
	<-over

	if len(n.events("response_lost")) != 0 {
		t.Error("the rotation was taken for one that nobody got")
	}
	n.refresh(first).want(t, 400, "invalid_grant")
	n.refresh(second).want(t, 400, "invalid_grant") // the session is over
}

// halfReader is a client that takes an answer byte by byte, and resets the stream
// as soon as it has what it wants.
type halfReader struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
}

func (h *halfReader) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *halfReader) dial(addr net.Addr) {
	h.t.Helper()
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	h.must(err)
	h.t.Cleanup(func() { conn.Close() })
	_, err = conn.Write([]byte(http2.ClientPreface))
	h.must(err)
	h.conn, h.Framer = conn, http2.NewFramer(conn, conn)
	h.must(h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}))
}

// refresh returns the refresh token that came before the stream was reset.
func (h *halfReader) refresh(token string) string {
	h.t.Helper()
	const stream = 1
	body := form("grant_type", "refresh_token", "refresh_token", token).Encode()
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	r := httptest.NewRequest("POST", "/token", nil)
	app(r)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/token"},
		{"content-type", formType}, {"content-length", strconv.Itoa(len(body))}, {"authorization", r.Header.Get("Authorization")}} {
		h.must(encode.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	h.must(h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}))
	h.must(h.WriteData(stream, true, []byte(body)))
	var got strings.Builder
	for {
		f, err := h.ReadFrame()
		h.must(err)
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				h.must(h.WriteSettingsAck())
			}
		case *http2.DataFrame:
			got.Write(f.Data())
			if f.StreamEnded() {
				h.t.Fatalf("the whole answer came: %s", got.String())
			}
			if _, after, ok := strings.Cut(got.String(), `"refresh_token":`); ok {
				var stolen string
				if json.NewDecoder(strings.NewReader(after)).Decode(&stolen) == nil {
					h.must(h.WriteRSTStream(stream, http2.ErrCodeCancel))
					return stolen
				}
			}
			h.must(h.WriteWindowUpdate(stream, 1))
		}
	}
}
