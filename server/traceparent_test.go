package server_test

import (
	"log/slog"
	"strings"
	"testing"
)

// The trace that a caller is in stands in the line, if it is one.
func TestTraceparent(t *testing.T) {
	var c collector
	tr := c.tracer(t, 0, slog.New(slog.DiscardHandler))
	defer tr.Close(t.Context())
	n := start(t, options{traces: tr})
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
