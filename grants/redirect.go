package grants

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"jeton/storage"
)

// redirectAllowed compares as RFC 9700 §2.1 wants it: byte by byte. The one
// exception is the port of a literal loopback address, which an app learns only
// when it runs (RFC 8252 §7.3). The documents of clients are written for all
// servers at once, and many say localhost there, so for those it counts as such
// an address.
func redirectAllowed(client storage.Client, uri string) bool {
	if slices.Contains(client.RedirectURIs, uri) {
		return true
	}
	byName := client.Document != nil
	rest, ok := withoutPort(uri, byName)
	return ok && slices.ContainsFunc(client.RedirectURIs, func(r string) bool {
		other, ok := withoutPort(r, byName)
		return ok && other == rest
	})
}

// withoutPort cuts the port out of an http URI on a literal loopback address, or
// by name on localhost; ok is false for any other URI, and for one with anything
// odd about it.
func withoutPort(uri string, byName bool) (rest string, ok bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", false
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority, path := after[:end], after[end:]
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", false
		}
	}
	if byName && host == "localhost" {
		return host + path, true
	}
	literal := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(literal)
	if err != nil || !addr.IsLoopback() || addr.Zone() != "" || addr.Is6() != strings.HasPrefix(host, "[") {
		return "", false
	}
	return host + path, true
}
