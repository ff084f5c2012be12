package proof_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// The pair of RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// visitor is a browser that is signed in at the pages.
type visitor struct {
	n       *node
	cookies []*http.Cookie
}

var formToken = regexp.MustCompile(`name="form_token" value="([^"]*)"`)

const codeRequest = "response_type=code&client_id=pages&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_challenge=" + challenge + "&code_challenge_method=S256"

func (v *visitor) do(method, path, body string) *http.Response {
	v.n.t.Helper()
	r, err := http.NewRequest(method, v.n.url+path+"?"+codeRequest, strings.NewReader(body))
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
	v.cookies = append(v.cookies, resp.Cookies()...)
	return resp
}

func visit(n *node, user string) *visitor {
	n.t.Helper()
	v := &visitor{n: n}
	page := v.do(http.MethodGet, "/authorize", "")
	text, err := io.ReadAll(page.Body)
	page.Body.Close()
	m := formToken.FindSubmatch(text)
	if err != nil || m == nil {
		n.t.Fatalf("no login page: %v %s", err, text)
	}
	form := url.Values{"form_token": {html.UnescapeString(string(m[1]))}, "username": {user}, "password": {password}, "decision": {"login"}}
	done := v.do(http.MethodPost, "/login", form.Encode())
	done.Body.Close()
	if done.StatusCode != http.StatusSeeOther {
		n.t.Fatalf("login: %d", done.StatusCode)
	}
	return v
}

func (v *visitor) code() string {
	v.n.t.Helper()
	resp := v.do(http.MethodGet, "/authorize", "")
	resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" {
		v.n.t.Fatalf("no code: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	return back.Query().Get("code")
}

// TestA13_SimultaneousRedemptions presents one code fifty times at once to four
// processes on one store: one gets tokens, and as the others are replays, the
// session has ended when all have been answered.
func TestA13_SimultaneousRedemptions(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	p := newPlace(t, 1)
	p.run(secret, "client", "add", "pages", "--grant", "authorization_code,refresh_token", "--scope", "read",
		"--redirect-uri", "https://app.example/cb", "--consent", "never", "--secret-stdin")
	nodes := []*node{p.start(), p.start(), p.start(), p.start()}
	v := visit(nodes[0], "user0")
	for round := range rounds {
		code := v.code()
		answers := make([]answer, crowd)
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				<-begin
				answers[i] = nodes[i%len(nodes)].post("/token", "pages", "grant_type", "authorization_code", "code", code, "code_verifier", verifier)
			})
		}
		close(begin)
		wg.Wait()
		won := 0
		for i, a := range answers {
			switch {
			case a.status == 200:
				won++
				if nodes[0].active(a.Access) {
					t.Errorf("round %d: the tokens of a code that was replayed are alive", round)
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
