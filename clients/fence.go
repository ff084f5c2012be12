package clients

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"jeton/storage"
)

// The password grant of a client can be fenced in: by the networks it may be
// used from, by a scope that its sessions never exceed, and by the day it ends.
// The rules of the record are here, what they do to a request is in package
// grants.

// Within reports whether an address is in one of the networks of a record.
func Within(networks []string, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(s string) bool {
		p, err := parseNetwork(s)
		return err == nil && p.Contains(addr)
	})
}

// parseNetwork reads an address range; a bare address is a range of one.
func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return addr.Prefix(addr.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%q is not an address range such as 10.0.0.0/8 or 2001:db8::/32", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits set beyond its length: write %s", s, p.Masked())
	}
	return p, nil
}

func checkFences(c storage.Client, wrong *faults) {
	for _, s := range c.PasswordNetworks {
		if _, err := parseNetwork(s); err != nil {
			wrong.add("password_grant_networks: %v", err)
		}
	}
	checkOnce("password_grant_networks", c.PasswordNetworks, wrong)
	for _, s := range c.PasswordScopes {
		if !slices.Contains(c.Scopes, s) {
			wrong.add("password_grant_scope: the client has no scope %q, it has %q", s, strings.Join(c.Scopes, " "))
		}
	}
	checkOnce("password_grant_scope", c.PasswordScopes, wrong)
}
