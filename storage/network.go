package storage

import "net/netip"

// NetworkOf is the address cut to /24 or /48: enough to recognise one's own
// network, too little to tell the people in it apart.
func NetworkOf(a netip.Addr) string {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
