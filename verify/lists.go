package verify

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostLists bounds the lists in memory. Only tokens whose signature and
	// claims have held name one; one more costs the one that was used longest
	// ago its place.
	mostLists = 100
	// letGo is how long a list is followed after it was used. Its bits are
	// kept on, since what was revoked has to stay so, until forget.
	letGo  = 5 * time.Minute
	forget = 25 * time.Hour // no token of Jeton lives longer than 24 h
	// firstTime is how long a token waits for a list or a key that is not at
	// hand.
	firstTime = 5 * time.Second
)

// lists are those that tokens have named.
type lists struct {
	v      *Verifier
	origin string // of the issuer

	mu     sync.RWMutex
	held   map[string]*list
	closed bool
}

// list is one of them, and whoever keeps it fresh.
type list struct {
	v   *Verifier
	uri string
	// now is what is known, nil at first. used is when a token last asked.
	now  atomic.Pointer[edition]
	used atomic.Int64
	// live is whether the follower runs and has had its first answer, so that
	// what is known is as new as it can be.
	live atomic.Bool

	mu    sync.Mutex
	first chan struct{} // while the follower runs; closed when it goes live
	stop  context.CancelFunc
	cut   context.CancelFunc // ends the request or the pause that is under way
	// renewed is the confirmation of what was known when it was last asked for
	// anew because that was too old.
	renewed time.Time
	evicted bool
	waiting bool
	failed  int // in a row
	total   uint64
	err     error // of the last request
}

// check refuses a token whose status is not 0, valid. It returns how old the
// list is if that is too old. The token's own checks have all passed.
func (s *lists) check(ctx context.Context, p place) (stale time.Duration, err error) {
	if p.Index == nil || *p.Index < 0 {
		return 0, ErrStatus.because("idx is missing or negative")
	}
	l, err := s.list(p.URI)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	if at := now.Unix(); l.used.Load() != at { // a write costs the other cores their copy
		l.used.Store(at)
	}
	waited := !l.live.Load()
	if waited {
		l.wait(ctx)
	}
	stale, err = l.judge(*p.Index, now)
	if err == nil && stale > 0 && !waited && l.renew() {
		l.wait(ctx)
		return l.judge(*p.Index, time.Now())
	}
	return stale, err
}

// judge goes by what is known.
func (l *list) judge(idx int64, now time.Time) (stale time.Duration, err error) {
	e := l.now.Load()
	if e == nil {
		return 0, ErrUnavailable.because("the status list %s cannot be had: %w", l.uri, l.fault())
	}
	status, ok := e.at(idx)
	switch {
	case !ok:
		return 0, ErrStatus.because("idx is beyond the list: the token was not issued by this server, or by one whose store was replaced")
	case status != 0: // also where that is known from long ago
		return 0, ErrRevoked.because("its status is %d", status)
	}
	return l.v.stale(e, now), nil
}

// list finds a list, or begins to hold it.
func (s *lists) list(uri string) (*list, error) {
	s.mu.RLock()
	l := s.held[uri]
	s.mu.RUnlock()
	if l != nil {
		return l, nil
	}
	if !s.belongs(uri) {
		return nil, ErrStatus.because("the status list is not at the issuer's origin, %s, where all lists of a Jeton server are; nothing was asked for", s.origin)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.held[uri]; l != nil {
		return l, nil
	}
	s.makeRoom(time.Now())
	l = &list{v: s.v, uri: uri}
	l.used.Store(time.Now().Unix())
	l.evicted = s.closed
	s.held[uri] = l
	return l, nil
}

// belongs reports whether a list may be asked for: only at the issuer's origin,
// by a plain path.
func (s *lists) belongs(uri string) bool {
	if len(uri) > 1024 || strings.ContainsAny(uri, "?#") {
		return false
	}
	u, err := url.Parse(uri)
	return err == nil && u.User == nil && origin(u) == s.origin
}

// makeRoom drops lists whose tokens have all expired, and at least one when
// there are too many.
func (s *lists) makeRoom(now time.Time) {
	var oldest *list
	for uri, l := range s.held {
		used := l.used.Load()
		if now.Unix()-used > int64(forget.Seconds()) {
			delete(s.held, uri)
			l.evict()
		} else if oldest == nil || used < oldest.used.Load() {
			oldest = l
		}
	}
	if len(s.held) >= mostLists {
		delete(s.held, oldest.uri)
		oldest.evict()
	}
}

func (s *lists) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.held {
		l.evict()
	}
}

// evict ends the follower, for good.
func (l *list) evict() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evicted = true
	if l.stop != nil {
		l.stop()
	}
}

// wait lets the follower run, and returns after its first answer, good or bad.
func (l *list) wait(ctx context.Context) {
	l.mu.Lock()
	if l.evicted {
		l.mu.Unlock()
		return
	}
	if l.first == nil {
		l.first = make(chan struct{})
		var of context.Context
		of, l.stop = context.WithCancel(l.v.ctx)
		if e := l.now.Load(); e != nil {
			l.renewed = e.confirmed
		}
		l.v.work.Go(func() { l.follow(of) })
	}
	first := l.first
	l.mu.Unlock()
	t := time.NewTimer(firstTime)
	defer t.Stop()
	select {
	case <-first:
	case <-t.C:
	case <-ctx.Done():
	case <-l.v.ctx.Done():
	}
}

// renew has the follower ask at once, without waiting, for what has become too
// old though no request has failed: the clock was put forward, or the machine
// slept, and no timer ran. It does so once for what is known: an issuer that is
// away is not asked faster by that, and tokens wait for it only once. It
// reports whether there is an answer to wait for.
func (l *list) renew() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.now.Load()
	if e.confirmed.Equal(l.renewed) {
		return !l.live.Load()
	}
	if l.renewed = e.confirmed; l.first != nil && l.live.Swap(false) {
		l.first = make(chan struct{})
		l.cut()
	}
	return true
}

// fault is why nothing is known.
func (l *list) fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return errors.New("no answer yet; can the issuer be reached from here?")
	}
	return l.err
}
