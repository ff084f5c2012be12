// Package passwords decides which passwords a user may have and proves that
// someone knows one.
//
// [Passwords.Check] holds the rules of NIST SP 800-63B-4 §3.1.1.2: long
// enough, nothing that is guessed first, and no other demand. [Passwords.Hash]
// makes a PHC string of argon2id, [Passwords.Verify] compares with one, or
// with a hash of another kind that came with imported users. All hashing
// passes a gate, since each takes tens of milliseconds of a core and 19 MiB.
//
// The package knows no storage and no HTTP: who the user is, how many failures
// there were, and what the caller is told is decided above.
package passwords

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-crypt/crypt/algorithm/argon2"
)

// ErrBusy says that the hash could not begin in time, because others wait too.
// Nothing was decided about the password; ask again in a moment (503).
var ErrBusy = errors.New("passwords: too many passwords are being checked, try again in a moment")

// ErrStored wraps what is wrong with a stored hash: an import has to be
// repaired or the password set anew. For the caller it is a wrong password.
var ErrStored = errors.New("passwords: the stored hash cannot be used, set the password anew")

// Passwords checks, hashes and verifies. It is safe for concurrent use.
type Passwords struct {
	hasher    *argon2.Hasher
	want      cost
	gate      *gate
	minLength int
	service   []string
	refused   refused
	// unknown is the hash that stands in for a user without one.
	unknown string
}

// Result is the outcome of [Passwords.Verify].
type Result struct {
	// OK says that the password is the one that was hashed.
	OK bool
	// Rehash says that the stored hash is not what the settings would make
	// today: store [Passwords.Rehash] of the same password. It is set only
	// with OK.
	Rehash bool
}

// New checks the settings and makes ready. All faults are reported together.
func New(c Config) (*Passwords, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	list, err := c.load()
	if err != nil {
		return nil, err
	}
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithM(c.Memory), argon2.WithT(c.Passes),
		argon2.WithP(c.Lanes), argon2.WithK(keyBytes), argon2.WithS(saltBytes))
	if err != nil {
		return nil, fmt.Errorf("passwords: %w", err)
	}
	p := &Passwords{
		hasher:    hasher,
		gate:      newGate(c.Concurrency, c.QueueWait),
		minLength: c.MinLength,
		service:   c.ServiceWords,
		refused:   list,
	}
	// The stand-in is the hash of nothing: chance alone would match 256 random
	// bits. To compute a real one would only hold up the start.
	random := func(n int) string {
		b := make([]byte, n)
		rand.Read(b)
		return base64.RawStdEncoding.EncodeToString(b)
	}
	p.unknown = fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", c.Memory, c.Passes, c.Lanes, random(saltBytes), random(keyBytes))
	if _, p.want, err = parse(p.unknown); err != nil {
		return nil, err
	}
	return p, nil
}

// Hash checks a new password of the user by the rules and returns its PHC
// string. What the rules refuse is a [*RefusedError].
func (p *Passwords) Hash(ctx context.Context, username, password string) (string, error) {
	if err := p.Check(username, password); err != nil {
		return "", err
	}
	return p.Rehash(ctx, password)
}

// Rehash returns the PHC string of a password that was verified a moment ago.
// It does not ask the rules: a login is never refused because they have become
// stricter since (SP 800-63B-4 §3.1.1.2).
func (p *Passwords) Rehash(ctx context.Context, password string) (string, error) {
	normal, reason := normalise(password)
	if reason != "" {
		return "", &RefusedError{Reasons: []string{reason}}
	}
	var hash string
	err := p.gate.do(ctx, func() error {
		digest, err := p.hasher.Hash(normal)
		if err != nil {
			return fmt.Errorf("passwords: %w", err)
		}
		hash = digest.Encode()
		return nil
	})
	return hash, err
}

// Verify compares a password with the stored hash of a user. Without a stored
// hash, and with one that cannot be used, it does the work that a wrong
// password would have taken; the latter is also reported as [ErrStored], for
// the log.
//
// A user whose hash has other parameters than the settings takes another time
// until the next login has replaced it; nothing short of hashing every
// password twice would hide that.
func (p *Passwords) Verify(ctx context.Context, stored, password string) (Result, error) {
	if stored == "" {
		return Result{}, p.VerifyUnknown(ctx, password)
	}
	digest, have, bad := parse(stored)
	if bad != nil {
		if err := p.VerifyUnknown(ctx, password); err != nil {
			return Result{}, err
		}
		return Result{}, bad
	}
	// What no password can be is refused before the gate, for every user alike.
	normal, reason := normalise(password)
	if reason != "" {
		return Result{}, nil
	}
	var result Result
	err := p.gate.do(ctx, func() error {
		ok, err := digest.MatchAdvanced(normal)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStored, err)
		}
		ok = ok && len(normal) <= have.longest()
		result = Result{OK: ok, Rehash: ok && have != p.want}
		return nil
	})
	return result, err
}

// VerifyUnknown takes as long as a wrong password does, for a user that does
// not exist, so that the time of an answer does not tell who exists.
func (p *Passwords) VerifyUnknown(ctx context.Context, password string) error {
	_, err := p.Verify(ctx, p.unknown, password)
	return err
}

// Load is how many hashes run and how many wait for their turn.
func (p *Passwords) Load() (running, waiting int) { return p.gate.load() }

// Timings are those of the gate.
func (p *Passwords) Timings() *Timings { return &p.gate.timings }
