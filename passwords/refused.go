package passwords

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// refused holds the passwords of the operator's file as the sorted first eight
// bytes of their SHA-1: a million take 8 MB, and a password that is refused by
// chance is one in 10^12 then. SHA-1 because that is how lists of breached
// passwords are published; nothing rests on its strength.
type refused []uint64

// mostRefused bounds the memory of the list at 400 MB.
const mostRefused = 50_000_000

// load reads the file of refused passwords. One that is given as it is typed
// is refused in lower case too, and vice versa.
func (c Config) load() (refused, error) {
	if c.RefusedFile == "" {
		return nil, nil
	}
	f, err := os.Open(c.RefusedFile)
	if err != nil {
		return nil, fmt.Errorf("passwords: the file of refused passwords cannot be read, correct its path or its rights: %w", err)
	}
	defer f.Close()
	var list refused
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 64*1024), maxBytes+2)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(line) == 0 {
			continue
		}
		if !utf8.Valid(line) {
			return nil, fmt.Errorf("passwords: line %d of %s is not UTF-8 text: convert the file", n, c.RefusedFile)
		}
		if len(list) >= mostRefused {
			return nil, fmt.Errorf("passwords: %s has more than %d entries: keep the most frequent ones", c.RefusedFile, mostRefused)
		}
		list = list.with(line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("passwords: %s cannot be read to its end: %w", c.RefusedFile, err)
	}
	slices.Sort(list)
	return slices.Clip(slices.Compact(list)), nil
}

func (r refused) with(line []byte) refused {
	if sum, ok := sha1Line(line); ok {
		return append(r, sum)
	}
	normal := norm.NFC.String(string(line))
	r = append(r, sum(normal))
	if lower := strings.ToLower(normal); lower != normal {
		r = append(r, sum(lower))
	}
	return r
}

// sha1Line reads a line of hex digits, as breach lists have them.
func sha1Line(line []byte) (uint64, bool) {
	digits, _, _ := bytes.Cut(line, []byte(":"))
	var b [sha1.Size]byte
	if len(digits) != hex.EncodedLen(len(b)) {
		return 0, false
	}
	if _, err := hex.Decode(b[:], digits); err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[:]), true
}

func sum(password string) uint64 {
	b := sha1.Sum([]byte(password))
	return binary.BigEndian.Uint64(b[:])
}

// has looks a normalised password up, as it is and in lower case.
func (r refused) has(password string) bool {
	if len(r) == 0 {
		return false
	}
	for _, form := range []string{password, strings.ToLower(password)} {
		if _, ok := slices.BinarySearch(r, sum(form)); ok {
			return true
		}
	}
	return false
}
