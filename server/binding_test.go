package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"jeton/accounts"
	"jeton/events"
	"jeton/storage"
)

const (
	chrome140  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	chrome141  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.55 Safari/537.36"
	firefox144 = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
	chromeMac  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)

// by is a browser at an address, as the proxy in front tells it.
func by(agent, address string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("User-Agent", agent)
		r.Header.Set("X-Forwarded-For", address)
	}
}

// bound starts a node behind a proxy, with a public client of such a binding.
func bound(t *testing.T, agent, address string) *shopper {
	t.Helper()
	n := start(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	return n.shop(func(s *accounts.ClientSettings) {
		s.BindAgent, s.BindAddress = accounts.To(agent), accounts.To(address)
	})
}

// figures are the lines of one metric.
func (n *node) figures(name string) (lines string) {
	for line := range strings.Lines(n.metrics()) {
		if strings.HasPrefix(line, name) {
			lines += line
		}
	}
	return lines
}

func TestU4_U8_U9_Binding(t *testing.T) {
	const home = "203.0.113.9"
	for _, c := range []struct {
		what, agent, address string // how the client is bound
		by, from             string // where the refresh comes from, after a login by chrome140 from home
		status               int
		code                 string
		counted              string // labels of the metric
	}{
		{"U8 by itself: another browser", "", "", firefox144, home, 200, "", `action="observe",client_id="shop",what="agent"`},
		{"U8 by itself: a carrier's other pool", "", "", chrome140, "198.51.100.77", 200, "", `action="observe",client_id="shop",what="address"`},
		{"U8 by itself: IPv6 instead of IPv4", "", "", chrome140, "2001:db8:1::7", 200, "", `action="observe",client_id="shop",what="address"`},
		{"U8 off", "off", "off", firefox144, "198.51.100.77", 200, "", ""},
		{"U4 an update", "family:enforce", "prefix:enforce", chrome141, home, 200, "", ""},
		{"U4 a phone in another cell of the network", "family:enforce", "prefix:enforce", chrome140, "203.0.113.222", 200, "", ""},
		{"U4 another system", "family:enforce", "off", chromeMac, home, 400, "invalid_grant", `action="enforce",client_id="shop",what="agent"`},
		{"U9 a copy in another browser", "family:enforce", "off", firefox144, home, 400, "invalid_grant", `action="enforce",client_id="shop",what="agent"`},
		{"U10 a copy without a browser", "family:enforce", "off", "", home, 400, "invalid_grant", `action="enforce",client_id="shop",what="agent"`},
		{"U9 a copy in another network", "off", "prefix:enforce", chrome140, "198.51.100.77", 400, "invalid_grant", `action="enforce",client_id="shop",what="address"`},
		{"an update, compared exactly", "exact:enforce", "off", chrome141, home, 400, "invalid_grant", `action="enforce",client_id="shop",what="agent"`},
		{"the same, compared exactly", "exact:enforce", "exact:enforce", chrome140, home, 200, "", ""},
		{"a neighbour, compared exactly", "off", "exact:enforce", chrome140, "203.0.113.10", 400, "invalid_grant", `action="enforce",client_id="shop",what="address"`},
		{"U8 step up", "family:step_up", "prefix", firefox144, home, 400, "insufficient_user_authentication", `action="step_up",client_id="shop",what="agent"`},
		{"the stricter one decides", "family:step_up", "prefix:enforce", firefox144, "198.51.100.77", 400, "invalid_grant", `action="enforce",client_id="shop",what="address"`},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := bound(t, c.agent, c.address)
			b.call("/session/token", loginForm(), by(chrome140, home)).want(t, 200, "")
			before := b.value("refresh")
			a := b.refresh(by(c.by, c.from))
			a.want(t, c.status, c.code)
			if got := b.figures("jeton_binding_mismatches_total"); c.counted == "" && got != "" || !strings.Contains(got, c.counted) {
				t.Errorf("counted %q, want %q", got, c.counted)
			}
			if told := len(b.events(events.BindingMismatch)) > 0; told != (c.status == 200 && c.counted != "") {
				t.Errorf("event: %v", told)
			}
			if c.status == 200 {
				b.refresh(by(c.by, c.from)).want(t, 200, "")
				return
			}
			if len(a.Cookies()) != 0 || b.value("refresh") != before {
				t.Errorf("the refusal took the cookies away: %q", a.setCookies())
			}
			if strings.Contains(b.log.String(), c.from+"/") || !strings.Contains(b.log.String(), "is the token a copy?") {
				t.Error("the refusal is not logged")
			}
			// Nothing was spent: whom the session belongs to goes on.
			b.refresh(by(chrome140, home)).want(t, 200, "")
		})
	}
}

func TestU9_RefusalReadsLikeAnyOther(t *testing.T) {
	b := bound(t, "family:enforce", "")
	b.call("/session/token", loginForm(), by(chrome140, "203.0.113.9")).want(t, 200, "")
	elsewhere := b.refresh(by(firefox144, "203.0.113.9"))
	b.held = map[string]*http.Cookie{"refresh": {Name: "refresh", Value: "rubbish"}}
	if rubbish := b.refresh(); string(rubbish.body) != string(elsewhere.body) {
		t.Errorf("%s\n%s", elsewhere.body, rubbish.body)
	}
}

func TestU9_EndsOnlyWhenToldTo(t *testing.T) {
	b := bound(t, "family:end", "")
	b.call("/session/token", loginForm(), by(chrome140, "203.0.113.9")).want(t, 200, "")
	access := b.value("access")
	b.refresh(by(firefox144, "203.0.113.9")).want(t, 400, "invalid_grant")
	if b.active(access) {
		t.Error("the session lives")
	}
	ended := b.events(events.SessionEnded)
	if len(ended) != 1 || ended[0].Reason != storage.ReasonBinding || !strings.Contains(ended[0].Note, `agent "Firefox on Linux", before "Chrome on Windows"`) {
		t.Errorf("%+v", ended)
	}
}

// A spent token is reuse wherever it comes from.
func TestU9_ReuseIsJudgedFirst(t *testing.T) {
	b := bound(t, "family:enforce", "prefix:enforce")
	b.call("/session/token", loginForm(), by(chrome140, "203.0.113.9")).want(t, 200, "")
	stolen := b.held["refresh"]
	for range 2 {
		b.refresh(by(chrome140, "203.0.113.9")).want(t, 200, "")
	}
	access := b.value("access")
	b.held["refresh"] = stolen
	b.refresh(by(firefox144, "198.51.100.77")).want(t, 400, "invalid_grant")
	if b.active(access) {
		t.Error("the session lives")
	}
}

func TestU7_SpoofedAddressesBindNobody(t *testing.T) {
	n := start(t, options{}) // no proxy is trusted
	b := n.shop(func(s *accounts.ClientSettings) { s.BindAddress = accounts.To("exact:end") })
	b.call("/session/token", loginForm(), by(chrome140, "203.0.113.9")).want(t, 200, "")
	for _, address := range []string{"198.51.100.77", "garbage", ""} {
		b.refresh(by(chrome140, address), header("X-Real-Ip", address), header("Forwarded", "for="+address)).want(t, 200, "")
	}
}

func TestU6_BackendsAreNotCompared(t *testing.T) {
	n := start(t, options{})
	a := n.post("/token", loginForm(), app, by(chrome140, ""))
	n.post("/token", form("grant_type", "refresh_token", "refresh_token", a.str("refresh_token")), app, by(firefox144, "")).want(t, 200, "")
	if got := n.figures("jeton_binding_mismatches_total"); got != "" || len(n.events(events.BindingMismatch)) != 0 {
		t.Errorf("counted %q", got)
	}
}

// A session keeps of address and browser no more than it is compared with.
func TestU10_LittleIsKept(t *testing.T) {
	b := bound(t, "exact:observe", "exact:observe")
	b.call("/session/token", loginForm(), by(chrome140, "203.0.113.9")).want(t, 200, "")
	b.eachSession(func(s storage.Session) {
		text, err := json.Marshal(s)
		must(t, err)
		if strings.Contains(string(text), "203.0.113.9") || strings.Contains(string(text), "Mozilla") || s.BoundAgent == "" || s.BoundAddress == "" {
			t.Errorf("%s", text)
		}
	})
	loose := bound(t, "family:enforce", "prefix:enforce")
	loose.call("/session/token", loginForm(), by(chrome140, "203.0.113.9")).want(t, 200, "")
	loose.eachSession(func(s storage.Session) {
		if s.BoundAgent != "" || s.BoundAddress != "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestBindingOfAClient(t *testing.T) {
	n := start(t, options{})
	for said, ok := range map[string]bool{
		`"family:enforce"`: true, `"exact"`: true, `"off"`: true, `null`: true, `""`: true,
		`"family:"`: false, `"prefix"`: false, `"family:refuse"`: false, `"off:enforce"`: false, `"version"`: false,
	} {
		if w := n.operatorCall("PATCH", "/clients/spa", `{"bind_agent":`+said+`}`); (w.Code == 200) != ok || !ok && !strings.Contains(w.Body.String(), "bind_agent") {
			t.Errorf("%s: %d %s", said, w.Code, w.Body)
		}
	}
	if w := n.operatorCall("PATCH", "/clients/spa", `{"bind_address":"prefix:step_up"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"bind_address":"prefix:step_up"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Who asks again with the predecessor, from elsewhere, is as likely to have a copy
// as who refreshes from there. It is told once, however often it is asked.
func TestU8_ARetryFromElsewhereIsTold(t *testing.T) {
	for _, c := range []struct {
		what, agent, address, by, from, difference string
	}{
		{"another browser", "", "", firefox144, home, `agent "Firefox on Linux", before "Chrome on Windows"`},
		{"another network", "", "", chrome140, "198.51.100.77", `address "198.51.100.0/24", before "203.0.113.0/24"`},
		{"an update, compared exactly", "exact:observe", "", chrome141, home, `agent not exactly as before`},
		{"the same", "exact:observe", "exact:observe", chrome140, home, ""},
		{"off", "off", "off", firefox144, "198.51.100.77", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := bound(t, c.agent, c.address)
			b.traveller(place{chrome140, home})
			want := 0
			for range 2 { // each generation anew
				lost := b.held["refresh"]
				b.refresh(by(chrome140, home)).want(t, 200, "")
				successor := b.held["refresh"]
				for range 2 {
					b.held["refresh"] = lost
					b.refresh(by(c.by, c.from)).want(t, 200, "")
				}
				b.held["refresh"] = lost
				b.refresh(by(chrome140, home)).want(t, 200, "") // the one who was there before
				if b.value("refresh") != successor.Value {
					t.Fatal("a retry got another successor")
				}
				if c.difference != "" {
					want++
				}
				told := b.events(events.BindingMismatch)
				if len(told) != want || want > 0 && !strings.Contains(told[want-1].Note, c.difference) {
					t.Errorf("events %+v, want %d", told, want)
				}
				figure := b.figures("jeton_binding_mismatches_total")
				if (figure == "") != (want == 0) || want > 0 && !strings.HasSuffix(figure, fmt.Sprintf("} %d\n", want)) {
					t.Errorf("counted %q, want %d", figure, want)
				}
			}
		})
	}
	t.Run("also with an access token that is new", func(t *testing.T) {
		b := bound(t, "", "")
		b.traveller(place{chrome140, home})
		lost := b.held["refresh"]
		b.refresh(by(chrome140, home)).want(t, 200, "")
		b.held["refresh"] = lost
		b.call("/session/token", form("grant_type", "refresh_token", "scope", "read"), by(firefox144, home)).want(t, 200, "")
		if told := b.events(events.BindingMismatch); len(told) != 1 {
			t.Errorf("events %+v", told)
		}
	})
}
