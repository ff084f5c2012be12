package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"jeton/events"
	"jeton/server"
)

// generation is everything that follows from one reading of the settings: a node
// on the store, and what answers on the addresses. Two of them work side by side
// for a moment at a reload, as two processes on one store do.
type generation struct {
	settings  *Settings
	log       *slog.Logger
	node      *node
	server    *server.Server
	listening func(url string)

	doors []*door
	// background ends when cancel was called.
	background sync.WaitGroup
	cancel     context.CancelFunc
	failed     chan error
}

// begin opens the store and serves on the addresses. What it cannot begin it
// leaves as it was.
func (v *service) begin(ctx context.Context, s *Settings, log *slog.Logger, o occasion) (g *generation, err error) {
	g = &generation{settings: s, log: log, failed: make(chan error, 2), cancel: func() {}}
	defer func() {
		if err != nil {
			g.end()
			g = nil
		}
	}()
	if g.node, err = openNode(ctx, s, s.issuer(v.public.Addr()), log); err != nil {
		return g, err
	}
	if err = ensure(ctx, s, g.node); err != nil {
		return g, err
	}
	g.node.warnOfAlgorithm(s.SigningAlg.word)
	s.warnOfOpenKey(log)
	if err = g.node.noteIssuer(ctx); err != nil {
		return g, err
	}
	if g.listening, err = o.opened(ctx, g.node); err != nil {
		return g, err
	}
	if g.server, err = g.node.server(s); err != nil {
		return g, err
	}
	// Events are told, and lists follow, until the last request is answered.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g.cancel = cancel
	if err = g.administer(work, g.server.OperatorDoor()); err != nil {
		return g, err
	}
	return g, g.open(v)
}

// open serves on copies of the addresses: the kernel keeps whoever connects
// while one generation takes over from another.
func (g *generation) open(v *service) error {
	public, err := copyOf(v.public)
	if err != nil {
		return err
	}
	d := newDoor(g.server.Handler(), public, int(g.settings.MaxConnections), g.log)
	d.RegisterOnShutdown(g.node.lists.Release)
	g.doors = append(g.doors, d)
	g.background.Go(func() { g.stopped(d.serve(v.cert)) })
	if v.metrics == nil {
		return nil
	}
	scrapes, err := copyOf(v.metrics)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", g.server.MetricsHandler())
	metrics := newDoor(mux, scrapes, maxScrapes, g.log)
	g.doors = append(g.doors, metrics)
	g.background.Go(func() { g.stopped(metrics.serve(nil)) })
	return nil
}

// copyOf is another listener on the same socket, which can be closed without
// closing that.
func copyOf(l net.Listener) (net.Listener, error) {
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return nil, fmt.Errorf("the address %s cannot be shared: %w", l.Addr(), err)
	}
	defer f.Close()
	twin, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the address %s cannot be shared: %w", l.Addr(), err)
	}
	return twin, nil
}

// administer opens the operator's door and begins the work that no request
// asks for.
func (g *generation) administer(ctx context.Context, door http.Handler) error {
	n := g.node
	identity, err := g.settings.identity()
	if err == nil {
		err = g.settings.makeDataDir()
	}
	if err != nil {
		return err
	}
	socket, err := serveSocket(ctx, g.settings.socketPath(), identity, door, g.log)
	if err != nil {
		return err
	}
	g.background.Go(socket.wait)
	publisher := events.NewPublisher(n.store, g.log)
	publisher.Subscribe("audit", events.Audit(g.log.Handler()))
	publisher.Follow(n.webhooks.Follow)
	publisher.Follow(n.history.Follow)
	g.background.Go(func() { publisher.Run(ctx) })
	g.background.Go(func() { n.webhooks.Run(ctx) })
	g.background.Go(func() { n.notifier.Run(ctx) })
	g.background.Go(func() { events.NewSweeper(n.store, g.log).Run(ctx) })
	g.background.Go(func() { n.grants.Finish(ctx) })
	if n.recover != nil {
		g.background.Go(func() { n.recover.Run(ctx) })
		g.background.Go(func() { n.recover.Index(ctx) })
		g.background.Go(func() { n.recover.Mail.Run(ctx) })
	}
	return nil
}

// maxScrapes is how many connections may read metrics at once.
const maxScrapes = 100

// stopped tells of a server that stopped by itself.
func (g *generation) stopped(err error) {
	if err != nil {
		g.failed <- err
	}
}

// leave lets load balancers turn away before the addresses are closed: those
// that ask whether the server is ready, and those that choose a server once for
// a connection, whose clients have to come by a new one.
func (g *generation) leave(well bool) {
	if delay := time.Duration(g.settings.ShutdownDelay); well && delay > 0 {
		g.server.Leave()
		for _, d := range g.doors {
			d.leave()
		}
		select {
		case <-time.After(delay):
		case <-g.failed:
		}
	}
}

// end answers the requests under way, then ends the work behind them, then lets
// go of the store.
func (g *generation) end() {
	var all sync.WaitGroup
	for _, d := range g.doors {
		all.Go(d.shut)
	}
	all.Wait()
	g.cancel()
	g.background.Wait()
	if g.node != nil {
		g.node.close()
	}
}
