package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The admin socket is the first of the three doors of administration: who may
// open it is the operator. Of several servers on one store one owns it, by a
// lock on a file beside it that the system gives back when the owner dies, in
// whatever way; the others wait to take over.

// storeHeader says which store a command means, so that it never administers
// another one that happens to own the socket.
const storeHeader = "Jeton-Store"

// takeOverEvery is how often those who wait look whether the owner has died.
const takeOverEvery = 250 * time.Millisecond

// adminSocket serves the admin API on a unix socket.
type adminSocket struct {
	path    string
	handler http.Handler
	log     *slog.Logger
	done    chan struct{}
}

// serveSocket owns the socket until ctx ends, or waits in the background to
// own it. [adminSocket.wait] returns when it has let go.
func serveSocket(ctx context.Context, path, store string, handler http.Handler, log *slog.Logger) (*adminSocket, error) {
	s := &adminSocket{path: path, handler: sameStore(store, handler), log: log, done: make(chan struct{})}
	if err := ownDirectory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("the admin socket %s is not safe there: %w, or choose another place with --admin-socket", path, err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the admin socket cannot be locked, choose another place with --admin-socket: %w", err)
	}
	owned, err := s.tryOwn(lock)
	if err != nil {
		lock.Close()
		return nil, err
	}
	if owned == nil {
		log.Info("another server owns the admin socket, this one takes over when it ends", "socket", path)
	}
	go s.run(ctx, lock, owned)
	return s, nil
}

func (s *adminSocket) wait() { <-s.done }

// tryOwn takes lock and socket, or returns no listener while another has them.
func (s *adminSocket) tryOwn(lock *os.File) (net.Listener, error) {
	err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the admin socket cannot be locked, choose another place with --admin-socket: %w", err)
	}
	l, err := listenUnix(s.path)
	if err != nil {
		syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
	}
	return l, err
}

// run serves while this process owns the socket, and waits while not.
func (s *adminSocket) run(ctx context.Context, lock *os.File, owned net.Listener) {
	defer close(s.done)
	defer lock.Close() // gives the lock back, after the socket is gone
	complained := false
	for owned == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(takeOverEvery):
		}
		var err error
		if owned, err = s.tryOwn(lock); err != nil && !complained {
			s.log.Error("cannot take over the admin socket, commands open the store themselves meanwhile", "cause", err)
			complained = true
		}
		if owned != nil {
			s.log.Info("took over the admin socket", "socket", s.path)
		}
	}
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		// Nobody new finds it, before those who did are finished.
		os.Remove(s.path)
		drain, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			server.Close()
		}
	}()
	if err := server.Serve(owned); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("the admin socket has failed, commands open the store themselves meanwhile", "cause", err)
	}
	<-ended
}

// sameStore refuses what was meant for another store.
func sameStore(store string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if meant := r.Header.Get(storeHeader); meant != "" && meant != store {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusMisdirectedRequest)
			fmt.Fprint(w, `{"error":"invalid_request","error_description":"the server at this admin socket serves another store: give each server a socket of its own with --admin-socket"}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// storeIdentity names a store's file, however its path is written. It is empty
// while there is no file.
func storeIdentity(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// ownDirectory refuses a directory in which others could put a socket of their
// own, to which a command would then hand passwords.
func ownDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the directory %s belongs to another user (%d): make it yours", dir, st.Uid)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("everyone may write to the directory %s: chmod o-w it", dir)
	}
	return nil
}

// listenUnix binds the socket. The caller holds the lock, so what is there was
// left by an owner who died.
func listenUnix(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("the admin socket cannot be made, choose another place with --admin-socket: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return nil, fmt.Errorf("%s is there and is no socket: remove it, or choose another place with --admin-socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("the admin socket of a server that has died cannot be replaced: %w", err)
		}
	}
	address, release, err := socketAddress(path)
	if err != nil {
		return nil, err
	}
	defer release()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the admin socket %s cannot be made, choose another place with --admin-socket: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	// The umask has made it private already; this takes the x bits away.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("the admin socket cannot be made private: %w", err)
	}
	return l, nil
}

// longestSocket is the longest path that fits sockaddr_un on all systems (104
// bytes with the closing NUL on BSD and macOS, 108 on Linux).
const longestSocket = 103

// socketAddress is the path as the system takes it: one that is too long goes
// through a descriptor of its directory, which must stay open for the call.
func socketAddress(path string) (address string, release func(), err error) {
	if len(path) <= longestSocket {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	address = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if _, err := os.Stat(filepath.Dir(address)); err != nil || len(address) > longestSocket {
		dir.Close()
		return "", nil, fmt.Errorf("the path of the admin socket is longer than the %d bytes this system allows: choose a shorter one with --admin-socket (now %s)", longestSocket, path)
	}
	return address, func() { dir.Close() }, nil
}
