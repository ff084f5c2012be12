//go:build !race

package throttle

const slower = 1
