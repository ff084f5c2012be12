package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// pages is an admin API with a listing of n objects, in pages of two.
func pages(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var after int
		fmt.Sscan(r.URL.Query().Get("after"), &after)
		var body []string
		for i := after; i < min(after+2, n); i++ {
			body = append(body, fmt.Sprintf(`{"n":%d}`, i))
		}
		if after+2 < n {
			// The host and path of a link are not ours to follow.
			w.Header().Add("Link", `<https://elsewhere.example/x?other=1>; rel="last"`)
			w.Header().Add("Link", fmt.Sprintf(`<https://login.example.com/auth/admin/v1/things?after=%d>; rel="next"`, after+2))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(body, ","))
	}
}

func TestListWalksAllPages(t *testing.T) {
	for n := range 8 {
		way := &api{client: &http.Client{Transport: inProcess{pages(n)}}}
		var got []json.RawMessage
		err := way.list(t.Context(), "/things", nil, func(page []json.RawMessage) error {
			got = append(got, page...)
			return nil
		})
		if err != nil || len(got) != n {
			t.Fatalf("%d objects: got %d, %v", n, len(got), err)
		}
	}
}

func TestListThatDoesNotEnd(t *testing.T) {
	way := &api{client: &http.Client{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `</admin/v1/things?after=x>; rel="next"`)
		fmt.Fprint(w, "[]")
	})}}}
	err := way.list(t.Context(), "/things", nil, func([]json.RawMessage) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "does not come to an end") {
		t.Fatal(err)
	}
}

// The exit code follows from the answer, whatever else is in it.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   string
		body   string
		code   int
	}{
		{404, "application/json", `{"error":"not_found","error_description":"x"}`, exitMissing},
		{409, "application/json; charset=utf-8", `{"error":"already_exists"}`, exitExists},
		{503, "application/json", `{"error":"temporarily_unavailable"}`, exitAway},
		{503, "text/html", `<h1>no</h1>`, exitAway},
		{400, "application/json", `{"error":"invalid_request"}`, exitFailed},
		{500, "application/json", `not json`, exitFailed},
		{302, "", ``, exitFailed},
	} {
		way := &api{client: &http.Client{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})}}}
		_, err := way.do(t.Context(), http.MethodGet, "/things/x", nil)
		if code, _ := exitCode(err); code != c.code || err.Error() == "" {
			t.Errorf("%d %s: exit code %d for %v, want %d", c.status, c.body, code, err, c.code)
		}
	}
	if code, _ := exitCode(fmt.Errorf("wrapped: %w", errors.Join(usagef("x")))); code != exitUsage {
		t.Errorf("a wrapped usage error exits with %d", code)
	}
}

// Names come from others, and are shown on a terminal.
func TestWordsDoNotSpeakToTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		`"plain"`: "plain", `"a\u001b[2Jb"`: "a\uFFFD[2Jb", `"\u202ea"`: "\uFFFDa", `["a\nb","c"]`: "a\uFFFDb,c",
		`{"k":"\u0007"}`: "k=\uFFFD", `null`: "-", `true`: "yes", `12345678901234567890`: "12345678901234567890", `[]`: "-",
		`"2026-11-22T06:09:18.20619663Z"`: "2026-11-22T06:09:18Z",
	} {
		if got := words(json.RawMessage(in)); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
