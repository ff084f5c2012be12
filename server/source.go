package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"jeton/grants"
	"jeton/storage"
)

// sourceOf says where a request came from. X-Forwarded-For counts only where
// the connection comes from a trusted proxy, and in it only what trusted
// proxies have added: read from the right, the first address that is not
// itself a trusted proxy. A stranger can write what he likes to the left of it.
func (s *Server) sourceOf(r *http.Request) grants.Source {
	n := noteOf(r.Context())
	if !n.placed {
		n.source, n.placed = s.placeOf(r), true
	}
	return n.source
}

func (s *Server) placeOf(r *http.Request) grants.Source {
	addr, unnamed := remoteAddr(r), false
	if s.trusted(addr) {
		unnamed = true
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, err := parseHop(hops[i])
			if err != nil {
				break // garbage: what stands left of it proves nothing
			}
			addr, unnamed = hop, false
			if !s.trusted(hop) {
				break
			}
		}
	}
	src := grants.Source{Agent: r.UserAgent(), Unnamed: unnamed, Device: storage.Device{Agent: agentFamily(r.UserAgent())}}
	if addr.IsValid() {
		src.Address, src.Device.Network = addr.String(), storage.NetworkOf(addr)
	}
	return src
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// parseHop reads an address with or without port, as proxies write both.
func parseHop(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err
}

func (s *Server) trusted(a netip.Addr) bool { return within(s.cfg.TrustedProxies, a) }

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// families are looked for in this order: each names itself after those below.
var (
	browsers = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}, {"PostmanRuntime/", "Postman"},
		{"Go-http-client/", "Go program"}, {"okhttp/", "Android app"}, {"python-", "Python program"}, {"node", "Node program"},
	}
	systems = [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
		{"Mac OS X", "macOS"}, {"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// agentFamily is a User-Agent in words, without versions: they change with
// every update and would tell devices apart that are the same.
func agentFamily(ua string) string {
	find := func(families [][2]string) string {
		for _, f := range families {
			if strings.Contains(ua, f[0]) {
				return f[1]
			}
		}
		return ""
	}
	browser, system := find(browsers), find(systems)
	switch {
	case browser == "" && system == "":
		return ""
	case system == "":
		return browser
	case browser == "":
		return "a program on " + system
	}
	return browser + " on " + system
}
