package redis

import "context"

// Discard removes a store in which no row is left. Only fences can be left then,
// which Redis removes by itself within [fenceTime]. Whoever still has it open
// finds it gone.
func (s *Store) Discard(ctx context.Context) error {
	for _, g := range s.groups {
		if err := s.client.Del(ctx, g.marker, g.queue()).Err(); err != nil {
			return unavailable(err)
		}
	}
	if err := s.client.Del(ctx, s.o.Prefix+":store").Err(); err != nil {
		return unavailable(err)
	}
	return nil
}
