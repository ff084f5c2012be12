package server

import (
	"encoding/hex"
	"net/http"
)

// parent is where a request says that it belongs to (W3C Trace Context §3.2).
type parent struct {
	trace   [16]byte
	span    [8]byte
	sampled bool
}

// traceparent reads the header of that name. Of a later version the members of
// the first count (§3.2.4); what does not fit is as good as none.
func traceparent(r *http.Request) (p parent, ok bool) {
	sent := r.Header["Traceparent"]
	if len(sent) != 1 {
		return p, false
	}
	s := sent[0]
	var version, flags [1]byte
	switch {
	case len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-',
		!lowerHex(version[:], s[:2]) || version[0] == 0xff,
		version[0] == 0 && len(s) != 55, len(s) > 55 && s[55] != '-',
		!lowerHex(p.trace[:], s[3:35]) || p.trace == [16]byte{},
		!lowerHex(p.span[:], s[36:52]) || p.span == [8]byte{},
		!lowerHex(flags[:], s[53:55]):
		return parent{}, false
	}
	p.sampled = flags[0]&1 != 0
	return p, true
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
