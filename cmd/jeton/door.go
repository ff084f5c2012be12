package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// errNoServer says that no server runs on the store, so that a command may
// open it by itself.
var errNoServer = errors.New("no server is running")

// answerTimeout bounds the wait for a server that has stopped answering. Ending
// a great many sessions is one request and takes its time.
const answerTimeout = 10 * time.Minute

// open finds the way to the admin API: the socket of a running server, or the
// same handler in this process. create lets it begin a new store.
func (a *app) open(ctx context.Context, s *Settings, create bool) (*api, error) {
	identity, err := s.identity()
	if err != nil {
		return nil, err
	}
	path := s.socketPath()
	switch err := probe(ctx, path); {
	case err == nil:
		transport := &http.Transport{
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return redialUnix(ctx, path) },
			ResponseHeaderTimeout: answerTimeout,
			DisableCompression:    true,
		}
		return &api{client: &http.Client{Transport: transport}, store: identity, close: transport.CloseIdleConnections}, nil
	case !errors.Is(err, errNoServer):
		return nil, err
	}
	n, err := openOwn(ctx, s, s.logger(a.stderr, slog.LevelWarn), create)
	if err != nil {
		return nil, err
	}
	return &api{client: &http.Client{Transport: inProcess{n.admin()}}, close: n.close}, nil
}

// openOwn opens the store itself, where that does no harm.
func openOwn(ctx context.Context, s *Settings, log *slog.Logger, create bool) (*node, error) {
	if s.onRedis() {
		return openRedisNode(ctx, s, s.issuer(nil), log, create)
	}
	file, err := sqliteFile(s.Store.String())
	if err != nil {
		return nil, err
	}
	if err := ownStore(file, create); err != nil {
		return nil, s.elsewhere(err)
	}
	return openNode(ctx, s, s.issuer(nil), log)
}

// probe tells whether a server answers at the socket, and that the socket is
// not somebody else's, to whom passwords would go.
func probe(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errNoServer
	case errors.Is(err, fs.ErrPermission):
		return &awayError{"the server's socket is out of reach: run this as the user that runs the server", err}
	case err != nil:
		return &awayError{"the server's socket is out of reach, is --admin-socket right?", err}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && st.Uid != 0 && !ownerOf(filepath.Dir(path), st.Uid) {
		return &awayError{fmt.Sprintf("the socket %s was made by another user (%d), not by the server: remove it, and find out who it was", path, st.Uid), nil}
	}
	conn, err := dialUnix(ctx, path)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return errNoServer // its owner has died, or ended just now
	case errors.Is(err, fs.ErrPermission):
		return &awayError{"the server's socket does not let you in: run this as the user that runs the server", err}
	}
	return &awayError{"the server's socket is out of reach", err}
}

func ownerOf(dir string, uid uint32) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == uid
}

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	address, release, err := socketAddress(path)
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// handOver is how long a socket may be without an owner: a reload, or a server
// that another one takes over from.
const handOver = 20 * takeOverEvery

// redialUnix dials again where nobody listens just now: a command of many
// requests, such as an import, goes on through a reload. Nothing has been sent.
func redialUnix(ctx context.Context, path string) (net.Conn, error) {
	for end := time.Now().Add(handOver); ; {
		conn, err := dialUnix(ctx, path)
		if err == nil || time.Now().After(end) || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(takeOverEvery / 5):
		}
	}
}

// ownStore lets a command open the store itself only where that does no harm:
// not where a mistyped name would begin a new one, and not as another user,
// whose files the server could then no longer write.
func ownStore(file string, create bool) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &awayError{fmt.Sprintf("there is no store at %s and no server runs on it: begin one with jeton serve, or name yours with --store", file), nil}
	case err != nil:
		return &awayError{"the store is out of reach: run this as the user that runs the server", err}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &awayError{fmt.Sprintf("the store %s belongs to another user (%d): run this as that user, such as with sudo -u", file, st.Uid), nil}
	}
	return nil
}

// inProcess carries requests to a handler in this process, as if there was a
// wire between.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	r := req.Clone(req.Context())
	r.RequestURI = req.URL.RequestURI()
	r.Host = req.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &kept{header: http.Header{}}
	t.handler.ServeHTTP(w, r)
	r.Body.Close()
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: req,
	}, nil
}

// kept keeps a response until its handler is done.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}
