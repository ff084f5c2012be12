package proof_test

import (
	"bytes"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

// TestSystemdIsTold stands in systemd's place at the socket of sd_notify(3).
func TestSystemdIsTold(t *testing.T) {
	p := newPlace(t, 0)
	name := filepath.Join(p.dir, "notify.sock")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	n := p.startWith(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+name) })
	told := func(want string) {
		t.Helper()
		socket.SetReadDeadline(time.Now().Add(time.Minute))
		b := make([]byte, 256)
		read, err := socket.Read(b)
		if err != nil || string(b[:read]) != want {
			t.Errorf("told %q, %v; want %q", b[:read], err, want)
		}
	}
	told("READY=1")
	n.signal(syscall.SIGTERM)
	told("STOPPING=1")
	if err := n.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestUnit runs the unit's ExecStart as `config check` and has systemd-analyze
// look at the file.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile("../deploy/jeton.service")
	if err != nil {
		t.Fatal(err)
	}
	options, err := unit.DeserializeOptions(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(options, func(o *unit.UnitOption) bool { return o.Name == "ExecStart" })
	if i < 0 {
		t.Fatal("no ExecStart")
	}
	words := strings.Fields(options[i].Value)
	if words[0] != "/usr/local/bin/jeton" || words[1] != "serve" {
		t.Fatalf("ExecStart is %q", words)
	}
	p := &place{t: t, dir: t.TempDir()}
	config := filepath.Join(p.dir, "jeton.yaml")
	if err := os.WriteFile(config, []byte("issuer: https://id.example.com\ninsecure: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"config", "check"}, words[2:]...)
	for i, arg := range args {
		args[i] = strings.Replace(strings.Replace(arg, "/etc/jeton/jeton.yaml", config, 1), "/var/lib/jeton", p.dir, 1)
	}
	p.run("", args...)

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		lacking(t, "systemd-analyze", "apt-get install --no-install-recommends systemd")
	}
	there := filepath.Join(p.dir, "jeton.service")
	if err := os.WriteFile(there, bytes.ReplaceAll(b, []byte("/usr/local/bin/jeton"), []byte(binary)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", there).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// lacking ends a test for want of a program: red where everything has to be
// tested, loudly skipped elsewhere.
func lacking(t *testing.T, program, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: %s", program, install)
	}
	t.Skipf("NOT TESTED without %s: %s", program, install)
}

// TestImage serves from a root that holds what the Dockerfile puts into the
// image: the binary, built as it says, and two empty directories.
func TestImage(t *testing.T) {
	b, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	build := regexp.MustCompile(`RUN CGO_ENABLED=0 go build (.*) -o /out/jeton ./cmd/jeton`).FindSubmatch(b)
	env := regexp.MustCompile(`(?m)^ENV (.*)$`).FindSubmatch(b)
	if build == nil || env == nil {
		t.Fatal("the Dockerfile does not build the command, or sets nothing")
	}
	if flags := string(build[1]); flags != `-trimpath -ldflags "-s -w -X main.version=${VERSION}"` {
		t.Errorf("the Dockerfile builds with %s; build the binary of these tests likewise", flags)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			t.Fatal("the binary wants a dynamic loader, which an empty image does not have")
		}
	}
	if os.Getuid() != 0 {
		lacking(t, "root, to serve from an empty root", "run this test as root")
	}
	root := t.TempDir()
	for _, dir := range []string{"data", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(root, dir), 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(binary, filepath.Join(root, "jeton")); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: root}
	n := p.startWith(func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args, cmd.Dir = "/jeton", []string{"/jeton", "serve", "--listen", "127.0.0.1:0"}, "/data"
		cmd.Env = append(strings.Fields(string(env[1])), "JETON_ISSUER=https://id.example.com", "JETON_SIGNING_ALG=ES256", "JETON_METRICS_LISTEN=off")
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	})
	if !n.ready() {
		t.Error("the server is not ready")
	}
	if _, err := os.Stat(filepath.Join(root, "data", "jeton.db")); err != nil {
		t.Errorf("the store is not where the volume is: %v", err)
	}
}
