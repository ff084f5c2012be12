package keys

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeton/storage"
)

// maxKeys bounds the rows of a ring that are read at once.
const maxKeys = 1000

// sealPurpose is that of the ring's keys.
const sealPurpose = "signing key"

// ringRecord is the row that every change of the ring checks and writes anew.
type ringRecord struct {
	// Check is a known text, sealed: it tells a wrong master key from a
	// damaged row.
	Check []byte `json:"check"`
	// Rewrap is there while one master key replaces another.
	Rewrap *rewrapRecord `json:"rewrap,omitempty"`
}

const ringCheck = "jeton key ring"

// key is a key of the ring, ready to use.
type key struct {
	storage.SigningKey
	private private
}

// snapshot is the ring as it was in the store at one moment.
type snapshot struct {
	load uint64 // the number of the look that saw it
	// version is that of the ring's row, 0 when there is no ring.
	version uint64
	now     time.Time
	record  ringRecord
	all     []*key // by use and age
	keys    map[string]*key
	// published is never changed, only replaced.
	published *KeySet
}

// newer orders keys of one use by when they sign. Of two that took over at one
// instant (rotated with now) the newer is the one that goes last or stays.
func newer(a, b *key) bool {
	if c := a.Activates.Compare(b.Activates); c != 0 {
		return c > 0
	}
	if a.Removes.Equal(b.Removes) {
		return a.ID > b.ID
	}
	return a.Removes.IsZero() || !b.Removes.IsZero() && a.Removes.After(b.Removes)
}

// current is the key of a use that signs at now: the youngest that is active.
// The very first key counts as active from the beginning of time, so that a
// store's clock that was set back does not silence the ring.
func (s *snapshot) current(now time.Time, use string) *key {
	var youngest, first *key
	for _, k := range s.all {
		if k.Use != use || k.Activates.IsZero() {
			continue
		}
		if !k.Activates.After(now) && (youngest == nil || newer(k, youngest)) {
			youngest = k
		}
		if first == nil || newer(first, k) {
			first = k
		}
	}
	if youngest == nil {
		return first
	}
	return youngest
}

// scheduled is the key of a use that will sign at a known time, if any.
func (s *snapshot) scheduled(now time.Time, use string) *key {
	for _, k := range s.all {
		if k.Use == use && k.Activates.After(now) && k != s.current(now, use) {
			return k
		}
	}
	return nil
}

// waiting is the oldest key of a use that has no time to sign yet, if any.
func (s *snapshot) waiting(use string) *key {
	for _, k := range s.all {
		if k.Use == use && k.Activates.IsZero() {
			return k
		}
	}
	return nil
}

func (s *snapshot) state(k *key, now time.Time) State {
	switch cur := s.current(now, k.Use); {
	case k == cur:
		return Current
	case k.Activates.IsZero() || k.Activates.After(now):
		return Next
	}
	return Retired
}

// load looks at the store and makes what it sees the ring's snapshot.
func (r *Ring) load(ctx context.Context) (*snapshot, error) {
	seen := &snapshot{load: r.loads.Add(1), keys: make(map[string]*key)}
	page, err := r.store.List(ctx, storage.Query{Index: storage.IndexKeys, Partition: storage.KeyPartition, Limit: maxKeys})
	if err != nil {
		return nil, fmt.Errorf("keys: reading the key ring: %w", err)
	}
	if page.Next != "" {
		return nil, fmt.Errorf("keys: the key ring has more than %d keys: restore the store from a backup", maxKeys)
	}
	seen.now = page.Now
	if err := r.read(seen, page.Rows); err != nil {
		return nil, err
	}
	return seen, r.adopt(seen)
}

// adopt makes seen the ring's snapshot, unless a later look came first.
func (r *Ring) adopt(seen *snapshot) (err error) {
	for {
		before := r.snap.Load()
		if before != nil && before.load > seen.load {
			return nil
		}
		if before != nil && before.version != 0 && seen.version == 0 {
			return errors.New("keys: the key ring has gone from the store: stop the server and restore the store from a backup")
		}
		if seen.published, err = publish(seen.all, before); err != nil {
			return err
		}
		if r.snap.CompareAndSwap(before, seen) {
			return nil
		}
	}
}

// read fills a snapshot from the rows of one moment.
func (r *Ring) read(seen *snapshot, rows []storage.Row) error {
	for _, row := range rows {
		if row.Kind != storage.KindRing {
			continue
		}
		rec, err := storage.Decode[ringRecord](row)
		if err != nil {
			return err
		}
		if err := r.master.follow(rec.Value); err != nil {
			return fmt.Errorf("keys: this is not the master key that this store's keys are sealed with: "+
				"set master-key-file (or JETON_MASTER_KEY) to the one it was made with: %w", ErrSealed)
		}
		seen.version, seen.record = row.Version, rec.Value
	}
	if seen.version == 0 && len(rows) > 0 {
		return errors.New("keys: the store has keys but no key ring, it is damaged: restore it from a backup")
	}
	before := r.snap.Load()
	for _, row := range rows {
		if row.Kind != storage.KindKey {
			continue
		}
		rec, err := storage.Decode[storage.SigningKey](row)
		if err != nil {
			return err
		}
		k, err := r.unseal(rec.Value, row.ID, before)
		if err != nil {
			return err
		}
		seen.all = append(seen.all, k)
		seen.keys[k.ID] = k
	}
	slices.SortFunc(seen.all, func(a, b *key) int {
		return cmp.Or(strings.Compare(a.Use, b.Use), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return nil
}

// unseal makes a record usable, or takes what was unsealed before.
func (r *Ring) unseal(rec storage.SigningKey, id string, before *snapshot) (*key, error) {
	k := &key{SigningKey: rec}
	if before != nil {
		if old := before.keys[id]; old != nil && old.Use == rec.Use && old.Alg == rec.Alg && bytes.Equal(old.Sealed, rec.Sealed) {
			k.private = old.private
			return k, nil
		}
	}
	text, err := r.master.Open(sealPurpose, rec.Sealed, bindings(rec))
	if err == nil {
		k.private, err = decodePrivate(rec.Alg, text)
	}
	if err == nil && rec.ID != id {
		err = errors.New("it is another key's")
	}
	if err != nil {
		return nil, fmt.Errorf("keys: the record of key %s is damaged: restore the store from a backup: %w", id, err)
	}
	return k, nil
}

// bindings is what a sealed key belongs to.
func bindings(rec storage.SigningKey) []byte {
	return []byte(strings.Join([]string{rec.ID, rec.Use, rec.Alg}, "\x00"))
}

// publishedUse reports whether others need the public keys of a use.
func publishedUse(use string) bool { return use == UseSig || use == UseStatus }

// publish builds the key set, or keeps the one before if it is the same. It
// goes by the unsealed keys: what the records say of them is for people.
func publish(all []*key, before *snapshot) (*KeySet, error) {
	set := struct {
		Keys []JWK `json:"keys"`
	}{Keys: []JWK{}}
	var algs []string
	var upto time.Time
	for _, k := range all {
		if !publishedUse(k.Use) {
			continue
		}
		upto = later(upto, k.Published)
		// To others all of them sign (RFC 7517 §4.2 knows no finer use).
		set.Keys = append(set.Keys, JWK{KeyID: k.ID, Use: UseSig, Alg: k.Alg, Key: k.private.public()})
		if k.Use == UseSig && !slices.Contains(algs, k.Alg) {
			algs = append(algs, k.Alg)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("keys: encoding the key set: %w", err)
	}
	if before != nil && bytes.Equal(before.published.JSON, text) && before.published.upto.Equal(upto) {
		return before.published, nil
	}
	return &KeySet{JSON: text, Algs: algs, upto: upto}, nil
}
