package server_test

import (
	"net/http"
	"net/netip"
	"testing"

	"jeton/accounts"
	"jeton/events"
)

// What browsers call themselves before and after an update.
const (
	firefox145 = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	edge140    = chrome140 + " Edg/140.0.3485.54"
	edge141    = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.3537.57"
	iPhone18   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
	iPhone26   = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0.1 Mobile/15E148 Safari/604.1"
	android15  = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.7339.51 Mobile Safari/537.36"
	android16  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36"
)

// place is one refresh: by which browser, from which address.
type place struct{ agent, address string }

// journeys are what happens to people who have done nothing. The first place is
// that of the login. held says whether even family:enforce with prefix:enforce
// lets all of it through; where it does not, the session has to go on when they
// are back.
var journeys = []struct {
	what   string
	places []place
	held   bool
}{
	{"U4 Chrome updates itself", []place{{chrome140, home}, {chrome141, home}}, true},
	{"U4 Firefox updates itself", []place{{firefox144, home}, {firefox145, home}}, true},
	{"U4 Edge updates itself", []place{{edge140, home}, {edge141, home}}, true},
	{"U4 an iPhone has a new system", []place{{iPhone18, home}, {iPhone26, home}}, true},
	{"U4 an Android phone reduces what it says", []place{{android15, home}, {android16, home}}, true},
	{"U3 a phone leaves the WLAN, and comes back", []place{{iPhone18, home}, {iPhone18, "2a01:598:90e2:4::1"}, {iPhone18, home}}, false},
	{"U3 a phone goes from mast to mast in one pool", []place{{android15, "100.64.7.20"}, {android15, "100.64.7.201"}, {android15, "100.64.7.3"}}, true},
	{"U3 a carrier has several pools", []place{{android15, "100.64.7.20"}, {android15, "100.72.140.9"}, {android15, "198.51.100.7"}}, false},
	{"U3 a carrier has several pools of IPv6", []place{{android15, "2a01:598:90e2:4::1"}, {android15, "2a01:599:12::1"}}, false},
	{"U3 privacy addresses change within a /64", []place{
		{firefox144, "2001:db8:1:2:a1b2:c3d4:e5f6:1"}, {firefox144, "2001:db8:1:2:90ab:1234:5678:9"}, {firefox144, "2001:db8:1:2::1"}}, true},
	{"U3 a line has a new /64 of its /48", []place{{firefox144, "2001:db8:1:2::1"}, {firefox144, "2001:db8:1:ff00::1"}}, true},
	{"U3 IPv4 in the morning, IPv6 at noon", []place{{chrome140, home}, {chrome140, "2001:db8:1:2::1"}, {chrome140, home}}, false},
	{"U3 a VPN is switched on, and off", []place{{chrome140, home}, {chrome140, "192.0.2.1"}, {chrome140, home}}, false},
}

const home = "203.0.113.9"

// traveller logs in at the first place of a journey, in a browser without
// anything.
func (b *shopper) traveller(from place) *shopper {
	b.t.Helper()
	b.held = map[string]*http.Cookie{}
	b.call("/session/token", loginForm(), by(from.agent, from.address)).want(b.t, 200, "")
	return b
}

func TestU3_U4_U8_NobodyHonestIsLoggedOut(t *testing.T) {
	for _, mode := range []struct{ what, agent, address string }{
		{"by itself", "", ""},
		{"family and prefix, observed", "family:observe", "prefix:observe"},
		{"exact, observed", "exact:observe", "exact:observe"},
		{"off", "off", "off"},
		{"family enforced, prefix observed", "family:enforce", "prefix:observe"},
	} {
		t.Run(mode.what, func(t *testing.T) {
			b := bound(t, mode.agent, mode.address)
			for _, j := range journeys {
				b.traveller(j.places[0])
				for _, p := range j.places[1:] {
					if a := b.refresh(by(p.agent, p.address)); a.StatusCode != 200 {
						t.Errorf("%s, at %s: %d %s", j.what, p.address, a.StatusCode, a.body)
					}
				}
				if !b.active(b.value("access")) {
					t.Errorf("%s: logged out", j.what)
				}
			}
			if ended := b.events(events.SessionEnded); len(ended) != 0 {
				t.Errorf("sessions ended: %+v", ended)
			}
		})
	}
}

// The answer is lost because the phone leaves the WLAN: it asks again from where
// it is now (promise 3).
func TestU3_R9_ALostAnswerBetweenNetworks(t *testing.T) {
	b := bound(t, "", "")
	b.traveller(place{iPhone18, home})
	lost := b.held["refresh"]
	b.refresh(by(iPhone18, home)).want(t, 200, "")
	successor := b.value("refresh")
	b.held["refresh"] = lost
	b.refresh(by(iPhone18, "2a01:598:90e2:4::1")).want(t, 200, "")
	if b.value("refresh") != successor || !b.active(b.value("access")) || len(b.events(events.SessionEnded)) != 0 {
		t.Error("it has another successor, or is logged out")
	}
	b.refresh(by(iPhone18, "2a01:598:90e2:4::1")).want(t, 200, "")
}

// Who is refused by both enforced keeps the session and the cookies, and goes on
// from where they were.
func TestU3_U4_U9_EnforcedOnlyUntilTheyAreBack(t *testing.T) {
	b := bound(t, "family:enforce", "prefix:enforce")
	for _, j := range journeys {
		b.traveller(j.places[0])
		through := true
		for _, p := range j.places[1:] {
			before := b.value("refresh")
			if a := b.refresh(by(p.agent, p.address)); a.StatusCode != 200 {
				if a.want(t, 400, "invalid_grant"); b.value("refresh") != before {
					t.Errorf("%s: the cookies were taken away", j.what)
				}
				through = false
			}
		}
		if through != j.held {
			t.Errorf("%s: let through %v", j.what, through)
		}
		if !through {
			b.refresh(by(j.places[0].agent, j.places[0].address)).want(t, 200, "")
		}
		if !b.active(b.value("access")) {
			t.Errorf("%s: logged out", j.what)
		}
	}
	if ended := b.events(events.SessionEnded); len(ended) != 0 {
		t.Errorf("sessions ended: %+v", ended)
	}
}

// A thief cannot write himself into the victim's network, and nobody can write
// anybody out of it: what stands left of the first address that is no trusted
// proxy of ours counts for nothing, and other headers do not at all.
func TestU7_U9_SpoofedHeadersThroughProxies(t *testing.T) {
	n := start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}})
	b := n.shop(func(s *accounts.ClientSettings) { s.BindAddress = accounts.To("prefix:enforce") })
	b.traveller(place{chrome140, home})
	for sent, status := range map[string]int{
		home + ", 198.51.100.77":                       400, // the proxy has appended where the thief is
		home + ", 198.51.100.77, 10.1.2.3":             400, // two have
		home + "," + home + ", garbage, 198.51.100.77": 400,
		"10.0.0.1, " + home + ", 198.51.100.77":        400, // posing as a proxy of ours
		"198.51.100.77, " + home:                       200, // the user, behind somebody who wrote there before
		"garbage, " + home:                             200,
		home + ", 10.1.2.3":                            200,
	} {
		a := b.refresh(by(chrome140, sent), header("Forwarded", "for="+home), header("X-Real-Ip", home), header("True-Client-Ip", home))
		if a.StatusCode != status {
			t.Errorf("X-Forwarded-For: %s: %d %s", sent, a.StatusCode, a.body)
		}
	}
	if ended := b.events(events.SessionEnded); len(ended) != 0 || !b.active(b.value("access")) {
		t.Errorf("sessions ended: %+v", ended)
	}
}
