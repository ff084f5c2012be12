package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// drainTime is how long requests under way may take once the server ends.
	drainTime = 10 * time.Second
	// freshTime is how long one who was let in may take to begin a request then.
	freshTime = 2 * time.Second
)

// door is an HTTP server on one listener that loses nobody it has let in.
// [http.Server.Shutdown] alone drops whoever was accepted and whose request it
// reads a moment later: without an answer, and for a refresh that is a session
// in doubt. So a door first closes the listener, waits for those, and only then
// shuts down. Connections whose requests wait are out of its hands, in the
// lobby.
type door struct {
	http.Server
	listener net.Listener
	lobby    *lobby

	mu       sync.Mutex
	fresh    map[net.Conn]bool // let in, and no handler has begun
	shutting bool
	// none is made once nobody is let in any more, and closed when nobody is
	// fresh.
	none chan struct{}
	// served is closed when serve has returned.
	served chan struct{}
}

func newDoor(handler http.Handler, l net.Listener, most int, log *slog.Logger) *door {
	d := &door{listener: newEntrance(l, most), lobby: newLobby(l.Addr()), fresh: make(map[net.Conn]bool), served: make(chan struct{})}
	publicServer(&d.Server, log)
	d.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.begun(r.Context().Value(connKey{}).(net.Conn))
		d.lobby.during(func() { handler.ServeHTTP(w, r) })
	})
	rules := d.lobby.rules()
	d.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return rules.Context(context.WithValue(ctx, connKey{}, c))
	}
	d.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			d.mu.Lock()
			d.fresh[c] = true
			d.mu.Unlock()
		case http.StateHijacked:
			d.lobby.take(c)
			d.begun(c)
		case http.StateClosed:
			d.begun(c)
		}
	}
	return d
}

// connKey finds the connection of a request.
type connKey struct{}

// begun notes that a connection's request is being handled, or that there will
// be none.
func (d *door) begun(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.fresh[c] {
		return
	}
	delete(d.fresh, c)
	if d.none != nil && len(d.fresh) == 0 {
		close(d.none)
	}
}

// serve serves until the door is shut, and returns nil then.
func (d *door) serve(cert *certificate) error {
	defer close(d.served)
	if cert != nil {
		d.TLSConfig = cert.config()
	}
	var back sync.WaitGroup
	back.Go(func() { d.Serve(d.lobby) }) // what comes from there has TLS already
	var err error
	if cert != nil {
		err = d.ServeTLS(d.listener, "", "")
	} else {
		err = d.Serve(d.listener)
	}
	d.lobby.Close()
	back.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shutting || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("the server has stopped listening: %w", err)
}

// shut lets nobody in any more, lets those who are in finish for a while, and
// cuts off the rest.
func (d *door) shut() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	d.SetKeepAlivesEnabled(false) // answers say so: Connection: close
	d.mu.Lock()
	d.shutting = true
	d.mu.Unlock()
	d.listener.Close()
	<-d.served
	none := make(chan struct{})
	d.mu.Lock()
	if len(d.fresh) == 0 {
		close(none)
	} else {
		d.none = none
	}
	d.mu.Unlock()
	select {
	case <-none:
	case <-time.After(freshTime):
	}
	if err := d.Shutdown(ctx); err != nil {
		d.Close()
	}
	d.lobby.drain(ctx.Done())
}
