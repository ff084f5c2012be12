package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// token logs in and returns an access token.
func (s *server) token(t *testing.T, scope string) string {
	t.Helper()
	resp, err := http.PostForm(s.issuer+"/token", url.Values{"grant_type": {"password"}, "username": {username}, "password": {password},
		"client_id": {clientID}, "client_secret": {clientSecret}, "scope": {scope}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	return got.Access
}

func (s *server) revoke(t *testing.T, token string) {
	t.Helper()
	resp, err := http.PostForm(s.issuer+"/revoke", url.Values{"token": {token}, "client_id": {clientID}, "client_secret": {clientSecret}})
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
}

// startExample runs a program that says where it listens.
func startExample(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			go io.Copy(os.Stderr, stderr)
			return url
		}
		t.Log(lines.Text())
	}
	t.Fatal("it did not start")
	return ""
}

// ask sends a request with a token, and anything else by set.
func ask(t *testing.T, method, url, token string, set func(r *http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if set != nil {
		set(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

// holds tries what each example has to do, at a route that needs the scope read
// and one that also needs write and ROLE_ADMIN.
func (s *server) holds(t *testing.T, orders, admin, method string) {
	t.Helper()
	both, read := s.token(t, "read write"), s.token(t, "read")
	write := s.token(t, "write")
	changed := read[:strings.LastIndex(read, ".")] + read[strings.LastIndex(read, "."):][:20] + "AAAA" + read[strings.LastIndex(read, ".")+24:]
	for _, c := range []struct {
		what, method, url, token string
		want                     int
		challenge                string
	}{
		{"a valid token", "GET", orders, read, 200, ""},
		{"no token", "GET", orders, "", 401, "Bearer"},
		{"a token that was changed", "GET", orders, changed, 401, `error="invalid_token"`},
		{"rubbish", "GET", orders, "x.y.z", 401, `error="invalid_token"`},
		{"a scope that is missing", "GET", orders, write, 403, ""},
		{"a role that is missing", method, admin, both, 403, ""},
	} {
		resp := ask(t, c.method, c.url, c.token, nil)
		if resp.StatusCode != c.want || !strings.Contains(resp.Header.Get("WWW-Authenticate"), c.challenge) {
			t.Errorf("%s: %d %v", c.what, resp.StatusCode, resp.Header)
		}
	}
	if resp := ask(t, "GET", orders+"?access_token="+read, read, nil); resp.StatusCode != 400 && resp.StatusCode != 401 {
		t.Errorf("a token in the query: %d", resp.StatusCode)
	}
	s.revoke(t, read)
	end := time.Now().Add(time.Minute)
	for ask(t, "GET", orders, read, nil).StatusCode != 401 {
		if time.Now().After(end) {
			t.Fatal("a revoked token is accepted after a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if resp := ask(t, "GET", orders, both, nil); resp.StatusCode != 200 {
		t.Errorf("its sibling: %d", resp.StatusCode)
	}
}

// The Express example. Its files are put where its packages are installed.
func TestExpressExample(t *testing.T) {
	t.Parallel()
	node := needNode(t, "node")
	s := newServer(t)
	dir, err := os.MkdirTemp(nodeDir, ".express-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	example := filepath.Join("..", "examples", "express")
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("lists", func(t *testing.T) { s.runNode(t, "express-lists.test.mjs", "INTEROP_EXPRESS=file://"+there) })
	cmd := exec.Command(node, filepath.Join(dir, "server.mjs"))
	cmd.Env = append(os.Environ(), "API_ISSUER="+s.issuer, "API_AUDIENCE="+audience, "API_PORT=0", "API_RESOURCE=https://api.example.com/v1")
	at := startExample(t, cmd)
	s.holds(t, at+"/orders", at+"/orders/1", "DELETE")
	refusedInWords(t, at)
	if resp := ask(t, "GET", at+"/orders", "", func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }); resp.StatusCode != 400 {
		t.Errorf("two headers: %d", resp.StatusCode)
	}
}

// refusedInWords looks at what else an answer of the Express example has that one
// of package verify has.
func refusedInWords(t *testing.T, at string) {
	t.Helper()
	const metadata = "/.well-known/oauth-protected-resource/v1"
	const named = `, resource_metadata="https://api.example.com` + metadata + `"`
	for token, want := range map[string]string{
		"":      `Bearer realm="api"` + named,
		"x.y.z": `Bearer realm="api", error="invalid_token", error_description="The access token is invalid, expired, revoked or not for this API."` + named,
	} {
		resp := ask(t, "GET", at+"/orders", token, nil)
		var said struct {
			Error string `json:"error"`
			Words string `json:"error_description"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || said.Error != "invalid_token" || said.Words == "" {
			t.Errorf("%q: %v %+v", token, err, said)
		}
		if h := resp.Header; h.Get("WWW-Authenticate") != want || h.Get("ETag") != "" || h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("Content-Type"), "application/json") {
			t.Errorf("%q: %v", token, h)
		}
	}
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	resp := ask(t, "GET", at+metadata, "", nil)
	if err := json.NewDecoder(resp.Body).Decode(&document); err != nil || document.Resource != "https://api.example.com/v1" || len(document.Servers) != 1 {
		t.Errorf("%v %+v", err, document)
	}
}

// What the example asks for is what the tests have installed.
func TestExpressExampleRequiresWhatIsTested(t *testing.T) {
	var example struct{ Dependencies map[string]string }
	var tested struct{ DevDependencies map[string]string }
	for name, into := range map[string]any{filepath.Join("..", "examples", "express", "package.json"): &example, filepath.Join(nodeDir, "package.json"): &tested} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(example.Dependencies) != 2 {
		t.Errorf("%v", example.Dependencies)
	}
	for name, version := range example.Dependencies {
		if tested.DevDependencies[name] != version {
			t.Errorf("%s %s, tested is %s", name, version, tested.DevDependencies[name])
		}
	}
}

// needNginx finds nginx, which lies outside the path of people who are not root.
func needNginx(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const remedy = "there is no nginx: apt-get install --no-install-recommends nginx"
	if os.Getenv("CI") == "true" {
		t.Fatal(remedy)
	}
	t.Skip("NOT TESTED: " + remedy)
	return ""
}

// The nginx recipe, with its sidecar, before an API that knows no tokens.
func TestNginxExample(t *testing.T) {
	t.Parallel()
	nginx := needNginx(t)
	s := newServer(t)
	dir := t.TempDir()
	sidecar := filepath.Join(dir, "sidecar")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", sidecar, "./examples/nginx/sidecar")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(sidecar)
	cmd.Env = append(os.Environ(), "SIDECAR_ISSUER="+s.issuer, "SIDECAR_AUDIENCE="+audience, "SIDECAR_LISTEN=127.0.0.1:0")
	at := startExample(t, cmd)

	heard := make(chan http.Header, 100)
	api := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Host", r.Host) // which net/http keeps apart
		heard <- r.Header
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go api.Serve(listener)
	t.Cleanup(func() { api.Close() })

	front := startNginx(t, nginx, dir, map[string]string{
		"127.0.0.1:8090": strings.TrimPrefix(at, "http://"), "127.0.0.1:8081": listener.Addr().String(),
	})
	s.holds(t, front+"/orders", front+"/admin/x", "POST")
	for len(heard) > 0 {
		<-heard
	}
	onlyPlainPaths(t, front, s.token(t, "read"), heard)
	ask(t, "GET", front+"/orders", s.token(t, "read"), func(r *http.Request) {
		r.Header.Set("X-Jeton-Roles", "ROLE_ADMIN")
		r.Header.Set("X-Need-Scopes", "")
		r.Header.Set("X-Forwarded-For", "10.1.2.3")
		r.Host = "shop.example.com"
	})
	if h := <-heard; h.Get("X-Jeton-Roles") != "ROLE_USER" || h.Get("X-Jeton-Sub") == "" || h.Get("X-Jeton-Scope") != "read" || h.Get("Authorization") != "" ||
		h.Get("Host") != "shop.example.com" || fmt.Sprint(h["X-Forwarded-For"]) != "[127.0.0.1]" {
		t.Errorf("the API was told %v", h)
	}
	// Without the sidecar nothing passes, and nobody is told to log in again.
	token := s.token(t, "read")
	cmd.Process.Kill()
	cmd.Wait()
	if resp := ask(t, "GET", front+"/orders", token, nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || len(heard) > 0 {
		t.Errorf("without the sidecar: %d %v", resp.StatusCode, resp.Header)
	}
}

// onlyPlainPaths sends what a router that is looser than nginx could take for
// /admin/x, as it stands and with a token that may read orders.
func onlyPlainPaths(t *testing.T, front, token string, heard chan http.Header) {
	t.Helper()
	for path, want := range map[string]int{
		"/orders/1": 200, "/orders/%C3%A9?a=//;../%2e": 200,
		"/Admin/x": 403, "/ADMIN/x": 403, "/%41dmin/x": 403, "/admin": 403, "/Orders": 403, "/ordersx": 403, "/": 403,
		"/admin;a/x": 400, "/;/admin/x": 400, "/orders;/../admin/x": 400, "/orders/..;/admin/x": 400, "/admin%3ba/x": 400,
		"//admin/x": 400, "/orders//admin/x": 400, "/admin/../x": 400, "/orders/../admin/x": 400, "/orders/./x": 400, "/orders/..": 400,
		"/orders/%2e%2e/admin/x": 400, "/orders/..%2Fadmin/x": 400, "/orders%2f..%2fadmin/x": 400, "/orders/..\\admin\\x": 400,
		"/orders%5c..%5cadmin": 400, "/orders/%252e%252e/admin/x": 400, "/orders/#/../admin/x": 400, "/orders/%00": 400, "/orders/%0d": 400,
		"http://x/orders/../admin/x": 400,
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(front, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", path, token)
		answer, err := io.ReadAll(c)
		c.Close()
		if status := fmt.Sprintf("HTTP/1.1 %d ", want); err != nil || !strings.HasPrefix(string(answer), status) {
			t.Errorf("%s: %.30q, %v, want %d", path, answer, err, want)
		}
		if reached := len(heard) > 0; reached != (want == 200) {
			t.Errorf("%s: the API was asked: %v", path, reached)
		}
		for len(heard) > 0 {
			<-heard
		}
	}
}

// startNginx runs the recipe with other addresses, as whoever runs the tests.
func startNginx(t *testing.T, nginx, dir string, addresses map[string]string) string {
	t.Helper()
	recipe, err := os.ReadFile(filepath.Join("..", "examples", "nginx", "jeton.conf"))
	if err != nil {
		t.Fatal(err)
	}
	front := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	text := strings.ReplaceAll(string(recipe), "127.0.0.1:8080", front)
	for from, to := range addresses {
		if !strings.Contains(text, from) {
			t.Fatalf("the recipe does not name %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	var temps string
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temps += fmt.Sprintf("    %s_temp_path %s/%s;\n", of, dir, of)
	}
	conf := filepath.Join(dir, "nginx.conf")
	whole := fmt.Sprintf("daemon off;\npid %s/nginx.pid;\nerror_log stderr warn;\nevents {}\nhttp {\n    access_log off;\n%s%s}\n", dir, temps, text)
	if err := os.WriteFile(conf, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", conf, "-e", "stderr")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", front); err == nil {
			c.Close()
			return "http://" + front
		}
		if time.Now().After(end) {
			t.Fatalf("nginx does not listen:\n%s", whole)
		}
	}
}
