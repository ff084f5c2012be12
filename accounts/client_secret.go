package accounts

import (
	"context"
	"time"

	"jeton/clients"
	"jeton/events"
	"jeton/grants"
	"jeton/storage"
)

// usesSecret reports whether a secret is how the client authenticates.
func usesSecret(c storage.Client) bool {
	return c.AuthMethod != storage.AuthNone && c.AuthMethod != storage.AuthPrivateKeyJWT
}

// giveSecret gives the client the secret chosen by hand, or one that is made
// here and returned: it cannot be read again.
func giveSecret(c *storage.Client, given string) (made string, err error) {
	if given == "" {
		made = clients.NewSecret()
		c.SecretHash = clients.HashSecret(made)
		return made, nil
	}
	c.SecretHash = clients.HashSecret(given)
	if err := clients.CheckSecret(given); err != nil {
		return "", &InvalidError{[]string{"client_secret: " + err.Error()}}
	}
	return "", nil
}

func forgetSecrets(c *storage.Client) {
	c.SecretHash, c.FormerSecretHash, c.FormerSecretUntil = "", "", time.Time{}
}

// MostSecretOverlap is the longest that two secrets of a client may work side by
// side: a change that takes longer is none.
const MostSecretOverlap = 90 * storage.Day

// SecretOf finds the client whose secret the act would replace, if it may.
func (c *Clients) SecretOf(ctx context.Context, id string, act Act) (storage.Client, error) {
	client, err := c.Find(ctx, id)
	if err == nil {
		err = replaceable(client, act)
	}
	return client, err
}

// replaceable refuses those who may not give the client another secret, and a
// client that has none.
func replaceable(c storage.Client, act Act) error {
	if err := guard(act, Protected(c)); err != nil {
		return err
	}
	if !usesSecret(c) {
		return noSecret(c)
	}
	return nil
}

// NewSecret replaces the client's secret. What becomes of the old one is a setting:
// by default it stops working within a second. Sessions go on, unless set
// otherwise. The secret is returned where it was made here.
func (c *Clients) NewSecret(ctx context.Context, id, given string, act Act) (client storage.Client, secret string, err error) {
	return c.NewSecretBeside(ctx, id, given, c.Grants.Settings.SecretOverlap, act)
}

// NewSecretBeside is NewSecret where the old one works for so much longer: one
// server after the other is given the new one, and none is refused meanwhile. There
// are never more than two; the one before the old one stops working.
func (c *Clients) NewSecretBeside(ctx context.Context, id, given string, overlap time.Duration, act Act) (client storage.Client, secret string, err error) {
	if overlap < 0 || overlap > MostSecretOverlap {
		return client, "", &InvalidError{[]string{"keep_former_for: the old secret may work beside the new one for up to " + storage.Duration(MostSecretOverlap).String()}}
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return client, "", err
	}
	end := c.Grants.Settings.On.ClientSecretChange.To(grants.OnClientSecretChange).Ending(act.endingOf(storage.ReasonSecretChanged))
	client, err = c.change(ctx, id, events.ClientSecretChanged, end, act, func(client *storage.Client) (err error) {
		if err := replaceable(*client, act); err != nil {
			return err
		}
		was := client.SecretHash
		if secret, err = giveSecret(client, given); err != nil {
			return err
		}
		if client.FormerSecretHash, client.FormerSecretUntil = "", (time.Time{}); overlap > 0 && was != client.SecretHash {
			client.FormerSecretHash, client.FormerSecretUntil = was, now.Add(overlap).UTC().Truncate(time.Second)
		}
		return nil
	})
	if err != nil {
		return storage.Client{}, "", err
	}
	return client, secret, nil
}

// EndFormerSecret has the old one of two secrets stop working now.
func (c *Clients) EndFormerSecret(ctx context.Context, id string, act Act) (storage.Client, error) {
	client, err := c.Find(ctx, id)
	if err != nil {
		return client, err
	}
	if client.FormerSecretHash == "" {
		if err := guard(act, Protected(client)); err != nil {
			return client, err
		}
		return client, act.saw(client)
	}
	if act.Note == "" {
		act.Note = "the former secret ended early"
	}
	return c.change(ctx, id, events.ClientSecretChanged, nil, act, func(client *storage.Client) error {
		client.FormerSecretHash, client.FormerSecretUntil = "", time.Time{}
		return guard(act, Protected(*client))
	})
}

func noSecret(c storage.Client) error {
	var wrong faults
	wrong.add("the client has no secret, it authenticates with %s: change its token_endpoint_auth_method first", c.AuthMethod)
	return wrong.err()
}

func clientEvent(eventType, id string, now time.Time, act Act) storage.Event {
	e := events.New(eventType, now)
	e.ClientID, e.Actor, e.Note, e.Source = id, act.By, act.Note, act.Source
	return e
}
