package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// drainTime is how long requests under way may take once the server ends.
	drainTime = 10 * time.Second
	// freshTime is how long one who was let in may take to begin a request then.
	freshTime = 2 * time.Second
	// idleGrace is how long a connection that is kept alive may be silent then.
	idleGrace = time.Second
)

// door is an HTTP server on one listener that loses nobody it has let in.
// [http.Server.Shutdown] alone drops whoever was accepted and whose request it
// reads a moment later: without an answer, and for a refresh that is a session
// in doubt. So a door first closes the listener, waits for those, and only then
// shuts down. It closes no connection that is kept alive before it has said so in
// an answer, or has heard nothing on it for a while: the next request may be on
// its way. Connections whose requests wait are out of its hands, in the lobby.
type door struct {
	http.Server
	listener net.Listener
	lobby    *lobby

	leaving  atomic.Bool // answers say Connection: close
	mu       sync.Mutex
	open     int               // connections
	fresh    map[net.Conn]bool // those let in for which no handler has begun
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
		if d.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
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
			d.open++
			d.fresh[c] = true
			d.mu.Unlock()
		case http.StateHijacked:
			d.lobby.take(c)
			d.begun(c)
			d.closed()
		case http.StateClosed:
			d.begun(c)
			d.closed()
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

func (d *door) closed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
}

// quiet waits until no connection is open, for idleGrace at most.
func (d *door) quiet() {
	for end := time.Now().Add(idleGrace); time.Now().Before(end); time.Sleep(idleGrace / 100) {
		d.mu.Lock()
		open := d.open
		d.mu.Unlock()
		if open == 0 {
			return
		}
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

// leave has every answer from now on end its connection, so that whoever keeps
// one goes elsewhere with the next request. Nobody is turned away.
func (d *door) leave() { d.leaving.Store(true) }

// shut lets nobody in any more, lets those who are in finish for a while, and
// cuts off the rest.
func (d *door) shut() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	d.leave()
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
	d.quiet()
	d.SetKeepAlivesEnabled(false)
	if err := d.Shutdown(ctx); err != nil {
		d.Close()
	}
	d.lobby.drain(ctx.Done())
}
