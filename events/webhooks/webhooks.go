// Package webhooks tells other programs what happened: it sends events to the
// addresses that the operator configured, as signed security event tokens (SET,
// RFC 8417) by HTTP POST (RFC 8935).
//
// The publisher of package events puts a row for each webhook that wants an
// event into the commit that takes the event out of the outbox
// ([Queues.Follow]). A [Dispatcher], on one node at a time, sends what is due
// and deletes the row when the receiver has taken it: so each event arrives at
// least once, always with the same jti, and in no particular order. Each
// receiver has a queue and a worker of its own, and is waited for by nobody
// else. What cannot be delivered becomes a dead letter, which the operator sees,
// sends again or drops ([Queues]). All of it is bounded.
//
// Which events there are is decided in package events and above; which
// addresses may be called, in package outbound.
package webhooks

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"jeton/events"
	"jeton/outbound"
)

// MostWebhooks bounds what one event can cause.
const MostWebhooks = 32

// Webhook is one receiver, as the operator describes it.
type Webhook struct {
	// Name is what logs, metrics and rows call it.
	Name string
	// URL is where its SETs are posted.
	URL string
	// Audience is its `aud`: the URL, unless set.
	Audience string
	// Events are the types of events it wants, none for all.
	Events []string
	// BearerFile holds the token to authenticate with, empty for none. It is
	// read at each call, so that it can be replaced.
	BearerFile string
}

var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Check returns what is wrong with the description, in words for the operator.
// allow are the private networks that may be called.
func (w Webhook) Check(allow []netip.Prefix) error {
	if !plainName.MatchString(w.Name) {
		return fmt.Errorf("the name %q is not 1 to 63 of a-z, 0-9 and -", w.Name)
	}
	if err := checkURL(w.URL, outbound.Config{Allow: allow}); err != nil {
		return err
	}
	if len(w.Audience) > 1024 {
		return fmt.Errorf("the audience is longer than 1024 bytes")
	}
	for _, e := range w.Events {
		if !slices.Contains(events.Types(), e) {
			return &UnknownEventError{e}
		}
	}
	if w.BearerFile != "" {
		if _, err := readBearer(w.BearerFile); err != nil {
			return err
		}
	}
	return nil
}

// checkURL refuses what would fail at every call. What a name resolves to is
// seen only when it is dialled.
func checkURL(address string, rules outbound.Config) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the url is no address such as https://siem.example.com/events")
	case len(address) > 2048:
		return fmt.Errorf("the url is longer than 2048 bytes")
	case u.User != nil:
		return fmt.Errorf("the url has a user name in it: put a token into a file and name that as bearer_token_file")
	case strings.Contains(address, "#"):
		return fmt.Errorf("the url has a fragment: leave that out")
	case u.Scheme == "http" && len(rules.Allow) == 0:
		return fmt.Errorf("the url is not https, so events could be read and forged on the way: http is for networks that outbound-allow names")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err == nil && !rules.Permits(addr, u.Scheme == "http") {
		if u.Scheme == "http" {
			return fmt.Errorf("%s may not be called over http: use https, or add its network to outbound-allow", addr)
		}
		return fmt.Errorf("%s is not a public address: add its network to outbound-allow if it may be called", addr)
	}
	return nil
}

// UnknownEventError says that a webhook wants events that never happen.
type UnknownEventError struct{ Name string }

func (e *UnknownEventError) Error() string { return fmt.Sprintf("there is no event %q", e.Name) }

// audience is the `aud` of its SETs.
func (w Webhook) audience() string {
	if w.Audience != "" {
		return w.Audience
	}
	return w.URL
}

// wants reports whether it is told of events of a type.
func (w Webhook) wants(eventType string) bool {
	return len(w.Events) == 0 || slices.Contains(w.Events, eventType)
}

// shown is the URL without its query, which may hold a secret.
func (w Webhook) shown() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.String()
}
