package accounts

import (
	"time"

	"jeton/clients"
	"jeton/events"
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

func clientEvent(eventType, id string, now time.Time, act Act) storage.Event {
	e := events.New(eventType, now)
	e.ClientID, e.Actor, e.Note, e.Source = id, act.By, act.Note, act.Source
	return e
}
