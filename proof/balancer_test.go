package proof_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer is what a load balancer is to its servers: it asks each whether it is
// ready, sends requests to those that are in turn, over connections that it
// keeps, and asks another one only where nobody listened: then nothing was sent.
type balancer struct {
	t         *testing.T
	transport *http.Transport
	// byConnection chooses a server for a connection and not for a request, as
	// one that does not read HTTP does.
	byConnection bool

	mu      sync.Mutex
	servers []*backend
	turn    int

	refused, repeated atomic.Int64
}

// backend is one server behind it.
type backend struct {
	address string
	ready   atomic.Bool
	served  atomic.Int64
	stop    chan struct{}
	watched chan struct{}
}

// probeEvery is how often a server is asked whether it is ready.
const probeEvery = 100 * time.Millisecond

func newBalancer(t *testing.T, byConnection bool) *balancer {
	b := &balancer{t: t, byConnection: byConnection, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	if byConnection {
		b.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return b.dial() }
	}
	t.Cleanup(func() {
		for _, s := range b.servers {
			b.forget(s)
		}
		b.transport.CloseIdleConnections()
	})
	return b
}

// client is a node that is the whole of them.
func (b *balancer) client() *node {
	return &node{t: b.t, url: "http://balancer.invalid", http: &http.Client{Transport: b, Timeout: time.Minute}}
}

// add begins to ask a server whether it is ready, and waits until it is.
func (b *balancer) add(n *node) *backend {
	s := &backend{address: strings.TrimPrefix(n.url, "http://"), stop: make(chan struct{}), watched: make(chan struct{})}
	probe := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() {
		resp, err := probe.Get(n.url + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		s.ready.Store(err == nil && resp.StatusCode == http.StatusOK)
	}
	for ask(); !s.ready.Load(); ask() {
	}
	go func() {
		defer close(s.watched)
		for {
			select {
			case <-s.stop:
				return
			case <-time.After(probeEvery):
				ask()
			}
		}
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = append(b.servers, s)
	return s
}

// forget ceases to ask a server that has ended.
func (b *balancer) forget(s *backend) {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	<-s.watched
	s.ready.Store(false)
}

// pick is the next server that is ready, nil for none.
func (b *balancer) pick() *backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.servers {
		b.turn++
		if s := b.servers[b.turn%len(b.servers)]; s.ready.Load() {
			return s
		}
	}
	return nil
}

var errNoneReady = errors.New("no server is ready")

// dial connects to a server that is ready.
func (b *balancer) dial() (net.Conn, error) {
	for {
		s := b.pick()
		if s == nil {
			return nil, errNoneReady
		}
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			s.served.Add(1)
			return conn, nil
		}
		b.refused.Add(1)
		s.ready.Store(false)
	}
}

// RoundTrip sends a request to one server.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		// net/http itself sends some requests again when a connection is closed
		// under them. Whoever is not as kind would have lost those.
		connections := 0
		ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }})
		out := r.Clone(ctx)
		if r.GetBody != nil {
			out.Body, _ = r.GetBody()
		}
		var s *backend
		if !b.byConnection {
			if s = b.pick(); s == nil {
				b.t.Errorf("%s %s: %v", r.Method, r.URL.Path, errNoneReady)
				return nil, errNoneReady
			}
			out.URL.Host = s.address
		}
		resp, err := b.transport.RoundTrip(out)
		var op *net.OpError
		if s != nil && errors.As(err, &op) && op.Op == "dial" {
			b.refused.Add(1)
			s.ready.Store(false)
			continue
		}
		if connections > 1 {
			b.repeated.Add(1)
			b.t.Errorf("%s %s: the connection was closed under it", r.Method, r.URL.Path)
		}
		if err != nil {
			b.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		} else if s != nil {
			s.served.Add(1)
		}
		return resp, err
	}
}
