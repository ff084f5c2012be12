package proof_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// wrongClock is the command under test with one thing changed in the standard
// library: time.Now adds the seconds of CLOCK_SHIFT. A Go program asks the kernel
// for the time without a call that could be caught, so no tool sets its clock.
var wrongClock = sync.OnceValues(func() (string, error) {
	dir := filepath.Dir(binary)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	lib := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(lib, "time.go"))
	if err != nil {
		return "", err
	}
	const line = "\tsec, nsec, mono := runtimeNow()\n"
	text := strings.Replace(string(source), line, line+"\tsec += clockShift\n", 1)
	if text == string(source) {
		return "", fmt.Errorf("time.Now of this version of Go looks otherwise: see %s", lib)
	}
	const shift = "package time\n\nimport \"syscall\"\n\nvar clockShift = func() int64 {\n" +
		"\ttext, _ := syscall.Getenv(\"CLOCK_SHIFT\")\n\tn, _ := atoi(text)\n\treturn int64(n)\n}()\n"
	overlay := struct{ Replace map[string]string }{map[string]string{
		filepath.Join(lib, "time.go"):  filepath.Join(dir, "time.go"),
		filepath.Join(lib, "shift.go"): filepath.Join(dir, "shift.go"),
	}}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{"time.go": text, "shift.go": shift, "overlay.json": string(list)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	program := filepath.Join(dir, "jeton-wrong-clock")
	// All of it is compiled once more, sooner without optimization.
	build := exec.Command("go", "build", "-gcflags=all=-N -l", "-ldflags=-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "jeton/cmd/jeton")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

// shifted has a server run with a clock that is off.
func shifted(t *testing.T, by time.Duration) func(*exec.Cmd) {
	t.Helper()
	program, err := wrongClock()
	if err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args[0] = program, program
		cmd.Args = append(cmd.Args, "--metrics-listen", "127.0.0.1:0")
		cmd.Env = append(cmd.Env, fmt.Sprintf("CLOCK_SHIFT=%d", int(by.Seconds())))
	}
}
