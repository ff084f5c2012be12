package redistest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between a store and its server, and does what networks do.
type Proxy struct {
	Addr string

	to       atomic.Pointer[string]
	listener net.Listener
	lose     atomic.Int64 // of a thousand replies
	loseTo   atomic.Pointer[[][]byte]
	postpone atomic.Int64 // of a thousand requests
	delay    atomic.Int64 // of each request
	stalled  atomic.Int64 // until then, in Unix nanoseconds
	cut      atomic.Bool

	// Lost and Postponed count what happened.
	Lost, Postponed atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	all   sync.WaitGroup
}

// lateness is how long a postponed request takes: long enough for whoever sent
// it to have looked what became of it.
const lateness = 30 * time.Millisecond

// Between starts a proxy to an address.
func Between(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l, conns: make(map[net.Conn]bool)}
	p.to.Store(&to)
	p.all.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Sever()
		p.all.Wait()
	})
	return p
}

// Lose ends the connection in place of so many of a thousand replies: the
// request has been done.
func (p *Proxy) Lose(perMille int64) { p.lose.Store(perMille) }

// LoseTo has [Proxy.Lose] be about replies to requests that have all these texts.
func (p *Proxy) LoseTo(texts ...string) {
	var all [][]byte
	for _, t := range texts {
		all = append(all, []byte(t))
	}
	p.loseTo.Store(&all)
}

// Postpone ends the connection at so many of a thousand requests, and delivers
// them a while later all the same.
func (p *Proxy) Postpone(perMille int64) { p.postpone.Store(perMille) }

// Delay holds each request up.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Stall lets nothing through for so long, and then all that came meanwhile, as a
// network that is cut off and mended: whoever gave up waiting has sent it too.
func (p *Proxy) Stall(d time.Duration) { p.stalled.Store(time.Now().Add(d).UnixNano()) }

// Point leads to another server from now on, as a name does after a failover.
func (p *Proxy) Point(to string) {
	p.to.Store(&to)
	p.Sever()
}

// Cut refuses all connections until it is called again.
func (p *Proxy) Cut(off bool) {
	p.cut.Store(off)
	if off {
		p.Sever()
	}
}

// Sever ends the connections there are.
func (p *Proxy) Sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *Proxy) hold(c net.Conn, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if held {
		p.conns[c] = true
	} else {
		delete(p.conns, c)
		c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.cut.Load() {
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", *p.to.Load())
		if err != nil {
			client.Close()
			continue
		}
		p.hold(client, true)
		p.hold(server, true)
		meant := new(atomic.Bool) // the last request, by [Proxy.LoseTo]
		meant.Store(true)
		p.all.Go(func() { p.carry(client, server, func(b []byte, to net.Conn) bool { return p.requests(b, to, meant) }) })
		p.all.Go(func() { p.carry(server, client, func(_ []byte, to net.Conn) bool { return p.replies(to, meant) }) })
	}
}

// carry copies until either end closes or act says so.
func (p *Proxy) carry(from, to net.Conn, act func(b []byte, to net.Conn) bool) {
	defer p.hold(from, false)
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil || !act(b[:n], to) {
			to.(*net.TCPConn).CloseWrite()
			return
		}
		p.wait()
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// wait waits while nothing is let through.
func (p *Proxy) wait() {
	for {
		d := time.Until(time.Unix(0, p.stalled.Load()))
		if d <= 0 {
			return
		}
		time.Sleep(min(d, 50*time.Millisecond))
	}
}

func (p *Proxy) requests(b []byte, server net.Conn, meant *atomic.Bool) bool {
	if texts := p.loseTo.Load(); texts != nil {
		all := true
		for _, t := range *texts {
			all = all && bytes.Contains(b, t)
		}
		meant.Store(all)
	}
	if d := time.Duration(p.delay.Load()); d > 0 {
		time.Sleep(d)
	}
	if len(b) < 200 || rand.Int64N(1000) >= p.postpone.Load() { // a greeting is short
		return true
	}
	p.Postponed.Add(1)
	late, err := net.Dial("tcp", *p.to.Load())
	if err != nil {
		return false
	}
	request := append([]byte(nil), b...)
	p.all.Go(func() {
		defer late.Close()
		time.Sleep(lateness)
		late.Write(request)
		late.SetReadDeadline(time.Now().Add(time.Second))
		late.Read(make([]byte, 1))
	})
	return false
}

func (p *Proxy) replies(client net.Conn, meant *atomic.Bool) bool {
	if !meant.Load() || rand.Int64N(1000) >= p.lose.Load() {
		return true
	}
	p.Lost.Add(1)
	client.Close()
	return false
}
