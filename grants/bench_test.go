package grants_test

import (
	"runtime"
	"testing"

	"jeton/grants"
)

// BenchmarkRefresh rotates one session per goroutine, ES256, on SQLite.
func BenchmarkRefresh(b *testing.B) {
	w := newWorld(b, nil)
	client := w.client("app")
	sessions := make(chan grants.Response, 32)
	for range cap(sessions) {
		sessions <- w.login()
	}
	b.SetParallelism(cap(sessions) / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		resp := <-sessions
		var err error
		for pb.Next() {
			if resp, err = w.Token(b.Context(), grants.Request{GrantType: "refresh_token", Client: client, RefreshToken: resp.RefreshToken}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
