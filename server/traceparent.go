package server

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/netip"

	"jeton/traces"
)

// parent is the span that a request belongs to, if one of those sent it whose
// word counts. Who that is, trusted proxies say (W3C Trace Context §8.3 has a
// trust boundary begin a trace of its own).
func (s *Server) parent(ctx context.Context, r *http.Request) traces.Parent {
	if len(s.cfg.TraceCallers) == 0 || len(r.Header["Traceparent"]) == 0 {
		return traces.Parent{}
	}
	from, err := netip.ParseAddr(s.sourceOf(r.WithContext(ctx)).Address)
	if err != nil || !within(s.cfg.TraceCallers, from) {
		return traces.Parent{}
	}
	return traceparent(r)
}

// traceparent reads the header of that name, the span that a request belongs to
// (W3C Trace Context §3.2). Of a later version the members of
// the first count (§3.2.4); what does not fit is as good as none.
func traceparent(r *http.Request) (p traces.Parent) {
	sent := r.Header["Traceparent"]
	if len(sent) != 1 {
		return p
	}
	s := sent[0]
	var version, flags [1]byte
	switch {
	case len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-',
		!lowerHex(version[:], s[:2]) || version[0] == 0xff,
		version[0] == 0 && len(s) != 55, len(s) > 55 && s[55] != '-',
		!lowerHex(p.Trace[:], s[3:35]) || p.Trace == [16]byte{},
		!lowerHex(p.Span[:], s[36:52]) || p.Span == [8]byte{},
		!lowerHex(flags[:], s[53:55]):
		return traces.Parent{}
	}
	p.Sampled = flags[0]&1 != 0
	return p
}

// lowerHex decodes what is written in lower case alone.
func lowerHex(to []byte, s string) bool {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, []byte(s))
	return err == nil
}
