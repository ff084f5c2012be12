package keys

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"jeton/storage"
)

// complete makes what a ring must always have: a key of each use that signs,
// and of each published use a next key of the algorithm that the configuration
// asks for. A ring of an earlier version gets the uses that it lacks. A
// waiting key of another one is dropped, which harms nobody: it has signed
// nothing.
func (r *Ring) complete(ctx context.Context) error {
	_, err := r.change(ctx, func(s *snapshot, e *edit) {
		for _, use := range []string{UseSig, UseStatus} {
			if s.current(s.now, use) == nil {
				r.add(e, use, r.config.Alg, s.now)
			}
			waiting := s.waiting(use)
			if waiting != nil && !waiting.Imported && !r.asConfigured(waiting.private) {
				e.deletes = append(e.deletes, waiting.ID)
				waiting = nil
			}
			if waiting == nil {
				r.add(e, use, r.config.Alg, time.Time{})
			}
		}
		if s.current(s.now, UseRefresh) == nil {
			r.add(e, UseRefresh, algHS256, s.now)
		}
	})
	return err
}

func (r *Ring) asConfigured(p private) bool {
	return p.alg == r.config.Alg && (p.rsaBits() == 0 || p.rsaBits() == r.config.RSABits)
}

// Rotate lets the next key of a use take over, and makes the key after it in
// the same commit. It returns the key that will sign and, in Activates, from
// when on: as soon as every verifier must have seen it, which for a key that
// has waited its time is at once; but where a verifier that is known to come
// back has not fetched the key yet, only after Config.PromotionWait or when all
// of them have. With now it is at once in any case, and verifiers may meet a
// token before its key.
//
// While a rotation is under way another one changes nothing, unless now brings
// it forward; and of several nodes that rotate at the same moment one does,
// and all return its key. A rotation that changes nothing is not told.
func (r *Ring) Rotate(ctx context.Context, use string, now bool, tell ...Tell) (Info, error) {
	return r.rotate(ctx, use, now, "", func(*snapshot) bool { return true }, tell...)
}

// RotateSeen is Rotate for who has looked at the ring before: it rotates one whose
// keys of that use stand in the [Line] that was seen, and is refused with
// [ErrChanged] otherwise. So of two that have seen the same, one rotates.
func (r *Ring) RotateSeen(ctx context.Context, use string, now bool, seen string, tell ...Tell) (Info, error) {
	return r.rotate(ctx, use, now, seen, func(*snapshot) bool { return true }, tell...)
}

func (r *Ring) rotate(ctx context.Context, use string, now bool, line string, wanted func(*snapshot) bool, tell ...Tell) (Info, error) {
	type election struct{ current, scheduled string }
	var first *election
	var planned Info
	var chosen string
	known, err := r.gatekeepers(ctx, use, now)
	if err != nil {
		return Info{}, err
	}
	s, err := r.change(ctx, func(s *snapshot, e *edit) {
		current, scheduled := s.current(s.now, use), s.scheduled(s.now, use)
		if current == nil {
			e.err = fmt.Errorf("keys: there is no key of use %q to rotate", use)
			return
		}
		if line != "" && line != Line(s.infos(s.now), use) {
			if k := s.keys[planned.KeyID]; e.unsure && k != nil && k.Activates.Equal(planned.Activates) {
				return // it was ours
			}
			e.err = ErrChanged
			return
		}
		seen := election{current: current.ID}
		chosen = current.ID
		if scheduled != nil {
			seen.scheduled, chosen = scheduled.ID, scheduled.ID
		}
		if first == nil {
			first = &seen
		}
		if seen != *first || scheduled != nil && !now || !wanted(s) {
			return
		}
		at := later(s.now, current.Activates)
		successor := cmp.Or(scheduled, s.waiting(use))
		gated := false
		switch {
		case now:
		case successor == nil: // a use whose keys nobody outside has to know
			at = at.Add(refreshLead)
		default:
			at = later(at, successor.Published.Add(lead))
			if gated = len(unaware(known, successor)) > 0; gated {
				at = later(at, s.now.Add(r.config.PromotionWait))
			}
		}
		chosen = r.succeed(s, e, current, successor, at, gated)
		planned = Info{KeyID: chosen, Use: use, Activates: at}
		e.tell(tell, planned, Info{})
	})
	if err != nil {
		return Info{}, err
	}
	k := s.keys[chosen]
	if them := unaware(known, k); k.Gated && len(them) > 0 {
		r.config.Log.Info("the next key waits for verifiers that have not fetched it", "use", use, "kid", k.ID,
			"verifiers", len(them), "among_them", names(them), "until", k.Activates)
	}
	return s.info(k, s.now), nil
}

// gatekeepers are the verifiers that a rotation looks at, if any.
func (r *Ring) gatekeepers(ctx context.Context, use string, now bool) ([]reader, error) {
	if now || !publishedUse(use) || r.config.PromotionWait <= 0 {
		return nil, nil
	}
	at, err := r.store.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys: asking the store for its time: %w", err)
	}
	return r.known(ctx, at)
}

// succeed plans the change from current to its successor, nil for one to make.
func (r *Ring) succeed(s *snapshot, e *edit, current, successor *key, at time.Time, gated bool) (chosen string) {
	switch successor {
	case nil:
		chosen = r.add(e, current.Use, current.Alg, at)
	default:
		unplanned := successor.Activates.IsZero()
		rec := successor.SigningKey
		rec.Activates, rec.Gated = at, gated
		e.puts = append(e.puts, rec)
		chosen = rec.ID
		if unplanned {
			r.add(e, current.Use, r.config.Alg, time.Time{})
		}
	}
	rec := current.SigningKey
	rec.Removes = at.Add(r.outlives(current.Use))
	e.puts = append(e.puts, rec)
	return chosen
}

// outlives is how long after its last signature a key is needed.
func (r *Ring) outlives(use string) time.Duration {
	if publishedUse(use) {
		return r.config.MaxAccessTTL + Skew + MaxAge
	}
	return r.config.MaxSessionTTL + Skew
}

// Sweep removes the keys that nothing alive was signed with, and says how
// many. It removes none while this machine and the store disagree on the time
// by over a minute, because one of them is wrong.
func (r *Ring) Sweep(ctx context.Context) (int, error) {
	swept := 0
	_, err := r.change(ctx, func(s *snapshot, e *edit) {
		swept = 0
		if !r.clocksAgree(s.now) {
			e.err = fmt.Errorf("keys: no key is removed while the store's clock says %s and this machine's %s: set the wrong one right",
				s.now.UTC().Format(time.RFC3339), r.config.Now().UTC().Format(time.RFC3339))
			return
		}
		for _, k := range s.all {
			if k.ended(s.now) && s.state(k, s.now) == Retired {
				e.deletes = append(e.deletes, k.ID)
			}
		}
		swept = len(e.deletes)
	})
	return swept, err
}

// ended reports whether a key is past its end.
func (k *key) ended(now time.Time) bool { return !k.Removes.IsZero() && !now.Before(k.Removes) }

func (r *Ring) clocksAgree(store time.Time) bool {
	return r.config.Now().Sub(store).Abs() <= time.Minute
}

// due reports whether the current key of a use has come of age.
func (r *Ring) due(s *snapshot, use string, now time.Time) bool {
	k := s.current(now, use)
	return r.config.RotateEvery > 0 && k != nil && s.scheduled(now, use) == nil && !now.Before(k.Activates.Add(r.config.RotateEvery))
}

// maintain does what the time asks for. Every node does; the commit elects one.
func (r *Ring) maintain(ctx context.Context, now time.Time) error {
	s := r.snap.Load()
	if !r.clocksAgree(now) {
		return nil
	}
	for _, use := range []string{UseSig, UseStatus, UseRefresh} {
		if !r.due(s, use, now) {
			continue
		}
		k, err := r.rotate(ctx, use, false, "", func(s *snapshot) bool { return r.due(s, use, s.now) })
		if err != nil {
			return err
		}
		r.config.Log.Info("a key of age has been rotated", "use", use, "kid", k.KeyID, "activates", k.Activates)
	}
	for _, k := range s.all {
		if k.ended(now) && s.state(k, now) == Retired {
			if _, err := r.Sweep(ctx); err != nil {
				return err
			}
			break
		}
	}
	if err := r.openGate(ctx, s, now); err != nil {
		return err
	}
	return r.writeReaders(ctx, now)
}

// patience is how long a look at the store may take.
const patience = 5 * time.Second

// refresh follows what other processes did to the ring, and maintains it.
func (r *Ring) refresh(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := r.store.Read(look, storage.KeyPartition, storage.RingKey)
	if err != nil {
		return fmt.Errorf("keys: reading the key ring: %w", err)
	}
	if seen.Rows[0].Version != r.snap.Load().version {
		if _, err := r.load(look); err != nil {
			return err
		}
	}
	return r.maintain(ctx, seen.Now)
}
