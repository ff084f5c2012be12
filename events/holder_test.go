package events

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Only a process that is known to have ended is gone; all else may live.
func TestTheDeadHoldNoLease(t *testing.T) {
	began, ok := processBegan("self")
	if !ok {
		if os.Getenv("CI") == "true" {
			t.Fatal("this system has no /proc: run the tests on Linux")
		}
		t.Skip("NOT TESTED: this system has no /proc")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	theirs, ok := processBegan(pid)
	if !ok {
		t.Fatal("a process that runs is not seen")
	}
	holder := strings.Join([]string{"chance", processSpace(), pid, theirs}, " ")
	if gone(holder) || gone(newHolder()) {
		t.Error("a process that runs is taken for dead")
	}
	for name, other := range map[string]string{
		"of another machine":      "chance another-boot/pid:[1] " + pid + " 1",
		"that says nothing":       "chance",
		"empty":                   "",
		"with a damaged name":     holder + " more",
		"without a process space": "chance  " + pid + " 1",
	} {
		if gone(other) {
			t.Errorf("a holder %s is taken for dead", name)
		}
	}
	if reused := strings.Join([]string{"chance", processSpace(), pid, began + "1"}, " "); !gone(reused) {
		t.Error("a number that another process got since counts as alive")
	}
	cmd.Process.Kill()
	cmd.Wait()
	if !gone(holder) {
		t.Error("a process that was killed counts as alive")
	}
}
