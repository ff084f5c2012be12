package interop

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// goAPI is the example that refuses revoked tokens by their status list.
func (s *server) goAPI(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "api")
	build := exec.Command("go", "build", "-o", program, "./examples/api")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(environ(), "API_ISSUER="+s.issuer, "API_LISTEN=127.0.0.1:0", "API_AUDIENCE="+audience)
	return startExample(t, cmd)
}

func TestConsoleInChromium(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	chromium := needChromium(t)
	s := codeServer(t)
	s.run(t, password, "user", "add", "root", "--role", "ROLE_USER,ROLE_ADMIN", "--password-stdin")
	for _, name := range []string{"bob", "carol", "dave"} {
		s.run(t, password, "user", "add", name, "--role", "ROLE_USER", "--password-stdin")
	}
	s.run(t, "", "user", "disable", "dave")
	for _, look := range []string{"light", "dark", "no-script"} {
		s.run(t, password, "user", "add", "slow-"+look, "--role", "ROLE_USER", "--password-stdin")
	}
	s.runNode(t, "console.test.mjs", "INTEROP_CHROMIUM="+chromium, "INTEROP_API="+s.goAPI(t), "INTEROP_OPERATOR=root")
}
