package passwords

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
)

// A stored hash names its own cost, and imported ones were written by others:
// "ln=40" in a scrypt string asks for terabytes. So the costs are read here,
// strictly, and capped before the library sees the string.
//
// The caps stand near two seconds of one core and 256 MiB, above what anyone
// advises today.
const (
	maxMemory       = 256 * 1024  // KiB of argon2
	maxArgon2Work   = 1024 * 1024 // KiB times passes
	maxPasses       = 64
	maxLanes        = 16
	maxBcryptCost   = 14
	maxScryptBlocks = 1 << 21 // N·r·p of 128 bytes each
	maxPBKDF2Work   = 2_000_000

	saltBytes = 16
	keyBytes  = 32
)

// cost is what a stored hash says of itself. Two hashes of equal cost were
// made by equal settings.
type cost struct {
	kind      string
	a, b, c   int
	salt, key int
}

var (
	reArgon2 = regexp.MustCompile(`^\$(argon2(?:id|i|d))\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$`)
	// 2x marks hashes of a library that mishandled bytes above 127: left out.
	reBcrypt = regexp.MustCompile(`^\$(2[aby]?)\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)
	reScrypt = regexp.MustCompile(`^\$(scrypt)\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,2})\$([A-Za-z0-9+/]{0,86})\$([A-Za-z0-9+/]{22,86})$`)
	rePBKDF2 = regexp.MustCompile(`^\$(pbkdf2(?:-sha(?:1|224|256|384|512))?)\$([0-9]{1,7})\$([A-Za-z0-9./]{0,86})\$([A-Za-z0-9./]{16,86})$`)
)

// CheckStored tells what is wrong with a hash that another program made, before
// it is kept: [Passwords.Verify] could not use it, or it is dearer than a login
// may be. The error never shows the hash.
func CheckStored(stored string) error {
	_, c, err := parse(stored)
	switch {
	case err == nil:
		return nil
	case c.kind == "":
		return errors.New("the hash is of no kind that is understood: take an argon2, bcrypt, scrypt or pbkdf2 one as a PHC or crypt string")
	}
	return fmt.Errorf("the hash of kind %s cannot be used, it is damaged or costs more than a login may: leave it out and have the user set a new password", c.kind)
}

// parse reads a stored hash and its cost, and refuses what is not understood
// or too dear. Its errors wrap [ErrStored] and never show the hash.
func parse(stored string) (algorithm.Digest, cost, error) {
	c, decode, within := read(stored)
	if decode == nil {
		return nil, c, fmt.Errorf("%w: it is of no kind that is understood (argon2, bcrypt, scrypt, pbkdf2 as a PHC or crypt string)", ErrStored)
	}
	if !within {
		return nil, c, fmt.Errorf("%w: the costs of its %s are out of bounds", ErrStored, c.kind)
	}
	digest, err := decode(stored)
	if err != nil {
		return nil, c, fmt.Errorf("%w: %w", ErrStored, err)
	}
	return digest, c, nil
}

func read(stored string) (c cost, decode algorithm.DecodeFunc, within bool) {
	if m := reArgon2.FindStringSubmatch(stored); m != nil {
		c = cost{m[1], number(m[2]), number(m[3]), number(m[4]), decodedLen(m[5]), decodedLen(m[6])}
		return c, argon2.Decode, c.a >= 8 && c.b >= 1 && c.c >= 1 &&
			c.a <= maxMemory && c.b <= maxPasses && c.a*c.b <= maxArgon2Work && c.c <= maxLanes
	}
	if m := reBcrypt.FindStringSubmatch(stored); m != nil {
		c = cost{kind: m[1], a: number(m[2])}
		return c, bcrypt.Decode, c.a >= 4 && c.a <= maxBcryptCost
	}
	if m := reScrypt.FindStringSubmatch(stored); m != nil {
		c = cost{m[1], number(m[2]), number(m[3]), number(m[4]), decodedLen(m[5]), decodedLen(m[6])}
		return c, scrypt.Decode, c.a >= 1 && c.b >= 1 && c.c >= 1 &&
			c.a <= 21 && c.b*c.c<<c.a <= maxScryptBlocks
	}
	if m := rePBKDF2.FindStringSubmatch(stored); m != nil {
		c = cost{kind: m[1], a: number(m[2]), salt: decodedLen(m[3]), key: decodedLen(m[4])}
		// PBKDF2 repeats all iterations for each block of the key; 20 bytes
		// is the block of SHA-1, the smallest.
		return c, pbkdf2.Decode, c.a >= 1 && c.a*((c.key+19)/20) <= maxPBKDF2Work
	}
	return cost{}, nil, false
}

// longest is how many bytes of a password the kind can take. bcrypt reads 72
// and ignores the rest; comparing the front alone would let in whoever knows
// that, which SP 800-63B-4 §3.1.1.2 forbids.
func (c cost) longest() int {
	if c.kind[0] == '2' {
		return 72
	}
	return maxBytes
}

// number reads digits that a pattern has already bounded.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// decodedLen is the number of bytes that unpadded base64 of s holds.
func decodedLen(s string) int { return len(s) * 6 / 8 }
