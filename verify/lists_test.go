package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sleep lets the bubble's time pass.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestARevokedTokenIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		one, two := access(t, 7, nil), access(t, 8, nil)
		v.accepts(t, "before", one)
		sleep(time.Minute)
		is.revoke(list1, 7)
		sleep(pace)
		v.refuse(t, "after", one, ErrRevoked)
		v.accepts(t, "its sibling", two)
		is.revoke(list1, 8) // changes that follow each other are paced
		sleep(pace)
		v.refuse(t, "the second change", two, ErrRevoked)
		if n := is.count(list1); n > 8 {
			t.Errorf("%d requests", n)
		}
		n := is.count(list1)
		for i := range 100 {
			is.revoke(list1, 100+i)
			sleep(10 * time.Millisecond)
		}
		if n = is.count(list1) - n; n < 4 || n > 6 {
			t.Errorf("%d requests for the changes of a second", n)
		}
		for _, p := range is.prefers {
			if p != "wait=20" {
				t.Errorf("Prefer: %s", p)
			}
		}
	})
}

func TestL13_ListsArePolledByTTL(t *testing.T) {
	for what, change := range map[string]func(is *issuer, o *Options){
		"asked to":                   func(is *issuer, o *Options) { o.NoWait = true },
		"an issuer that cannot wait": func(is *issuer, o *Options) { is.waits = false },
		"an issuer that answers at once": func(is *issuer, o *Options) {
			is.waits = false
			is.spoil = func(r *http.Request, resp *http.Response) {
				if prefer := r.Header.Get("Prefer"); prefer != "" {
					resp.Header.Set("Preference-Applied", prefer)
				}
			}
		},
		"an issuer that knows no tags": func(is *issuer, o *Options) {
			is.spoil = func(r *http.Request, resp *http.Response) {
				resp.Header.Set("Vary", "Prefer")
				resp.Header.Del("ETag")
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			is := newIssuer(t)
			v := is.verifier(t, func(o *Options) { change(is, o) })
			token := access(t, 7, nil)
			v.accepts(t, what, token)
			for range 10 {
				sleep(30 * time.Second)
				v.accepts(t, what, token)
			}
			if n := is.count(list1); n < 300/15 || n > 300/10+2 {
				t.Errorf("%s: %d requests in 300 s", what, n)
			}
			is.revoke(list1, 7)
			sleep(15 * time.Second)
			v.refuse(t, what, token, ErrRevoked)
		})
	}
}

func TestL12_TokensWithoutAStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		for what, status := range map[string]any{
			"none":            nil,
			"empty":           map[string]any{},
			"no idx":          statusAt(list1, nil),
			"no uri":          map[string]any{"status_list": map[string]any{"idx": 1}},
			"negative":        statusAt(list1, -1),
			"beyond the list": statusAt(list1, 1024),
			"far beyond":      statusAt(list1, 1<<40),
			"another origin":  statusAt("https://evil.example/status/1", 1),
			"another port":    statusAt("https://auth.example:8443/status/1", 1),
			"another scheme":  statusAt("http://auth.example/tenant/status/1", 1),
			"with a user":     statusAt("https://auth.example@evil.example/status/1", 1),
			"with a user too": statusAt("https://evil@auth.example/status/1", 1),
			"with a query":    statusAt(list1+"?time=1", 1),
			"too long":        statusAt(auth+"/"+strings.Repeat("a", 2000), 1),
			"no URL":          statusAt("::", 1),
		} {
			v.refuse(t, what, access(t, 7, map[string]any{"status": status}), ErrStatus)
		}
		for what, status := range map[string]any{"idx a string": statusAt(list1, "7"), "idx a fraction": statusAt(list1, 7.5), "a string": "x"} {
			v.refuse(t, what, access(t, 7, map[string]any{"status": status}), ErrClaims)
		}
		for uri := range is.asked {
			if !strings.HasPrefix(uri, "https://auth.example/") || strings.Contains(uri, "?") {
				t.Errorf("%s was asked for", uri)
			}
		}
		// Nothing of a token is asked for before its signature has held.
		v.refuse(t, "forged", sign(t, "ES256", "other", "at+jwt", accessClaims(7), map[string]any{"status": statusAt(auth+"/status/5", 1)}), ErrKey)
		forged := access(t, 7, map[string]any{"status": statusAt(auth+"/status/5", 1)})
		v.refuse(t, "tampered", forged[:len(forged)-8]+"AAAAAAAA", ErrSignature)
		v.refuse(t, "another API's", access(t, 7, map[string]any{"aud": "x", "status": statusAt(auth+"/status/5", 1)}), ErrAudience)
		if n := is.count(auth + "/status/5"); n != 0 {
			t.Errorf("%d requests for the list of a token that does not hold", n)
		}
		none := is.verifier(t, func(o *Options) { o.NoStatus = true })
		none.accepts(t, "an issuer without lists", access(t, 7, map[string]any{"status": nil}))
	})
}

func TestL12_L19_ListsThatAreRefused(t *testing.T) {
	big := pack(make([]byte, mostBits+1))
	for what, issue := range map[string]func(uri string, bits []byte) string{
		"of another address": func(uri string, bits []byte) string { return listToken(t, auth+"/status/2", bits, nil) },
		"without sub":        func(uri string, bits []byte) string { return listToken(t, uri, bits, map[string]any{"sub": nil}) },
		"of another issuer":  func(uri string, bits []byte) string { return listToken(t, uri, bits, map[string]any{"iss": "x"}) },
		"without iat":        func(uri string, bits []byte) string { return listToken(t, uri, bits, map[string]any{"iat": nil}) },
		"expired": func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})
		},
		"of the future": func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"iat": time.Now().Add(time.Minute).Unix()})
		},
		"ttl 0": func(uri string, bits []byte) string { return listToken(t, uri, bits, map[string]any{"ttl": 0}) },
		"without list": func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"status_list": nil})
		},
		"three bits": func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"status_list": map[string]any{"bits": 3, "lst": pack(bits)}})
		},
		"no bits": func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"status_list": map[string]any{"lst": pack(bits)}})
		},
		"L19 a bomb": func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"status_list": map[string]any{"bits": 1, "lst": big}})
		},
		"not signed": func(uri string, bits []byte) string { return "x.y." },
		"signed by a stranger": func(uri string, bits []byte) string {
			token := listToken(t, uri, bits, nil)
			return token[:len(token)-8] + "AAAAAAAA"
		},
		"an access token": func(uri string, bits []byte) string { return access(t, 7, map[string]any{"sub": uri}) },
		"endless":         func(uri string, bits []byte) string { return strings.Repeat("A", mostList+1) },
	} {
		synctest.Test(t, func(t *testing.T) {
			is := newIssuer(t)
			v := is.verifier(t, nil)
			is.lists[list1].issue = issue
			token := access(t, 7, nil)
			v.refuse(t, what, token, ErrUnavailable)
			sleep(20 * time.Second)
			v.refuse(t, what, token, ErrUnavailable)
			if s := v.Stats().Lists; len(s) != 1 || s[0].Failed < 2 || s[0].Err == nil || !s[0].Confirmed.IsZero() {
				t.Errorf("%s: %+v", what, s)
			}
			if n := is.count(list1); n > 10 {
				t.Errorf("%s: %d requests in 20 s", what, n)
			}
			is.change(list1, func(p *published) { p.issue = nil })
			sleep(backoffMost)
			v.accepts(t, what+", healed", token)
		})
	}
}

func TestL11_AnOldListThatIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token, other := access(t, 7, nil), access(t, 8, nil)
		old := listToken(t, list1, make([]byte, 128), nil)
		v.accepts(t, "before", token)
		sleep(time.Minute)
		is.revoke(list1, 7)
		sleep(pace)
		v.refuse(t, "revoked", token, ErrRevoked)
		is.change(list1, func(p *published) { p.issue = func(string, []byte) string { return old } })
		sleep(time.Minute)
		v.refuse(t, "an old list", token, ErrRevoked)
		v.accepts(t, "what is known goes on", other)
		if s := v.Stats().Lists[0]; s.Failing == 0 || !strings.Contains(s.Err.Error(), "an old list was sent again") {
			t.Errorf("%+v", s)
		}
		sleep(5 * time.Minute) // old lists do not count as fresh
		v.refuse(t, "an old list, for long", other, ErrUnavailable)
		// The issuer has forgotten the revocation, and says so with a new date.
		is.change(list1, func(p *published) { p.issue, p.bits = nil, make([]byte, 128) })
		sleep(backoffMost)
		v.accepts(t, "another", other)
		v.refuse(t, "a bit once seen", token, ErrRevoked)
		sleep(time.Hour) // nobody asks, the list is let go of, and its bits are not
		if s := v.Stats().Lists[0]; s.Followed || s.Waiting {
			t.Errorf("%+v", s)
		}
		again := access(t, 7, nil)
		v.refuse(t, "a bit once seen, an hour later", again, ErrRevoked)
	})
}

// The server is away for ten minutes: it goes on, refuses, recovers.
func TestTheServerIsAway(t *testing.T) {
	for what, c := range map[string]struct {
		after time.Duration
		limit time.Duration
		issue func(uri string, bits []byte) string
	}{
		"by default": {limit: 5 * time.Minute}, "by an option": {after: 8 * time.Minute, limit: 8 * time.Minute},
		"lists without exp": {limit: 5 * time.Minute, issue: func(uri string, bits []byte) string {
			return listToken(t, uri, bits, map[string]any{"exp": nil})
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			is := newIssuer(t)
			is.lists[list1].issue = c.issue
			v := is.verifier(t, func(o *Options) { o.StaleAfter = c.after })
			token := access(t, 7, nil)
			v.accepts(t, what, token)
			sleep(90 * time.Second)
			v.accepts(t, what, token)
			answered := v.Stats().Lists[0].Confirmed
			is.set(func() { is.down = errDown })
			is.change(list1, func(*published) {}) // whoever waits is cut off
			for time.Since(answered) < c.limit-20*time.Second {
				sleep(10 * time.Second)
				v.accepts(t, what+", away", token)
			}
			sleep(25 * time.Second)
			if r := reasonOf(v.refuse(t, what, token, ErrUnavailable)); r != ErrUnavailable {
				t.Error(r)
			}
			s := v.Stats().Lists[0]
			if !errors.Is(s.Err, errDown) || s.Age() < c.limit || s.Failing < 10 {
				t.Errorf("%s: %+v", what, s)
			}
			sleep(10*time.Minute - time.Since(answered))
			v.refuse(t, what, token, ErrUnavailable)
			is.set(func() { is.down = nil })
			sleep(2 * backoffMost) // keys may come after the list
			v.accepts(t, what+", again", token)
		})
	}
}

// After an outage the first request does not wait, or a list that has not
// changed would be too old for most of a minute more.
func TestAListThatHasNotChangedIsFreshSoonAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		is.set(func() { is.down = errDown })
		sleep(10 * time.Minute)
		v.refuse(t, "away", token, ErrUnavailable)
		is.set(func() { is.down = nil })
		sleep(2 * backoffMost)
		v.accepts(t, "again", token)
		if age := v.Stats().Lists[0].Age(); age > 2*backoffMost {
			t.Errorf("it is %v old", age)
		}
	})
}

// A proxy that lets nobody wait for 50 s costs some requests, and no freshness.
func TestAProxyThatEndsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		is.cut = 30 * time.Second
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "before", token)
		n := is.count(list1)
		for range 20 {
			sleep(31 * time.Second)
			v.accepts(t, "through the proxy", token)
			if age := v.Stats().Lists[0].Age(); age > is.cut+time.Second {
				t.Errorf("it is %v old", age)
			}
		}
		if n = is.count(list1) - n; n > 50 {
			t.Errorf("%d requests in 10 min", n)
		}
		is.revoke(list1, 7)
		sleep(time.Second)
		v.refuse(t, "through the proxy", token, ErrRevoked)
	})
}

func TestWhenStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		var ages []time.Duration
		v := is.verifier(t, func(o *Options) {
			o.WhenStale = func(token *Token, age time.Duration) error {
				if ages = append(ages, age); token.HasScope("write") {
					return errors.New("not for writing")
				}
				return nil
			}
		})
		read := access(t, 7, map[string]any{"scope": "read"})
		gone := access(t, 8, map[string]any{"scope": "read"})
		is.revoke(list1, 8)
		v.accepts(t, "fresh", read)
		v.accepts(t, "fresh", access(t, 7, nil))
		is.set(func() { is.down = errDown })
		is.change(list1, func(*published) {})
		sleep(20 * time.Minute)
		if got := v.accepts(t, "stale", read); got != nil && got.Stale < 19*time.Minute {
			t.Errorf("stale by %v", got.Stale)
		}
		v.refuse(t, "stale, writing", access(t, 7, nil), ErrUnavailable)
		v.refuse(t, "what is known to be revoked", gone, ErrRevoked)
		v.refuse(t, "nothing is known", access(t, 7, map[string]any{"status": statusAt(auth+"/status/2", 1), "scope": "read"}), ErrUnavailable)
		if len(ages) != 2 || v.Stats().Stale != 1 {
			t.Errorf("asked %d times, %+v", len(ages), v.Stats())
		}
	})
}

func TestStartingWhileTheServerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		is.down = errDown
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.refuse(t, "away", token, ErrUnavailable)
		sleep(10 * time.Minute)
		v.refuse(t, "away", token, ErrUnavailable)
		before := 0
		is.set(func() { is.down = nil; before = len(is.asked) })
		if before != 1 { // the metadata alone
			t.Errorf("%v", is.asked)
		}
		sleep(backoffMost)
		v.accepts(t, "there", access(t, 7, nil))
	})
}

func TestListsThatNobodyAsksForAreLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
		v.accepts(t, "used", token)
		if s := v.Stats().Lists[0]; !s.Followed || s.Places != 1024 {
			t.Errorf("%+v", s)
		}
		sleep(letGo + time.Minute)
		n := is.count(list1)
		sleep(time.Hour)
		if s := v.Stats().Lists[0]; s.Followed || is.count(list1) != n {
			t.Errorf("%+v, %d requests, %d before", s, is.count(list1), n)
		}
		// What comes next does not go by what was known then.
		is.revoke(list1, 7)
		v.refuse(t, "revoked meanwhile", token, ErrRevoked)
		is.revoke(list1, 8)
		sleep(2 * pace)
		v.refuse(t, "revoked after that", access(t, 8, nil), ErrRevoked)
		sleep(time.Hour)
		v.accepts(t, "nothing has changed", access(t, 9, nil))
		is.revoke(list1, 9)
		sleep(2 * pace)
		v.refuse(t, "revoked after that", access(t, 9, nil), ErrRevoked)
	})
}

func TestListsInMemoryAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		for i := range mostLists + 20 {
			uri := fmt.Sprintf("%s/status/%d", auth, i)
			is.set(func() { is.publish(uri, make([]byte, 8)) })
			v.accepts(t, uri, access(t, 7, map[string]any{"status": statusAt(uri, 1)}))
			sleep(time.Second)
		}
		if s := v.Stats().Lists; len(s) != mostLists {
			t.Errorf("%d lists", len(s))
		}
		sleep(forget + time.Hour)
		is.set(func() { is.publish(list1, make([]byte, 128)) })
		v.accepts(t, "much later", access(t, 7, nil))
		if s := v.Stats().Lists; len(s) != 1 {
			t.Errorf("%d lists", len(s))
		}
	})
}

func TestNobodyWaitsLongerThanTheyWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		v.accepts(t, "keys", access(t, 7, nil))
		is.set(func() {
			is.publish(auth+"/status/2", make([]byte, 8))
			is.spoil = func(r *http.Request, _ *http.Response) {
				if strings.HasSuffix(r.URL.Path, "2") || r.URL.String() == jwks {
					is.mu.Unlock()
					<-r.Context().Done() // an issuer that hangs
					is.mu.Lock()
				}
			}
		})
		token := access(t, 7, map[string]any{"status": statusAt(auth+"/status/2", 1)})
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, token); !errors.Is(err, ErrUnavailable) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		v.refuse(t, "hangs", token, ErrUnavailable)
		if d := time.Since(begun); d != time.Second+firstTime {
			t.Errorf("after %v", d)
		}
		begun = time.Now()
		v.refuse(t, "a key", header(t, `{"alg":"ES256","kid":"x","typ":"at+jwt"}`), ErrUnavailable)
		if d := time.Since(begun); d != firstTime {
			t.Errorf("after %v", d)
		}
	})
}

func TestALateAnswerOf503IsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIssuer(t)
		v := is.verifier(t, nil)
		token := access(t, 7, nil)
		v.accepts(t, "there", token)
		is.set(func() {
			is.spoil = func(r *http.Request, resp *http.Response) {
				resp.StatusCode = 503
				resp.Header.Set("Retry-After", "20")
			}
		})
		is.change(list1, func(*published) {})
		synctest.Wait()
		n := is.count(list1)
		sleep(2 * time.Minute)
		if asked := is.count(list1) - n; asked < 4 || asked > 10 {
			t.Errorf("%d requests in 2 min", asked)
		}
		v.accepts(t, "503", token)
	})
}
