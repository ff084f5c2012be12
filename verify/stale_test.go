package verify

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// An ingress without a server behind it says 404 to everything, to a list too.
// No token has expired by that, and no user is to log in again.
func TestAListThatIsNotThere(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusGone} {
		synctest.Test(t, func(t *testing.T) {
			is := newIssuer(t)
			v := is.verifier(t, nil)
			token, revoked := access(t, 7, nil), access(t, 8, nil)
			v.accepts(t, "there", token)
			is.revoke(list1, 8)
			sleep(time.Second)
			is.set(func() {
				is.spoil = func(_ *http.Request, resp *http.Response) { resp.StatusCode = status }
			})
			is.change(list1, func(*published) {})
			sleep(time.Minute)
			v.accepts(t, "away", token)
			v.refuse(t, "away, revoked before", revoked, ErrRevoked)
			sleep(5 * time.Minute)
			v.refuse(t, "away for long", token, ErrUnavailable)
			v.refuse(t, "away for long, revoked before", revoked, ErrRevoked)
			// A list that has never been seen is no other case, and it is not asked
			// for at each token.
			second := access(t, 7, map[string]any{"status": statusAt(auth+"/status/2", 1)})
			is.set(func() { is.publish(auth+"/status/2", make([]byte, 128)) })
			for range 200 {
				err := v.refuse(t, "a new list", second, ErrUnavailable)
				if !strings.Contains(err.Error(), fmt.Sprint(status)) {
					t.Fatal(err)
				}
				sleep(100 * time.Millisecond)
			}
			if n := is.count(auth + "/status/2"); n > 10 {
				t.Errorf("%d requests in 20 s", n)
			}
			is.set(func() { is.spoil = nil })
			sleep(2 * backoffMost)
			v.accepts(t, "again", token)
			v.accepts(t, "again, a new list", second)
		})
	}
}

// However short StaleAfter is, a healthy issuer is asked often enough.
func TestStaleAfterIsNeverShorterThanTheWait(t *testing.T) {
	for what, change := range map[string]func(is *issuer, o *Options){
		"waiting":                    func(*issuer, *Options) {},
		"polling":                    func(_ *issuer, o *Options) { o.NoWait = true },
		"an issuer that cannot wait": func(is *issuer, _ *Options) { is.waits = false },
		"a long ttl": func(is *issuer, o *Options) {
			o.NoWait = true
			is.lists[list1].issue = func(uri string, bits []byte) string { return listToken(is.t, uri, bits, map[string]any{"ttl": 300}) }
		},
	} {
		for _, after := range []time.Duration{leastStaleAfter, 40 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				is := newIssuer(t)
				v := is.verifier(t, func(o *Options) { o.StaleAfter = after; change(is, o) })
				token := access(t, 7, nil)
				for range 240 {
					if v.accepts(t, fmt.Sprint(what, ", stale after ", after), token) == nil {
						return
					}
					sleep(2500 * time.Millisecond)
				}
				if n := is.count(list1); n > int(600/(after/2*2/3).Seconds())+600/10+2 {
					t.Errorf("%s, stale after %v: %d requests in 10 min", what, after, n)
				}
			})
		}
	}
}

// stepClock has all that is known become older, as a clock does that is put
// forward, or a machine that sleeps: no timer has run.
func (v *Verifier) stepClock(d time.Duration) {
	k := *v.keys.now.Load()
	k.confirmed = k.confirmed.Add(-d)
	v.keys.now.Store(&k)
	for _, l := range v.lists.held {
		e := *l.now.Load()
		e.confirmed = e.confirmed.Add(-d)
		l.now.Store(&e)
	}
}

func TestAMachineThatSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token, revoked := access(t, 7, nil), access(t, 8, nil)
		v.accepts(t, "before", token)
		is.revoke(list1, 8)
		sleep(20 * time.Second)
		for range 3 {
			v.stepClock(11 * time.Minute)
			begun, n := time.Now(), is.count(jwks)+is.count(list1)
			v.refuse(t, "what is known to be revoked", revoked, ErrRevoked)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { v.accepts(t, "it has slept", token) })
			}
			all.Wait()
			if d := time.Since(begun); d > time.Second {
				t.Errorf("after %v", d)
			}
			sleep(time.Second)
			if n = is.count(jwks) + is.count(list1) - n; n > 3 { // keys, the list, and the wait that follows
				t.Errorf("%d requests", n)
			}
			sleep(time.Minute)
		}
		is.revoke(list1, 7) // the waiting goes on
		sleep(pace)
		v.refuse(t, "revoked", token, ErrRevoked)
	})
}

// Who wakes without a network recovers soon after that is back.
func TestAMachineThatSleptAndHasNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		sleep(20 * time.Second)
		v.stepClock(11 * time.Minute)
		is.set(func() { is.down = errDown })
		n := is.count(jwks) + is.count(list1)
		for range 40 {
			v.refuse(t, "no network", token, ErrUnavailable)
			sleep(100 * time.Millisecond)
		}
		if n = is.count(jwks) + is.count(list1) - n; n > 10 {
			t.Errorf("%d requests in 4 s", n)
		}
		is.set(func() { is.down = nil })
		sleep(5 * time.Second)
		v.accepts(t, "the network is back", token)
	})
}

// An issuer that hangs costs tokens one wait, not one each for ever.
func TestAnIssuerThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		is.set(func() {
			is.spoil = func(r *http.Request, resp *http.Response) {
				is.mu.Unlock()
				<-r.Context().Done()
				is.mu.Lock()
				resp.StatusCode, resp.Body = 200, io.NopCloser(iotest.ErrReader(r.Context().Err()))
			}
		})
		is.change(list1, func(*published) {})
		sleep(15 * time.Minute)
		begun := time.Now()
		v.refuse(t, "hangs", token, ErrUnavailable)
		if d := time.Since(begun); d > 2*firstTime {
			t.Errorf("after %v", d)
		}
		sleep(fetchTime)
		for range 20 {
			begun = time.Now()
			v.refuse(t, "hangs", token, ErrUnavailable)
			if d := time.Since(begun); d != 0 {
				t.Errorf("after %v", d)
			}
			sleep(7 * time.Second)
		}
	})
}

// A server of several that freezes keeps its connections open and says nothing
// any more. What is revoked at the others is known soon all the same.
func TestAServerThatFreezesHidesNoRevocationForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		is.set(func() {
			is.spoil = func(r *http.Request, resp *http.Response) {
				if r.Header.Get("Prefer") == "" {
					return // the balancer leads it to another server
				}
				is.mu.Unlock()
				<-r.Context().Done()
				is.mu.Lock()
				resp.StatusCode, resp.Body = 200, io.NopCloser(iotest.ErrReader(r.Context().Err()))
			}
		})
		is.revoke(list1, 8) // what waits is answered by the server that freezes
		sleep(time.Second)
		is.revoke(list1, 7)
		sleep(30 * time.Second)
		v.refuse(t, "revoked elsewhere", token, ErrRevoked)
	})
}
