package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
)

// serve runs one form through the whole handler, without a network.
func (n *node) serve(b testing.TB, h http.Handler, path string, f url.Values) []byte {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	app(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func BenchmarkRefresh(b *testing.B) {
	n := start(b, options{})
	h := n.server.Handler()
	sessions := make(chan string, 32)
	for range cap(sessions) {
		sessions <- n.login().str("refresh_token")
	}
	b.SetParallelism(cap(sessions) / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		token := <-sessions
		for pb.Next() {
			body := n.serve(b, h, "/token", form("grant_type", "refresh_token", "refresh_token", token))
			token = member(body, "refresh_token")
		}
	})
}

func BenchmarkIntrospect(b *testing.B) {
	n := start(b, options{})
	h := n.server.Handler()
	token := n.login().str("access_token")
	b.ReportAllocs()
	for b.Loop() {
		n.serve(b, h, "/introspect", form("token", token))
	}
}

// BenchmarkUsersPage compares the first page of users, and one of a search, at a
// hundred and at a hundred thousand of them.
func BenchmarkUsersPage(b *testing.B) {
	browser := console(b, options{})
	had := 0
	for _, many := range []int{100, 100_000} {
		browser.fill(b, had, many)
		had = many
		for _, path := range []string{"/console/users", "/console/users?q=person0"} {
			b.Run(fmt.Sprintf("%s/%d", path, many), func(b *testing.B) {
				for b.Loop() {
					if a := browser.page(path); a.StatusCode != http.StatusOK {
						b.Fatalf("%d %s", a.StatusCode, a.body)
					}
				}
			})
		}
	}
}

// member finds a string in a JSON object without decoding all of it.
func member(body []byte, name string) string {
	_, rest, _ := strings.Cut(string(body), `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
