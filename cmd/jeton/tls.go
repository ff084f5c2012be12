package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reloadEvery is how often the certificate files are looked at. Those who renew
// certificates do it weeks before they expire.
const reloadEvery = 2 * time.Second

// certificate is a certificate that is replaced while it serves.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu   sync.Mutex
	seen [2]fileState
}

// fileState tells whether a file has been replaced or changed.
type fileState struct {
	modified time.Time
	size     int64
	inode    string
}

func stateOf(name string) fileState {
	info, err := os.Stat(name) // follows links, by which Kubernetes swaps files
	if err != nil {
		return fileState{}
	}
	return fileState{info.ModTime(), info.Size(), storeIdentity(name)}
}

func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c, c.load()
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Before they are read: what changes meanwhile is read again next time.
	c.seen = [2]fileState{stateOf(c.certFile), stateOf(c.keyFile)}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("the certificate and its key cannot be used, check --tls-cert and --tls-key: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

// config is TLS with the certificate of the moment.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Named here, or a server with two listeners may miss that it is to
		// speak HTTP/2: it looks once, for the first of them.
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// follow reads the files again when they change.
func (c *certificate) follow(ctx context.Context) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.stale() {
				c.reload()
			}
		}
	}
}

func (c *certificate) stale() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen != [2]fileState{stateOf(c.certFile), stateOf(c.keyFile)}
}

// reload reads the files again. A pair that does not fit together is left alone:
// the old one serves on.
func (c *certificate) reload() {
	if err := c.load(); err != nil {
		c.log.Error("the new certificate is not used, the old one serves on", "cause", err)
		return
	}
	c.log.Info("the certificate was read again", "file", c.certFile, "expires", c.current.Load().Leaf.NotAfter)
}
