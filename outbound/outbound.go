// Package outbound makes the HTTP client for addresses that others chose: a
// client's jwks_uri, a webhook.
//
// Such an address is an attempt to have the server call its own neighbours
// until shown otherwise. So each connection is checked by the address that is
// really dialled, after the name was resolved ([Config.Allow] names the
// private networks that may be called); only https is spoken, except to those
// networks where the caller asks for it; redirects are
// not followed, since each would be a new address of somebody's choice; the
// proxy settings of the environment do not count; time and size are bounded.
//
// What is fetched, how often and what it means is left to the callers.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Why a call was not made or not finished. Errors of the client wrap them.
var (
	// ErrAddress: the address is not a public one, and not allowed.
	ErrAddress = errors.New("outbound: not a public address: add its network to the allow-list if it may be called")
	// ErrScheme: the URL is not https.
	ErrScheme = errors.New("outbound: only https is called")
	// ErrTooLarge: the answer is larger than the bound.
	ErrTooLarge = errors.New("outbound: the answer is too large")
)

// Config are the bounds. The zero value takes what the comments name.
type Config struct {
	// Allow names networks that may be called although they are not public.
	Allow []netip.Prefix
	// Timeout bounds a call from dialling to the last byte: 5 s.
	Timeout time.Duration
	// MaxBytes bounds the body of an answer: 256 KiB.
	MaxBytes int64
	// RootCAs are the certificate authorities to trust: those of the system.
	RootCAs *x509.CertPool
	// Plain lets http be spoken too, but only to the networks of Allow, which
	// the operator vouches for.
	Plain bool
	// Idle is how many unused connections to one host are kept: 2.
	Idle int
	// Resolver looks names up: that of the system.
	Resolver *net.Resolver
}

// Permits reports whether an address may be called, over http or https.
func (c Config) Permits(addr netip.Addr, plain bool) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range c.Allow {
		if p.Contains(addr) {
			return true
		}
	}
	return !plain && public(addr)
}

// NewClient makes a client that keeps the bounds. An answer of 3xx is handed
// to the caller as it is.
func NewClient(c Config) *http.Client {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 10
	}
	t := &transport{maxBytes: c.MaxBytes, next: c.transport(false)}
	if c.Plain {
		t.plain = c.transport(true)
	}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     t,
	}
}

// transport has connections of its own for http, so that none that was dialled
// under the rules of https serves it.
func (c Config) transport(plain bool) *http.Transport {
	dialer := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver}
	dialer.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
		return c.control(network, address, plain)
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    c.Idle,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
		DisableCompression:     true, // so that the bound counts what arrives
	}
}

// control sees each address just before it is connected to: a name that
// answers differently the second time (DNS rebinding) gains nothing.
func (c Config) control(network, address string, plain bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s %s", ErrAddress, network, address)
	}
	// A zone names a network card of this machine: never public.
	if addr := ap.Addr().Unmap(); !c.Permits(addr, plain) || addr.Zone() != "" && !c.Permits(addr, true) {
		return fmt.Errorf("%w: %s", ErrAddress, addr)
	}
	return nil
}

// transport refuses what is not https and bounds the body.
type transport struct {
	next, plain *http.Transport
	maxBytes    int64
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if r.URL.Scheme == "http" && t.plain != nil {
		next = t.plain
	} else if r.URL.Scheme != "https" {
		return nil, ErrScheme
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > t.maxBytes {
		resp.Body.Close()
		resp.Body = tooLarge{} // the status may be all that the caller needs
		return resp, nil
	}
	resp.Body = &boundedBody{resp.Body, t.maxBytes}
	return resp, nil
}

// CloseIdleConnections lets http.Client pass the call on.
func (t *transport) CloseIdleConnections() {
	t.next.CloseIdleConnections()
	if t.plain != nil {
		t.plain.CloseIdleConnections()
	}
}

// tooLarge is a body that was announced as longer than the bound.
type tooLarge struct{}

func (tooLarge) Read([]byte) (int, error) { return 0, ErrTooLarge }
func (tooLarge) Close() error             { return nil }

// boundedBody fails where io.LimitReader would end: a cut answer must not
// look like a whole one.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.left = 0
		return 0, ErrTooLarge
	}
	return n, err
}
