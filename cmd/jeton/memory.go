package main

import (
	"runtime/debug"
	"strings"
)

// heapGrowth is by how many per cent the heap grows between two collections.
// What lives is small, a few megabytes in earnest, and what dies with each
// request is as much as in any server: at Go's default of 100 the collector
// takes a tenth of the processor. An idle server is collected every two
// minutes whatever this says, and stays below 40 MB.
const heapGrowth = 400

// tuneMemory leaves GOGC to an operator who has set it. GOMEMLIMIT works beside
// it, as always.
func tuneMemory(environ []string) {
	for _, v := range environ {
		if strings.HasPrefix(v, "GOGC=") {
			return
		}
	}
	debug.SetGCPercent(heapGrowth)
}
