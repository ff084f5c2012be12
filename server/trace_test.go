package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"jeton/traces"
)

// collector is an OTLP receiver that keeps what it gets. Its zero value is
// ready to serve.
type collector struct {
	mu     sync.Mutex
	spans  []*tracepb.Span
	faults []string
	status int // when it refuses
	forget bool
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != 0 {
		w.WriteHeader(c.status)
		return
	}
	zip, err := gzip.NewReader(r.Body)
	if err != nil {
		c.faults = append(c.faults, err.Error())
		return
	}
	body, err := io.ReadAll(zip)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.faults = append(c.faults, r.Method+" "+r.URL.Path)
		return
	}
	watch.Wrote("trace", body)
	watch.Wrote("trace", []byte(prototext.Format(&data)))
	for _, resource := range data.ResourceSpans {
		if c.forget {
			break
		}
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// tracer sends to the collector until the test ends.
func (c *collector) tracer(t testing.TB, oneIn int, log *slog.Logger) *traces.Tracer {
	t.Helper()
	web := httptest.NewServer(c)
	t.Cleanup(web.Close)
	tr, err := traces.New(traces.Config{Endpoint: web.URL, OneIn: oneIn, Version: "1", Log: log})
	must(t, err)
	return tr
}

// named are the spans of that name, oldest first.
func (c *collector) named(name string) (found []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func attributesOf(s *tracepb.Span) map[string]any {
	all := map[string]any{}
	for _, a := range s.Attributes {
		if text := a.Value.GetStringValue(); text != "" {
			all[a.Key] = text
		} else {
			all[a.Key] = a.Value.GetIntValue()
		}
	}
	return all
}

// A trace that a caller has begun goes on here, with a span for each part.
func TestTraces(t *testing.T) {
	var c collector
	tr := c.tracer(t, 0, slog.New(slog.DiscardHandler))
	n := start(t, options{traces: tr, callers: anyone})
	const parentTrace, parentSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	within := header("Traceparent", "00-"+parentTrace+"-"+parentSpan+"-01")
	begun := time.Now()
	w, line := n.asked(t, "POST", "/token", loginForm(), app, within)
	n.asked(t, "POST", "/token", form("grant_type", "refresh_token", "refresh_token", member(w.Body.Bytes(), "refresh_token")), app) // in no trace
	n.asked(t, "GET", "/readyz", nil, header("Traceparent", "00-"+parentTrace+"-"+parentSpan+"-00"))                                 // in one that nobody keeps
	n.asked(t, "MAKEUP", "/token?secret=1", nil, within)
	must(t, tr.Close(t.Context()))

	if len(c.faults) > 0 {
		t.Fatalf("faults: %q", c.faults)
	}
	roots := c.named("POST /token")
	if len(roots) != 1 {
		t.Fatalf("%d spans of the login, of %v", len(roots), c.spans)
	}
	s := roots[0]
	if hex.EncodeToString(s.TraceId) != parentTrace || hex.EncodeToString(s.ParentSpanId) != parentSpan || len(s.SpanId) != 8 || s.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the span does not continue the trace: %v", s)
	}
	if line["trace_id"] != parentTrace {
		t.Errorf("the line has the trace %v", line["trace_id"])
	}
	if from, to := time.Unix(0, int64(s.StartTimeUnixNano)), time.Unix(0, int64(s.EndTimeUnixNano)); from.Before(begun) || !to.After(from) || to.After(time.Now()) {
		t.Errorf("from %v to %v", from, to)
	}
	got := attributesOf(s)
	for name, want := range map[string]any{
		"http.request.method": "POST", "http.route": "/token", "http.response.status_code": int64(200), "jeton.client_id": "app",
		"jeton.grant_type": "password", "jeton.outcome": "ok", "jeton.request_id": line["request_id"],
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if len(got) != 7 {
		t.Errorf("attributes: %v", got)
	}
	var parts []string
	for _, child := range c.spans {
		if bytes.Equal(child.ParentSpanId, s.SpanId) {
			parts = append(parts, child.Name)
			if !bytes.Equal(child.TraceId, s.TraceId) || child.StartTimeUnixNano < s.StartTimeUnixNano || child.EndTimeUnixNano > s.EndTimeUnixNano || len(child.Attributes) > 0 {
				t.Errorf("a part that does not fit: %v", child)
			}
		}
	}
	for _, want := range []string{"store.read", "store.commit", "kdf.wait", "kdf", "sign"} {
		if !slices.Contains(parts, want) {
			t.Errorf("no part %s in %q", want, parts)
		}
	}
	if made := c.named("_OTHER /token"); len(made) != 1 || attributesOf(made[0])["error.type"] != "invalid_request" {
		t.Errorf("the made up method: %v", made)
	}
	if others := c.named("GET /readyz"); len(others) != 0 {
		t.Errorf("what nobody keeps was sent: %v", others)
	}
}

// Requests in no trace begin one, as often as was asked for.
func TestTracesBegin(t *testing.T) {
	var c collector
	tr := c.tracer(t, 1, slog.New(slog.DiscardHandler))
	n := start(t, options{traces: tr, callers: anyone})
	_, line := n.asked(t, "GET", "/healthz", nil)
	n.asked(t, "GET", "/healthz", nil)
	must(t, tr.Close(t.Context()))
	spans := c.named("GET /healthz")
	if len(spans) != 2 || bytes.Equal(spans[0].TraceId, spans[1].TraceId) || len(spans[0].ParentSpanId) != 0 {
		t.Fatalf("spans: %v", spans)
	}
	if line["trace_id"] != hex.EncodeToString(spans[0].TraceId) {
		t.Errorf("the line has %v, the span %x", line["trace_id"], spans[0].TraceId)
	}
}

// A collector that is away costs the spans and two lines of log.
func TestTracesThatCannotBeSent(t *testing.T) {
	var log bytes.Buffer
	c := collector{status: http.StatusServiceUnavailable}
	tr := c.tracer(t, 1, slog.New(slog.NewTextHandler(&log, nil)))
	n := start(t, options{traces: tr, callers: anyone})
	if w, _ := n.asked(t, "GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("a request fails with its trace: %d", w.Code)
	}
	must(t, tr.Close(t.Context()))
	if strings.Count(log.String(), "traces cannot be sent and are lost") != 1 || !strings.Contains(log.String(), "503") {
		t.Errorf("the log: %s", log.String())
	}
}

func TestTracesEndpoint(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:4318", "ftp://x", "http://", "http://user:secret@x", "http://x?key=secret", "http://x#y"} {
		if _, err := traces.New(traces.Config{Endpoint: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		} else if strings.Contains(bad, "user:") && strings.Contains(err.Error(), "secret@") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
}

// shared traces every request of the tests that do not bring a tracer of their
// own, so that watch sees what all of them would send.
var shared struct {
	collector collector
	tracer    *traces.Tracer
}

// traced runs the tests with it.
type traced struct{ m *testing.M }

func (r traced) Run() int {
	shared.collector.forget = true
	web := httptest.NewServer(&shared.collector)
	defer web.Close()
	var err error
	if shared.tracer, err = traces.New(traces.Config{Endpoint: web.URL, OneIn: 10, Log: slog.New(slog.DiscardHandler)}); err != nil {
		panic(err)
	}
	code := r.m.Run()
	shared.tracer.Close(context.Background())
	return code
}
