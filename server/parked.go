package server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"jeton/events/lists"
)

// answerTime is how long the answer to a parked request may take: to make, and
// to be taken by the peer.
const answerTime = 10 * time.Second

// Lobby is where connections come from and go back to whose requests wait
// without a goroutine. It belongs to whoever accepts them.
type Lobby struct {
	// Open reports whether connections are taken back for further requests.
	Open func() bool
	// Gone reports, at once, whether something has come from a connection that
	// nobody reads: its end, most likely.
	Gone func(net.Conn) bool
	// Return gives a connection back, once, with what was read of it beyond the
	// request. One that is not to be kept is closed.
	Return func(c net.Conn, unread []byte, keep bool)
}

type lobbyKey struct{}

// Context is one whose requests may be parked.
func (l *Lobby) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, lobbyKey{}, l)
}

// parked is a request for a list that waits. It keeps what its answer needs and
// nothing of net/http, whose buffers and stacks are the most of what a waiting
// request costs.
type parked struct {
	s      *Server
	lobby  *Lobby
	conn   net.Conn
	unread []byte
	close  bool // the peer has asked for it

	header  http.Header // what the stages above the handler have set
	ask     listRequest
	seat    *lists.Seat
	edition *lists.Edition // until begin: others come after it
	wait    time.Duration

	req   *http.Request
	begun time.Time
}

// park takes a request out of the hands of net/http until the list changes. It
// reports false where that cannot be, and has changed nothing then.
func (s *Server) park(w http.ResponseWriter, r *http.Request, ask listRequest, e *lists.Edition, wait time.Duration) bool {
	lobby, _ := r.Context().Value(lobbyKey{}).(*Lobby)
	if lobby == nil || r.Method != http.MethodGet || r.ProtoMajor != 1 || r.ProtoMinor < 1 || r.Body != http.NoBody {
		return false
	}
	seat := s.cfg.Lists.Sit(s.sourceOf(r).Address)
	if seat == nil {
		return false
	}
	header := w.Header().Clone()
	conn, buffers, err := http.NewResponseController(w).Hijack()
	if err != nil {
		seat.Leave()
		return false
	}
	p := &parked{s: s, lobby: lobby, conn: conn, close: r.Close, header: header, ask: ask, seat: seat, edition: e, wait: wait}
	if n := buffers.Reader.Buffered(); n > 0 {
		unread, _ := buffers.Reader.Peek(n) // it is there
		p.unread = bytes.Clone(unread)
	}
	noteOf(r.Context()).parked = p
	return true
}

// begin waits. It is called when the handlers are done, so that nothing but the
// answer touches the note from here on.
func (p *parked) begin(c *noted, begun time.Time) {
	c.Context = context.Background() // the other one ends with the handler, and holds its request
	p.req, p.begun = (&http.Request{Method: http.MethodGet}).WithContext(c), begun
	e := p.edition
	p.edition = nil
	p.seat.Park(e, p.wait, p.answer, p.gone)
}

func (p *parked) gone() bool { return p.lobby.Gone(p.conn) }

// answer does what the handler would have done after waiting.
func (p *parked) answer() {
	keep := false
	defer func() { p.lobby.Return(p.conn, p.unread, keep) }()
	out := &reply{header: p.header, status: http.StatusOK}
	rec := &recorder{ResponseWriter: out, status: http.StatusOK}
	defer func() { p.s.endRequest(p.req, rec, p.begun, recover()) }()
	ctx, cancel := context.WithTimeout(p.req.Context(), answerTime)
	defer cancel()
	waited(rec, p.wait)
	e, fresh, err := p.s.cfg.Lists.Latest(ctx, p.ask.number)
	p.s.answerList(rec, p.req, p.ask, e, fresh, err)
	closing := p.close || !p.lobby.Open()
	p.conn.SetWriteDeadline(time.Now().Add(answerTime))
	err = out.send(p.conn, closing)
	p.conn.SetWriteDeadline(time.Time{})
	keep = err == nil && !closing
}

// waited says that a request has waited (RFC 7240 §3).
func waited(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(d.Seconds())))
}

// reply is an answer that no HTTP server sends. What is written to it must not
// change until it is sent: ten thousand would otherwise copy a list each.
type reply struct {
	header http.Header
	status int
	body   net.Buffers
	length int64
}

func (w *reply) Header() http.Header    { return w.header }
func (w *reply) WriteHeader(status int) { w.status = status }

func (w *reply) Write(b []byte) (int, error) {
	w.body = append(w.body, b)
	w.length += int64(len(b))
	return len(b), nil
}

// send writes it as HTTP/1.1.
func (w *reply) send(conn net.Conn, closing bool) error {
	w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	resp := http.Response{
		StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: w.length, Close: closing,
	}
	out := bufio.NewWriter(conn)
	if err := resp.Write(out); err != nil {
		return err
	}
	return out.Flush()
}
