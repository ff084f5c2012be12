package proof_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/history"
	"jeton/storage/redis/redistest"
)

// TestSeededBugsAreCaught plays the histories of TestLinearizable on servers that
// are built with a bug: a suite that passes those proves nothing about the
// others. The bugs are in no source file: go build lays the edited ones over
// those that are there.
func TestSeededBugsAreCaught(t *testing.T) {
	t.Parallel()
	program := buggy(t)
	server := redistest.Start(t)
	p := &place{t: t, dir: t.TempDir(), address: "redis://" + server.Addr}
	p.furnish()
	turns := make(chan bool, 2) // three servers each
	for _, b := range append(bugs, bug{name: "none"}) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			turns <- true
			defer func() { <-turns }()
			c := muster(&place{t: t, dir: p.dir, address: p.address, env: []string{"SEEDED=" + b.name}}, server.Addr)
			c.program, c.faults = program, []fault{severStore}
			if b.name == "none" {
				c.round(rand.Uint64(), 5*time.Second)
				return
			}
			c.caught()
		})
	}
}

// TestAFailoverThatLosesWritesIsCaught: so are servers without a bug, on a store
// that loses what it has acknowledged.
func TestAFailoverThatLosesWritesIsCaught(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := master.Replica()
	c := muster(&place{t: t, dir: t.TempDir(), address: "redis://" + master.Addr}, master.Addr)
	c.furnish()
	lost := false
	c.faults = []fault{{"the replica takes over, without the last moments", func(c *crew, _ *rand.Rand) {
		if lost {
			return
		}
		replica.Do("replicaof", "no", "one")
		more := len(c.history.Operations()) + 200
		for end := time.Now().Add(time.Minute); len(c.history.Operations()) < more && time.Now().Before(end); {
			time.Sleep(100 * time.Millisecond)
		}
		master.Kill()
		for _, b := range c.nodes {
			b.back.Point(replica.Addr)
		}
		lost = true
	}}}
	c.caught()
}

// caught plays until a fault is found.
func (c *crew) caught() {
	c.t.Helper()
	c.persons = c.persons[:6] // who meet the more often
	begun := time.Now()
	found := func() bool {
		ops := c.history.Operations()
		for _, f := range history.Check(ops, patience) {
			if !f.Undecided {
				c.t.Logf("caught after %d operations, %v: %s", len(ops), time.Since(begun), f)
				return true
			}
		}
		return false
	}
	if !c.play(rand.Uint64(), 5*time.Minute, found) {
		c.t.Errorf("nobody saw it in %d operations", len(c.history.Operations()))
	}
}

// buggy builds the command with all bugs, of which SEEDED in its environment
// chooses one.
func buggy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	grants, err := filepath.Abs(filepath.Join("..", "grants"))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{"seeded.go": seededSource}
	for _, b := range bugs {
		for _, e := range b.edits {
			if sources[e.file] == "" {
				text, err := os.ReadFile(filepath.Join(grants, e.file))
				if err != nil {
					t.Fatal(err)
				}
				sources[e.file] = string(text)
			}
			if strings.Count(sources[e.file], e.old) != 1 {
				t.Fatalf("%s: grants/%s has no one place for it: where %q stood, look what became of it", b.name, e.file, e.old)
			}
			sources[e.file] = strings.Replace(sources[e.file], e.old, e.new, 1)
		}
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for name, text := range sources {
		over := filepath.Join(dir, name)
		if err := os.WriteFile(over, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(grants, name)] = over
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "jeton")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	// With the settings of the other build, which has most of it ready.
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-overlay", file, "-o", program, "jeton/cmd/jeton")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
