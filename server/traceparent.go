package server

import (
	"encoding/hex"
	"net/http"

	"jeton/traces"
)

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
