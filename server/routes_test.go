package server_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// nothing checks the answer of an address where nothing is.
func (a answer) nothing(t *testing.T, what string) {
	t.Helper()
	if a.StatusCode != 404 || (a.Request.Method != "HEAD" && a.str("error") != "not_found") || a.Header.Get("Content-Type") != "application/json" ||
		a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Location") != "" {
		t.Errorf("%s: %d %v %.200s", what, a.StatusCode, a.Header, a.body)
	}
}

// A redirect would make clients send credentials to another address, or turn
// their POST into a GET: paths are taken as they are.
func TestUnknownPathsAreNotFoundAndNeverRedirected(t *testing.T) {
	for _, issuer := range []string{"", "https://login.example/tenant"} {
		n := start(t, options{issuer: issuer})
		for _, path := range []string{
			"/", "/x", "/token/", "//token", "/./token", "/x/../token", "/token/x", "/Token", "/token%2f", "/%74oken%00", "/token;x", "/token.json", "/tokens", "/to%6ben/",
			"/revoke/", "//revoke", "/introspect/", "/healthz/", "/readyz/", "/metrics", "/.well-known", "/.well-known/", "/.well-known/jwks.json/", "/.well-known//jwks.json",
			"/.well-known/security.txt", "/favicon.ico", "/robots.txt", "/debug/pprof/", "/debug/vars", "/admin", "/admin/", "/admin/v1", "/admin/v1x", "/admin/v10/users", "/admin/v2/users", "/%2e%2e/etc/passwd",
			"/" + strings.Repeat("x", 4000), "/%ff%fe", "/%00",
		} {
			for _, method := range []string{"GET", "POST", "HEAD", "DELETE", "OPTIONS"} {
				n.do(method, path, "application/x-www-form-urlencoded", "grant_type=client_credentials", app).nothing(t, method+" "+path)
			}
		}
	}
}

// What net/http lets through of a request line is answered as everything else.
func TestStrangeRequestLines(t *testing.T) {
	n := start(t, options{})
	host := mustURL(t, n.url).Host
	for _, c := range []struct{ line, status string }{
		{"GET http://evil.example/token HTTP/1.1", "405"}, {"GET token HTTP/1.1", "400"}, {"CONNECT evil.example:443 HTTP/1.1", "404"},
		{"BREW /token HTTP/1.1", "405"}, {"GET /\x01 HTTP/1.1", "400"}, {"GET /token HTTP/0.9", "505"}, {"POST /token?%zz HTTP/1.1", "400"},
	} {
		conn, err := net.Dial("tcp", host)
		must(t, err)
		conn.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conn, "%s\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", c.line)
		status, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if err != nil || !strings.Contains(status, " "+c.status+" ") {
			t.Errorf("%q: %q, %v; want %s", c.line, status, err, c.status)
		}
	}
}

func TestMethodsOfEveryRoute(t *testing.T) {
	n := start(t, options{})
	for path, allow := range map[string]string{
		"/token": "POST", "/revoke": "POST", "/introspect": "POST", "/device_authorization": "POST", "/healthz": "GET, HEAD", "/readyz": "GET, HEAD",
		"/.well-known/jwks.json": "GET, HEAD, OPTIONS", "/.well-known/oauth-authorization-server": "GET, HEAD, OPTIONS", "/.well-known/openid-configuration": "GET, HEAD, OPTIONS",
		"/status": "GET, HEAD, OPTIONS", "/status/1": "GET, HEAD, OPTIONS",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post"} {
			if strings.Contains(", "+allow+",", ", "+method+",") {
				continue
			}
			a := n.do(method, path, "", "")
			if a.StatusCode != 405 || a.Header.Get("Allow") != allow || a.Header.Get("Content-Type") != "application/json" || (method != "HEAD" && a.str("error") != "invalid_request") {
				t.Errorf("%s %s: %d %v %s", method, path, a.StatusCode, a.Header, a.body)
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := n.do("HEAD", path, "", ""); a.StatusCode != 200 || len(a.body) != 0 || a.Header.Get("Content-Length") == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("HEAD %s: %d %v", path, a.StatusCode, a.Header)
		}
	}
}

func (n *node) metrics() string {
	n.t.Helper()
	w := httptest.NewRecorder()
	n.server.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	must(n.t, err)
	return string(text)
}

// The number of series does not grow with what strangers make up.
func TestMetricsHaveNoLabelsOfStrangersChoice(t *testing.T) {
	n := start(t, options{})
	paths := []string{"/token", "/revoke", "/introspect", "/admin/v1/users", "/x"}
	storm := func(count int) {
		for i := range count {
			made := fmt.Sprintf("stranger%d", rand.Int64())
			for _, path := range append(paths, "/"+made) {
				n.handler.ServeHTTP(httptest.NewRecorder(), strange(path, made, i))
			}
		}
	}
	storm(5)
	before := strings.Count(n.metrics(), "\njeton_")
	storm(200)
	after := n.metrics()
	if now := strings.Count(after, "\njeton_"); strings.Contains(after, "stranger") || now != before {
		t.Errorf("%d lines, before %d:\n%s", now, before, after)
	}
	// And it tells what registered clients do. Not over a connection: there the
	// answer comes before the count.
	n.serve(t, n.handler, "/token", loginForm())
	for _, series := range []string{
		`jeton_acts_total{act="password",client_id="app",outcome="ok"} 1`, `jeton_acts_total{act="other",client_id="",outcome="invalid_client"}`,
		`jeton_http_request_seconds_count{route="/token",status="200"}`, `jeton_http_request_seconds_count{route="none",status="404"}`, `jeton_panics_total 0`,
	} {
		if !strings.Contains(n.metrics(), series) {
			t.Errorf("%s is missing", series)
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^jeton_acts_total\{.*$`).FindAllString(n.metrics(), -1) {
		if !regexp.MustCompile(`act="(password|refresh_token|client_credentials|revoke|introspect|other)"`).MatchString(line) {
			t.Error(line)
		}
	}
}

// strange is a request in which everything that can be made up is.
func strange(path, made string, i int) *http.Request {
	f := form("grant_type", made, "client_id", made, "client_secret", made, "token", made, "scope", made, "username", made, "password", made, "token_type_hint", made)
	method := http.MethodPost
	switch i % 4 {
	case 0: // an unknown grant type of a known client
		f.Set("client_id", "app")
		f.Set("client_secret", appSecret)
	case 1:
		method = strings.ToUpper(made)
	}
	r := httptest.NewRequest(method, path+"?"+made+"="+made, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", made)
	r.Header.Set("Origin", "https://"+made)
	r.Host = made
	return r
}
