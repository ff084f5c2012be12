//go:build race

package server_test

// underRace says that the race detector slows everything down, password
// hashing most of all.
const underRace = true
