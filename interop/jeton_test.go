package interop

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "jeton")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "jeton")
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "./cmd/jeton")
		build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// What every server of these tests knows. The secret has every character that
// a client has to encode in a Basic header (RFC 6749 §2.3.1).
const (
	clientID     = "app"
	publicID     = "web" // a client without a secret
	clientSecret = "p%s+w/ %20&=?#:~ as long as it has to be"
	username     = "alice"
	password     = "a lantern above the harbour"
	audience     = "https://api.example.com"
)

// server is a running jeton with a store of its own.
type server struct {
	dir      string
	store    string
	settings []string
	issuer   string
	metrics  string
}

// newServer starts a server that knows a confidential client, a public one and
// a user.
// The settings are variables such as JETON_SIGNING_ALG=ES256; all its commands
// have them, because the first one on an empty store already makes the keys.
func newServer(t *testing.T, settings ...string) *server {
	t.Helper()
	s := emptyServer(t)
	s.settings = settings
	s.run(t, clientSecret, "client", "add", clientID, "--secret-stdin", "--audience", audience,
		"--grant", "password,refresh_token,client_credentials", "--scope", "read,write")
	s.run(t, "", "client", "add", publicID, "--public", "--audience", audience, "--grant", "password,refresh_token", "--scope", "read")
	s.run(t, password, "user", "add", username, "--role", "ROLE_USER", "--password-stdin")
	s.serve(t, "--store", s.store)
	return s
}

// redisVariable names a Redis to run on instead of a file, as for the suites of the
// module above: see .ci/with-redis.
const redisVariable = "TEST_REDIS"

// emptyServer is a place for a store. The path is short: a socket lies in it,
// whose name may have a hundred characters.
func emptyServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "jeton")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &server{dir: dir, store: cmp.Or(os.Getenv(redisVariable), "sqlite:"+filepath.Join(dir, "jeton.db"))}
}

// command is the binary in the server's folder, without the settings of
// whoever runs the tests.
func (s *server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = s.dir, append(s.environ(), s.settings...)
	return cmd
}

// environ is for commands that work on the server's store.
func (s *server) environ() []string {
	if os.Getenv(redisVariable) == "" {
		return environ()
	}
	return append(environ(), "JETON_REDIS_PREFIX="+filepath.Base(s.dir), // all stores of the tests are on one
		"JETON_ADMIN_SOCKET="+filepath.Join(s.dir, "admin.sock"), "JETON_MASTER_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)))
}

// environ is the environment without settings that would reach the command.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(line string) bool { return strings.HasPrefix(line, "JETON_") })
}

// run does one act on the command line and returns what it says as JSON.
func (s *server) run(t *testing.T, stdin string, args ...string) map[string]any {
	t.Helper()
	cmd := s.command(append(args, "--json", "--store", s.store)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("jeton %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	var said map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &said); err != nil {
		t.Fatalf("jeton %s --json: %v\n%s", strings.Join(args, " "), err, &stdout)
	}
	return said
}

// serve starts the server and waits until it listens.
func (s *server) serve(t *testing.T, flags ...string) {
	t.Helper()
	cmd := s.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"}, flags...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := &log{ready: make(chan struct{})}
	drained := make(chan struct{})
	go func() { defer close(drained); lines.read(bufio.NewScanner(stderr)) }()
	t.Cleanup(func() {
		if err := stop(cmd, drained); err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
		if t.Failed() {
			t.Logf("the server wrote:\n%s", lines)
		}
	})
	select {
	case <-lines.ready:
		s.issuer, s.metrics = lines.issuer, lines.metrics
	case <-drained:
		t.Fatal("the server ended before it listened")
	case <-time.After(time.Minute):
		t.Fatal("the server does not listen after a minute")
	}
}

// stop asks the server to end, as an operator would.
func stop(cmd *exec.Cmd, drained <-chan struct{}) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-drained: // before Wait, which closes the pipe
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		return errors.New("it went on after SIGTERM")
	}
	return cmd.Wait()
}

// log keeps what a server wrote, and finds in it where the server listens.
type log struct {
	ready           chan struct{} // closed once there is an issuer
	issuer, metrics string
	mu              sync.Mutex
	text            strings.Builder
}

func (l *log) read(lines *bufio.Scanner) {
	for lines.Scan() {
		line := lines.Text()
		if _, url, ok := strings.Cut(line, `msg="serving metrics" url=`); ok && l.issuer == "" {
			l.metrics = strings.TrimSuffix(url, "/metrics")
		}
		if url, ok := strings.CutPrefix(line, "listening on "); ok && l.issuer == "" {
			l.issuer = url
			close(l.ready)
		}
		l.mu.Lock()
		l.text.WriteString(line + "\n")
		l.mu.Unlock()
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// jwks is where the keys of the access tokens are.
func (s *server) jwks() string { return s.issuer + "/.well-known/jwks.json" }

// contextOf ends with the test, or after some minutes.
func contextOf(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// algorithms are all that an access token can be signed with.
var algorithms = []string{"RS256", "ES256", "PS256", "EdDSA"}

// freePort is a port for a program that has to be told one. It is below those that
// the kernel gives out, so that nobody else gets it before the program listens.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(9900)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
