package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"jeton/server"
	"jeton/storage"
	"jeton/traces"
)

// asked runs a request through the whole handler, without a network, and
// returns the answer and the one line of log that it left.
func (n *node) asked(t *testing.T, method, path string, f url.Values, change ...func(*http.Request)) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(f.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	for _, c := range change {
		c(r)
	}
	watchRequest(r, f.Encode())
	before := len(n.lines(0))
	w := httptest.NewRecorder()
	n.handler.ServeHTTP(w, r)
	watchAnswer(w.Code, w.Body.Bytes())
	var requests []map[string]any
	for _, line := range n.lines(before) {
		// Others' may come late, after their answers.
		if line["msg"] == "request" && line["request_id"] == w.Header().Get("X-Request-Id") {
			requests = append(requests, line)
		}
	}
	if len(requests) != 1 {
		t.Fatalf("%s %s left %d lines, want one: %v", method, path, len(requests), requests)
	}
	return w, requests[0]
}

// One line tells all there is to know of a request.
func TestRequestLine(t *testing.T) {
	n := start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	w, line := n.asked(t, "POST", "/token?x=1", loginForm(), app, header("X-Forwarded-For", "203.0.113.9"), header("X-Request-Id", "edge-7f3a.91"))
	if got := w.Header().Get("X-Request-Id"); got != "edge-7f3a.91" {
		t.Errorf("the id came back as %q", got)
	}
	sid := segment(t, member(w.Body.Bytes(), "access_token"), 1)["sid"]
	for name, want := range map[string]any{
		"level": "INFO", "msg": "request", "request_id": "edge-7f3a.91", "method": "POST", "route": "/token", "status": 200.0, "outcome": "ok",
		"grant_type": "password", "client_id": "app", "auth_method": "client_secret_basic", "sub": "u-alice", "sid": sid,
		"source": "203.0.113.9", "agent": "Firefox on Linux", "bytes_in": float64(len(loginForm().Encode())), "bytes_out": float64(w.Body.Len()),
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	for _, name := range []string{"took_us", "store_us", "store_calls", "kdf_us", "sign_us"} {
		if v, _ := line[name].(float64); v <= 0 {
			t.Errorf("%s is %v", name, line[name])
		}
	}
	if took := line["took_us"].(float64); took < line["kdf_us"].(float64)+line["sign_us"].(float64) {
		t.Errorf("the parts took longer than the whole: %v", line)
	}
	for _, name := range []string{"error", "cause", "actor", "one_in"} {
		if v, ok := line[name]; ok {
			t.Errorf("%s is there: %v", name, v)
		}
	}
}

// What a request came to stands in the line in the words of the metrics, and
// whom it was about, wherever that was proven.
func TestRequestLineOutcomes(t *testing.T) {
	n := start(t, options{throttle: true})
	first := n.login()
	sid := segment(t, first.str("access_token"), 1)["sid"]
	spent := form("grant_type", "refresh_token", "refresh_token", first.str("refresh_token"))
	w, line := n.asked(t, "POST", "/token", spent, app)
	second := w.Body.Bytes()
	check := func(what string, line map[string]any, want map[string]any) {
		t.Helper()
		for name, v := range want {
			if line[name] != v {
				t.Errorf("%s: %s is %v, want %v", what, name, line[name], v)
			}
		}
	}
	check("refresh", line, map[string]any{"outcome": "ok", "grant_type": "refresh_token", "sub": "u-alice", "sid": sid, "status": 200.0})

	_, line = n.asked(t, "POST", "/introspect", form("token", member(second, "access_token")), basic("api", apiSecret))
	check("introspect", line, map[string]any{"outcome": "active", "client_id": "api", "sub": "u-alice", "sid": sid})

	_, line = n.asked(t, "POST", "/token", form("grant_type", "refresh_token", "refresh_token", member(second, "refresh_token")), basic("other", apiSecret))
	check("foreign", line, map[string]any{"outcome": "foreign_token", "error": "invalid_grant", "client_id": "other"})

	_, line = n.asked(t, "POST", "/token", spent, app)
	check("reuse", line, map[string]any{"outcome": "reuse", "error": "invalid_grant", "sub": "u-alice", "sid": sid, "level": "INFO"})

	_, line = n.asked(t, "POST", "/revoke", form("token", member(second, "refresh_token")), app)
	check("revoke again", line, map[string]any{"outcome": "nothing", "status": 200.0, "sid": nil})

	_, line = n.asked(t, "POST", "/token", loginForm("password", ""), app)
	check("twice", line, map[string]any{"outcome": "invalid_request", "status": 400.0})

	wrong := form("grant_type", "password", "username", "alice", "password", "not this one at all")
	for range 6 {
		_, line = n.asked(t, "POST", "/token", wrong, basic("app", appSecret))
	}
	check("throttled", line, map[string]any{"outcome": "throttled_pair", "status": 429.0, "error": "temporarily_unavailable", "sub": nil})

	_, line = n.asked(t, "POST", "/token", form("grant_type", "password", "username", "nobody", "password", "not this one at all"), app)
	check("nobody", line, map[string]any{"outcome": "invalid_grant", "sub": nil, "cause": "no such user, or one without a password"})

	_, line = n.asked(t, "GET", "/no/such/path", nil)
	check("404", line, map[string]any{"route": "none", "status": 404.0, "error": "not_found", "level": "INFO"})

	_, line = n.asked(t, "POST", "/revoke", form("token", n.login().str("refresh_token")), app)
	check("revoke", line, map[string]any{"outcome": "ok", "sub": "u-alice", "status": 200.0})
}

// An id from outside counts only where a log can bear it.
func TestRequestID(t *testing.T) {
	n := start(t, options{})
	seen := map[string]bool{}
	for _, sent := range []string{"", "short", strings.Repeat("x", 73), "a b c d e f g h", "new\nline-in-an-id", `"quoted-quoted"`, "ümlaut-ümlaut"} {
		w, line := n.asked(t, "GET", "/healthz", nil, func(r *http.Request) { r.Header["X-Request-Id"] = []string{sent} })
		got := w.Header().Get("X-Request-Id")
		if got == sent || len(got) != 16 || seen[got] || line["request_id"] != got {
			t.Errorf("%q: got %q, the log has %v", sent, got, line["request_id"])
		}
		seen[got] = true
	}
	for _, sent := range []string{"0123456789abcdef", "7b1c2a34-90ab-4cde-8f01-23456789abcd", strings.Repeat("x", 72)} {
		if w, _ := n.asked(t, "GET", "/healthz", nil, header("X-Request-Id", sent)); w.Header().Get("X-Request-Id") != sent {
			t.Errorf("%q was not taken", sent)
		}
	}
	w, _ := n.asked(t, "GET", "/healthz", nil, header("X-Request-Id", "0123456789abcdef"), header("X-Request-Id", "0123456789abcdeg"))
	if strings.HasPrefix(w.Header().Get("X-Request-Id"), "0123") {
		t.Error("one of two ids was taken")
	}
}

// A line that is written on the way names its request too.
func TestLinesOfARequestShareItsID(t *testing.T) {
	n := start(t, options{})
	token := n.login().str("refresh_token")
	before := len(n.lines(0))
	w, _ := n.asked(t, "POST", "/token", form("grant_type", "refresh_token", "refresh_token", token), basic("other", apiSecret))
	warned := false
	for _, line := range n.lines(before) {
		if line["grant_type"] == "password" {
			continue // the login's, late
		}
		warned = warned || line["level"] == "WARN"
		if line["request_id"] != w.Header().Get("X-Request-Id") {
			t.Errorf("another id: %v", line)
		}
	}
	if !warned {
		t.Error("nothing was written on the way")
	}
}

// What says the same all day is logged now and then, what failed always.
func TestQuietRoutesAreSampled(t *testing.T) {
	n := start(t, options{})
	var logged []float64
	for range 9 {
		if _, line := n.asked(t, "GET", "/.well-known/jwks.json", nil); line["level"] == "INFO" {
			logged = append(logged, line["one_in"].(float64))
		}
	}
	if !slices.Equal(logged, []float64{3, 3, 3}) {
		t.Errorf("logged %v", logged)
	}
	if _, line := n.asked(t, "DELETE", "/.well-known/jwks.json", nil); line["level"] != "INFO" || line["one_in"] != nil {
		t.Errorf("a failure: %v", line)
	}
	if _, line := n.asked(t, "GET", "/status/7", nil); line["level"] != "INFO" || line["route"] != "/status/{list}" {
		t.Errorf("no such list: %v", line)
	}
}

// The operator's door is logged and counted like the public one.
func TestOperatorDoorIsLogged(t *testing.T) {
	n := start(t, options{})
	before := len(n.lines(0))
	r := httptest.NewRequest("GET", "/admin/v1/users/alice", nil)
	w := httptest.NewRecorder()
	n.server.OperatorDoor().ServeHTTP(w, r)
	lines := n.lines(before)
	if len(lines) != 1 || lines[0]["actor"] != "operator" || lines[0]["route"] != "/admin/v1/users/{username}" || lines[0]["status"] != 200.0 {
		t.Fatalf("%d %v", w.Code, lines)
	}
	if strings.Contains(fmt.Sprint(lines), "alice") {
		t.Errorf("the line names a user: %v", lines)
	}
}

// Metrics tell where the time goes, and of the parts that no request shows.
func TestMetricsOfTheParts(t *testing.T) {
	n := start(t, options{})
	a := n.login()
	n.refresh(a.str("refresh_token"))
	list := segment(t, a.str("access_token"), 1)["status"].(map[string]any)["status_list"].(map[string]any)["uri"].(string)
	n.do("GET", list[strings.LastIndex(list, "/status/"):], "", "")
	metrics := n.metrics()
	for _, series := range []string{
		`jeton_store_seconds_count{operation="read"} `, `jeton_store_seconds_count{operation="commit"} `, `jeton_store_failures_total{kind="unavailable",operation="commit"} 0`,
		"jeton_kdf_seconds_count 1\n", "jeton_kdf_wait_seconds_count 1\n", `jeton_sign_seconds_count{use="sig"} 2`, `jeton_sign_seconds_count{use="refresh"} 2`,
		`jeton_key_age_seconds{use="sig"} 0`, `jeton_key_rotation_seconds{use="sig"} 7.776e+06`, "jeton_status_lists 1\n", "jeton_status_age_seconds ",
		"jeton_outbox_events ", "jeton_outbox_age_seconds 0\n", "jeton_http_in_flight 0\n",
	} {
		if !strings.Contains(metrics, series) {
			t.Errorf("%q is missing in\n%s", series, metrics)
		}
	}
	n.clock.Add(storage.Day)
	if metrics = n.metrics(); !strings.Contains(metrics, `jeton_key_age_seconds{use="sig"} 86400`) || !strings.Contains(metrics, "jeton_outbox_age_seconds 86400\n") {
		t.Errorf("nothing has aged:\n%s", metrics)
	}
}

// However many clients come and go, their figures do not fill the memory.
func TestMetricsOfManyClients(t *testing.T) {
	m := server.NewLabels()
	for i := range 1100 {
		m(fmt.Sprint("client", i))
	}
	if got := m("client5"); got != "client5" {
		t.Errorf("an early one is %q", got)
	}
	if got := m("client1099"); got != "(others)" {
		t.Errorf("a late one is %q", got)
	}
}

// BenchmarkRequestLine is what log, metrics and a trace cost a request.
func BenchmarkRequestLine(b *testing.B) {
	n := start(b, options{})
	var c collector
	c.forget = true
	all := c.tracer(b, 1, slog.New(slog.DiscardHandler))
	defer all.Close(context.Background())
	for _, c := range []struct {
		name   string
		log    slog.Handler
		tracer *traces.Tracer
	}{
		{"json", slog.NewJSONHandler(discard{}, nil), nil},
		{"text", slog.NewTextHandler(discard{}, nil), nil},
		{"off", slog.DiscardHandler, nil},
		{"traced", slog.DiscardHandler, all},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := n.server.Observed(slog.New(server.WithRequestID(c.log)), c.tracer)
			r := httptest.NewRequest("POST", "/token", nil)
			r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
