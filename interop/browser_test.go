package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
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
	"strings"
	"sync"
	"testing"
	"time"
)

// The hosts that Chromium is told to find on this machine: the application, one
// next door in the same domain, and one of somebody else.
const (
	appHost     = "app.shop.example"
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

// front is what ends TLS before the application, as a proxy of an operator
// would, and the hosts of strangers beside it. It remembers which requests came
// to /session, and can lose their answers.
type front struct {
	to   *httputil.ReverseProxy
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
	f = new(front)
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

// forward hands requests for the application on to it.
func (f *front) forward(t *testing.T, address string) {
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	f.to = &httputil.ReverseProxy{
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
	if name, _, _ := net.SplitHostPort(r.Host); name == siblingHost || name == evilHost {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>a page of somebody else</title>")
		return
	}
	f.to.ServeHTTP(w, r)
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
		SerialNumber: big.NewInt(1), DNSNames: []string{appHost, siblingHost, evilHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// examples/browser as it would be served: everything at one https host, Jeton
// below /auth of it.
func TestBrowserExampleInChromium(t *testing.T) {
	needNode(t, "node")
	chromium := needChromium(t)
	f, port := newFront(t)
	origin := "https://" + appHost + ":" + port
	s := newServer(t, "JETON_ISSUER="+origin+"/auth")
	s.run(t, "", "client", "add", "shop", "--public", "--grant", "password,refresh_token", "--scope", "read,write", "--delivery", "cookie", "--cors-origin", origin)
	s.run(t, password, "user", "add", "bob", "--role", "ROLE_USER", "--password-stdin")
	example := startExample(t, browserExample(t, "BROWSER_ISSUER="+origin+"/auth", "BROWSER_JETON="+s.issuer, "BROWSER_CLIENT=shop"))
	f.forward(t, example)
	s.runNode(t, "browser.test.mjs", "INTEROP_CHROMIUM="+chromium, "INTEROP_ORIGIN="+origin, "INTEROP_EXAMPLE="+example, "INTEROP_CONTROL="+f.control(t))
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
	browser := http.Client{Jar: jar}
	send := func(method, path string, form url.Values) int {
		t.Helper()
		r, err := http.NewRequest(method, example+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://127.0.0.1:8080") // where the example listens by itself
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("X-CSRF", "1")
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	client := func(more ...string) url.Values {
		f := url.Values{"client_id": {"demo-web"}}
		for i := 0; i+1 < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	for i, step := range []struct {
		method, path string
		form         url.Values
		want         int
	}{
		{"GET", "/", nil, 200},
		{"GET", "/api/me", nil, 401},
		{"POST", "/session/token", client("grant_type", "password", "username", "alice", "password", "wonderland-wonderland"), 200},
		{"GET", "/api/me", nil, 200},
		{"PUT", "/api/note", client(), 204},
		{"GET", "/api/note", nil, 200},
		{"POST", "/session/token", client("grant_type", "refresh_token"), 200},
		{"POST", "/session/revoke", client(), 200},
		{"GET", "/api/me", nil, 401},
		{"POST", "/token", client(), 404}, // of Jeton only what the page needs is at this host
	} {
		if got := send(step.method, step.path, step.form); got != step.want {
			t.Errorf("%d: %s %s: %d, want %d", i+1, step.method, step.path, got, step.want)
		}
	}
}
