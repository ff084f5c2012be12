package documents

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// CheckHost says what is wrong with a word about whose documents are read:
//
//   - those of every host
//     app.example    those of this host, whatever the port
//     *.example      those of every host below it
//     !app.example   none of this host (or, !*.example, of those below), whatever
//     else is said
func CheckHost(word string) error {
	host := strings.TrimPrefix(word, "!")
	if host == "*" && host == word {
		return nil
	}
	host = strings.TrimPrefix(host, "*.")
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return nil
	}
	u, err := url.Parse("https://" + host + "/")
	if err != nil || host == "" || u.Hostname() != host || host != strings.ToLower(host) || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" ||
		strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") {
		return fmt.Errorf("%q is not * or a host such as app.example or *.example, with ! before it for one that is kept out", word)
	}
	return nil
}

// allowed reports whether documents of a host are read.
func allowed(words []string, host string) bool {
	in := false
	for _, word := range words {
		pattern, out := strings.CutPrefix(word, "!")
		below, wild := strings.CutPrefix(pattern, "*.")
		if pattern != "*" && pattern != host && !(wild && strings.HasSuffix(host, "."+below)) {
			continue
		}
		if out {
			return false
		}
		in = true
	}
	return in
}

// hostOf is the host of an address, without its port.
func hostOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
