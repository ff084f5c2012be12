package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/spf13/pflag"
)

// serveOnce answers one request by a server that is set up so, and ends it. It
// reports whether there was anything of traces in it.
func serveOnce(t *testing.T, environ ...string) (traced bool) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags, true)
	addFlags(flags, false)
	s, err := load(flags, append(environ, "JETON_STORE=sqlite:"+filepath.Join(t.TempDir(), "jeton.db"), "JETON_SIGNING_ALG=ES256"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := openNode(t.Context(), s, "http://127.0.0.1:9096", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	srv, err := n.server(s)
	if err != nil {
		t.Fatal(err)
	}
	srv.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return n.traces != nil
}

func TestTracesAreSentWhenAskedFor(t *testing.T) {
	var got atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" && r.Header.Get("Content-Type") == "application/x-protobuf" {
			got.Add(1)
		}
	}))
	defer web.Close()
	if serveOnce(t, "JETON_TRACES_ENDPOINT="+web.URL, "JETON_TRACES_ONE_IN=1"); got.Load() != 1 {
		t.Errorf("%d batches came, want the one of the end", got.Load())
	}
	if serveOnce(t) {
		t.Error("there is a tracer though nobody asks for one")
	}
}
