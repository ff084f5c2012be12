package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Outcome is what came of one attempt; also the label of metrics.
type Outcome string

const (
	// Taken: 202, the receiver has it (RFC 8935 §2.2).
	Taken Outcome = "taken"
	// Rejected: 400, and the same SET would be refused again: a dead letter.
	Rejected Outcome = "rejected"
	// Denied: the receiver refuses the sender or its key, not the event. That
	// gets better without the SET being another, so it is tried again.
	Denied Outcome = "denied"
	// Throttled: the receiver asks for a pause.
	Throttled Outcome = "throttled"
	// Answered: any other status; redirects, which are not followed, too.
	Answered Outcome = "answered"
	// Unreachable: no answer, or no call because of the address.
	Unreachable Outcome = "unreachable"
)

// outcomes are all of them.
var outcomes = []Outcome{Taken, Rejected, Denied, Throttled, Answered, Unreachable}

// result is what came of one attempt, in words for the operator too.
type result struct {
	outcome Outcome
	words   string
	pause   time.Duration // that the receiver asks for
}

const (
	callTimeout = 10 * time.Second
	grace       = 3 * time.Second
	mostAnswer  = 16 << 10 // of a body that says what was wrong
	mostBearer  = 8 << 10
	mostWords   = 300
)

// post sends a SET once. A call under way when ctx ends has a moment to be
// answered, so that few events arrive twice.
func (r *receiver) post(ctx context.Context, set string) result {
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	return r.call(call, set)
}

func (r *receiver) call(ctx context.Context, set string) result {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, strings.NewReader(set))
	if err != nil {
		return result{Unreachable, "the url cannot be called", 0}
	}
	req.Header.Set("Content-Type", "application/"+setType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "jeton")
	var secret string
	if r.BearerFile != "" {
		if secret, err = readBearer(r.BearerFile); err != nil {
			return result{Unreachable, oneLine(err.Error(), ""), 0}
		}
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if inner := new(url.Error); errors.As(err, &inner) {
			err = inner.Err // without the address, whose query may be a secret
		}
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			return result{Unreachable, "no answer within " + callTimeout.String(), 0}
		}
		return result{Unreachable, oneLine(err.Error(), secret), 0}
	}
	defer resp.Body.Close()
	res := judge(resp)
	res.words = oneLine(res.words, secret)
	if res.outcome == Taken {
		_, _ = io.CopyN(io.Discard, resp.Body, 512) // so that the connection can serve again
	}
	return res
}

// judge reads an answer as RFC 8935 §2.2 to §2.4 have it.
func judge(resp *http.Response) result {
	status := "status " + strconv.Itoa(resp.StatusCode)
	pause := retryAfter(resp.Header.Get("Retry-After"))
	switch code := resp.StatusCode; {
	case code == http.StatusAccepted:
		return result{Taken, "", 0}
	case code == http.StatusBadRequest:
		return refusal(resp.Body)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return result{Denied, status + ": see bearer_token_file", pause}
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable && pause > 0:
		return result{Throttled, status, pause}
	case code >= 300 && code < 400:
		return result{Answered, status + ": redirects are not followed", 0}
	}
	return result{Answered, status + " where 202 says that it was taken", pause}
}

// refusal reads the body of a 400 (RFC 8935 §2.3). The codes that are about the
// sender or its key can end by themselves: the token in its file is replaced,
// the receiver fetches our key set again. The others, those we do not know, and
// a 400 without a code are about this SET, which will not change.
func refusal(body io.Reader) result {
	var said struct {
		Err         string `json:"err"`
		Description string `json:"description"`
	}
	text, err := io.ReadAll(io.LimitReader(body, mostAnswer))
	if err != nil || json.Unmarshal(text, &said) != nil || said.Err == "" {
		return result{Rejected, "status 400 without a code", 0}
	}
	words := said.Err
	if said.Description != "" {
		words += ": " + said.Description
	}
	switch said.Err {
	case "invalid_key", "authentication_failed", "access_denied":
		return result{Denied, words, 0}
	}
	return result{Rejected, words, 0}
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3), 0 for neither.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// readBearer reads the token of a receiver (RFC 6750 §2.1).
func readBearer(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("the bearer token cannot be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostBearer+1))
	if err != nil {
		return "", fmt.Errorf("the bearer token cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(b) > mostBearer || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold one token of printable characters, at most %d bytes", name, mostBearer)
	}
	return token, nil
}

// oneLine makes what a stranger said fit for logs and terminals, and keeps a
// receiver that repeats our token to us from putting it there.
func oneLine(s, secret string) string {
	if secret != "" {
		s = strings.ReplaceAll(s, secret, "(hidden)")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > mostWords {
		s = strings.ToValidUTF8(s[:mostWords], "") + "…"
	}
	return s
}
