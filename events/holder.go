package events

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// A holder of a lease names itself by chance and, where the system tells, by
// the process it is: so one that was killed is known to be gone by its
// successor on the same machine, which need not wait for the lease to lapse.
//
// The process is named by the boot of the machine, the namespace its number
// belongs to, the number, and when it began. Whoever does not share the first
// two cannot judge, and waits.

// newHolder is a name that no other lease has.
func newHolder() string {
	name := rand.Text()
	if began, ok := processBegan("self"); ok {
		name += fmt.Sprintf(" %s %d %s", processSpace(), os.Getpid(), began)
	}
	return name
}

// gone reports whether the holder was a process of this machine that has
// ended.
func gone(holder string) bool {
	part := strings.Fields(holder)
	if len(part) != 4 || part[1] != processSpace() {
		return false
	}
	began, ok := processBegan(part[2])
	return !ok || began != part[3]
}

// processSpace is where the numbers of processes mean what they do here.
func processSpace() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, linkErr := os.Readlink("/proc/self/ns/pid")
	if err != nil || linkErr != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + space
}

// processBegan is when a process began, in ticks since the boot, and false
// when there is no such process, or no way to tell.
func processBegan(pid string) (ticks string, ok bool) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return "", false
	}
	// The name of the program stands in brackets and may hold anything; the
	// 20th field after it is starttime (proc(5)).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' { // dead and not yet waited for
		return "", false
	}
	return string(fields[19]), true
}
