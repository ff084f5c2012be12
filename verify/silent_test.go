package verify

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A connection that carries nothing any more, but is never closed, is left: over
// HTTP/2 all requests would go on using it.
func TestASilentConnectionIsLeft(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
		}
		io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	way := newWay(t, server.Listener.Addr().String())
	through := transport(100*time.Millisecond, 5*time.Second)
	through.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	t.Cleanup(through.CloseIdleConnections)
	v := &Verifier{http: http.Client{Transport: through}}
	is := "https://" + way.Addr().String()
	a, err := v.get(t.Context(), is+"/", http.Header{}, 100)
	must(t, err)
	if string(a.body) != "HTTP/2.0" {
		t.Fatalf("%s", a.body)
	}
	way.silent.Add(1)
	if _, err := v.get(t.Context(), is+"/wait", http.Header{}, 100); err == nil {
		t.Fatal("an answer came through a connection that carries nothing")
	}
	_, err = v.get(t.Context(), is+"/", http.Header{}, 100)
	must(t, err)
}

// way leads to a server. The connections that were made when silent was less
// carry nothing.
type way struct {
	net.Listener
	silent atomic.Int32
}

func newWay(t *testing.T, to string) *way {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &way{Listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				return
			}
			t.Cleanup(func() { near.Close(); far.Close() })
			of := w.silent.Load()
			go w.carry(near, far, of)
			go w.carry(far, near, of)
		}
	}()
	return w
}

func (w *way) carry(from, to net.Conn, of int32) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if w.silent.Load() == of {
			to.Write(buffer[:n])
		}
	}
}
