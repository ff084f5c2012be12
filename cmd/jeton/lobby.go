package main

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"jeton/server"
)

// entrance is a listener that lets in a number of connections at once; more
// wait to be accepted.
type entrance struct {
	net.Listener
	room chan struct{}
	once sync.Once
	shut chan struct{}
}

func newEntrance(l net.Listener, most int) *entrance {
	return &entrance{Listener: l, room: make(chan struct{}, most), shut: make(chan struct{})}
}

func (l *entrance) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.shut:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &admitted{Conn: c, room: l.room}, nil
}

func (l *entrance) Close() error {
	l.once.Do(func() { close(l.shut) })
	return l.Listener.Close()
}

// admitted makes room when it is closed.
type admitted struct {
	net.Conn
	once sync.Once
	room chan struct{}
}

func (c *admitted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.room })
	return err
}

// lobby has the connections that were taken from a door's HTTP server, for
// requests that wait without a goroutine. It is a listener too: who comes back
// with another request is accepted from it.
type lobby struct {
	addr net.Addr
	back chan returning
	once sync.Once
	shut chan struct{}

	mu     sync.Mutex
	closed bool // no connection stays for another request
	out    map[net.Conn]place
	busy   int           // handlers, any of which may put one more there
	empty  chan struct{} // made once it is closed, and closed when nobody is left
}

// returning is a connection on its way back, and what it was out as.
type returning struct{ conn, was net.Conn }

// place is what a connection in the lobby waits for.
type place int

const (
	forAnswer  place = iota // its request is not answered yet
	forRequest              // for the next one
)

func newLobby(addr net.Addr) *lobby {
	return &lobby{addr: addr, back: make(chan returning), shut: make(chan struct{}), out: make(map[net.Conn]place)}
}

// rules are what the server knows of it.
func (l *lobby) rules() *server.Lobby {
	return &server.Lobby{Open: l.open, Gone: func(c net.Conn) bool { return peek(c, false) != errQuiet }, Return: l.giveBack}
}

func (l *lobby) Accept() (net.Conn, error) {
	select {
	case r := <-l.back:
		l.forget(r.was) // before the HTTP server has it, and may give it away again
		return r.conn, nil
	case <-l.shut:
		return nil, net.ErrClosed
	}
}

func (l *lobby) Addr() net.Addr { return l.addr }

// Close keeps no connection for another request, and leaves alone those whose
// request is not answered yet.
func (l *lobby) Close() error {
	l.once.Do(func() { close(l.shut) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c, p := range l.out {
		if p == forRequest {
			c.SetReadDeadline(time.Unix(1, 0)) // linger closes it
		}
	}
	return nil
}

func (l *lobby) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed
}

// take notes a connection that was taken from the HTTP server.
func (l *lobby) take(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out[c] = forAnswer
}

// forget is for a connection that is accepted again or closed.
func (l *lobby) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.out, c)
	l.tell()
}

// during counts a handler. A connection is neither the HTTP server's nor in the
// lobby for a moment, and it is in a handler then.
func (l *lobby) during(handle func()) {
	l.mu.Lock()
	l.busy++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.busy--
		l.tell()
	}()
	handle()
}

func (l *lobby) left() int { return len(l.out) + l.busy }

// tell tells drain that nobody is left.
func (l *lobby) tell() {
	if l.empty != nil && l.left() == 0 {
		close(l.empty)
		l.empty = nil
	}
}

// drain returns when all are answered, or cuts off the rest when the time is
// over. The lobby is closed.
func (l *lobby) drain(over <-chan struct{}) {
	empty := make(chan struct{})
	l.mu.Lock()
	l.empty = empty
	l.tell()
	l.mu.Unlock()
	select {
	case <-empty:
		return
	case <-over:
	}
	l.mu.Lock()
	rest := make([]net.Conn, 0, len(l.out))
	for c := range l.out {
		rest = append(rest, c)
	}
	l.mu.Unlock()
	for _, c := range rest {
		socketOf(c).Close()
	}
}

// giveBack is [server.Lobby.Return].
func (l *lobby) giveBack(c net.Conn, unread []byte, keep bool) {
	if !keep {
		c.Close()
		l.forget(c)
		return
	}
	below := c
	if r, ok := c.(*replay); ok {
		below, unread = r.Conn, append(unread, r.unread...)
	}
	if len(unread) > 0 {
		l.readmit(returning{&replay{Conn: below, unread: unread}, c})
		return
	}
	go l.linger(returning{below, c}) // in a goroutine of its own: the stack of this one has grown
}

// linger keeps a connection until its next request begins. It is not given to
// the HTTP server before: there it would be a new one, which has less time than
// an idle one, and costs buffers.
func (l *lobby) linger(r returning) {
	r.conn.SetReadDeadline(time.Now().Add(idleTimeout))
	l.mu.Lock()
	l.out[r.was] = forRequest
	closed := l.closed
	l.mu.Unlock()
	if closed || peek(r.conn, true) != nil {
		r.conn.Close()
		l.forget(r.was)
		return
	}
	r.conn.SetReadDeadline(time.Time{})
	l.readmit(r)
}

// readmit has a connection accepted again. After Close nobody accepts any more,
// but who was accepted before is known to the HTTP server.
func (l *lobby) readmit(r returning) {
	select {
	case l.back <- r:
	case <-l.shut:
		r.conn.Close()
		l.forget(r.was)
	}
}

// replay is a connection of which some was read already.
type replay struct {
	net.Conn
	unread []byte
}

func (c *replay) Read(b []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// socketOf is what a connection stands on.
func socketOf(c net.Conn) net.Conn {
	for {
		switch above := c.(type) {
		case *tls.Conn:
			c = above.NetConn()
		case *replay:
			c = above.Conn
		case *admitted:
			return above.Conn
		default:
			return c
		}
	}
}

// errQuiet says that nothing has come.
const errQuiet = syscall.EAGAIN

// peek tells whether a byte has come, without taking it, and waits for it if
// told to. TLS does not matter: whatever comes is for the one who reads.
func peek(c net.Conn, wait bool) (err error) {
	socket, ok := socketOf(c).(syscall.Conn)
	if !ok {
		return errQuiet
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		for {
			if n, _, peeked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT); peeked != syscall.EINTR {
				return !wait || peeked != errQuiet
			}
		}
	})
	switch {
	case err != nil:
		return err
	case peeked != nil:
		return peeked
	case n == 0:
		return io.EOF
	}
	return nil
}
