package keys

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLastKey refuses to remove the key without which nothing could be signed.
var ErrLastKey = errors.New("keys: there is no other key that could sign in its place: import one, or start the server, which makes the next one")

// Remove takes a key out of the ring at once, whatever lives under it: for a
// private key that others may have. What it signed is unknown from now on here,
// and at verifiers once they have fetched the key set anew. A key that signs is
// replaced by the next one in the same commit. Remove returns the key as it was
// and the one that signs now.
func (r *Ring) Remove(ctx context.Context, kid string, tell ...Tell) (removed, signs Info, err error) {
	return r.RemoveSeen(ctx, kid, "", tell...)
}

// RemoveSeen is Remove for who has looked at the key before: it takes out one in
// that state, any if it is empty, and is refused with [ErrChanged] otherwise.
func (r *Ring) RemoveSeen(ctx context.Context, kid string, seen State, tell ...Tell) (removed, signs Info, err error) {
	var tried bool
	s, err := r.change(ctx, func(s *snapshot, e *edit) {
		k := s.keys[kid]
		if k == nil {
			if !tried || !e.unsure { // else it was ours
				e.err = fmt.Errorf("key %q: %w", kid, ErrUnknownKey)
			}
			return
		}
		if removed = s.info(k, s.now); seen != "" && removed.State != seen {
			e.err = ErrChanged
			return
		}
		r.without(s, e, k)
		e.tell(tell, removed, Info{KeyID: e.signer(s, k), Use: k.Use})
		tried = e.err == nil && len(e.lacks) == 0
	})
	if err != nil {
		return Info{}, Info{}, err
	}
	if current := s.current(s.now, removed.Use); current != nil {
		signs = s.info(current, s.now)
	}
	return removed, signs, nil
}

// signer is the key that signs instead of k once the edit is done.
func (e *edit) signer(s *snapshot, k *key) string {
	if current := s.current(s.now, k.Use); current != k && current != nil {
		return current.ID
	}
	for _, rec := range e.puts {
		if rec.Use == k.Use && !rec.Activates.IsZero() && !rec.Activates.After(s.now) {
			return rec.ID
		}
	}
	return ""
}

// without plans the ring without a key.
func (r *Ring) without(s *snapshot, e *edit, k *key) {
	current, scheduled, waiting := s.current(s.now, k.Use), s.scheduled(s.now, k.Use), s.waiting(k.Use)
	e.deletes = append(e.deletes, k.ID)
	switch k {
	case current:
		successor := scheduled
		if successor == nil {
			successor = waiting
		}
		switch {
		case successor == nil && publishedUse(k.Use):
			e.err = ErrLastKey
			return
		case successor == nil:
			r.add(e, k.Use, k.Alg, s.now)
			return
		case successor == waiting && publishedUse(k.Use):
			r.add(e, k.Use, r.config.Alg, time.Time{})
		}
		rec := successor.SigningKey
		rec.Activates = s.now
		e.puts = append(e.puts, rec)
	case scheduled:
		// The rotation to it is off, so the key that signs has no end.
		rec := current.SigningKey
		rec.Removes = time.Time{}
		e.puts = append(e.puts, rec)
	case waiting:
		r.add(e, k.Use, r.config.Alg, time.Time{})
	}
}
