//go:build race

package throttle

// slower is by how much the longest tests are cut under the race detector, which
// finds nothing in their repetitions.
const slower = 20
