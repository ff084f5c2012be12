package grants

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"jeton/clients"
	"jeton/storage"
)

// passwordScope resolves the scope of a login by password: that of the client,
// within the cap that an operator has set.
func passwordScope(client storage.Client, asked string) ([]string, error) {
	scope, err := grantScope(client, asked)
	if err != nil || len(client.PasswordScopes) == 0 {
		return scope, err
	}
	within := slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return !slices.Contains(client.PasswordScopes, s) })
	if asked != "" && len(within) < len(scope) {
		return nil, fail(InvalidScope, "the client may not ask for that scope with the password grant", nil)
	}
	return within, nil
}

// fence refuses the password grant after the day it ends for the client, and
// from where the client may not use it. Nobody's password has been looked at
// then, so nothing can be learnt of it.
func (s *Service) fence(ctx context.Context, req Request) error {
	client := req.Client.Value
	if !client.PasswordSunset.IsZero() {
		now, err := s.Store.Now(ctx)
		if err != nil {
			return err
		}
		if !now.Before(client.PasswordSunset) {
			return fenced("sunset", "the password grant has ended for this client on "+client.PasswordSunset.UTC().Format(time.DateOnly), "its day has come")
		}
	}
	if len(client.PasswordNetworks) == 0 {
		return nil
	}
	// The address of a proxy is no reason to let anyone through who can make it
	// leave out the header.
	if req.Source.Unnamed {
		return fenced("fenced", "this client may not use the password grant from an unknown address", "a trusted proxy named no address: let it set X-Forwarded-For")
	}
	if addr, err := netip.ParseAddr(req.Source.Address); err != nil || !clients.Within(client.PasswordNetworks, addr) {
		return fenced("fenced", "this client may not use the password grant from this address", "the address is in none of its networks")
	}
	return nil
}

func fenced(outcome, description, cause string) error {
	return &Error{Code: UnauthorizedClient, Description: description, Cause: errors.New(cause), Outcome: outcome}
}
