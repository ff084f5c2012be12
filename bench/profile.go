package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed profile/profile.go.txt
var profiler []byte

// writeOverlay has go build add a file to the command that lets a profile be
// taken of it: the command that people run has no such door.
func writeOverlay(dir string) (string, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "jeton/cmd/jeton").Output()
	if err != nil {
		return "", fmt.Errorf("finding the command: %w", err)
	}
	source := filepath.Join(dir, "profile.go")
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(strings.TrimSpace(string(out)), "bench_profile.go"): source},
	})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(source, profiler, 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o600)
}

// profiled measures an act, and takes a profile of it if asked for.
func (s *server) profiled(a act) (result, error) {
	if *profile == "" {
		return measure(processes{s.process}, a)
	}
	at := filepath.Join(*profile, "bench")
	if err := s.toggleProfile(at + ".cpu"); err != nil {
		return result{}, err
	}
	r, err := measure(processes{s.process}, a)
	if err == nil {
		err = s.toggleProfile(at + ".mem")
	}
	name := strings.ReplaceAll(fmt.Sprintf("%s-%d-%s", s.place.alg, s.place.sessions, a.name), " ", "-")
	for _, kind := range []string{".cpu", ".mem"} {
		if err == nil {
			err = os.Rename(at+kind, filepath.Join(*profile, name+kind))
		}
	}
	return r, err
}

// toggleProfile begins a profile, or ends it, and waits for the file that says
// so.
func (s *server) toggleProfile(file string) error {
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	for range 100 {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("no profile appeared at %s", file)
}
