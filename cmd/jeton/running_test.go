package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// running is a server beside a script.
type running struct {
	cmd      *exec.Cmd
	log, out string // files
	url      string
	done     chan error
}

// patience is how long a server may take for what it does, however busy the
// machine is.
const patience = 60 * time.Second

// start runs a server in a directory and waits for its ready line.
func start(dir string, vars []string, args ...string) (*running, error) {
	jeton, err := exec.LookPath("jeton")
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(dir, ".server-")
	if err != nil {
		return nil, err
	}
	s := &running{log: filepath.Join(tmp, "stderr"), out: filepath.Join(tmp, "stdout"), done: make(chan error, 1)}
	stderr, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	stdout, err := os.Create(s.out)
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	s.cmd = exec.Command(jeton, append([]string{"serve"}, args...)...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr, s.cmd.Stdout = dir, append(vars[:len(vars):len(vars)], "JETON_LISTEN=127.0.0.1:0", "JETON_METRICS_LISTEN=off"), stderr, stdout
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	m, err := s.await(`(?m)^listening on (http\S+)$`)
	if err != nil {
		s.kill()
		return nil, err
	}
	s.url = m[1]
	return s, nil
}

// await waits until the log has a line of the pattern, as long as it runs.
func (s *running) await(pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		log, err := os.ReadFile(s.log)
		if err != nil {
			return nil, err
		}
		if m := re.FindStringSubmatch(string(log)); m != nil {
			return m, nil
		}
		select {
		case err := <-s.done:
			s.done <- err
			return nil, fmt.Errorf("the server has ended (%v):\n%s", err, log)
		default:
		}
	}
	log, _ := os.ReadFile(s.log)
	return nil, fmt.Errorf("no %q in the log of the server:\n%s", pattern, log)
}

func (s *running) kill() {
	s.cmd.Process.Kill()
	s.done <- <-s.done
}

// serverNamed is the one of that name.
func serverNamed(ts *testscript.TestScript, args []string) *running {
	if len(args) == 0 {
		ts.Fatalf("name a server")
	}
	s := ts.Value(serversKey{}).(map[string]*running)[args[0]]
	if s == nil {
		ts.Fatalf("there is no server %s", args[0])
	}
	return s
}

// serve NAME args... starts a server; $URL is where it listens.
func serveCmd(ts *testscript.TestScript, neg bool, args []string) {
	vars := ts.Value(envKey{}).(*testscript.Env).Vars
	for _, row := range table() {
		if v := ts.Getenv(variable(row.name)); v != "" {
			vars = append(vars[:len(vars):len(vars)], variable(row.name)+"="+v)
		}
	}
	if v := ts.Getenv("JETON_MASTER_KEY"); v != "" {
		vars = append(vars, "JETON_MASTER_KEY="+v)
	}
	s, err := start(ts.MkAbs("."), vars, args[1:]...)
	ts.Check(err)
	ts.Value(serversKey{}).(map[string]*running)[args[0]] = s
	ts.Setenv("URL", s.url)
	_, address, _ := strings.Cut(s.url, "://")
	ts.Setenv("ADDRESS", address)
}

// finish NAME asks a server to end, which it has to do with exit code 0.
func finishCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := serverNamed(ts, args)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		s.done <- err
		ts.Check(err)
	case <-time.After(patience):
		ts.Fatalf("the server does not end")
	}
}

// die NAME kills a server as kill -9 does.
func dieCmd(ts *testscript.TestScript, neg bool, args []string) { serverNamed(ts, args).kill() }

// hangup NAME sends SIGHUP.
func hangupCmd(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(serverNamed(ts, args).cmd.Process.Signal(syscall.SIGHUP))
}

// demostore takes over the store that the demonstration names.
func demoStoreCmd(ts *testscript.TestScript, neg bool, args []string) {
	m := regexp.MustCompile(`(?m)^JETON_STORE=(sqlite:(\S*)/jeton.db) `).FindStringSubmatch(ts.ReadFile("lines"))
	if m == nil {
		ts.Fatalf("no store is named")
	}
	ts.Setenv("JETON_STORE", m[1])
	ts.Setenv("DEMO", m[2])
}

// metrics NAME reads the metrics of a server.
func metricsCmd(ts *testscript.TestScript, neg bool, args []string) {
	m, err := serverNamed(ts, args).await(`url=(http://\S+/metrics)`)
	ts.Check(err)
	getCmd(ts, neg, []string{m[1]})
}

// printed NAME writes what a server has printed to standard output.
func printedCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := serverNamed(ts, args)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(s.out)
		ts.Check(err)
		if bytes.Contains(b, []byte("session list")) { // its last line
			ts.Stdout().Write(b)
			return
		}
	}
	ts.Fatalf("the server has printed nothing")
}

// logs NAME writes what a server has logged.
func logsCmd(ts *testscript.TestScript, neg bool, args []string) {
	b, err := os.ReadFile(serverNamed(ts, args).log)
	ts.Check(err)
	ts.Stdout().Write(b)
}

// await NAME pattern waits for a line in the log of a server.
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	_, err := serverNamed(ts, args).await(args[1])
	ts.Check(err)
}

// insecure speaks to servers whose certificates the scripts made.
var insecure = &http.Client{Timeout: patience, Transport: &http.Transport{
	DisableKeepAlives: true,
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
}}

// post [ID:SECRET@]PATH name=value... sends a form to $URL and writes status
// and body.
func postCmd(ts *testscript.TestScript, neg bool, args []string) {
	form := url.Values{}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		form.Add(name, value)
		if name != "grant_type" && name != "username" && name != "scope" && name != "client_id" {
			watch.Secret(name, value)
		}
	}
	credentials, path, ok := strings.Cut(args[0], "@")
	if !ok {
		credentials, path = "", args[0]
	}
	req, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+path, strings.NewReader(form.Encode()))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(credentials, ":"); ok {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		watch.Secret("client secret", secret)
	}
	answer(ts, req)
}

// get PATH reads from $URL, or from the whole URL that is given.
func getCmd(ts *testscript.TestScript, neg bool, args []string) {
	if !strings.HasPrefix(args[0], "http") {
		args[0] = ts.Getenv("URL") + args[0]
	}
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	answer(ts, req)
}

func answer(ts *testscript.TestScript, req *http.Request) {
	resp, err := insecure.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(b, &tokens) == nil {
		watch.Secret("access token", tokens.Access)
		watch.Secret("refresh token", tokens.Refresh)
	}
	fmt.Fprintf(ts.Stdout(), "%d %s\n", resp.StatusCode, b)
}
