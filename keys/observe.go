package keys

import (
	"time"

	"jeton/measure"
)

// Signing is how long signatures have taken, by the use of their key. Encoding
// the claims is a part of it.
type Signing struct{ Access, Refresh, Status measure.Histogram }

func (s *Signing) of(use string) *measure.Histogram {
	switch use {
	case UseRefresh:
		return &s.Refresh
	case UseStatus:
		return &s.Status
	}
	return &s.Access
}

// Age is how long the current key of a use has signed, and how long it will
// until it is rotated. rotates is false where no rotation is to come.
type Age struct {
	Use          string
	Signs, Until time.Duration
	Rotates      bool
}

// Ages tells them for each use.
func (r *Ring) Ages(now time.Time) []Age {
	s := r.snap.Load()
	var ages []Age
	for _, use := range []string{UseSig, UseRefresh, UseStatus} {
		k := s.current(now, use)
		if k == nil {
			continue
		}
		age := Age{Use: use, Signs: now.Sub(k.Activates)}
		if next := s.scheduled(now, use); next != nil {
			age.Until, age.Rotates = next.Activates.Sub(now), true
		} else if r.config.RotateEvery > 0 {
			age.Until, age.Rotates = k.Activates.Add(r.config.RotateEvery).Sub(now), true
		}
		ages = append(ages, age)
	}
	return ages
}
