// Package throttle makes guessing slow without letting anyone lock another out.
//
// A caller asks [Throttle.Try] before it looks at a secret. The attempt is
// counted there, before the hash is computed, so that a thousand guesses sent
// at once are a thousand on the count and not one; [Ticket.Success] and
// [Ticket.Cancel] take it back. What is refused costs no hash and is not
// counted.
//
// Each count leaks: it falls by one a [Limit.Leak] and cannot pass
// [Limit.Most]. So a rule "100, leaking one an hour" says all at once: in any t
// hours at most 100+t failures. Nothing is ever locked until somebody unlocks
// it, and resting gains a guesser nothing over going on.
//
// # Who is slowed
//
//   - The pair of a user and a source: a few failures are free, then each
//     waits longer. It holds for everybody, always.
//   - The source alone (an IPv4 address, an IPv6 /64, and more widely its /48):
//     it stops one password that is tried on many names.
//   - The account, over all sources it is not known from. Here are the guesses
//     of a botnet, of which each member stays below the other rules.
//
// A pair that has signed in within 60 days is known, and with the right password
// only its own counts hold it up: strangers can neither take its turn nor use it
// up. A wrong one is answered as if it was not known, or whoever shares an address
// with users could tell which names are theirs: see siege.go.
//
// # An account under attack
//
// The rule of the account is where slow guessing and no lock-out collide. SP
// 800-63B-4 §3.2.2 wants an end at 100 consecutive failures; an end for all
// sources, which it takes 100 requests to reach, is a way to shut people out
// (authelia issue 4730). So the end is one for strangers. From 10 failures on
// they share turns at growing distances, up to one in 5 minutes; from 100 on
// there is one turn an hour, so that the owner in a new place is not shut out
// for good by an attack that is over.
//
// While it lasts, that turn would go to whoever asks most often. Therefore a
// stranger stands back by one for each failure of its own, and for each eight
// times it came before its turn: standing back by k it waits (1+k) times as
// long, and its end comes k earlier (at most 63 for haste, forgotten after a
// quarter of an hour). So the turns pass by whoever hammers, and the owner in a
// new place, who comes back after Retry-After, has the next one. An attacker
// who is as patient, from fresh sources without end, can take the turns, and
// no more than these.
//
// A success clears the pair, and takes the failures of that pair from the
// account. It does not clear the account: else each sign-in of the owner would
// hand strangers another 100 guesses. One account has nothing to do with
// another, so an attacker gains nothing from having one of his own.
//
// # Behind a backend
//
// A confidential client that authenticated and sends the passwords of its users
// ([Attempt.TrustedClient]) is not counted as a source: that would be all of its
// users together. Where it passes on its visitors' addresses, by way of a
// trusted proxy, each user and address is a pair as everywhere; where it does
// not, who guesses through it shares the pair with the user, for the two cannot
// be told apart here.
//
// # Memory
//
// Everything fits into two tables of fixed size, [Config.Counters] times 32 bytes
// and [Config.Known] times 24: 7 MiB by default, touched as it fills. A full
// table gives up the counter that is nearest to empty among eight whose
// place nobody can choose without the key, so it takes many guesses that
// were paid for by a hash each to make it forget one of them. Names and
// addresses are in it as HMAC-SHA-256 under a key made for the store, cut to 64
// bits, whether or not they exist.
//
// Every second what has changed and matters goes to the store, and what
// other nodes have written there is added: see sync.go. When the store is
// away each node counts by itself.
package throttle

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"jeton/storage"
)

// Config is what a [Throttle] needs. Store is required, the zero value of the
// others takes what their comments name.
type Config struct {
	Store  *storage.Store
	Limits Limits
	// Counters and Known are the sizes of the two tables, rounded up to a power
	// of two: 131072 each. Known should be some two for each user who signs in
	// by password; what does not fit is a user who is a stranger again.
	Counters, Known int
	// KnownFor is how long a pair stays known after it last signed in: 60 days.
	KnownFor time.Duration
	// Flush is how often the store is brought up to date: 1 s.
	Flush time.Duration
	// Now is this machine's clock. Only differences count: nodes agree by the
	// time of the store.
	Now func() time.Time
	Log *slog.Logger
}

// What the tables may be set to.
const (
	defaultSize = 1 << 17
	minSize     = 1 << 12
	maxSize     = 1 << 24
)

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	if c.Counters == 0 {
		c.Counters = defaultSize
	}
	if c.Known == 0 {
		c.Known = defaultSize
	}
	if c.KnownFor == 0 {
		c.KnownFor = 60 * storage.Day
	}
	if c.Flush == 0 {
		c.Flush = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	faults := c.Limits.faults()
	if c.Store == nil {
		faults = append(faults, errors.New("throttle: there is no store"))
	}
	for _, size := range []int{c.Counters, c.Known} {
		if size < minSize || size > maxSize {
			faults = append(faults, fmt.Errorf("throttle: a table of %d entries: take %d to %d", size, minSize, maxSize))
		}
	}
	if c.KnownFor < storage.Day || c.KnownFor > 400*storage.Day {
		faults = append(faults, fmt.Errorf("throttle: pairs stay known for %s: take 1d to 400d", c.KnownFor))
	}
	if c.Flush < 10*time.Millisecond || c.Flush > time.Hour {
		faults = append(faults, fmt.Errorf("throttle: a flush every %s: take 10ms to 1h", c.Flush))
	}
	return errors.Join(faults...)
}

// Throttle counts failures. It is safe for concurrent use.
type Throttle struct {
	cfg    Config
	begin  time.Time // ticks are milliseconds since then
	rules  [rules]rule
	hashes *hashes
	marks  *hashes // under a key that this process alone has

	// mu guards what follows, for some hundred nanoseconds at a time and never
	// during I/O.
	mu     sync.Mutex
	counts counters
	known  known
	offset int64 // of the store's clock in Unix milliseconds over ticks

	flusher flusher // has the store to itself
	stop    chan struct{}
	stopped chan struct{}
	closed  sync.Once
}

// Open reads what the store has kept, and keeps it up to date until
// [Throttle.Close]. It fails when the store is away: without the key that is in
// it nothing could be counted that would be found again.
func Open(ctx context.Context, c Config) (*Throttle, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	key, err := storedKey(ctx, c.Store)
	if err != nil {
		return nil, fmt.Errorf("throttle: the key for counting failures: %w", err)
	}
	own := make([]byte, sha256.Size)
	rand.Read(own)
	t := &Throttle{
		cfg: c, begin: c.Now(), rules: c.Limits.rules(), hashes: newHashes(key),
		marks: newHashes(own), known: newKnown(c.Known, c.KnownFor),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	t.counts = newCounters(c.Counters, &t.rules)
	t.offset = t.begin.UnixMilli()
	t.step(ctx)
	go t.run()
	return t, nil
}

// Close brings the store up to date for the last time. Counting goes on
// working, but nobody will know.
func (t *Throttle) Close() error {
	t.closed.Do(func() { close(t.stop) })
	<-t.stopped
	return t.flusher.last
}

// now is this machine's clock in ticks.
func (t *Throttle) now() int64 { return t.cfg.Now().Sub(t.begin).Milliseconds() }
