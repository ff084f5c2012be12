package interop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// The hosts that Chromium is told to find on this machine: the application, the
// issuer, one next door in the same domain, and one of somebody else.
const (
	appHost     = "app.shop.example"
	issuerHost  = "id.shop.example"
	siblingHost = "blog.shop.example"
	evilHost    = "evil.example"
)

// browserExample builds examples/browser and returns a command that runs it on a
// free port.
func browserExample(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	program := filepath.Join(t.TempDir(), "browser")
	build := exec.Command("go", "build", "-o", program, "./examples/browser")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(environ(), append(env, "BROWSER_LISTEN=127.0.0.1:0")...)
	return cmd
}

// front is what ends TLS before the application and before the issuer, as a
// proxy of an operator would, and the hosts of strangers beside it. It remembers
// which requests came to /session, and can lose their answers.
type front struct {
	to   map[string]*httputil.ReverseProxy // by host
	mu   sync.Mutex
	seen []visit
	lose int
}

// visit is a request to /session as Jeton was sent it, and what it answered.
type visit struct {
	Act    string `json:"act"` // token, revoke
	Status int    `json:"status"`
	Origin string `json:"origin"`
	Site   string `json:"site"` // Sec-Fetch-Site
	Cookie bool   `json:"cookie"`
	Lost   bool   `json:"lost"`
}

var errLost = errors.New("the answer is lost")

func newFront(t *testing.T) (f *front, port string) {
	t.Helper()
	f = &front{to: map[string]*httputil.ReverseProxy{}}
	web := httptest.NewUnstartedServer(f)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	web.EnableHTTP2 = true
	web.StartTLS()
	t.Cleanup(web.Close)
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return f, port
}

// forward hands requests for a host on to a server.
func (f *front) forward(t *testing.T, host, address string) {
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	f.to[host] = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: f.note,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			panic(http.ErrAbortHandler) // the browser sees a connection that breaks
		},
	}
}

func (f *front) note(resp *http.Response) error {
	r := resp.Request
	_, act, ok := strings.Cut(r.URL.Path, "/auth/session/")
	if !ok || r.Method != http.MethodPost {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := visit{Act: act, Status: resp.StatusCode, Origin: r.Header.Get("Origin"), Site: r.Header.Get("Sec-Fetch-Site"),
		Cookie: r.Header.Get("Cookie") != "", Lost: f.lose > 0}
	f.seen = append(f.seen, v)
	if !v.Lost {
		return nil
	}
	f.lose--
	return errLost
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := net.SplitHostPort(r.Host)
	if to := f.to[name]; to != nil {
		to.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!doctype html><title>a page of somebody else</title>")
}

// control is where the tests ask what was seen, and have answers lost.
func (f *front) control(t *testing.T) string {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var told struct{ Lose int }
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.lose = told.Lose
		json.NewEncoder(w).Encode(append([]visit{}, f.seen...))
		f.seen = nil
	}))
	t.Cleanup(web.Close)
	return web.URL
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{appHost, issuerHost, siblingHost, evilHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// examples/browser as it would be served: at an https host, with Jeton's pages at
// another one, below /auth of it.
func TestBrowserExampleInChromium(t *testing.T) {
	needNode(t, "node")
	chromium := needChromium(t)
	f, port := newFront(t)
	origin, issuer := "https://"+appHost+":"+port, "https://"+issuerHost+":"+port+"/auth"
	s := newServer(t, "JETON_ISSUER="+issuer)
	s.run(t, "", "client", "add", "shop", "--public", "--grant", "authorization_code,refresh_token", "--scope", "read,write", "--consent", "never",
		"--redirect-uri", origin+"/", "--post-logout-redirect-uri", origin+"/", "--delivery", "cookie", "--cors-origin", origin)
	s.run(t, password, "user", "add", "bob", "--role", "ROLE_USER", "--password-stdin")
	example := startExample(t, browserExample(t, "BROWSER_ISSUER="+issuer, "BROWSER_JETON="+s.issuer, "BROWSER_CLIENT=shop"))
	f.forward(t, appHost, example)
	f.forward(t, issuerHost, s.issuer)
	for _, file := range []string{"browser.test.mjs", "browser-login.test.mjs"} {
		t.Run(file, func(t *testing.T) {
			s.runNode(t, file, "INTEROP_CHROMIUM="+chromium, "INTEROP_ORIGIN="+origin, "INTEROP_EXAMPLE="+example, "INTEROP_CONTROL="+f.control(t))
		})
	}
}

// The two commands that its documentation tells to type, but for the ports.
func TestBrowserExampleWithTheDemonstration(t *testing.T) {
	s := emptyServer(t)
	s.serve(t, "--demo")
	example := startExample(t, browserExample(t, "BROWSER_ISSUER="+s.issuer))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{example: example, http: http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), s.issuer+"/") {
			return nil
		}
		return http.ErrUseLastResponse
	}}}
	client := func(more ...string) url.Values {
		f := url.Values{"client_id": {"demo-web"}}
		for i := 0; i+1 < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	code := v.code(t, s.issuer+"/authorize?"+client("response_type", "code", "redirect_uri", example+"/", "state", "x",
		"code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method", "S256").Encode())
	for i, step := range []struct {
		method, path string
		form         url.Values
		want         int
	}{
		{"GET", "/", nil, 200},
		{"GET", "/api/me", nil, 401},
		{"POST", "/session/token", client("grant_type", "authorization_code", "code", code, "redirect_uri", example+"/",
			"code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), 200},
		{"GET", "/api/me", nil, 200},
		{"PUT", "/api/note", client(), 204},
		{"GET", "/api/note", nil, 200},
		{"POST", "/session/token", client("grant_type", "refresh_token"), 200},
		{"POST", "/session/revoke", client(), 200},
		{"GET", "/api/me", nil, 401},
		{"POST", "/token", client(), 404}, // of Jeton only what the page needs is at this host
		{"GET", "/console", nil, 404},
	} {
		resp := v.send(t, step.method, example+step.path, step.form)
		if resp.StatusCode != step.want {
			t.Errorf("%d: %s %s: %d, want %d", i+1, step.method, step.path, resp.StatusCode, step.want)
		}
	}
	// Where it listens by itself, people are sent back to, also after signing out.
	for _, at := range []string{"http://127.0.0.1:8080/", "http://localhost:8080/"} {
		asked := v.send(t, "GET", s.issuer+"/authorize?"+client("response_type", "code", "redirect_uri", at, "prompt", "none",
			"code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method", "S256").Encode(), nil)
		left := v.submit(t, v.send(t, "GET", s.issuer+"/end_session?"+client("post_logout_redirect_uri", at).Encode(), nil), url.Values{"decision": {"stay"}})
		if back := asked.Header.Get("Location"); !strings.HasPrefix(back, at+"?error=consent_required&") || left.Header.Get("Location") != at {
			t.Errorf("%s: %q, %q", at, back, left.Header.Get("Location"))
		}
	}
}

// visitor is a browser without script in front of the example.
type visitor struct {
	example string
	http    http.Client
}

func (v *visitor) send(t *testing.T, method, address string, form url.Values) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if strings.HasPrefix(address, v.example) {
		r.Header.Set("Origin", "http://127.0.0.1:8080") // where the example listens by itself
		r.Header.Set("X-CSRF", "1")
	}
	resp, err := v.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// code signs in as alice and agrees, at the pages.
func (v *visitor) code(t *testing.T, address string) string {
	t.Helper()
	resp := v.send(t, "GET", address, nil)
	resp = v.submit(t, resp, url.Values{"decision": {"login"}, "username": {"alice"}, "password": {"wonderland-wonderland"}})
	resp = v.submit(t, resp, url.Values{"decision": {"allow"}})
	back, err := resp.Location()
	if err != nil || back.Query().Get("code") == "" {
		t.Fatalf("%d %v, %v", resp.StatusCode, resp.Header, err)
	}
	return back.Query().Get("code")
}

// submit sends the form of a page.
func (v *visitor) submit(t *testing.T, resp *http.Response, form url.Values) *http.Response {
	t.Helper()
	page, err := io.ReadAll(resp.Body)
	action := formAction.FindSubmatch(page)
	if err != nil || action == nil {
		t.Fatalf("%d, no form: %s, %v", resp.StatusCode, page, err)
	}
	for _, field := range hiddenField.FindAllSubmatch(page, -1) {
		form.Set(html.UnescapeString(string(field[1])), html.UnescapeString(string(field[2])))
	}
	to, err := resp.Request.URL.Parse(html.UnescapeString(string(action[1])))
	if err != nil {
		t.Fatal(err)
	}
	return v.send(t, "POST", to.String(), form)
}
