package verify

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// waitTime is what a request for a list waits for a change (RFC 7240
	// §4.3), or less with a short StaleAfter; waitSlack is what it may take
	// beyond. Together they are for how long a server that has frozen, with its
	// connections open, keeps a revocation from being seen that others know of.
	waitTime  = 20 * time.Second
	waitSlack = 5 * time.Second
	// pace is the least time between two requests for a list.
	pace = 250 * time.Millisecond
	// atOnce is what an answer takes that cannot have waited. Nothing is
	// asked again at once after one that brought nothing new.
	atOnce   = time.Second
	ttlLeast = time.Second
	ttlUsual = 15 * time.Second
)

// follow keeps a list fresh for as long as tokens ask for it. There is one
// request at a time.
func (l *list) follow(ctx context.Context) {
	defer l.end()
	for well := false; ; {
		if well = l.turn(ctx, well); ctx.Err() != nil || l.rest() {
			return
		}
	}
}

// end lets go on who still waits for an answer.
func (l *list) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	if l.first != nil && !l.live.Load() {
		close(l.first)
	}
}

// turn is one request and the pause after it, which [list.renew] cuts short.
// It reports whether the next request may wait.
func (l *list) turn(ctx context.Context, well bool) bool {
	turn, cut := context.WithCancel(ctx)
	defer cut()
	l.mu.Lock()
	l.cut = cut
	l.mu.Unlock()
	begun := time.Now()
	// One that waits says nothing until it ends. So it has to be known before
	// it that the list is as it was: at first, and after a failure.
	soon, err := l.ask(turn, well)
	if err != nil && turn.Err() != nil { // what came instead of the answer says nothing of the issuer
		pause(ctx, pace-time.Since(begun))
		return false
	}
	d := l.note(err)
	switch {
	case err != nil:
	case soon:
		d = pace - time.Since(begun)
	default:
		d = jitter(l.ttl())
	}
	if !pause(turn, d) {
		return false
	}
	return err == nil
}

// rest ends the following of a list that nobody asks for any more.
func (l *list) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Unix()-l.used.Load() < int64(letGo.Seconds()) {
		return false
	}
	l.live.Store(false)
	l.first = nil
	return true
}

// note remembers how a request went, lets go on who waits for that, and says
// how long to wait if it failed.
func (l *list) note(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.err = false, err
	if !l.live.Swap(true) {
		close(l.first)
	}
	if err == nil {
		if l.failed >= tellAfter {
			l.v.o.Log.Info("a status list can be refreshed again", "uri", l.uri)
		}
		l.failed = 0
		return 0
	}
	if l.failed, l.total = l.failed+1, l.total+1; l.failed == tellAfter {
		l.v.o.Log.Warn("a status list cannot be refreshed: tokens are judged by what is known, as long as that may be", "uri", l.uri, "error", err)
	}
	return backoff(l.failed, err)
}

func (l *list) ttl() time.Duration {
	d := ttlUsual
	if e := l.now.Load(); e != nil && e.ttl > 0 {
		d = max(e.ttl, ttlLeast)
	}
	return min(d, l.v.o.StaleAfter/2)
}

// ask makes one request, which waits for a change if it may. soon says that
// the next one may follow at once, since it will wait or bring something new.
func (l *list) ask(ctx context.Context, mayWait bool) (soon bool, err error) {
	known := l.now.Load()
	header := http.Header{"Accept": {"application/" + typeList}, "Cache-Control": {"no-cache"}}
	limit := fetchTime
	if known != nil && known.etag != "" {
		header.Set("If-None-Match", known.etag)
		if mayWait && !l.v.o.NoWait {
			// Nothing is known to be fresh until it ends, so it has to end before
			// what is known is stale.
			wait := min(waitTime, l.v.o.StaleAfter/2).Truncate(time.Second)
			header.Set("Prefer", "wait="+strconv.Itoa(int(wait.Seconds())))
			limit = wait + waitSlack
			l.mu.Lock()
			l.waiting = true
			l.mu.Unlock()
		}
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a, err := l.v.get(ctx, l.uri, header, mostList)
	if err != nil {
		return false, err
	}
	changed := false
	switch {
	case a.status == http.StatusNotModified && header.Get("If-None-Match") != "":
		err = l.confirm(known)
	case a.status == http.StatusOK:
		changed, err = l.take(ctx, a, known)
	default: // 404 too: a server keeps lists for longer than their tokens live
		err = a.unexpected(l.uri)
	}
	if err != nil || l.v.o.NoWait {
		return false, err
	}
	// One that knows the preference says so by one header or the other.
	waits := strings.Contains(strings.Join(a.header.Values("Preference-Applied"), ","), "wait")
	varies := strings.Contains(strings.ToLower(strings.Join(a.header.Values("Vary"), ",")), "prefer")
	return known == nil || !mayWait || changed && (waits || varies) || waits && time.Since(begun) >= atOnce, nil
}

// confirm notes that a list is still what it was. One that has expired is not
// made younger by that: it is asked for as a whole.
func (l *list) confirm(known *edition) error {
	again := *known
	if now := time.Now(); known.expires > 0 && seconds(now) >= known.expires+l.v.o.Leeway.Seconds() {
		again.etag = ""
		l.now.Store(&again)
		return errors.New("the issuer says that a list is unchanged which has expired")
	}
	again.confirmed = time.Now()
	l.now.Store(&again)
	return nil
}

// take checks a list that came, and goes by it from now on.
func (l *list) take(ctx context.Context, a answer, known *edition) (changed bool, err error) {
	if typ, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || typ != "application/"+typeList {
		return false, fmt.Errorf("the status list came as %.50q, not as application/%s", a.header.Get("Content-Type"), typeList)
	}
	c, err := parseCompact(string(a.body), mostList)
	if err != nil {
		return false, refused(err)
	}
	stale, err := l.v.checkSignature(ctx, &c, typeList)
	if err == nil && stale > 0 { // the issuer is back, and its keys may be had again too
		if err = l.v.keys.refresh(ctx); err == nil {
			_, err = l.v.checkSignature(ctx, &c, typeList)
		}
	}
	if err != nil {
		return false, refused(err)
	}
	e, err := l.v.parseList(&c, l.uri, time.Now())
	if err != nil {
		return false, refused(err)
	}
	if changed, err = e.after(known); err != nil {
		return false, refused(err)
	}
	e.etag = a.header.Get("ETag")
	l.now.Store(e)
	return changed, nil
}

// refused says what was wrong with a list. Its reason is no token's.
func refused(err error) error { return fmt.Errorf("the status list was refused: %v", err) }
