package server_test

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// anyone and testCaller are callers; requests of tests come from the latter
// (httptest.NewRequest).
var (
	anyone     = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	testCaller = netip.MustParsePrefix("192.0.2.1/32")
)

// What a stranger says of traces is not heard: neither is more traced than is
// asked for here, nor does it name a trace.
func TestStrangersDoNotDecideWhatIsTraced(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	sampled := header("Traceparent", "00-"+trace+"-"+span+"-01")
	for name, c := range map[string]struct {
		o     options
		more  func(*http.Request)
		heard bool
	}{
		"by default":                     {options{}, nil, false},
		"of another network":             {options{callers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, nil, false},
		"a caller":                       {options{callers: []netip.Prefix{testCaller}}, nil, true},
		"a stranger says who he is":      {options{callers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, from("10.1.2.3"), false},
		"a stranger behind a proxy":      {options{callers: []netip.Prefix{testCaller}, proxies: []netip.Prefix{testCaller}}, from("198.51.100.9"), false},
		"a caller behind a proxy":        {options{callers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, proxies: []netip.Prefix{testCaller}}, from("10.1.2.3"), true},
		"the proxy itself, asking alone": {options{callers: []netip.Prefix{testCaller}, proxies: []netip.Prefix{testCaller}}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var c2 collector
			tr := c2.tracer(t, 0, slog.New(slog.DiscardHandler))
			c.o.traces = tr
			n := start(t, c.o)
			change := []func(*http.Request){sampled}
			if c.more != nil {
				change = append(change, c.more)
			}
			_, line := n.asked(t, "GET", "/readyz", nil, change...)
			if got := line["trace_id"] == trace; got != c.heard {
				t.Errorf("the line has the trace %v", line["trace_id"])
			}
			must(t, tr.Close(t.Context()))
			if got := len(c2.named("GET /readyz")) == 1; got != c.heard {
				t.Errorf("%d spans", len(c2.named("GET /readyz")))
			}
		})
	}
}

// The trace that a caller is in stands in the line, if it is one.
func TestTraceparent(t *testing.T) {
	var c collector
	tr := c.tracer(t, 0, slog.New(slog.DiscardHandler))
	defer tr.Close(t.Context())
	n := start(t, options{traces: tr, callers: anyone})
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for sent, want := range map[string]any{
		"00-" + trace + "-" + span + "-01":                                trace,
		"00-" + trace + "-" + span + "-00":                                trace,
		"cc-" + trace + "-" + span + "-01-what-comes":                     trace,
		"cc-" + trace + "-" + span + "-01":                                trace,
		"00-" + trace + "-" + span + "-01-what-comes":                     nil,
		"cc-" + trace + "-" + span + "-01.what":                           nil,
		"ff-" + trace + "-" + span + "-01":                                nil,
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":               nil,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":              nil,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01":             nil,
		"00-" + trace + "-" + span:                                        nil,
		"00-" + trace + "_" + span + "-01":                                nil,
		"00-" + strings.Repeat("g", 32) + "-" + span + "-01":              nil,
		strings.Repeat("é", 55):                                           nil,
		"00-" + trace + "-" + span + "-0x":                                nil,
		"":                                                                nil,
		"00-" + trace + "-" + span + "-01-" + strings.Repeat("x", 10_000): nil,
	} {
		if _, line := n.asked(t, "GET", "/readyz", nil, header("Traceparent", sent)); line["trace_id"] != want {
			t.Errorf("%.80q: the line has %v, want %v", sent, line["trace_id"], want)
		}
	}
	both := "00-" + trace + "-" + span + "-01"
	if _, line := n.asked(t, "GET", "/readyz", nil, header("Traceparent", both), header("Traceparent", both)); line["trace_id"] != nil {
		t.Error("one of two was taken")
	}
}
