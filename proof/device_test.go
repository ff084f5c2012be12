package proof_test

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// askDevice begins a login on a device.
func (n *node) askDevice() (deviceCode, userCode string) {
	n.t.Helper()
	r, err := http.NewRequest(http.MethodPost, n.url+"/device_authorization", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("device", secret)
	resp, err := n.http.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	var asked struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&asked); err != nil || asked.DeviceCode == "" {
		n.t.Fatalf("%d %v", resp.StatusCode, err)
	}
	watch.Secret("device code", asked.DeviceCode)
	return asked.DeviceCode, asked.UserCode
}

// allow says yes on the page of a device.
func (v *visitor) allow(userCode string) {
	v.n.t.Helper()
	send := func(method, body string) (int, string) {
		r, err := http.NewRequest(method, v.n.url+"/device?user_code="+userCode, strings.NewReader(body))
		if err != nil {
			v.n.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range v.cookies {
			r.AddCookie(c)
		}
		client := *v.n.http
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := client.Do(r)
		if err != nil {
			v.n.t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			v.n.t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	_, page := send(http.MethodGet, "")
	m := formToken.FindStringSubmatch(page)
	if m == nil {
		v.n.t.Fatalf("no form: %s", page)
	}
	if status, page := send(http.MethodPost, url.Values{"form_token": {html.UnescapeString(m[1])}, "decision": {"allow"}}.Encode()); status != http.StatusSeeOther {
		v.n.t.Fatalf("%d %s", status, page)
	}
}

// TestX7_SimultaneousPolls asks for one device code fifty times at once, at four
// processes on one store: while nobody has answered all wait, then one gets
// tokens, which live.
func TestX7_SimultaneousPolls(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	p := newPlace(t, 1)
	p.run(secret, "client", "add", "pages", "--grant", "authorization_code", "--scope", "read", "--redirect-uri", "https://app.example/cb", "--secret-stdin")
	p.run(secret, "client", "add", "device", "--grant", "device_code,refresh_token", "--scope", "read", "--secret-stdin")
	nodes := []*node{p.start(), p.start(), p.start(), p.start()}
	v := visit(nodes[0], "user0")
	storm := func(code string) []answer {
		answers := make([]answer, crowd)
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				<-begin
				answers[i] = nodes[i%len(nodes)].post("/token", "device", "grant_type", deviceGrant, "device_code", code)
			})
		}
		close(begin)
		wg.Wait()
		return answers
	}
	for round := range rounds {
		code, userCode := nodes[round%len(nodes)].askDevice()
		for i, a := range storm(code) {
			if a.status != 400 || a.Error != "authorization_pending" && a.Error != "slow_down" {
				t.Errorf("round %d: before the answer %d is %d %s", round, i, a.status, a.Error)
			}
		}
		v.allow(userCode)
		won := 0
		for i, a := range storm(code) {
			switch {
			case a.status == 200:
				won++
				if !nodes[round%len(nodes)].active(a.Access) {
					t.Errorf("round %d: the tokens are dead", round)
				}
			case a.status != 400 || a.Error != "invalid_grant":
				t.Errorf("round %d: answer %d is %d %s", round, i, a.status, a.Error)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d of %d got tokens", round, won, crowd)
		}
	}
}
