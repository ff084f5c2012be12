package grants

import (
	"context"
	"slices"
	"time"

	"jeton/storage"
)

// Who may register a client (RFC 7591 §3).
const (
	RegistrationOff   = "off"
	RegistrationToken = "token" // who has an initial access token
	RegistrationOpen  = "open"  // everyone, under limits
)

// Registration is who may register clients, and what these may be.
type Registration struct {
	// Mode is one of the constants; empty is RegistrationOff.
	Mode string
	// Scopes are the most that a registered client may ask for.
	Scopes []string
	// UnusedTTL is how long a client that nobody has vouched for waits for its
	// first user, MaxUnused how many of these there may be.
	UnusedTTL time.Duration
	MaxUnused int
}

// On reports whether there is a registration endpoint.
func (r Registration) On() bool { return r.Mode == RegistrationToken || r.Mode == RegistrationOpen }

// RegistrationGrants are the grants that a registered client may have: those in
// front, and the others only where an initial access token names them. The
// password grant is not among them (RFC 9700 §2.4).
func RegistrationGrants() (all, vouched []string) {
	all = []string{storage.GrantAuthorizationCode, storage.GrantRefreshToken}
	return all, append(slices.Clone(all), storage.GrantClientCredentials)
}

// used notes that a user has agreed to a registered client, which is there to
// stay from now on. It comes before the code: a client that expires meanwhile
// gets none.
func (s *Service) used(ctx context.Context, id string) error {
	err := retryConflicts(func() error {
		rec, _, err := s.Store.Client(ctx, id)
		switch {
		case err != nil:
			return err
		case !rec.Exists() || rec.Value.Disabled:
			return fail(InvalidClient, "the application is no longer registered", nil)
		case !rec.Value.Unused():
			return nil
		}
		client, registration := rec.Value, *rec.Value.Registration
		registration.UnusedUntil = time.Time{}
		client.Registration = &registration
		_, err = s.Store.Commit(ctx, storage.Change{
			Partition: storage.ClientPartition(id),
			Checks:    []storage.Check{rec.Check(storage.ClientKey(id))},
			Puts:      []storage.Put{storage.ClientPut(client)},
		})
		return err
	})
	if err != nil {
		return err
	}
	s.FreePlace(ctx, id)
	return nil
}

// FreePlace gives back the place of a client among those that nobody has used.
// One that is not given back is free when the client would have expired.
func (s *Service) FreePlace(ctx context.Context, clientID string) {
	_, err := s.Store.Commit(context.WithoutCancel(ctx), storage.Change{
		Partition: storage.RegistrationPartition, Deletes: []storage.Key{storage.UnusedKey(clientID)},
	})
	if err != nil {
		s.Log.WarnContext(ctx, "the place of a registered client is not free yet; it will be when the client would have expired", "client_id", clientID, "cause", err)
	}
}
