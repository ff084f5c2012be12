package grants

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeton/clients"
	"jeton/events"
	"jeton/storage"
)

// Browser and address are signs of a copied token, never proof: browsers change
// with updates, addresses with every train, and whoever steals a token learns
// both. So a difference is written down unless the client wants more, and ends
// nothing by itself. What binds is a key (RFC 9449).

// Mismatch is one thing in which a refresh differs from the one before, or from
// the login.
type Mismatch struct {
	// What is "agent" or "address", Action what follows, as package clients names it.
	What, Action string
}

// severity orders what can follow.
var severity = []string{clients.Observe, clients.StepUp, clients.Enforce, clients.End}

// elsewhereThan finds in what a refresh differs. A user agent or address that is
// missing is a value like any other. What was not kept, because it was not asked
// for then, cannot differ.
func elsewhereThan(p presented) []Mismatch {
	ses, from, client := p.session.Value, p.req.Source, p.req.Client.Value
	var found []Mismatch
	check := func(what string, b clients.Binding, loose, exact bool) {
		if b.Compare != clients.CompareOff && (loose && b.Compare != clients.CompareExact || exact && b.Compare == clients.CompareExact) {
			found = append(found, Mismatch{what, b.Action})
		}
	}
	differs := func(kept, what, now string) bool { return kept != "" && kept != boundTo(p.secret, what, now) }
	check("agent", clients.AgentBinding(client), from.Device.Agent != ses.Device.Agent, differs(ses.BoundAgent, "agent", from.Agent))
	check("address", clients.AddressBinding(client), from.Device.Network != ses.Device.Network, differs(ses.BoundAddress, "address", from.Address))
	return found
}

// remember keeps in a session what the next refresh is compared with. Whole user
// agents and addresses are kept only as MACs under the session's own secret, and
// only where they are compared.
func remember(ses *storage.Session, secret []byte, client storage.Client, from Source) {
	ses.Device, ses.BoundAgent, ses.BoundAddress = from.Device, "", ""
	if clients.AgentBinding(client).Compare == clients.CompareExact {
		ses.BoundAgent = boundTo(secret, "agent", from.Agent)
	}
	if clients.AddressBinding(client).Compare == clients.CompareExact {
		ses.BoundAddress = boundTo(secret, "address", from.Address)
	}
}

func boundTo(secret []byte, what, value string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(what + "\x00" + value))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// compare notes in p where the refresh comes from, and refuses it if the client
// wants that. The refusal of a token that is right in all else spends nothing.
func (s *Service) compare(ctx context.Context, p *presented) error {
	p.elsewhere = elsewhereThan(*p)
	if len(p.elsewhere) == 0 {
		return nil
	}
	worst := slices.MaxFunc(p.elsewhere, func(a, b Mismatch) int {
		return slices.Index(severity, a.Action) - slices.Index(severity, b.Action)
	})
	cause := errors.New("refreshed from elsewhere: " + p.difference())
	var refused *Error
	switch worst.Action {
	case clients.Observe:
		return nil
	case clients.StepUp:
		refused = &Error{Code: InsufficientUserAuthentication, Description: "the user has to log in again, the session is used from elsewhere", Cause: cause}
	default:
		errors.As(badRefreshToken(cause), &refused)
		refused.Outcome = "elsewhere"
	}
	if worst.Action == clients.End {
		// Who presents a copied token must not be able to stop this by hanging up.
		e := Ending{Reason: storage.ReasonBinding, By: "server", Note: p.difference(), Source: p.req.Source.Address}
		if _, err := s.endSession(context.WithoutCancel(ctx), p.session.Value.Subject, p.session.Value.ID, e); err != nil {
			return err
		}
	}
	refused.Elsewhere = p.elsewhere
	s.Log.WarnContext(ctx, "a refresh from another browser or address was refused, see bind_agent and bind_address of the client: is the token a copy?",
		"client_id", p.claims.ClientID, "sub", p.claims.Subject, "sid", p.claims.SessionID, "action", worst.Action, "difference", p.difference(), "source", p.req.Source.Address)
	return refused
}

// difference says in words what has changed, with no more than the session keeps.
func (p presented) difference() string {
	was, now := p.session.Value.Device, p.req.Source.Device
	var words []string
	for _, m := range p.elsewhere {
		before, after := was.Agent, now.Agent
		if m.What == "address" {
			before, after = was.Network, now.Network
		}
		if before == after { // but not to the last character
			words = append(words, fmt.Sprintf("%s not exactly as before (%q)", m.What, after))
			continue
		}
		words = append(words, fmt.Sprintf("%s %q, before %q", m.What, after, before))
	}
	return strings.Join(words, "; ")
}

// tellElsewhere is the event of a refresh that was let through.
func (p presented) tellElsewhere(now time.Time) []storage.Put {
	if len(p.elsewhere) == 0 {
		return nil
	}
	e := events.New(events.BindingMismatch, now)
	e.Subject, e.Session, e.ClientID = p.claims.Subject, p.claims.SessionID, p.claims.ClientID
	e.Actor, e.Note, e.Source = p.claims.Subject, p.difference(), p.req.Source.Address
	return []storage.Put{events.Put(e)}
}
