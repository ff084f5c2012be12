// Package redistest starts real redis-servers for tests: one, one with replicas,
// several under Sentinel, a Cluster. It is imported by tests alone.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server that belongs to a test.
type Server struct {
	Addr string
	Port int
	// Client speaks to the server itself, beside any store.
	Client *redis.Client

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	out  *bytes.Buffer
}

// The client library of the tests would write to stderr by itself.
var quiet sync.Once

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Missing says why no test with a redis-server can run here, or nothing.
func Missing() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis-server is missing: apt-get install redis-server"
	}
	return ""
}

// need skips the test where there is no redis-server, and fails it under CI.
func need(t testing.TB) {
	t.Helper()
	if m := Missing(); m != "" {
		if os.Getenv("CI") != "" {
			t.Fatal(m)
		}
		t.Skip(m)
	}
}

// Start runs a redis-server on a free port until the test ends. args are
// settings as on its command line, such as "--maxmemory", "10mb".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	need(t)
	s := New(t, FreePort(t), args...)
	s.Run()
	return s
}

// New describes a redis-server that does not run yet.
func New(t testing.TB, port int, args ...string) *Server {
	t.Helper()
	quiet.Do(func() { redis.SetLogger(silence{}) })
	s := &Server{t: t, Port: port, Addr: "127.0.0.1:" + strconv.Itoa(port), dir: t.TempDir(), args: args}
	s.Client = redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	t.Cleanup(func() {
		s.Client.Close()
		s.Kill()
	})
	return s
}

// Run starts the process and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	s.Launch()
	s.Answers()
}

// Launch starts the process.
func (s *Server) Launch() {
	s.t.Helper()
	args := append([]string{"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no", "--repl-diskless-sync-delay", "0"}, s.args...)
	if len(s.args) > 0 && strings.HasSuffix(s.args[0], ".conf") {
		args = s.args
	}
	s.out = new(bytes.Buffer)
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// Answers waits until the server answers.
func (s *Server) Answers() {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		err := s.Client.Ping(context.Background()).Err()
		if err == nil || redis.HasErrorPrefix(err, "NOAUTH") {
			return
		}
		if time.Now().After(end) {
			s.Kill()
			s.t.Fatalf("redis-server does not answer: %v\n%s", err, s.out)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Kill is kill -9, and waits for the end.
func (s *Server) Kill() {
	if s.cmd != nil {
		s.cmd.Process.Signal(syscall.SIGCONT)
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Signal sends a signal, such as SIGSTOP.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Login has Client give a password from now on.
func (s *Server) Login(password string) {
	s.Client.Close()
	s.Client = redis.NewClient(&redis.Options{Addr: s.Addr, Password: password, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
}

// Do sends a command that has to succeed.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.Client.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// Forget removes what the server has written to its disk.
func (s *Server) Forget() {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Ports of tests are below those that the kernel gives out (from 32768 on), and so
// are those of the cluster bus (10000 above): a server that is killed finds its own
// free when it is started again, however many others listen anywhere meanwhile.
const leastPort, ports = 10000, 9900

// ports that were given out, by this process; another one begins elsewhere.
var port = struct {
	sync.Mutex
	next int
}{next: rand.IntN(ports)}

// FreePort finds a port that is free, and whose cluster bus is too. No other call
// in this process gets the same one.
func FreePort(t testing.TB) int {
	t.Helper()
	port.Lock()
	defer port.Unlock()
	for range 1000 {
		p := leastPort + port.next%ports
		port.next++
		if free(p) && free(p+10000) {
			return p
		}
	}
	t.Fatal("no port is free")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// Replica starts a replica of the server and waits until it is in step.
func (s *Server) Replica(args ...string) *Server {
	s.t.Helper()
	before := s.online()
	r := Start(s.t, append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(s.Port)}, args...)...)
	Until(s.t, "the replica is online", func() bool { return s.online() > before })
	return r
}

// online counts the replicas that are in step.
func (s *Server) online() int {
	return strings.Count(fmt.Sprint(s.Do("info", "replication")), "state=online")
}

// Until waits for something that comes by itself.
func Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

// Offset is how far the server is in the stream that replicas follow.
func (s *Server) Offset() int {
	s.t.Helper()
	_, after, _ := strings.Cut(fmt.Sprint(s.Do("info", "replication")), "master_repl_offset:")
	text, _, _ := strings.Cut(after, "\r\n")
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
