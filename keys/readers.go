package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"jeton/storage"
)

// Cache-Control says how long a verifier may keep the key set, and not all of
// them listen. So the ring remembers who fetches it, and a new key waits for
// those that are known to come back: the promotion gate. It adds to the time
// that Cache-Control asks for and never takes from it, so what strangers fetch
// can hold a rotation up, for Config.PromotionWait at most, and not hasten it.

const (
	// knownAfter is how far apart two fetches are at least that make a verifier
	// of a passer-by.
	knownAfter = 5 * time.Minute
	// knownFor is how long one is waited for that has not come again.
	knownFor = 24 * time.Hour
	// maxReaders bounds what a process remembers.
	maxReaders = 512
	// maxOfOne bounds how many programs one address, or one IPv6 network of 64
	// bits, can pass for: it could else push all others out.
	maxOfOne = 8
	// maxAgent is as much of a User-Agent as tells an operator who it is.
	maxAgent = 40
	// readersEvery is how often they are written down for the other processes,
	// and for the time after a restart.
	readersEvery = time.Minute
	// gateEvery is how often a gated key is looked at.
	gateEvery = 5 * time.Second
)

// reader is one program that fetches the key set.
type reader struct {
	Address string `json:"address"`
	Agent   string `json:"agent,omitempty"`
	// First and Last are when it came, by the clock of the process it came to.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Upto is when the youngest key of the set it was given was published, by
	// the store's clock: no clocks need to agree to know what it has seen.
	Upto time.Time `json:"upto"`
}

func (r reader) id() string { return r.Address + " " + r.Agent }

func (r reader) known(now time.Time) bool {
	return r.Last.Sub(r.First) >= knownAfter && now.Sub(r.Last) <= knownFor
}

// readers are those that came to this process.
type readers struct {
	node string // the row they are written to

	mu      sync.Mutex
	all     map[string]*reader
	changed bool

	// Of the background work alone.
	written, looked time.Time
}

func newReaders() *readers {
	return &readers{node: rand.Text(), all: make(map[string]*reader)}
}

// Fetched notes that somebody was given the key set.
func (r *Ring) Fetched(set *KeySet, address, agent string) {
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
	r.readers.note(reader{Address: address, Agent: agent, Upto: set.upto}, r.config.Now())
}

func (rs *readers) note(one reader, now time.Time) {
	id := one.id()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.changed = true
	if old := rs.all[id]; old != nil {
		old.Last = now
		if old.Upto.Before(one.Upto) {
			old.Upto = one.Upto
		}
		return
	}
	rs.makeRoom(one, now)
	one.First, one.Last = now, now
	rs.all[id] = &one
}

// makeRoom drops one reader where a new one is one too many: of the same origin
// the one that has been away the longest, else a passer-by before one that is
// known, so that who is waited for stays.
func (rs *readers) makeRoom(one reader, now time.Time) {
	from := one.origin()
	var neighbour, other *reader
	neighbours := 0
	for _, old := range rs.all {
		if old.origin() == from {
			neighbours++
			if neighbour == nil || old.Last.Before(neighbour.Last) {
				neighbour = old
			}
		}
		if other == nil || old.sooner(other, now) {
			other = old
		}
	}
	switch {
	case neighbours >= maxOfOne:
		delete(rs.all, neighbour.id())
	case len(rs.all) >= maxReaders:
		delete(rs.all, other.id())
	}
}

// sooner reports whether a reader is dropped before another.
func (r *reader) sooner(other *reader, now time.Time) bool {
	if a, b := r.known(now), other.known(now); a != b {
		return b
	}
	return r.Last.Before(other.Last)
}

// origin is the address, of IPv6 the network.
func (r reader) origin() string {
	addr, err := netip.ParseAddr(r.Address)
	if err != nil || addr.Is4() || addr.Is4In6() {
		return r.Address
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return r.Address
	}
	return p.String()
}

// readersRecord is the row of one process.
type readersRecord struct {
	Readers []reader `json:"readers"`
}

func readersRow(node string) storage.Key { return storage.Key{Kind: storage.KindKeyReaders, ID: node} }

// writeReaders writes down who came to this process, now and then.
func (r *Ring) writeReaders(ctx context.Context, now time.Time) error {
	rs := r.readers
	rs.mu.Lock()
	if now.Sub(rs.written) < readersEvery {
		rs.mu.Unlock()
		return nil
	}
	rs.written = now
	var rec readersRecord
	if rs.changed {
		for _, one := range rs.all {
			rec.Readers = append(rec.Readers, *one)
		}
	}
	rs.changed = false
	rs.mu.Unlock()
	if len(rec.Readers) == 0 {
		return nil
	}
	_, err := r.store.Commit(ctx, storage.Change{Partition: storage.KeyPartition, Puts: []storage.Put{{
		Key: readersRow(rs.node), Value: storage.Encode(rec), Expires: now.Add(knownFor),
		Index: []storage.Entry{{Name: storage.IndexKeyReaders, Sort: rs.node}},
	}}})
	if err != nil {
		rs.mu.Lock()
		rs.changed = true
		rs.mu.Unlock()
		return fmt.Errorf("keys: writing down who fetches the key set: %w", err)
	}
	return nil
}

// mostNodes bounds the rows of processes that are read.
const mostNodes = 200

// known are the verifiers that came to any process, by what each has seen.
func (r *Ring) known(ctx context.Context, now time.Time) ([]reader, error) {
	page, err := r.store.List(ctx, storage.Query{Index: storage.IndexKeyReaders, Partition: storage.KeyPartition, Limit: mostNodes})
	if err != nil {
		return nil, fmt.Errorf("keys: reading who fetches the key set: %w", err)
	}
	merged := make(map[string]reader)
	merge := func(one reader) {
		if old, ok := merged[one.id()]; ok {
			one.First = earlier(old.First, one.First)
			one.Last, one.Upto = later(old.Last, one.Last), later(old.Upto, one.Upto)
		}
		merged[one.id()] = one
	}
	for _, row := range page.Rows {
		rec, err := storage.Decode[readersRecord](row)
		if err != nil {
			return nil, err
		}
		for _, one := range rec.Value.Readers {
			merge(one)
		}
	}
	r.readers.mu.Lock()
	for _, one := range r.readers.all {
		merge(*one)
	}
	r.readers.mu.Unlock()
	all := slices.Collect(maps.Values(merged))
	return slices.DeleteFunc(all, func(one reader) bool { return !one.known(now) }), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// unaware are those of known that have not been given a key.
func unaware(known []reader, k *key) []reader {
	var them []reader
	for _, one := range known {
		if one.Upto.Before(k.Published) {
			them = append(them, one)
		}
	}
	slices.SortFunc(them, func(a, b reader) int { return cmp.Compare(a.id(), b.id()) })
	return them
}

// openGate lets a key sign that all known verifiers have fetched meanwhile.
func (r *Ring) openGate(ctx context.Context, s *snapshot, now time.Time) error {
	if now.Sub(r.readers.looked) < gateEvery {
		return nil
	}
	for _, use := range []string{UseSig, UseStatus} {
		k := s.scheduled(now, use)
		if k == nil || !k.Gated || now.Before(k.Published.Add(lead)) {
			continue
		}
		r.readers.looked = now
		known, err := r.known(ctx, now)
		if err != nil {
			return err
		}
		if them := unaware(known, k); len(them) > 0 {
			continue
		}
		opened := false
		_, err = r.change(ctx, func(s *snapshot, e *edit) {
			current, scheduled := s.current(s.now, use), s.scheduled(s.now, use)
			opened = false
			if current == nil || scheduled == nil || scheduled.ID != k.ID || !scheduled.Gated {
				return // another process was faster
			}
			opened = true
			r.succeed(s, e, current, scheduled, s.now, false)
		})
		if err != nil {
			return err
		}
		if opened {
			r.config.Log.Info("all known verifiers have fetched the next key, it signs now", "use", use, "kid", k.ID)
		}
	}
	return nil
}

// names tells an operator who they are, a few of them.
func names(them []reader) []string {
	var list []string
	for _, one := range them[:min(len(them), 5)] {
		list = append(list, one.id())
	}
	return list
}
