package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jeton/storage"
)

// What keys are for.
const (
	UseSig     = "sig"     // access tokens; published
	UseRefresh = "refresh" // refresh tokens; never published
	UseStatus  = "status"  // status lists; published
)

const (
	// MaxAge is how long others may cache the published key set.
	MaxAge = 300 * time.Second
	// Skew is how far the clock of a verifier may be off.
	Skew = 60 * time.Second
	// lead is how long a key has been published before it signs.
	lead = MaxAge + Skew + storage.CacheAge
	// refreshLead is the same for keys that only our own nodes need to know:
	// several times what they take to see a change.
	refreshLead = 10 * time.Second
)

// Config says what keys a ring makes. Its zero value works.
type Config struct {
	// Alg is RS256 (the default), ES256, PS256 or EdDSA. Another value than
	// before changes the waiting next key; what signs now goes on until the
	// next rotation.
	Alg string
	// RSABits is 2048 (the default), 3072 or 4096.
	RSABits int
	// MaxAccessTTL and MaxSessionTTL bound the lives of all access tokens and
	// of all refresh tokens, those of every client included: a retired key
	// leaves the ring when that has passed, so whoever mints has to keep to
	// it. The defaults are a day and 400 days.
	MaxAccessTTL  time.Duration
	MaxSessionTTL time.Duration
	// RotateEvery is the age at which a key is rotated by itself: 90 days by
	// default, never when negative.
	RotateEvery time.Duration
	// PromotionWait is how long a rotation waits for verifiers that are known
	// to fetch the key set and have not fetched the next key: not at all when
	// it is zero.
	PromotionWait time.Duration
	// Now is this machine's clock, time.Now by default. It only tells whether
	// the store's time can be trusted to remove keys by.
	Now func() time.Time
	// Settle is how long a change of the master key waits for all processes to
	// know of it: 3 s by default.
	Settle time.Duration
	// Log gets what goes wrong in the background.
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Alg == "" {
		c.Alg = RS256
	}
	if c.RSABits == 0 {
		c.RSABits = 2048
	}
	if c.MaxAccessTTL == 0 {
		c.MaxAccessTTL = storage.Day
	}
	if c.MaxSessionTTL == 0 {
		c.MaxSessionTTL = 400 * storage.Day
	}
	if c.RotateEvery == 0 {
		c.RotateEvery = 90 * storage.Day
	}
	if c.Settle == 0 {
		c.Settle = 3 * storage.CacheAge
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case !slices.Contains([]string{RS256, PS256, ES256, EdDSA}, c.Alg):
		return c, fmt.Errorf("keys: there is no signing algorithm %q: choose RS256, ES256, PS256 or EdDSA", c.Alg)
	case !slices.Contains([]int{2048, 3072, 4096}, c.RSABits):
		return c, fmt.Errorf("keys: RSA keys of %d bits are not made: choose 2048, 3072 or 4096", c.RSABits)
	case c.MaxAccessTTL < 0 || c.MaxSessionTTL < 0:
		return c, fmt.Errorf("keys: a lifetime is negative")
	case c.RotateEvery > 0 && c.RotateEvery < 2*lead:
		return c, fmt.Errorf("keys: rotation every %v is faster than a key can be made known: take %v or more", c.RotateEvery, 2*lead)
	}
	return c, nil
}

// Ring is the key ring of one store. Its methods are safe for concurrent use,
// and none holds a lock while it waits for the store: what signs and verifies
// stands in memory.
type Ring struct {
	store  *storage.Store
	master *MasterKey
	config Config
	snap   atomic.Pointer[snapshot]
	// Signing is what signatures have taken.
	Signing Signing
	// loads numbers the looks at the store, so that a slow one does not
	// overwrite what a later one saw.
	loads atomic.Uint64
	// headers are those of the ring's own tokens: text to [ownHeader].
	headers sync.Map

	readers *readers

	mu   sync.Mutex
	look *look // the last one for an unknown kid

	stop context.CancelFunc
	done chan struct{}
}

// Open reads the ring of a store, and makes its first keys if it has none. A
// master key that is not the one that sealed them is an error and changes
// nothing. Until Close the ring follows what other processes do to it, rotates
// keys that have come of age and removes those that nobody needs.
func Open(ctx context.Context, store *storage.Store, master *MasterKey, config Config) (*Ring, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Ring{store: store, master: master, config: config, readers: newReaders(), done: make(chan struct{})}
	if err := r.complete(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	go r.follow(background)
	return r, nil
}

// Close ends the background work. The ring still signs and verifies.
func (r *Ring) Close() {
	r.stop()
	<-r.done
}

// Initialized reports whether a store has a key ring: then a new master key
// could not open it, and must not be made.
func Initialized(ctx context.Context, store *storage.Store) (bool, error) {
	page, err := store.List(ctx, storage.Query{Index: storage.IndexKeys, Partition: storage.KeyPartition, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("keys: looking for a key ring: %w", err)
	}
	return len(page.Rows) > 0, nil
}

// KeySet is what verifiers need to know of a ring. A ring keeps the same
// *KeySet until its content changes, so comparing pointers tells.
type KeySet struct {
	// JSON is the JWK Set (RFC 7517 §5) of all published keys.
	JSON []byte
	// Algs are the algorithms of those that sign access tokens, each once.
	Algs []string
	// upto is when the youngest of the keys was published.
	upto time.Time
}

// KeySet returns the published keys.
func (r *Ring) KeySet() *KeySet { return r.snap.Load().published }

// State is what a key is there for at some time.
type State string

// A key goes from next to current to retired.
const (
	Next    State = "next"    // published, does not sign yet
	Current State = "current" // signs
	Retired State = "retired" // verifies what it signed
)

// Info tells an operator of a key.
type Info struct {
	KeyID     string    `json:"kid"`
	Use       string    `json:"use"`
	Alg       string    `json:"alg"`
	State     State     `json:"state"`
	Created   time.Time `json:"created"`
	Published time.Time `json:"published,omitzero"`
	// Activates is zero for a key that waits for a rotation.
	Activates time.Time `json:"activates,omitzero"`
	Removes   time.Time `json:"removes,omitzero"`
	// Gated says that it signs before Activates once all known verifiers have
	// fetched it.
	Gated bool `json:"gated,omitzero"`
}

// List tells of all keys, those of one use together and the oldest first.
func (r *Ring) List(now time.Time) []Info {
	return r.snap.Load().infos(now)
}

func (s *snapshot) infos(now time.Time) []Info {
	infos := make([]Info, 0, len(s.all))
	for _, k := range s.all {
		infos = append(infos, s.info(k, now))
	}
	return infos
}

// ErrChanged refuses a change of a ring that is not any more as it was seen.
var ErrChanged = errors.New("the key ring has changed since it was looked at, and nothing was done: look again")

// Line is which keys of a use sign, and will, out of a list of [Ring.List]: another
// one once any of them has taken over or has gone.
func Line(all []Info, use string) string {
	var line []string
	for _, k := range all {
		if k.Use == use && k.State != Retired {
			line = append(line, string(k.State)+" "+k.KeyID+" "+k.Activates.UTC().Format(time.RFC3339Nano))
		}
	}
	return strings.Join(line, ", ")
}

func (s *snapshot) info(k *key, now time.Time) Info {
	return Info{
		KeyID: k.ID, Use: k.Use, Alg: k.Alg, State: s.state(k, now),
		Created: k.Created, Published: k.Published, Activates: k.Activates, Removes: k.Removes,
		Gated: k.Gated && k.Activates.After(now),
	}
}
