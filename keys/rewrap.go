package keys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// A master key is replaced in three commits of the ring's row, which every
// process follows within a second, and a wait after each of the first two:
//
//  1. Each of the two keys is kept, sealed under the other. From here on either
//     opens the ring, and with it everything.
//  2. What is sealed from now on is sealed under the new one. After the wait
//     nobody seals under the old one, so one walk finds all that is left.
//  3. The keys of the ring are sealed anew and the old master key is dropped,
//     when the walk is over.
//
// A process that dies on the way leaves a store that both open, and the same
// command goes on.

// ErrRewrap says that another change of the master key is under way.
var ErrRewrap = errors.New("keys: another change of the master key is under way: finish it with the file that it began with")

// ErrOldMaster says that the master key has been changed while this process ran.
var ErrOldMaster = errors.New("keys: this server still has the master key of before the last change: restart all servers with the present one first")

// rewrapRecord is what the ring's row holds meanwhile.
type rewrapRecord struct {
	// Check is the known text under the new key; Old and New are the secrets,
	// each sealed under the other.
	Check []byte `json:"check"`
	Old   []byte `json:"old"`
	New   []byte `json:"new"`
	// Seals says that the new key seals.
	Seals bool `json:"seals,omitempty"`
}

// peer is the other key.
type peer struct {
	key   *MasterKey
	seals bool
}

const purposeMaster = "master key"

// ParseMaster reads a master key as its file has it.
func ParseMaster(text string) (*MasterKey, error) {
	k, err := decodeMaster([]byte(text), "make the file with (umask 077; openssl rand -base64 32 > FILE)")
	if err != nil {
		return nil, fmt.Errorf("keys: the master key %w", err)
	}
	return k, nil
}

func (m *MasterKey) same(other *MasterKey) bool {
	return subtle.ConstantTimeCompare(m.secret[:], other.secret[:]) == 1
}

func (m *MasterKey) opensRing(check []byte) bool {
	text, err := m.openAlone(sealPurpose, check, []byte(ringCheck))
	return err == nil && string(text) == ringCheck
}

// follow takes over what the ring's row says of master keys, or says that this
// key does not open it. Nothing once learnt is forgotten: a look at the store
// that comes late must not make this process seal under the old key again.
func (m *MasterKey) follow(record ringRecord) error {
	w := record.Rewrap
	if w == nil {
		if p := m.peer.Load(); p != nil && p.key.opensRing(record.Check) {
			m.learn(p.key, true) // it is done, and this process began with the old key
			return nil
		}
		if !m.opensRing(record.Check) {
			return ErrSealed
		}
		return nil
	}
	other, aad := w.New, "new"
	isNew := !m.opensRing(record.Check)
	if isNew {
		if !m.opensRing(w.Check) {
			return ErrSealed
		}
		other, aad = w.Old, "old"
	}
	secret, err := m.openAlone(purposeMaster, other, []byte(aad))
	if err != nil {
		return err
	}
	key, err := NewMasterKey(secret)
	if err != nil {
		return ErrSealed
	}
	m.learn(key, w.Seals && !isNew)
	return nil
}

func (m *MasterKey) learn(key *MasterKey, seals bool) {
	for {
		before := m.peer.Load()
		if before != nil && before.key.same(key) && (before.seals || !seals) {
			return
		}
		if m.peer.CompareAndSwap(before, &peer{key, seals}) {
			return
		}
	}
}

// reseal returns a sealed value as the new key seals it; changed is false for
// one that it sealed already.
func (m *MasterKey) reseal(to *MasterKey, purpose string, sealed, aad []byte) (out []byte, changed bool, err error) {
	if _, err := to.openAlone(purpose, sealed, aad); err == nil {
		return sealed, false, nil
	}
	text, err := m.Open(purpose, sealed, aad)
	if err != nil {
		return nil, false, err
	}
	return to.Seal(purpose, text, aad), true, nil
}

// Reseal hands a value that was sealed under either key to the new one.
type Reseal func(purpose string, sealed, aad []byte) (out []byte, changed bool, err error)

// Rewrap replaces the master key by to. Between, it calls all, which has to
// seal everything outside the ring anew.
func (r *Ring) Rewrap(ctx context.Context, to *MasterKey, all func(Reseal) error, tell ...Tell) error {
	if s, err := r.load(ctx); err != nil {
		return err
	} else if s.record.Rewrap == nil && to.opensRing(s.record.Check) {
		return nil // done before
	}
	if err := r.announce(ctx, to); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.rewrapStep(ctx, to, func(_ *snapshot, _ *edit, w *rewrapRecord) error { w.Seals = true; return nil }); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	reseal := func(purpose string, sealed, aad []byte) ([]byte, bool, error) {
		return r.master.reseal(to, purpose, sealed, aad)
	}
	if err := all(reseal); err != nil {
		return err
	}
	return r.rewrapStep(ctx, to, func(s *snapshot, e *edit, w *rewrapRecord) error {
		for _, k := range s.all {
			rec := k.SigningKey
			var err error
			if rec.Sealed, _, err = reseal(sealPurpose, rec.Sealed, bindings(rec)); err != nil {
				return err
			}
			e.puts = append(e.puts, rec)
		}
		e.record.Check, e.record.Rewrap = w.Check, nil
		e.tell(tell, Info{}, Info{})
		return nil
	})
}

// announce is the first commit.
func (r *Ring) announce(ctx context.Context, to *MasterKey) error {
	_, err := r.change(ctx, func(s *snapshot, e *edit) {
		if w := s.record.Rewrap; w != nil {
			if !to.opensRing(w.Check) {
				e.err = ErrRewrap
			}
			return
		}
		if !r.master.opensRing(s.record.Check) {
			e.err = ErrOldMaster
			return
		}
		old := &MasterKey{secret: r.master.secret}
		alone := &MasterKey{secret: to.secret}
		e.record = &ringRecord{Check: s.record.Check, Rewrap: &rewrapRecord{
			Check: alone.Seal(sealPurpose, []byte(ringCheck), []byte(ringCheck)),
			Old:   alone.Seal(purposeMaster, old.secret[:], []byte("old")),
			New:   old.Seal(purposeMaster, to.secret[:], []byte("new")),
		}}
	})
	return err
}

// rewrapStep is one of the later commits.
func (r *Ring) rewrapStep(ctx context.Context, to *MasterKey, step func(*snapshot, *edit, *rewrapRecord) error) error {
	_, err := r.change(ctx, func(s *snapshot, e *edit) {
		switch {
		case s.record.Rewrap == nil && to.opensRing(s.record.Check):
			return // our own write, or another's who did the same
		case s.record.Rewrap == nil || !to.opensRing(s.record.Rewrap.Check):
			e.err = ErrRewrap
			return
		}
		w := *s.record.Rewrap
		e.record = &ringRecord{Check: s.record.Check, Rewrap: &w}
		e.err = step(s, e, &w)
	})
	return err
}

func (r *Ring) settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(r.config.Settle):
		return nil
	}
}
