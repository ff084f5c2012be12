package grants

import (
	"math"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/fixedjson"
)

// The claims of our own tokens are written and read on every request, so they
// know their JSON themselves: the same text as encoding/json makes of their
// types, byte for byte, since a retry repeats a token that another version may
// have made.

// AppendJSON implements [keys.JSONAppender].
func (c accessClaims) AppendJSON(b []byte) []byte {
	b = appendRegistered(append(b, '{'), c.RegisteredClaims)
	b = fixedjson.AppendString(fixedjson.AppendName(b, "client_id"), c.ClientID)
	if c.Scope != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "scope"), c.Scope)
	}
	if len(c.Roles) > 0 {
		b = fixedjson.AppendStrings(fixedjson.AppendName(b, "roles"), c.Roles)
	}
	if c.SessionID != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "sid"), c.SessionID)
	}
	if c.AuthTime != nil {
		b = appendDate(fixedjson.AppendName(b, "auth_time"), c.AuthTime)
	}
	if len(c.AMR) > 0 {
		b = fixedjson.AppendStrings(fixedjson.AppendName(b, "amr"), c.AMR)
	}
	if c.ACR != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "acr"), c.ACR)
	}
	if c.Actor != nil {
		b = c.Actor.appendJSON(fixedjson.AppendName(b, "act"))
	}
	if c.Confirm != nil {
		b = append(fixedjson.AppendString(append(fixedjson.AppendName(b, "cnf"), `{"jkt":`...), c.Confirm.Thumbprint), '}')
	}
	if c.Status != nil {
		b = append(fixedjson.AppendName(b, "status"), `{"status_list":{"idx":`...)
		b = append(fixedjson.AppendUint(b, uint64(c.Status.List.Index)), `,"uri":`...)
		b = append(fixedjson.AppendString(b, c.Status.List.URI), "}}"...)
	}
	return append(b, '}')
}

// ParseJSON implements [keys.JSONParser]. It reads what AppendJSON writes for
// access tokens, and leaves the claims alone when it is anything else.
func (c *accessClaims) ParseJSON(text []byte) bool {
	r, read := fixedjson.NewReader(text), accessClaims{}
	read.Issuer, read.Subject = stringOf(r, "iss"), stringOf(r, "sub")
	r.Member("aud")
	read.Audience = r.Strs()
	read.ExpiresAt, read.IssuedAt = dateOf(r, "exp"), dateOf(r, "iat")
	read.ID, read.ClientID = stringOf(r, "jti"), stringOf(r, "client_id")
	if r.Next("scope") {
		read.Scope = r.Str()
	}
	if r.Next("roles") {
		read.Roles = r.Strs()
	}
	dated := true
	if r.Next("sid") {
		read.SessionID = r.Str()
		read.AuthTime = dateOf(r, "auth_time")
		dated = read.AuthTime != nil
	}
	if r.Next("amr") {
		read.AMR = r.Strs()
	}
	if r.Next("acr") {
		read.ACR = r.Str()
	}
	if r.Next("act") {
		read.Actor = actorOf(r)
	}
	if r.Next("cnf") {
		r.Open()
		read.Confirm = &confirmation{stringOf(r, "jkt")}
		r.Close()
	}
	r.Member("status")
	read.Status = new(tokenStatus)
	r.Text(`{"status_list":{"idx":`)
	index := r.Uint()
	r.Text(`,"uri":`)
	read.Status.List.URI = r.Str()
	r.Text("}}")
	read.Status.List.Index = uint32(index)
	if !r.Done() || read.ExpiresAt == nil || read.IssuedAt == nil || !dated || index > math.MaxUint32 {
		return false
	}
	*c = read
	return true
}

func (a *Actor) appendJSON(b []byte) []byte {
	b = fixedjson.AppendString(append(b, `{"sub":`...), a.Subject)
	if a.Actor != nil {
		b = a.Actor.appendJSON(fixedjson.AppendName(b, "act"))
	}
	return append(b, '}')
}

// actorOf reads an actor and those before it.
func actorOf(r *fixedjson.Reader) *Actor {
	r.Open()
	a := &Actor{Subject: stringOf(r, "sub")}
	if !r.Bad() && r.Next("act") {
		a.Actor = actorOf(r)
	}
	r.Close()
	return a
}

// AppendJSON implements [keys.JSONAppender].
func (c refreshClaims) AppendJSON(b []byte) []byte {
	b = appendRegistered(append(b, '{'), c.RegisteredClaims)
	b = fixedjson.AppendString(fixedjson.AppendName(b, "client_id"), c.ClientID)
	b = fixedjson.AppendString(fixedjson.AppendName(b, "sid"), c.SessionID)
	b = fixedjson.AppendUint(fixedjson.AppendName(b, "gen"), c.Generation)
	if c.AccessID != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "at_jti"), c.AccessID)
	}
	if c.AccessExpires != nil {
		b = appendDate(fixedjson.AppendName(b, "at_exp"), c.AccessExpires)
	}
	return append(b, '}')
}

// ParseJSON implements [keys.JSONParser]. It reads what AppendJSON writes for
// the tokens of sessions, and
// leaves the claims alone when it is anything else.
func (c *refreshClaims) ParseJSON(text []byte) bool {
	r, read := fixedjson.NewReader(text), refreshClaims{}
	read.Subject = stringOf(r, "sub")
	read.ExpiresAt, read.IssuedAt = dateOf(r, "exp"), dateOf(r, "iat")
	read.ID, read.ClientID, read.SessionID = stringOf(r, "jti"), stringOf(r, "client_id"), stringOf(r, "sid")
	r.Member("gen")
	read.Generation = r.Uint()
	dated := true
	if r.Next("at_jti") {
		read.AccessID = r.Str()
		read.AccessExpires = dateOf(r, "at_exp")
		dated = read.AccessExpires != nil
	}
	if !r.Done() || !dated || read.ExpiresAt == nil || read.IssuedAt == nil {
		return false
	}
	*c = read
	return true
}

func appendRegistered(b []byte, c jwt.RegisteredClaims) []byte {
	if c.Issuer != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "iss"), c.Issuer)
	}
	if c.Subject != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "sub"), c.Subject)
	}
	if len(c.Audience) > 0 {
		b = fixedjson.AppendStrings(fixedjson.AppendName(b, "aud"), c.Audience)
	}
	if c.ExpiresAt != nil {
		b = appendDate(fixedjson.AppendName(b, "exp"), c.ExpiresAt)
	}
	if c.NotBefore != nil {
		b = appendDate(fixedjson.AppendName(b, "nbf"), c.NotBefore)
	}
	if c.IssuedAt != nil {
		b = appendDate(fixedjson.AppendName(b, "iat"), c.IssuedAt)
	}
	if c.ID != "" {
		b = fixedjson.AppendString(fixedjson.AppendName(b, "jti"), c.ID)
	}
	return b
}

// appendDate writes the whole seconds that [seconds] leaves of a time.
func appendDate(b []byte, d *jwt.NumericDate) []byte { return fixedjson.AppendInt(b, d.Unix()) }

// mostSeconds is far beyond what encoding/json reads without loss.
const mostSeconds = 1 << 40

func dateOf(r *fixedjson.Reader, name string) *jwt.NumericDate {
	r.Member(name)
	n := r.Int()
	if n > mostSeconds {
		return nil // ParseJSON gives up on it
	}
	return jwt.NewNumericDate(time.Unix(n, 0))
}

func stringOf(r *fixedjson.Reader, name string) string {
	r.Member(name)
	return r.Str()
}
