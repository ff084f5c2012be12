package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Bounds of how long a key set is good by its Cache-Control.
	keysLeast = 30 * time.Second
	keysUsual = 5 * time.Minute
	keysMost  = time.Hour
	// keysPause is the least time between two requests for the key set:
	// strangers can send tokens with any kid.
	keysPause = 2 * time.Second
	// metadataAge is how long the metadata are gone by while all is well.
	metadataAge  = time.Hour
	mostMetadata = 256 << 10
)

// keySet holds the keys of the issuer, and asks for them again before they get
// old, so that verifications do not wait.
type keySet struct {
	v   *Verifier
	now atomic.Pointer[keys]

	mu     sync.Mutex
	call   *call // the one that is under way
	ended  time.Time
	err    error // of the last call
	failed int   // in a row
	total  uint64
	uri    string // jwks_uri
	read   time.Time

	wake chan struct{} // cuts the pause of follow short
	// renewing is what was known when it was last asked for anew because that
	// was too old; renewed is closed when there is an answer.
	renewing *keys
	renewed  chan struct{}
}

// keys are what was published at a time.
type keys struct {
	byID      map[string]key
	confirmed time.Time
	life      time.Duration
}

// call is a request that several may wait for.
type call struct {
	done chan struct{}
	err  error
}

// follow keeps the key set fresh until Close.
func (s *keySet) follow() {
	for {
		err := s.refresh(s.v.ctx)
		s.mu.Lock()
		failed := s.failed
		s.mu.Unlock()
		d := backoff(max(failed, 1), err)
		if k := s.now.Load(); err == nil && k != nil {
			d = jitter(k.life * 3 / 4)
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-s.wake:
			t.Stop()
		case <-s.v.ctx.Done():
			t.Stop()
			return
		}
	}
}

// find returns the key of a kid, and how old the set is if that is too old. It
// asks the issuer only for a kid that is not in the set.
func (s *keySet) find(ctx context.Context, kid string) (k key, stale time.Duration, err error) {
	if kid == "" {
		return key{}, 0, ErrKey.because("it names no key (kid): no token of a Jeton server lacks one")
	}
	all := s.now.Load()
	if all == nil || all.byID[kid].public == nil {
		ctx, cancel := context.WithTimeout(ctx, firstTime)
		defer cancel()
		if err := s.refresh(ctx); err != nil {
			return key{}, 0, ErrUnavailable.because("the key set cannot be had: %w", err)
		}
		if all = s.now.Load(); all.byID[kid].public == nil {
			return key{}, 0, ErrKey.because("the issuer publishes no such key: the token is of another server, or older than the issuer's keys")
		}
	}
	if stale = s.stale(all); stale > 0 {
		s.renew(ctx, all)
		if now := s.now.Load(); now != all { // what was removed meanwhile is no key
			if all = now; all.byID[kid].public == nil {
				return key{}, 0, ErrKey.because("the issuer does not publish its key any more: the token has to be asked for anew")
			}
		}
		stale = s.stale(all)
	}
	return all.byID[kid], stale, nil
}

// stale is how old a key set is if that is too old.
func (s *keySet) stale(k *keys) time.Duration {
	if age := since(k.confirmed, time.Now()); age > k.life+s.v.o.StaleAfter {
		return age
	}
	return 0
}

// renew asks for keys that have become too old though no request has failed,
// as [list.renew] does: once for what is known. Who comes meanwhile waits too.
func (s *keySet) renew(ctx context.Context, old *keys) {
	s.mu.Lock()
	if s.renewing != old {
		done := make(chan struct{})
		s.renewing, s.renewed = old, done
		go func() {
			ctx, cancel := context.WithTimeout(s.v.ctx, firstTime)
			defer cancel()
			s.refresh(ctx) // follow goes on with this, well or not
			select {
			case s.wake <- struct{}{}:
			default:
			}
			close(done)
		}()
	}
	done := s.renewed
	s.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// refresh asks for the key set, or waits for whoever does. Shortly after the
// last time it only says how that went.
func (s *keySet) refresh(ctx context.Context) error {
	s.mu.Lock()
	c := s.call
	if c == nil && !s.ended.IsZero() && time.Since(s.ended) < keysPause {
		defer s.mu.Unlock()
		return s.err
	}
	if c == nil {
		c = &call{done: make(chan struct{})}
		s.call = c
		go s.do(c) // it ends with v.ctx, or soon
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *keySet) do(c *call) {
	ctx, cancel := context.WithTimeout(s.v.ctx, fetchTime)
	defer cancel()
	found, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		if s.failed >= tellAfter {
			s.v.o.Log.Info("the issuer's keys can be had again", "issuer", s.v.o.Issuer)
		}
		s.now.Store(found)
		s.failed = 0
	case s.v.ctx.Err() == nil:
		s.failed, s.total, s.uri = s.failed+1, s.total+1, ""
		if s.failed == tellAfter {
			s.v.o.Log.Warn("the issuer's keys cannot be had: tokens are judged by those that are known, as long as that may be", "issuer", s.v.o.Issuer, "error", err)
		}
	}
	s.call, s.ended, s.err, c.err = nil, time.Now(), err, err
	close(c.done)
}

// tellAfter is how many failures in a row are worth a line in the log.
const tellAfter = 2

// fetch asks for the key set. Only one call of it runs at a time.
func (s *keySet) fetch(ctx context.Context) (*keys, error) {
	s.mu.Lock()
	uri := s.uri
	if since(s.read, time.Now()) > metadataAge {
		uri = ""
	}
	s.mu.Unlock()
	if uri == "" {
		var err error
		if uri, err = s.v.discover(ctx); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.uri, s.read = uri, time.Now()
		s.mu.Unlock()
	}
	a, err := s.v.get(ctx, uri, http.Header{"Accept": {"application/json, application/jwk-set+json"}}, mostKeySet)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, a.unexpected(uri)
	}
	byID, err := parseKeySet(a.body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", uri, err)
	}
	return &keys{byID, time.Now(), a.maxAge(keysLeast, keysUsual, keysMost)}, nil
}

// metadataURL is where RFC 8414 §3.1 has the metadata of an issuer: its path
// comes last.
func metadataURL(issuer, document string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", err
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + "/.well-known/" + document + path, nil
}

// discover finds the jwks_uri (RFC 8414).
func (v *Verifier) discover(ctx context.Context) (string, error) {
	where, err := metadataURL(v.o.Issuer, "oauth-authorization-server")
	if err != nil {
		return "", err
	}
	a, err := v.get(ctx, where, http.Header{"Accept": {"application/json"}}, mostMetadata)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", a.unexpected(where)
	}
	var metadata struct {
		Issuer string
		URI    string `json:"jwks_uri"`
	}
	if err := checkObject(a.body); err != nil {
		return "", fmt.Errorf("%s is %w", where, err)
	}
	if err := json.Unmarshal(a.body, &metadata); err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	if metadata.Issuer != v.o.Issuer { // RFC 8414 §3.3
		return "", fmt.Errorf("%s is of the issuer %.100q: Options.Issuer has to be the same, byte for byte", where, metadata.Issuer)
	}
	u, err := url.Parse(metadata.URI)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && origin(u) != v.lists.origin {
		return "", errors.New(where + " has no usable jwks_uri: it has to be https, or at the origin of Options.Issuer")
	}
	return metadata.URI, nil
}
