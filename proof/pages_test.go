package proof_test

import (
	"encoding/pem"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// TestPagesOnRedis walks a whole login on a real Redis and two servers, each
// step at the other one: sign in, agree, code, refresh, sign out, and the logout
// token that the client is sent.
func TestPagesOnRedis(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	client := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.FormValue("logout_token") }))
	defer client.Close()
	dir := t.TempDir()
	authority := filepath.Join(dir, "authority.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: dir, address: "redis://" + redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always").Addr,
		env: []string{"SSL_CERT_FILE=" + authority, "JETON_OUTBOUND_ALLOW=127.0.0.0/8"}}
	p.fill(1)
	p.run(secret, "client", "add", "pages", "--grant", "authorization_code,refresh_token", "--scope", "openid,read", "--secret-stdin",
		"--redirect-uri", "https://app.example/cb", "--post-logout-redirect-uri", "https://app.example/bye", "--backchannel-logout-uri", client.URL)
	one, two := p.start(), p.start()

	v := visit(one, "user0")
	v.n = two
	code := v.agree()
	a := one.post("/token", "pages", "grant_type", "authorization_code", "code", code, "code_verifier", verifier)
	if a.status != 200 || a.ID == "" || !two.active(a.Access) {
		t.Fatalf("redeemed: %+v", a)
	}
	next := two.refresh("pages", a.Token)
	if next.status != 200 || !one.active(next.Access) {
		t.Fatalf("refreshed: %+v", next)
	}
	kept := v.code() // agreed already, and not redeemed yet

	v.n = one
	leave := url.Values{"id_token_hint": {a.ID}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}}
	if to := v.leave(leave); to != "https://app.example/bye?state=s" {
		t.Errorf("signed out to %q", to)
	}
	if after := two.refresh("pages", next.Token); after.status != 400 || after.Error != "invalid_grant" || two.active(next.Access) || one.active(a.Access) {
		t.Errorf("after signing out: %+v", after)
	}
	if late := two.post("/token", "pages", "grant_type", "authorization_code", "code", kept, "code_verifier", verifier); late.status != 400 || late.Error != "invalid_grant" {
		t.Errorf("a code of before: %+v", late)
	}
	select {
	case token := <-told:
		if sid, want := claim(t, token, "sid"), claim(t, a.Access, "sid"); sid != want {
			t.Errorf("told of %s, not of %s", sid, want)
		}
	case <-time.After(time.Minute):
		t.Error("the client was not told")
	}
}

// agree says yes on the consent page.
func (v *visitor) agree() string {
	v.n.t.Helper()
	page := v.do(http.MethodGet, "/authorize", "")
	text, err := io.ReadAll(page.Body)
	page.Body.Close()
	m := formToken.FindSubmatch(text)
	if err != nil || m == nil || !strings.Contains(string(text), "Allow access") {
		v.n.t.Fatalf("no consent page: %v %s", err, text)
	}
	form := url.Values{"form_token": {html.UnescapeString(string(m[1]))}, "decision": {"allow"}}
	done := v.do(http.MethodPost, "/consent", form.Encode())
	done.Body.Close()
	back, err := url.Parse(done.Header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" || back.Query().Get("iss") != issuer {
		v.n.t.Fatalf("no code: %d %s", done.StatusCode, done.Header.Get("Location"))
	}
	return back.Query().Get("code")
}

// leave signs out, and returns where the browser is sent.
func (v *visitor) leave(query url.Values) string {
	v.n.t.Helper()
	r, err := http.NewRequest(http.MethodGet, v.n.url+"/end_session?"+query.Encode(), nil)
	if err != nil {
		v.n.t.Fatal(err)
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	client := *v.n.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		v.n.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Location")
}
