package outbound

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve starts a TLS server on loopback that counts its requests.
func serve(t *testing.T, handler http.HandlerFunc) (url string, roots *x509.CertPool, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL, roots, calls
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func get(c *http.Client, url string) (status int, body string, err error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestK14_AddressIsCheckedWhenDialled(t *testing.T) {
	url, roots, calls := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	t.Run("refused", func(t *testing.T) {
		if _, _, err := get(NewClient(Config{RootCAs: roots}), url); !errors.Is(err, ErrAddress) {
			t.Errorf("got %v, want ErrAddress", err)
		}
	})
	t.Run("refused by name", func(t *testing.T) {
		byName := strings.Replace(url, "127.0.0.1", "localhost", 1)
		if _, _, err := get(NewClient(Config{RootCAs: roots}), byName); !errors.Is(err, ErrAddress) {
			t.Errorf("got %v, want ErrAddress", err)
		}
	})
	t.Run("refused in other spellings", func(t *testing.T) {
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "https://"))
		for _, host := range []string{"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "0.0.0.0", "[::]", "127.1.2.3"} {
			if _, _, err := get(NewClient(Config{RootCAs: roots}), "https://"+host+":"+port); !errors.Is(err, ErrAddress) {
				t.Errorf("%s: got %v, want ErrAddress", host, err)
			}
		}
	})
	if calls.Load() != 0 {
		t.Errorf("%d calls arrived", calls.Load())
	}
	t.Run("allowed", func(t *testing.T) {
		status, body, err := get(NewClient(Config{Allow: loopback, RootCAs: roots}), url)
		if status != 200 || body != "ok" || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
	})
	t.Run("another network allowed", func(t *testing.T) {
		allow := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		if _, _, err := get(NewClient(Config{Allow: allow, RootCAs: roots}), url); !errors.Is(err, ErrAddress) {
			t.Errorf("got %v, want ErrAddress", err)
		}
	})
}

// A name that is public when asked and private when dialled: what counts is
// the address that the socket is about to connect to.
func TestK14_DNSRebinding(t *testing.T) {
	c := Config{}
	for address, want := range map[string]bool{"8.8.8.8:443": true, "127.0.0.1:443": false, "[::1]:443": false, "[fe80::1%eth0]:443": false} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		err := c.control(network, address, false)
		if got := err == nil; got != want || err != nil && !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v, want allowed %v", address, err, want)
		}
	}
	for _, network := range []string{"udp4", "unix", "ip4"} {
		if err := c.control(network, "8.8.8.8:443", false); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v, want ErrAddress", network, err)
		}
	}
	if err := c.control("tcp4", "localhost:443", false); !errors.Is(err, ErrAddress) {
		t.Errorf("a name: %v, want ErrAddress", err)
	}
}

func TestK14_PublicAddresses(t *testing.T) {
	for _, tt := range []struct {
		public bool
		addrs  string
	}{
		{true, "1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 2606:4700::1111 2a00:1450:4001::1 64:ff9b::808:808"},
		{false, "127.0.0.1 127.255.255.255 ::1"},
		{false, "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 fc00::1 fd12::1"},
		{false, "169.254.169.254 fe80::1"},
		{false, "100.64.0.1 100.127.255.255"},
		{false, "0.0.0.0 0.1.2.3 :: 255.255.255.255 240.0.0.1"},
		{false, "224.0.0.1 239.1.1.1 ff02::1"},
		{false, "192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1"},
		{false, "::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::1 3fff::1 4000::1 fec0::1"},
	} {
		for s := range strings.FieldsSeq(tt.addrs) {
			if got := public(netip.MustParseAddr(s)); got != tt.public {
				t.Errorf("%s: public %v, want %v", s, got, tt.public)
			}
		}
	}
	if public(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

func TestK14_NoRedirectIsFollowed(t *testing.T) {
	target, _, reached := serve(t, func(http.ResponseWriter, *http.Request) {})
	url, roots, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
	status, _, err := get(NewClient(Config{Allow: loopback, RootCAs: roots}), url)
	if status != http.StatusFound || err != nil || reached.Load() != 0 {
		t.Errorf("status %d, %v, %d calls of the target", status, err, reached.Load())
	}
}

func TestK14_OnlyHTTPS(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if _, _, err := get(NewClient(Config{Allow: loopback}), s.URL); !errors.Is(err, ErrScheme) {
		t.Errorf("got %v, want ErrScheme", err)
	}
	url, _, calls := serve(t, func(http.ResponseWriter, *http.Request) {})
	if _, _, err := get(NewClient(Config{Allow: loopback, RootCAs: x509.NewCertPool()}), url); err == nil || calls.Load() != 0 {
		t.Errorf("an unknown certificate is accepted: %v, %d calls", err, calls.Load())
	}
}

func TestK14_NoProxyFromTheEnvironment(t *testing.T) {
	proxied := new(atomic.Int64)
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTPS_PROXY", proxy.URL)
	c := NewClient(Config{Timeout: time.Second})
	if c.Transport.(*transport).next.Proxy != nil {
		t.Error("the transport has a proxy function")
	}
	if _, _, err := get(c, "https://10.0.0.1/"); !errors.Is(err, ErrAddress) || proxied.Load() != 0 {
		t.Errorf("got %v, %d proxied", err, proxied.Load())
	}
}

func TestK14_SizeIsBounded(t *testing.T) {
	url, roots, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := strings.Repeat("x", 100)
		if r.URL.Path == "/larger" {
			body += "x"
		}
		if r.URL.Query().Has("unannounced") {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, body)
	})
	c := NewClient(Config{Allow: loopback, RootCAs: roots, MaxBytes: 100})
	for _, query := range []string{"", "?unannounced"} {
		if _, body, err := get(c, url+"/fits"+query); len(body) != 100 || err != nil {
			t.Errorf("fits%s: %d bytes, %v", query, len(body), err)
		}
		if _, _, err := get(c, url+"/larger"+query); !errors.Is(err, ErrTooLarge) {
			t.Errorf("larger%s: %v, want ErrTooLarge", query, err)
		}
	}
}

func TestK14_TimeIsBounded(t *testing.T) {
	done := make(chan struct{})
	url, roots, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-done
	})
	defer close(done)
	_, _, err := get(NewClient(Config{Allow: loopback, RootCAs: roots, Timeout: 50 * time.Millisecond}), url)
	if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}
