package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"jeton/storage/redis"
)

// serveCommand runs the server.
func (a *app) serveCommand() *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "serve [--demo]",
		Short: "Run the server",
		Args:  exactly(),
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
	cmd.Flags().BoolVar(&demo, "demo", false, "serve a throw-away store with clients, users and lines to try")
	return cmd
}

// occasion is what a demonstration does beside serving.
type occasion struct {
	// opened runs once the store is open and before anyone can ask; what it
	// returns runs when the server listens at url.
	opened func(ctx context.Context, n *node) (listening func(url string), err error)
}

// service is one process that serves: its addresses, and the generation that
// answers there. A reload replaces the generation.
type service struct {
	settings *Settings
	log      *slog.Logger
	cert     *certificate

	public, metrics net.Listener
}

// serve runs the server until ctx ends, and lets requests under way finish.
func (a *app) serve(ctx context.Context, s *Settings, o occasion) error {
	v := &service{settings: s, log: s.logger(a.stderr, slog.LevelDebug)}
	if err := v.listen(ctx); err != nil {
		return err
	}
	defer v.closeListeners()
	tuneMemory(a.environ)
	s.tellWaiting(v.log)
	if err := a.rehearseFirst(ctx, s); err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	g, err := v.begin(ctx, s, v.log, o)
	if err != nil {
		return err
	}
	url := issuerOf(s.Listen.String(), v.public.Addr(), v.cert != nil)
	v.log.Info("serving", "issuer", g.node.grants.Settings.Issuer, "store", redis.Redact(s.Store.String()), "version", thisBuild().Version)
	if v.metrics != nil {
		v.log.Info("serving metrics", "url", "http://"+v.metrics.Addr().String()+"/metrics")
	}
	announce(a.stderr, url)
	v.tellSystemd(daemon.SdNotifyReady)
	g.listening(url)
	go debug.FreeOSMemory() // starting has used memory that serving does not need

	if v.cert != nil {
		go v.cert.follow(ctx)
	}
	for {
		select {
		case <-ctx.Done():
		case err = <-g.failed:
		case <-hangups:
			if v.reloadable() {
				g = a.reload(ctx, v, g)
				continue
			}
			// The terminal is gone, and there is nothing to read again.
		}
		v.log.Info("ending")
		v.tellSystemd(daemon.SdNotifyStopping)
		g.leave(err == nil)
		v.closeListeners() // or the kernel would go on to let people in
		g.end()
		return err
	}
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

// tellSystemd tells the service manager, where one started the server and asked
// to be told (Type=notify), so that "started" means "serves".
func (v *service) tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		v.log.Warn("systemd cannot be told how the server is; with Type=notify it will take it for not started: check NotifyAccess in the unit", "state", state, "cause", err)
	}
}
