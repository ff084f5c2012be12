package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// What a slow or hostile client can hold on to.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
)

// drainTime is how long requests under way may take once the server ends.
const drainTime = 10 * time.Second

// listenTCP binds an address; setting is what to change when that fails.
func listenTCP(ctx context.Context, address, setting string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: end that, or choose another address with --%s (%s takes a free port)", address, setting, "127.0.0.1:0")
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this user may not listen on %s: choose a port above 1023 with --%s", address, setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine has no address %s: choose another with --%s", address, setting)
	}
	return nil, fmt.Errorf("cannot listen, choose another address with --%s: %w", setting, err)
}

// publicServer answers strangers.
func publicServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What clients do wrong below HTTP is noise that they choose.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serveHTTP serves until shutdown, and returns nil then.
func serveHTTP(server *http.Server, l net.Listener, most int, cert *certificate) error {
	l = netutil.LimitListener(l, most)
	var err error
	if cert != nil {
		server.TLSConfig = cert.config()
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("the server has stopped listening: %w", err)
}

// shutdown takes no new requests, lets those under way finish for a while, and
// cuts off the rest.
func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		server.Close()
	}
}
