package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"

	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// Set changes the settings that are set and leaves the others. Every node goes
// by it within a second. Where scopes or audiences are lost, it is a setting what
// becomes of the tokens that have them. A client that comes to authenticate with
// a secret and has none gets one, which is returned.
func (c *Clients) Set(ctx context.Context, id string, s ClientSettings, act Act) (client storage.Client, secret string, err error) {
	for range mostTries {
		was, err := c.Find(ctx, id)
		if err != nil {
			return storage.Client{}, "", err
		}
		client, secret, err = c.alter(ctx, was, act, s.takeover(act), s)
		if !errors.Is(err, errMoved) {
			return client, secret, err
		}
	}
	return storage.Client{}, "", errContended
}

// Foresee judges a change as Set does and commits nothing. It returns the
// client as it would be, and what would end, nil for nothing.
func (c *Clients) Foresee(ctx context.Context, id string, s ClientSettings, act Act) (was, will storage.Client, end *grants.Ending, err error) {
	if was, err = c.Find(ctx, id); err != nil {
		return was, will, nil, err
	}
	if will, _, err = c.altered(was, s.takeover(act), s, act); err != nil {
		return was, will, nil, err
	}
	return was, will, c.endingOf(was, will, act), nil
}

// takeover applies the settings to a client as it was seen, which from then on
// belongs to those who administer, if it had registered itself.
func (s ClientSettings) takeover(act Act) func(*storage.Client) error {
	return func(client *storage.Client) error {
		if err := act.saw(*client); err != nil {
			return err
		}
		s.apply(client)
		if r := client.Registration; r != nil && !r.TakenOver {
			taken := *r
			taken.TakenOver = true
			client.Registration = &taken
		}
		return nil
	}
}

// ErrChanged refuses a change of what is not any more as it was seen.
var ErrChanged = errors.New("this has changed since it was looked at, and nothing was done: look again")

// ClientTag is another one after each change of a client. Of its secrets nothing
// is in it.
func ClientTag(c storage.Client) string {
	c.SecretHash, c.FormerSecretHash = "", ""
	if c.Registration != nil {
		r := *c.Registration
		r.AccessHash = ""
		c.Registration = &r
	}
	sum := sha256.Sum256(storage.Encode(c))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// saw refuses a client that is not any more what the act was decided on.
func (a Act) saw(c storage.Client) error {
	if a.Seen != "" && a.Seen != ClientTag(c) {
		return ErrChanged
	}
	return nil
}

// alter applies a change to a client that is still as it was: what follows hangs
// on what it loses. s is what the change came from, if it was settings.
func (c *Clients) alter(ctx context.Context, was storage.Client, act Act, apply func(*storage.Client) error, s ClientSettings) (client storage.Client, secret string, err error) {
	will := was
	if err := apply(&will); err != nil {
		return storage.Client{}, "", err
	}
	client, err = c.change(ctx, was.ID, events.ClientChanged, c.endingOf(was, will, act), act, func(client *storage.Client) (err error) {
		if !slices.Equal(client.Scopes, was.Scopes) || !slices.Equal(client.Audience, was.Audience) || client.Delivery != was.Delivery {
			return errMoved
		}
		*client, secret, err = c.altered(*client, apply, s, act)
		return err
	})
	if err != nil {
		return storage.Client{}, "", err
	}
	return client, secret, nil
}

// altered is the client after a change, judged.
func (c *Clients) altered(client storage.Client, apply func(*storage.Client) error, s ClientSettings, act Act) (_ storage.Client, secret string, err error) {
	before := Protected(client)
	if err := apply(&client); err != nil {
		return client, "", err
	}
	if usesSecret(client) && client.SecretHash == "" {
		secret, _ = giveSecret(&client, "")
	}
	if err := s.check(client, c.Grants.Settings); err != nil {
		return client, "", err
	}
	return client, secret, guard(act, before || Protected(client))
}

// endingOf is what ends when a client was and will be so, nil for nothing.
func (c *Clients) endingOf(was, will storage.Client, act Act) *grants.Ending {
	if was.Delivery != will.Delivery {
		// What is out there went the other way: it must not be worth anything here.
		return act.ending(storage.ReasonClientChanged)
	}
	settings := c.Grants.Settings
	return settings.On.ToClient(settings, was, will).Ending(act.endingOf(storage.ReasonClientChanged))
}
