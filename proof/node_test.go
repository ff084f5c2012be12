package proof_test

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
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

	"jeton/leaktest"
	"jeton/storage/chosen"
)

// watch looks at what all servers log, for the secrets and tokens of all tests.
var watch leaktest.Watch

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "jeton-proof-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	watch.Secret("password", password)
	watch.Secret("client secret", secret)
	binary = filepath.Join(dir, "jeton")
	// As the image is built (see TestImage).
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "jeton/cmd/jeton")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = leaktest.Run(m, &watch)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	// issuer is the same for all nodes of a store, wherever they listen.
	issuer   = "http://127.0.0.1:9096"
	password = "wonderland-wonderland"
	secret   = "secret-secret-secret-secret-secret"
)

// place is a store and what runs on it.
type place struct {
	t   *testing.T
	dir string
	// address is the store's, empty for the one that is chosen; env what else
	// its commands are told.
	address string
	env     []string
}

// newPlace makes a store with users and the clients "strict" (single use) and
// "lenient" (a retry window of 10 s).
func newPlace(t *testing.T, users int) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	p.fill(users)
	return p
}

// fill makes the clients and users.
func (p *place) fill(users int) {
	p.t.Helper()
	for client, window := range map[string]string{"strict": "0s", "lenient": "10s"} {
		p.run(secret, "client", "add", client, "--grant", "password,refresh_token", "--scope", "read,write",
			"--refresh-retry-window", window, "--secret-stdin")
	}
	p.run(secret, "client", "add", "api", "--grant", "client_credentials", "--introspect", "--secret-stdin")
	for i := range users {
		p.run(password, "user", "add", fmt.Sprintf("user%d", i), "--role", "ROLE_USER", "--password-stdin")
	}
}

func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "JETON_SIGNING_ALG=ES256", "JETON_ISSUER="+issuer, "JETON_METRICS_LISTEN=off",
		"JETON_STORE="+p.store(), "JETON_ADMIN_SOCKET="+filepath.Join(p.dir, "admin.sock"))
	if !strings.HasPrefix(p.store(), "sqlite:") {
		cmd.Env = append(cmd.Env, "JETON_REDIS_PREFIX="+chosen.Prefix(p.dir),
			"JETON_MASTER_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	}
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

// store is the address of the place's store: its own, the Redis of [chosen], or
// a SQLite file.
func (p *place) store() string {
	return cmp.Or(p.address, os.Getenv(chosen.Variable), "sqlite:"+filepath.Join(p.dir, "jeton.db"))
}

// run runs a command to its end.
func (p *place) run(stdin string, args ...string) string {
	p.t.Helper()
	cmd := p.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("jeton %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// node is one running server.
type node struct {
	t       *testing.T
	url     string
	metrics string
	cmd     *exec.Cmd
	http    *http.Client
	said    chan struct{} // closed when all that the server said was read
}

func (p *place) start() *node { return p.startWith(func(*exec.Cmd) {}) }

// startWith starts a server whose command was changed, and copies its log.
func (p *place) startWith(change func(*exec.Cmd), logs ...io.Writer) *node {
	p.t.Helper()
	n, said := p.tryStart(change, logs...)
	if n == nil {
		p.t.Fatalf("the server did not start:\n%s", said)
	}
	return n
}

// tryStart returns no node, and what it said, if it does not start.
func (p *place) tryStart(change func(*exec.Cmd), logs ...io.Writer) (*node, string) {
	p.t.Helper()
	cmd := p.command("serve", "--listen", "127.0.0.1:0")
	change(cmd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	n := &node{t: p.t, cmd: cmd, said: make(chan struct{}), http: &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	p.t.Cleanup(n.kill)
	text := io.TeeReader(stderr, io.MultiWriter(append(logs, watch.Writer("log", io.Discard))...))
	lines := bufio.NewScanner(text)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if _, url, ok := strings.Cut(lines.Text(), `msg="serving metrics" url=`); ok {
			n.metrics = url
		}
		if at, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			n.url = at
			go func() {
				io.Copy(io.Discard, text)
				close(n.said)
			}()
			return n, ""
		}
	}
	close(n.said)
	return nil, strings.Join(said, "\n")
}

// kill is kill -9.
func (n *node) kill() {
	n.cmd.Process.Kill()
	<-n.said // Wait closes what it is read from
	n.cmd.Wait()
	n.http.CloseIdleConnections()
}

// answer is what a request brought; status 0 means that nothing came back.
type answer struct {
	status int
	Error  string `json:"error"`
	Access string `json:"access_token"`
	Token  string `json:"refresh_token"`
	ID     string `json:"id_token"`
	Active bool   `json:"active"`
	// ExpiresIn is in seconds.
	ExpiresIn int `json:"expires_in"`
	// unsent: there was nobody to send it to.
	unsent bool
}

func (n *node) post(path, client string, form ...string) answer {
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, n.url+path, strings.NewReader(values.Encode()))
	if err != nil {
		n.t.Error(err)
		return answer{}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, secret)
	watch.Secret("credentials", strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
	return n.send(r)
}

func (n *node) send(r *http.Request) answer {
	resp, err := n.http.Do(r)
	if err != nil {
		var network *net.OpError
		return answer{unsent: errors.As(err, &network) && network.Op == "dial"}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	body, err := io.ReadAll(resp.Body)
	if err != nil || (len(body) > 0 && json.Unmarshal(body, &a) != nil) {
		return answer{}
	}
	watch.Secret("access token", a.Access)
	watch.Secret("refresh token", a.Token)
	return a
}

// login waits its turn where many log in at once.
func (n *node) login(client, user string) answer {
	for {
		a := n.post("/token", client, "grant_type", "password", "username", user, "password", password)
		if a.status == 503 {
			continue
		}
		if a.status != 200 {
			n.t.Errorf("login: %+v", a)
		}
		return a
	}
}

func (n *node) refresh(client, token string) answer {
	return n.post("/token", client, "grant_type", "refresh_token", "refresh_token", token)
}

func (n *node) active(token string) bool {
	return n.post("/introspect", "api", "token", token).Active
}

// generation reads the counter in a refresh token.
func generation(t *testing.T, token string) uint64 {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Generation uint64 `json:"gen"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Generation
}
