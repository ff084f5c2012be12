package server

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// clientName is what people know the client by. Of one that no operator added
// only the host of its document is known; what it calls itself is its own word.
func clientName(c storage.Client) string {
	if c.Document != nil {
		return hostOfDocument(c.ID)
	}
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

func hostOfDocument(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return id
	}
	return u.Host
}

// onDeviceAlone reports whether a client takes its answers on the device of the
// user and nowhere else: then nothing says that the program there is the one that
// its document is about.
func onDeviceAlone(c storage.Client) bool {
	return c.Document != nil && !slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return strings.HasPrefix(uri, "https://") })
}

// hostInWords says where answers go (RFC 9700 §4.11).
func hostInWords(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return redirectURI
	}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return "a program on this device"
	}
	if u.Scheme != "https" {
		return "the app " + u.Scheme + " on this device"
	}
	return u.Host
}

var scopeWords = map[string]string{
	grants.ScopeOpenID:  "Know who you are",
	grants.ScopeProfile: "See your name and profile",
	grants.ScopeEmail:   "See your email address",
	grants.ScopeOffline: "Keep this access after you sign out here",
	grants.AdminScope:   "Administer this server in your name",
}

// scopeInWords is what a scope means, as the operator or we say it, or "".
func (s *Server) scopeInWords(scope string) string {
	if words := s.cfg.ScopeWords[scope]; words != "" {
		return words
	}
	return scopeWords[scope]
}

func (s *Server) scopesInWords(scope []string) (list []pages.Scope) {
	for _, name := range scope {
		list = append(list, pages.Scope{Name: name, Words: s.scopeInWords(name)})
	}
	return list
}

// deviceLifetime says how long a device keeps its access, which no browser's
// signing out ends.
func deviceLifetime(idle, most time.Duration) string {
	return lifetimeInWords(idle, most, []string{grants.ScopeOffline})
}

// besideInWords compares the network of a device with that of its user. Of two
// that speak different versions of IP nothing can be said.
func besideInWords(there, here string) string {
	switch {
	case there == here:
		return "your network too"
	case there == "" || here == "" || strings.Contains(there, ":") != strings.Contains(here, ":"):
		return ""
	}
	return "not your network"
}

// lifetimeInWords says how long the client keeps its access.
func lifetimeInWords(idle, most time.Duration, scope []string) string {
	when := "when you sign out here, and at the latest "
	if slices.Contains(scope, grants.ScopeOffline) {
		when = ""
	}
	if idle >= most {
		return "Access ends " + when + "after " + inWords(most) + "."
	}
	return "Access ends " + when + "after " + inWords(most) + ", or after " + inWords(idle) + " without use."
}

// inWords is a duration in its largest whole unit.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		d    time.Duration
		name string
	}{{storage.Day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= unit.d && d%unit.d == 0 {
			return count(int64(d/unit.d), unit.name)
		}
	}
	return count(int64(d/time.Second), "second")
}

func count(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
