package main

import (
	"runtime/debug"
	"strings"
)

// heapGrowth is by how many per cent the heap grows between two collections.
// What lives is small and most of what is made dies with its request, so that at
// Go's default of 100 the collector takes a tenth of the processor. Much more
// than this would save little, and let the memory that passwords are hashed in,
// 19 MB each, pile up. An idle server is collected every two minutes anyway.
const heapGrowth = 200

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
