package clients

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/keys"
	"jeton/outbound"
	"jeton/storage"
)

// keyServer publishes a client's key set over TLS on loopback.
type keyServer struct {
	*httptest.Server
	calls  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(h http.HandlerFunc) { s.answer.Store(&h) }

func (s *keyServer) publish(text string) {
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json; charset=utf-8")
		io.WriteString(w, text)
	})
}

func (s *keyServer) client(timeout time.Duration) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return outbound.NewClient(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: roots, Timeout: timeout})
}

func (s *keyServer) called(t *testing.T, want int64) {
	t.Helper()
	if got := s.calls.Load(); got != want {
		t.Errorf("the jwks_uri was called %d times, want %d", got, want)
	}
}

func newFetchRig(t *testing.T) (*rig, *keyServer) {
	t.Helper()
	s := newKeyServer(t)
	r := newRig(t, func(c *Config) { c.HTTP = s.client(0) })
	r.put(storage.Client{ID: "api", AuthMethod: storage.AuthPrivateKeyJWT, JWKSURI: s.URL})
	return r, s
}

func TestK14_FetchedOnceAndAgainForAnUnknownKid(t *testing.T) {
	r, s := newFetchRig(t)
	one, two := newSigner(t, "one", keys.ES256), newSigner(t, "two", keys.ES256)
	with := func(k signer) Credentials { return presented(k.sign(t, nil, r.claims(nil))) }
	s.publish(jwks(t, one))
	r.accepted("first", with(one))
	r.accepted("second", with(one))
	s.called(t, 1)

	// The client has a new key. Nobody may make the server fetch more often
	// than each 30 s, whatever kids are named.
	s.publish(jwks(t, one, two))
	for range 5 {
		r.refused("new key at once", with(two))
	}
	s.called(t, 1)
	r.advance(30 * time.Second)
	r.accepted("new key after 30 s", with(two))
	s.called(t, 2)
	stranger := newSigner(t, "three", keys.ES256)
	r.advance(30 * time.Second)
	for range 5 {
		r.refused("kid of nobody", with(stranger))
	}
	s.called(t, 3)
	r.accepted("known key meanwhile", with(one))

	// A key that was taken down is dead when the set is no longer fresh.
	s.publish(jwks(t, two))
	r.advance(5 * time.Minute)
	r.refused("key taken down", with(one))
	r.accepted("key that stays", with(two))
	s.called(t, 4)
}

func TestK14_OldSetStandsInForABoundedTime(t *testing.T) {
	r, s := newFetchRig(t)
	one := newSigner(t, "one", keys.ES256)
	with := func() Credentials { return presented(one.sign(t, nil, r.claims(nil))) }
	s.publish(jwks(t, one))
	r.accepted("fetched", with())
	s.set(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	r.advance(59 * time.Minute)
	r.accepted("old set", with())
	r.accepted("old set, not asked again", with())
	s.called(t, 2)
	r.advance(time.Minute)
	r.refused("too old", with())
	s.called(t, 3)
	r.refused("not asked again for 30 s", with())
	s.called(t, 3)
	s.publish(jwks(t, one))
	r.advance(30 * time.Second)
	r.accepted("back again", with())
}

func TestK14_AnswersThatAreNoKeySet(t *testing.T) {
	one := newSigner(t, "one", keys.ES256)
	set := jwks(t, one)
	text := func(kind string, status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"HTML":          text("text/html", 200, set),
		"no type":       text("", 200, set),
		"not found":     text("application/json", 404, set),
		"no JSON":       text("application/json", 200, "<html>"),
		"no keys":       text("application/json", 200, `{"keys":[]}`),
		"a private key": text("application/json", 200, `{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`),
		"too large":     text("application/json", 200, strings.Repeat(" ", keys.MaxJWKSet)+set),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/moved" {
				w.Header().Set("Content-Type", "application/json")
				http.Redirect(w, r, "/moved", http.StatusFound)
				return
			}
			text("application/json", 200, set)(w, r)
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, set)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newFetchRig(t)
			s.set(answer)
			r.refused("assertion", presented(one.sign(t, nil, r.claims(nil))))
			s.called(t, 1)
		})
	}
	t.Run("plain JSON type", func(t *testing.T) {
		r, s := newFetchRig(t)
		s.set(text("application/json", 200, set))
		r.accepted("assertion", presented(one.sign(t, nil, r.claims(nil))))
	})
}

// Without the allow-list a jwks_uri on this machine is not called at all.
func TestK14_PrivateAddressIsNotCalled(t *testing.T) {
	s := newKeyServer(t)
	one := newSigner(t, "one", keys.ES256)
	s.publish(jwks(t, one))
	r := newRig(t, nil)
	r.put(storage.Client{ID: "api", AuthMethod: storage.AuthPrivateKeyJWT, JWKSURI: s.URL})
	_, err := r.auth.Authenticate(t.Context(), presented(one.sign(t, nil, r.claims(nil))))
	if !errors.Is(err, ErrInvalidClient) || !errors.Is(cause(err), outbound.ErrAddress) {
		t.Errorf("%v (%v), want invalid_client because of the address", err, cause(err))
	}
	s.called(t, 0)
}

func TestK14_OneFetchForAllWhoWait(t *testing.T) {
	r, s := newFetchRig(t)
	one := newSigner(t, "one", keys.ES256)
	release, reached := make(chan struct{}), make(chan struct{}, 100)
	set := jwks(t, one)
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		reached <- struct{}{}
		<-release
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, set)
	})
	gone, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := r.auth.Authenticate(gone, presented(one.sign(t, nil, r.claims(nil))))
		left <- err
	}()
	<-reached
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { r.accepted("waiting", presented(one.sign(t, nil, r.claims(nil)))) })
	}
	// Who began the fetch goes; the others still get what it brings.
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || errors.Is(err, ErrInvalidClient) {
		t.Errorf("the caller that went got %v", err)
	}
	// While it is under way nothing is locked: another client gets through.
	secret := NewSecret()
	r.put(storage.Client{ID: "basic", SecretHash: HashSecret(secret)})
	r.accepted("another client", Credentials{Method: storage.AuthBasic, ClientID: "basic", Secret: secret})
	close(release)
	wg.Wait()
	s.called(t, 1)
}

func TestK14_CacheIsBounded(t *testing.T) {
	k := newKeySets(nil, time.Now)
	for i := range maxSets + 50 {
		k.keep(setName{string(rune('a' + i)), "https://a.example"}, keySet{})
	}
	if len(k.sets) != maxSets {
		t.Errorf("%d sets are kept, want %d", len(k.sets), maxSets)
	}
}
