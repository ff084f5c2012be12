package server_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"jeton/storage"
)

// U7: X-Forwarded-For counts only where a trusted proxy has written it.
func TestU7_ForwardedFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	for name, c := range map[string]struct {
		proxies []netip.Prefix
		want    map[string]string // X-Forwarded-For, lines parted by |, to the source
	}{
		"no proxy": {nil, map[string]string{"": "127.0.0.1", "203.0.113.9": "127.0.0.1", "garbage": "127.0.0.1"}},
		"proxies": {proxies, map[string]string{
			"":                                       "127.0.0.1",
			"203.0.113.9":                            "203.0.113.9",
			"203.0.113.9, 10.1.2.3":                  "203.0.113.9",
			"1.1.1.1, 203.0.113.9":                   "203.0.113.9",
			"1.1.1.1, 203.0.113.9, 10.1.2.3":         "203.0.113.9",
			"1.1.1.1|203.0.113.9, 10.1.2.3":          "203.0.113.9",
			"1.1.1.1|203.0.113.9|10.1.2.3, 10.0.0.1": "203.0.113.9",
			"10.1.2.3":                               "10.1.2.3",
			"1.1.1.1, garbage":                       "127.0.0.1",
			"1.1.1.1, garbage, 10.9.9.9":             "10.9.9.9",
			"1.1.1.1, ":                              "127.0.0.1",
			"203.0.113.9:4711":                       "203.0.113.9",
			"2001:db8::1":                            "2001:db8::1",
			"[2001:db8::1]:443":                      "2001:db8::1",
			"[2001:db8::1]":                          "2001:db8::1",
			"2001:db8::1, 2001:db8:ffff::2":          "2001:db8::1",
			"::ffff:203.0.113.9":                     "203.0.113.9",
			"fe80::1%eth0":                           "fe80::1",
			"1.1.1.1, ::ffff:10.0.0.1":               "1.1.1.1",
			"unix:":                                  "127.0.0.1",
			strings.Repeat("1.1.1.1, ", 10_000) + "203.0.113.9": "203.0.113.9",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n := bare(t, options{proxies: c.proxies})
			for sent, want := range c.want {
				n.do("POST", "/token", formType, "", func(r *http.Request) {
					r.Header["X-Forwarded-For"] = strings.Split(sent, "|")
				})
				if n.lastLine()["source"] != want {
					t.Errorf("%.60q: source %v, want %s", sent, n.lastLine()["source"], want)
				}
			}
		})
	}
}

// A session keeps enough of where it was used to recognise one's own devices,
// and no more.
func TestSourceIsCut(t *testing.T) {
	n := start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for _, c := range []struct {
		address, agent string
		want           storage.Device
	}{
		{"203.0.113.9", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", storage.Device{Agent: "Firefox on Linux", Network: "203.0.113.0/24"}},
		{"2001:db8:1:2:3::4", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", storage.Device{Agent: "Edge on Windows", Network: "2001:db8:1::/48"}},
		{"198.51.100.200", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1", storage.Device{Agent: "Safari on iPhone", Network: "198.51.100.0/24"}},
		{"198.51.100.200", "\"><script>", storage.Device{Network: "198.51.100.0/24"}},
		{"198.51.100.200", strings.Repeat("x", 100_000), storage.Device{Network: "198.51.100.0/24"}},
	} {
		a := n.post("/token", loginForm(), app, header("X-Forwarded-For", c.address), header("User-Agent", c.agent))
		a.want(t, 200, "")
		ses, err := n.grants.FindSession(t.Context(), segment(t, a.str("access_token"), 1)["sid"].(string))
		must(t, err)
		if ses.Value.Device != c.want {
			t.Errorf("%s %.40s: %+v", c.address, c.agent, ses.Value.Device)
		}
	}
}
