// Package leaktest finds secrets in what a program writes. It is for tests.
//
// A test binary has one [Watch]. It is told of each password, client secret and
// token that the tests send or are given, and gets a copy of all that the
// servers under test write: logs, metrics, traces, events, error pages. When
// all tests are over, [Run] looks for the former in the latter. A secret is also
// found when only a part of it was written, and when it came after.
package leaktest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// block is how many bytes in a row are looked for. What is shorter is no
// secret: tests send words such as "wrong", which logs contain.
const block = 12

// mostBlocks bounds what is kept of one secret. The beginning of a token's
// payload and all of its signature are well within.
const mostBlocks = 40

// Watch gathers secrets and writings. Its zero value is ready.
type Watch struct {
	mu      sync.Mutex
	blocks  map[[block]byte]string // what kind of secret it is of
	sieve   [1 << 16]uint64        // a bit for each hash of a block
	secrets int
	written map[string]*os.File
	broken  error
}

// Secret tells of a value that must not be written. Values that say little,
// such as a long row of one letter, are passed over.
func (w *Watch) Secret(kind, value string) {
	if parts := strings.Split(value, "."); len(parts) == 3 && len(value) > 80 {
		// The header of a token is no secret.
		w.Secret(kind+", its payload", parts[1])
		w.Secret(kind+", its signature", parts[2])
		return
	}
	if len(value) < block || !various(value) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blocks == nil {
		w.blocks = make(map[[block]byte]string)
	}
	w.secrets++
	for i := 0; i+block <= len(value) && i < block*mostBlocks; i += block {
		b := [block]byte([]byte(value[i:]))
		if !various(string(b[:])) {
			continue
		}
		w.blocks[b] = kind
		h := hashOf(b[:])
		w.sieve[h>>6&0xffff] |= 1 << (h & 63)
	}
}

// various reports whether a text has more than a few letters, repeated.
func various(s string) bool {
	var seen [256]bool
	letters := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]], letters = true, letters+1
		}
	}
	return letters >= 6
}

// Wrote takes a copy of what was written; kind says what it is.
func (w *Watch) Wrote(kind string, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == nil {
		w.written = make(map[string]*os.File)
	}
	f := w.written[kind]
	if f == nil {
		var err error
		if f, err = os.CreateTemp("", "jeton-written-"); err != nil {
			w.broken = err
			return
		}
		os.Remove(f.Name()) // it goes with the process
		w.written[kind] = f
	}
	if _, err := f.Write(append(b[:len(b):len(b)], '\n')); err != nil {
		w.broken = err
	}
}

// Writer copies what goes to another writer.
func (w *Watch) Writer(kind string, to io.Writer) io.Writer { return tee{w, kind, to} }

type tee struct {
	w    *Watch
	kind string
	to   io.Writer
}

func (t tee) Write(b []byte) (int, error) {
	t.w.Wrote(t.kind, b)
	return t.to.Write(b)
}

// Leaks are the places where a secret stands in what was written: at most ten
// of each kind of writing.
func (w *Watch) Leaks() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil, fmt.Errorf("leaktest: what was written could not be kept: %w", w.broken)
	}
	var leaks []string
	for kind, f := range w.written {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		text, err := io.ReadAll(f)
		if err != nil {
			return nil, err
		}
		leaks = append(leaks, w.search(kind, text)...)
	}
	return leaks, nil
}

// search rolls a hash over the text, looks only at places where it is that of
// some block, and tells of each line once.
func (w *Watch) search(kind string, text []byte) (leaks []string) {
	var h uint64
	for i := 0; i < len(text); i++ {
		h = h*factor + uint64(text[i]) + 1
		if i >= block {
			h -= gone * (uint64(text[i-block]) + 1)
		}
		if i < block-1 || w.sieve[h>>6&0xffff]&(1<<(h&63)) == 0 {
			continue
		}
		secret, ok := w.blocks[[block]byte(text[i-block+1:])]
		if !ok {
			continue
		}
		from, to := bytes.LastIndexByte(text[:i], '\n')+1, bytes.IndexByte(text[i:], '\n')+i
		line := text[from:max(from, to)]
		leaks = append(leaks, fmt.Sprintf("%s: %s stands in %.2000q", kind, secret, line))
		if len(leaks) == 10 {
			return leaks
		}
		i, h = max(i, to), 0
		if i+block < len(text) { // roll in the beginning of the next line
			for range block {
				i++
				h = h*factor + uint64(text[i]) + 1
			}
		}
	}
	return leaks
}

// factor is that of the rolling hash, and gone its power by which a byte leaves.
const factor uint64 = 0x9e3779b97f4a7c15

var gone = func() uint64 {
	p := uint64(1)
	for range block {
		p *= factor
	}
	return p
}()

func hashOf(b []byte) (h uint64) {
	for _, c := range b {
		h = h*factor + uint64(c) + 1
	}
	return h
}

// Run runs the tests of a package, then looks for secrets, and returns the exit
// code.
func Run(m interface{ Run() int }, w *Watch) int {
	code := m.Run()
	leaks, err := w.Leaks()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	for _, leak := range leaks {
		fmt.Fprintln(os.Stderr, "SECRET WRITTEN:", leak)
	}
	if len(leaks) > 0 {
		return max(code, 1)
	}
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "none of %d secrets stands in what was written\n", w.secrets)
	}
	return code
}
