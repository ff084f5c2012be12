package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"jeton/storage"
)

// edit is a change of the ring that is being planned.
type edit struct {
	now     time.Time
	puts    []storage.SigningKey
	deletes []string
	// spare are keys made for this change that no record has yet, by
	// algorithm; lacks the algorithms that it needs more of.
	spare map[string][]private
	lacks []string
	// unsure says that an attempt before this one may have come through.
	unsure bool
	err    error
	// record replaces the ring's own, if it is set.
	record *ringRecord
	// facts are rows that tell of the change.
	facts []storage.Put
}

// Tell makes the row that tells others of a change of the ring at a time, for the
// very commit of the change: what became of one key and, where that key is gone,
// which one signs now. What an event is, this package does not know.
type Tell func(at time.Time, changed, signs Info) storage.Put

// tell adds what the change is to tell, if anything.
func (e *edit) tell(how []Tell, changed, signs Info) {
	e.facts = nil
	for _, row := range how {
		e.facts = append(e.facts, row(e.now, changed, signs))
	}
}

// changeAttempts is how often a change is planned anew when others were
// faster.
const changeAttempts = 20

// change brings about what plan asks for on the ring as it is in the store,
// and returns the ring after that. Nothing happens when plan leaves the edit
// empty. plan runs again for each attempt, so it decides on the present state.
//
// Keys are made between two looks, not between look and commit: one of 4096
// bits takes seconds, and the time a key is published at is that of the look.
func (r *Ring) change(ctx context.Context, plan func(*snapshot, *edit)) (*snapshot, error) {
	spare := make(map[string][]private)
	var err error
	unsure := false
	for range changeAttempts {
		var s *snapshot
		if s, err = r.load(ctx); err != nil {
			return nil, err
		}
		e := &edit{now: s.now, spare: make(map[string][]private), unsure: unsure}
		for alg, made := range spare {
			e.spare[alg] = made
		}
		plan(s, e)
		switch {
		case len(e.lacks) > 0:
			made, err := r.generateAll(e.lacks)
			if err != nil {
				return nil, err
			}
			for _, p := range made {
				spare[p.alg] = append(spare[p.alg], p)
			}
			continue
		case e.err != nil:
			return nil, e.err
		case len(e.puts)+len(e.deletes) == 0 && e.record == nil:
			return s, nil
		}
		err = r.commit(ctx, s, e)
		if err == nil {
			return r.load(ctx)
		}
		unsure = unsure || errors.Is(err, storage.ErrUnknown)
		if !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrUnknown) {
			break
		}
	}
	return nil, fmt.Errorf("keys: changing the key ring: %w", err)
}

// generateAll makes a key for each algorithm, all at once: a first start needs
// several, and those of RSA take long.
func (r *Ring) generateAll(algs []string) ([]private, error) {
	made, errs := make([]private, len(algs)), make([]error, len(algs))
	var work sync.WaitGroup
	for i, alg := range algs {
		work.Go(func() { made[i], errs[i] = generate(alg, r.config.RSABits) })
	}
	work.Wait()
	return made, errors.Join(errs...)
}

// commit writes an edit if the ring is still what it was planned on.
func (r *Ring) commit(ctx context.Context, s *snapshot, e *edit) error {
	record := s.record
	if e.record != nil {
		record = *e.record
	}
	if s.version == 0 {
		record.Check = r.master.Seal(sealPurpose, []byte(ringCheck), []byte(ringCheck))
	}
	c := storage.Change{
		Partition: storage.KeyPartition,
		Checks:    []storage.Check{{Key: storage.RingKey, Version: s.version}},
		Puts: []storage.Put{{
			Key: storage.RingKey, Value: storage.Encode(record),
			Index: []storage.Entry{{Name: storage.IndexKeys, Sort: storage.KindRing}},
		}},
	}
	for _, rec := range e.puts {
		c.Puts = append(c.Puts, storage.Put{
			Key: keyRow(rec.ID), Value: storage.Encode(rec),
			Index: []storage.Entry{{Name: storage.IndexKeys, Sort: storage.KindKey + "/" + rec.ID}},
		})
	}
	for _, id := range e.deletes {
		c.Deletes = append(c.Deletes, keyRow(id))
	}
	c.Puts = append(c.Puts, e.facts...)
	_, err := r.store.Commit(ctx, c)
	return err
}

func keyRow(id string) storage.Key { return storage.Key{Kind: storage.KindKey, ID: id} }

// add puts a new key into the edit, zero activates for one that waits, and
// returns its id.
func (r *Ring) add(e *edit, use, alg string, activates time.Time) string {
	if len(e.spare[alg]) == 0 {
		e.lacks = append(e.lacks, alg)
		return ""
	}
	p := e.spare[alg][0]
	e.spare[alg] = e.spare[alg][1:]
	rec, err := r.seal(p, use)
	if err != nil {
		e.err = err
		return ""
	}
	rec.Created, rec.Activates = e.now, activates
	if publishedUse(use) {
		rec.Published = e.now
	}
	e.puts = append(e.puts, rec)
	return rec.ID
}

// seal gives a new key its id and its record.
func (r *Ring) seal(p private, use string) (storage.SigningKey, error) {
	rec := storage.SigningKey{Use: use, Alg: p.alg}
	if p.signer == nil {
		// Not a thumbprint: that would be a hash of the secret.
		id := make([]byte, 16)
		rand.Read(id)
		id[0] &= 0x7f // no dash at the front, see generate
		rec.ID = base64url.EncodeToString(id)
	} else {
		var err error
		if rec.ID, err = Thumbprint(p.signer.Public()); err != nil {
			return rec, err
		}
		text, err := JWK{KeyID: rec.ID, Use: use, Alg: p.alg, Key: p.signer.Public()}.MarshalJSON()
		if err != nil {
			return rec, err
		}
		rec.Public = string(text)
	}
	text, err := p.encode()
	if err != nil {
		return rec, fmt.Errorf("keys: encoding a key: %w", err)
	}
	rec.Sealed = r.master.Seal(sealPurpose, text, bindings(rec))
	return rec, nil
}
