package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// fetchTime bounds a request that does not wait.
	fetchTime = 10 * time.Second
	// What is waited before a request is made again that has failed: longer
	// and longer, and each process another time.
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 10 * time.Second
	// mostRetryAfter bounds what an issuer may ask for.
	mostRetryAfter = 30 * time.Second
)

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte // of a 200
}

// An HTTP/2 connection carries all requests to the issuer, and one whose other
// end has vanished, or whose state a firewall has dropped, would be used for as
// long as the system sends again, a quarter of an hour. So it is asked for a sign
// of life where it has been silent for pingAfter, and left after pingTime more.
const (
	pingAfter = 10 * time.Second
	pingTime  = 5 * time.Second
)

// transport makes the requests where Options.HTTP says nothing else.
func transport(pingAfter, pingTime time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = mostLists
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime}
	return t
}

// get asks for a document of at most so many bytes.
func (v *Verifier) get(ctx context.Context, url string, header http.Header, most int64) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	r.Header = header
	r.Header.Set("User-Agent", "jeton-verify")
	resp, err := v.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.status != http.StatusOK {
		io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
		return a, nil
	}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, most+1)); err != nil {
		return answer{}, err
	}
	if int64(len(a.body)) > most {
		return answer{}, fmt.Errorf("%s is longer than %d bytes: is there the page of a proxy instead?", url, most)
	}
	return a, nil
}

// unexpected is an answer that nothing can be made of.
type unexpected struct {
	url        string
	status     int
	retryAfter time.Duration
}

func (e *unexpected) Error() string {
	return fmt.Sprintf("%s was answered with %d %s%s", e.url, e.status, http.StatusText(e.status), e.remedy())
}

// remedy is what an operator looks at next.
func (e *unexpected) remedy() string {
	switch {
	case e.status == http.StatusNotFound || e.status == http.StatusGone:
		return ": does Options.Issuer name the server as tokens do, with its path, and does the proxy before it lead all of its paths there?"
	case e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		return ": a proxy on the way asks for a login or forbids it; this is public"
	case e.status >= 300 && e.status < 400:
		return ": redirects are not followed; Options.Issuer has to be the address that answers"
	case e.status >= 500:
		return ": see the log of the server, or of the proxy before it"
	}
	return ""
}

func (a answer) unexpected(url string) error {
	e := &unexpected{url: url, status: a.status}
	if n, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && n > 0 {
		e.retryAfter = min(time.Duration(n)*time.Second, mostRetryAfter)
	}
	return e
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int, err error) time.Duration {
	d := min(backoffFirst<<min(failures-1, 10), backoffMost)
	if e := new(unexpected); errors.As(err, &e) {
		d = max(d, e.retryAfter)
	}
	return jitter(d)
}

// jitter shortens by up to a third, so that many processes part.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/3+1) }

// maxAge reads Cache-Control (RFC 9111 §5.2.2) as far as an age goes.
func (a answer) maxAge(least, usual, most time.Duration) time.Duration {
	for _, line := range a.header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return least
			case "max-age":
				if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil {
					return min(max(time.Duration(n)*time.Second, least), most)
				}
			}
		}
	}
	return usual
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
