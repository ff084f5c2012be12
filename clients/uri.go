package clients

import (
	"net/netip"
	"net/url"
	"strings"
)

// The functions of this file say what is wrong with an address in a client's
// record, or nothing.

func badURI(s string) (*url.URL, string) {
	if s == "" || len(s) > maxURI || !printable(s) || strings.ContainsAny(s, " \"<>\\^`{|}") {
		return nil, "not up to 2048 characters that may stand in a URI (RFC 3986 section 2)"
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return nil, "not an absolute URI"
	}
	if u.User != nil {
		return nil, "a user name or password stands in it"
	}
	if (u.Scheme == "https" || u.Scheme == "http") && !plainHost(u.Hostname()) {
		return nil, "its host is not written in ASCII: an international name begins with xn--"
	}
	return u, ""
}

// plainHost reports whether a host is written as it is looked up. url.Parse
// decodes %-escapes in it, so that people would be shown one name for another
// (with the Cyrillic a, say), and a list of hosts would pass over a name that the
// lookup only then turns into one of the list (RFC 5891 §5.2).
func plainHost(host string) bool { return printable(host) && !strings.Contains(host, "%") }

func absoluteURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != ""
}

func badJWKSURI(s string) string {
	u, reason := badURI(s)
	switch {
	case reason != "":
		return reason
	case u.Scheme != "https" || u.Hostname() == "":
		return "only https is called"
	case strings.Contains(s, "#"):
		return "it has a fragment"
	}
	return ""
}

// badRedirectURI keeps RFC 6749 §3.1.2 and the schemes of RFC 8252 §7: https,
// http on the device itself, or a scheme of the app's own, which is a reversed
// domain name, so that javascript: and data: are not among them.
func badRedirectURI(s string) string {
	u, reason := badURI(s)
	switch {
	case reason != "":
		return reason
	case strings.Contains(s, "#"):
		return "a redirect URI has no fragment"
	case strings.Contains(s, "*"):
		return "redirect URIs are compared as they are written, there are no wildcards"
	case u.Scheme == "https" && u.Hostname() == "", u.Scheme == "http" && u.Hostname() == "":
		return "it names no host"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "http is only for 127.0.0.1, [::1] and localhost, everything else takes https"
	case u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(u.Scheme, "."):
		return "a scheme of the app's own is a reversed domain name with a dot in it, such as com.example.app (RFC 8252 section 7.1)"
	}
	return ""
}

// badOrigin holds for an origin as browsers send it (RFC 6454 §6.2): it is
// compared byte by byte.
func badOrigin(s string) string {
	u, reason := badURI(s)
	switch {
	case s == "*" || s == "null":
		return "name the origins one by one"
	case reason != "":
		return reason
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return "an origin is https://host, with a port unless it is 443"
	case s != u.Scheme+"://"+u.Host:
		return "an origin ends after host and port, without a slash"
	case s != strings.ToLower(s):
		return "browsers send origins in lower case"
	case strings.HasSuffix(u.Host, ":"), u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "browsers leave the default port out"
	case strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-._:[]") != "":
		return "it names one host by letters, digits, dots and hyphens; there are no wildcards"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "http is only for 127.0.0.1, [::1] and localhost: anyone on the way could change such a page"
	}
	return ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == "" && a.IsLoopback()
}
