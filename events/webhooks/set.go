package webhooks

import (
	"context"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events"
	"jeton/keys"
	"jeton/storage"
)

// setType is the typ of a SET (RFC 8417 §2.3). It keeps a SET from passing for
// an access token, and so do its missing `sub` and `exp`.
const setType = "secevent+jwt"

// The names of event types (RFC 8417 §2.2, `events`). Where a type of CAEP or
// RISC says exactly what happened, its name is used; else one of ours.
const (
	caep = "https://schemas.openid.net/secevent/caep/event-type/"
	risc = "https://schemas.openid.net/secevent/risc/event-type/"
	ours = "urn:jeton:event:"
)

// object is a JSON object. Package json sorts its members, so that a SET that
// is signed again is the same text.
type object = map[string]any

// sign makes the SET of an event. All of it follows from the event and the
// receiver, so that a repetition differs at most in the key.
func (d *Dispatcher) sign(ctx context.Context, now time.Time, w Webhook, e storage.Event) (string, error) {
	claims := jwt.MapClaims{
		"iss":    d.Issuer,
		"iat":    e.Time.Unix(),
		"jti":    e.ID,
		"aud":    w.audience(),
		"sub_id": subjectOf(d.Issuer, e),
		"events": object{uriOf(e): payloadOf(e)},
	}
	token, _, err := d.Keys.Sign(ctx, now, keys.UseSig, setType, claims)
	return token, err
}

// uriOf names the type of an event.
func uriOf(e storage.Event) string {
	switch e.Type {
	case events.SessionStarted:
		return caep + "session-established"
	case events.SessionEnded:
		return caep + "session-revoked"
	case events.SessionsEnded:
		if e.Subject != "" && e.ClientID == "" && e.Kept == "" {
			return caep + "session-revoked" // a subject without a session means all of them
		}
	case events.PasswordChanged, events.PasswordReset:
		return caep + "credential-change"
	case events.UserDisabled:
		return risc + "account-disabled"
	case events.UserEnabled:
		return risc + "account-enabled"
	case events.UserDeleted:
		return risc + "account-purged"
	}
	return ours + e.Type
}

// payloadOf is what is told beside the subject. The address that a request came
// from is not: a receiver has no need of it.
func payloadOf(e storage.Event) object {
	p := object{
		"type":              e.Type, // in the words of the audit log
		"event_timestamp":   e.Time.Unix(),
		"initiating_entity": initiatorOf(e),
		"reason_admin":      object{"en": reasonOf(e)},
	}
	if e.Reason != "" {
		p["reason"] = e.Reason
	}
	if uriOf(e) == risc+"account-disabled" {
		delete(p, "reason") // RISC knows two reasons of its own
	}
	if !e.Occurred.IsZero() {
		p["event_timestamp"] = e.Occurred.Unix()
	}
	if e.Kept != "" {
		p["kept_sid"] = e.Kept
	}
	if uriOf(e) == caep+"credential-change" {
		p["credential_type"], p["change_type"] = "password", "update"
	}
	return p
}

// reasonOf says why in words for an administrator (CAEP wants some).
func reasonOf(e storage.Event) string {
	switch why := strings.ReplaceAll(e.Reason, "_", " "); {
	case e.Note != "" && why != "":
		return why + ": " + e.Note
	case e.Note != "":
		return e.Note
	case why != "":
		return why
	}
	return strings.ReplaceAll(e.Type, "_", " ")
}

// initiatorOf says what kind of actor it was, in the four words of CAEP §2.
func initiatorOf(e storage.Event) string {
	switch {
	case e.Reason == storage.ReasonReuse || e.Reason == storage.ReasonSessionLimit || e.Reason == storage.ReasonBinding:
		return "policy"
	case e.Actor == "server" || e.Actor == "" || e.Reason == storage.ReasonLostWrite:
		return "system"
	case e.Actor == e.Subject, e.Reason == storage.ReasonRevoked, e.Type == events.SessionStarted:
		return "user"
	}
	return "admin"
}

// subjectOf identifies what an event is about (RFC 9493; the format complex is
// that of SSF §3). A client is known to others by the `sub` of its own tokens.
func subjectOf(issuer string, e storage.Event) object {
	known := func(sub string) object { return object{"format": "iss_sub", "iss": issuer, "sub": sub} }
	opaque := func(id string) object { return object{"format": "opaque", "id": id} }
	switch {
	case e.Session != "" || e.Subject != "" && e.ClientID != "" && e.Subject != e.ClientID:
		s := object{"format": "complex"}
		if e.Subject != "" {
			s["user"] = known(e.Subject)
		}
		if e.Session != "" {
			s["session"] = opaque(e.Session)
		}
		if e.ClientID != "" {
			s["application"] = opaque(e.ClientID)
		}
		return s
	case e.Subject != "":
		return known(e.Subject)
	case e.ClientID != "":
		return known(e.ClientID)
	}
	return object{"format": "uri", "uri": issuer} // the server as a whole
}
