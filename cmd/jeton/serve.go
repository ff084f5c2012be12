package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"jeton/events"
)

// serveCommand runs the server.
func (a *app) serveCommand() *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "serve [--demo]",
		Short: "Run the server",
		Long: "Run the server until it is interrupted. The first start makes the store and the\n" +
			"keys. With --demo everything is thrown away at the end.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			if demo {
				return a.serveDemo(cmd.Context(), s)
			}
			return a.serve(cmd.Context(), s, occasion{opened: a.firstSteps(s)})
		},
	}
	addFlags(cmd.Flags(), false)
	cmd.Flags().BoolVar(&demo, "demo", false, "serve a throw-away store with a client, users and lines to try")
	return cmd
}

// occasion is what a demonstration does beside serving.
type occasion struct {
	// opened runs once the store is open and before anyone can ask; what it
	// returns runs when the server listens at url.
	opened func(ctx context.Context, n *node) (listening func(url string), err error)
}

// service is one server at work.
type service struct {
	settings *Settings
	log      *slog.Logger
	cert     *certificate

	public, metrics net.Listener

	// background ends when the servers have.
	background sync.WaitGroup
	failed     chan error
}

// serve runs the server until ctx ends, and lets requests under way finish.
func (a *app) serve(ctx context.Context, s *Settings, o occasion) error {
	v := &service{settings: s, log: s.logger(a.stderr, slog.LevelDebug), failed: make(chan error, 2)}
	if err := v.listen(ctx); err != nil {
		return err
	}
	defer v.closeListeners()
	tuneMemory(a.environ)
	if err := a.rehearseFirst(ctx, s); err != nil {
		return err
	}
	n, err := openNode(ctx, s, s.issuer(v.public.Addr()), v.log)
	if err != nil {
		return err
	}
	defer n.close()
	if err := ensure(ctx, s, n); err != nil {
		return err
	}
	n.warnOfAlgorithm(s.SigningAlg.word)
	listening, err := o.opened(ctx, n)
	if err != nil {
		return err
	}
	return v.run(ctx, n, func() {
		url := issuerOf(s.Listen.String(), v.public.Addr(), v.cert != nil)
		v.log.Info("serving", "issuer", n.grants.Settings.Issuer, "store", s.Store.String(), "version", thisBuild().Version)
		if v.metrics != nil {
			v.log.Info("serving metrics", "url", "http://"+v.metrics.Addr().String()+"/metrics")
		}
		announce(a.stderr, url)
		v.tellSystemd(daemon.SdNotifyReady)
		listening(url)
	})
}

// listen binds all addresses, so that a port in use is told before anything is
// opened or made.
func (v *service) listen(ctx context.Context) (err error) {
	s := v.settings
	if s.TLSCert != "" {
		if v.cert, err = loadCertificate(s.TLSCert.String(), s.TLSKey.String(), v.log); err != nil {
			return err
		}
	}
	if v.public, err = listenTCP(ctx, s.Listen.String(), "listen"); err != nil {
		return err
	}
	if s.MetricsListen != "off" {
		if v.metrics, err = listenTCP(ctx, s.MetricsListen.String(), "metrics-listen"); err != nil {
			v.closeListeners()
		}
	}
	return err
}

// closeListeners lets go of the addresses, also of those that serve no more.
func (v *service) closeListeners() {
	for _, l := range []net.Listener{v.public, v.metrics} {
		if l != nil {
			l.Close()
		}
	}
}

// run serves on everything at once.
func (v *service) run(ctx context.Context, n *node, ready func()) error {
	srv, err := n.server(v.settings)
	if err != nil {
		return err
	}
	// Events are told, and lists follow, until the last request is answered.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer v.background.Wait()
	defer cancel()

	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGHUP)
	defer signal.Stop(gone)
	if v.cert != nil {
		reload := gone
		v.background.Go(func() { v.cert.follow(work, reload) })
		gone = nil // a hangup ends only what has no files to read again
	}
	if err := v.administer(work, n, srv.OperatorDoor()); err != nil {
		return err
	}
	public := publicServer(srv.Handler(), v.log)
	public.RegisterOnShutdown(n.lists.Release)
	servers := []*http.Server{public}
	v.background.Go(func() { v.end(serveHTTP(public, v.public, int(v.settings.MaxConnections), v.cert)) })
	if v.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("/metrics", srv.MetricsHandler())
		metrics := publicServer(mux, v.log)
		servers = append(servers, metrics)
		v.background.Go(func() { v.end(serveHTTP(metrics, v.metrics, maxScrapes, nil)) })
	}
	ready()
	// Starting has used memory that serving does not need.
	v.background.Go(debug.FreeOSMemory)

	select {
	case <-ctx.Done():
	case <-gone:
	case err = <-v.failed:
	}
	v.log.Info("ending")
	v.tellSystemd(daemon.SdNotifyStopping)
	if delay := time.Duration(v.settings.ShutdownDelay); err == nil && delay > 0 {
		srv.Leave()
		select {
		case <-time.After(delay):
		case err = <-v.failed:
		}
	}
	for _, server := range servers {
		shutdown(server)
	}
	return err
}

// administer opens the operator's door and begins the work that no request
// asks for.
func (v *service) administer(ctx context.Context, n *node, door http.Handler) error {
	file, err := sqliteFile(v.settings.Store.String())
	if err != nil {
		return err
	}
	socket, err := serveSocket(ctx, v.settings.socketPath(), storeIdentity(file), door, v.log)
	if err != nil {
		return err
	}
	v.background.Go(socket.wait)
	publisher := events.NewPublisher(n.store, v.log)
	publisher.Subscribe("audit", events.Audit(v.log.Handler()))
	publisher.Follow(n.webhooks.Follow)
	v.background.Go(func() { publisher.Run(ctx) })
	v.background.Go(func() { n.webhooks.Run(ctx) })
	v.background.Go(func() { events.NewSweeper(n.store, v.log).Run(ctx) })
	v.background.Go(func() { n.grants.Finish(ctx) })
	return nil
}

// maxScrapes is how many connections may read metrics at once.
const maxScrapes = 100

// end tells of a server that stopped by itself.
func (v *service) end(err error) {
	if err != nil {
		v.failed <- err
	}
}

// tellSystemd tells the service manager, where one started the server and asked
// to be told (Type=notify), so that "started" means "serves".
func (v *service) tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		v.log.Warn("systemd cannot be told how the server is; with Type=notify it will take it for not started: check NotifyAccess in the unit", "state", state, "cause", err)
	}
}
