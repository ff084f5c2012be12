package passwords

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Config are the settings. The zero value takes what the comments name.
type Config struct {
	// Memory in KiB, Passes and Lanes of argon2id: 19456, 2 and 1. Weaker than
	// every row of the OWASP table is refused.
	Memory uint32
	Passes int
	Lanes  int
	// Concurrency is how many hashes run at once: the number of cores.
	Concurrency int
	// QueueWait is how long one waits for its turn before [ErrBusy]: 2 s.
	QueueWait time.Duration
	// MinLength is the least code points of a new password: 15. Below that
	// (never below 8) is for services where every login has a second factor.
	MinLength int
	// ServiceWords are names of this service that make a poor part of a
	// password: the host names of the issuer, the company.
	ServiceWords []string
	// RefusedFile is an optional file of refused passwords: one a line, as it
	// is typed, or as its SHA-1 in 40 hex digits, after which ":" and a count
	// may stand.
	RefusedFile string
}

// The bounds of [Config.MinLength] and of every password. The cap of 1024 code
// points leaves room for any passphrase and bounds the work of normalising.
const (
	defaultMinLength = 15
	floorMinLength   = 8
	maxLength        = 1024
	maxBytes         = 4 * maxLength
)

// owasp are the weakest settings of equal worth in the OWASP Password Storage
// Cheat Sheet: memory in KiB and passes, with one lane.
var owasp = []struct {
	memory uint32
	passes int
}{{47104, 1}, {19456, 2}, {12288, 3}, {9216, 4}, {7168, 5}}

func (c Config) withDefaults() Config {
	if c.Memory == 0 && c.Passes == 0 {
		c.Memory, c.Passes = owasp[1].memory, owasp[1].passes
	}
	if c.Lanes == 0 {
		c.Lanes = 1
	}
	if c.Concurrency == 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
	}
	if c.QueueWait == 0 {
		c.QueueWait = 2 * time.Second
	}
	if c.MinLength == 0 {
		c.MinLength = defaultMinLength
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("passwords: "+format, args...))
	}
	enough := false
	for _, row := range owasp {
		enough = enough || (c.Memory >= row.memory && c.Passes >= row.passes)
	}
	if !enough {
		fault("argon2id with %d KiB and %d passes is weaker than OWASP advises: take at least 19456 KiB with 2 passes, or 47104 with 1, 12288 with 3, 9216 with 4, 7168 with 5", c.Memory, c.Passes)
	}
	if c.Lanes < 1 || c.Lanes > maxLanes {
		fault("argon2id with %d lanes: take 1 to %d", c.Lanes, maxLanes)
	}
	if c.Passes > maxPasses || c.Memory > maxMemory || uint64(c.Memory)*uint64(max(c.Passes, 0)) > maxArgon2Work {
		fault("argon2id with %d KiB and %d passes takes too long for a login: memory is at most %d KiB, memory times passes %d KiB", c.Memory, c.Passes, maxMemory, maxArgon2Work)
	}
	if c.Concurrency < 1 || c.Concurrency > 1024 {
		fault("%d hashes at once: take 1 to 1024, about the number of cores", c.Concurrency)
	}
	if c.QueueWait < 0 || c.QueueWait > time.Minute {
		fault("a wait of %s for a turn: take up to 1m", c.QueueWait)
	}
	if c.MinLength < floorMinLength || c.MinLength > 64 {
		fault("a least length of %d characters: take %d to 64 (15 unless every login has a second factor)", c.MinLength, floorMinLength)
	}
	return errors.Join(faults...)
}
