// Package outbound makes the HTTP client for addresses that others chose: a
// client's jwks_uri, a webhook.
//
// Such an address is an attempt to have the server call its own neighbours
// until shown otherwise. So each connection is checked by the address that is
// really dialled, after the name was resolved ([Config.Allow] names the
// private networks that may be called); only https is spoken; redirects are
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
	dialer := &net.Dialer{Timeout: c.Timeout, ControlContext: c.control}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &transport{maxBytes: c.MaxBytes, next: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           16,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 32 << 10,
			DisableCompression:     true, // so that the bound counts what arrives
		}},
	}
}

// control sees each address just before it is connected to: a name that
// answers differently the second time (DNS rebinding) gains nothing.
func (c Config) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s %s", ErrAddress, network, address)
	}
	addr := ap.Addr().Unmap()
	for _, p := range c.Allow {
		if p.Contains(addr.WithZone("")) {
			return nil
		}
	}
	if !public(addr) {
		return fmt.Errorf("%w: %s", ErrAddress, addr)
	}
	return nil
}

// transport refuses what is not https and bounds the body.
type transport struct {
	next     *http.Transport
	maxBytes int64
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, ErrScheme
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > t.maxBytes {
		resp.Body.Close()
		return nil, ErrTooLarge
	}
	resp.Body = &boundedBody{resp.Body, t.maxBytes}
	return resp, nil
}

// CloseIdleConnections lets http.Client pass the call on.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

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
