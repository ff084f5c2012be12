package grants

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The claims of our own tokens are written and read on every request, so they
// know their JSON themselves: the same text as encoding/json makes of their
// types, byte for byte, since a retry repeats a token that another version may
// have made.

// AppendJSON implements [keys.JSONAppender].
func (c accessClaims) AppendJSON(b []byte) []byte {
	b = appendRegistered(append(b, '{'), c.RegisteredClaims)
	b = appendString(appendName(b, "client_id"), c.ClientID)
	if c.Scope != "" {
		b = appendString(appendName(b, "scope"), c.Scope)
	}
	if len(c.Roles) > 0 {
		b = appendStrings(appendName(b, "roles"), c.Roles)
	}
	if c.SessionID != "" {
		b = appendString(appendName(b, "sid"), c.SessionID)
	}
	if c.AuthTime != nil {
		b = appendDate(appendName(b, "auth_time"), c.AuthTime)
	}
	if len(c.AMR) > 0 {
		b = appendStrings(appendName(b, "amr"), c.AMR)
	}
	if c.Status != nil {
		b = append(appendName(b, "status"), `{"status_list":{"idx":`...)
		b = append(strconv.AppendUint(b, uint64(c.Status.List.Index), 10), `,"uri":`...)
		b = append(appendString(b, c.Status.List.URI), "}}"...)
	}
	return append(b, '}')
}

// AppendJSON implements [keys.JSONAppender].
func (c refreshClaims) AppendJSON(b []byte) []byte {
	b = appendRegistered(append(b, '{'), c.RegisteredClaims)
	b = appendString(appendName(b, "client_id"), c.ClientID)
	b = appendString(appendName(b, "sid"), c.SessionID)
	b = strconv.AppendUint(appendName(b, "gen"), c.Generation, 10)
	return append(b, '}')
}

// ParseJSON implements [keys.JSONParser]. It reads what AppendJSON writes for
// the tokens of sessions, and
// leaves the claims alone when it is anything else.
func (c *refreshClaims) ParseJSON(b []byte) bool {
	p, read := parser{rest: string(b), ok: true}, refreshClaims{}
	p.text(`{"sub":`)
	read.Subject = p.str()
	p.text(`,"exp":`)
	read.ExpiresAt = p.date()
	p.text(`,"iat":`)
	read.IssuedAt = p.date()
	p.text(`,"jti":`)
	read.ID = p.str()
	p.text(`,"client_id":`)
	read.ClientID = p.str()
	p.text(`,"sid":`)
	read.SessionID = p.str()
	p.text(`,"gen":`)
	read.Generation = p.number()
	p.text(`}`)
	if !p.ok || p.rest != "" {
		return false
	}
	*c = read
	return true
}

func appendRegistered(b []byte, c jwt.RegisteredClaims) []byte {
	if c.Issuer != "" {
		b = appendString(appendName(b, "iss"), c.Issuer)
	}
	if c.Subject != "" {
		b = appendString(appendName(b, "sub"), c.Subject)
	}
	if len(c.Audience) > 0 {
		b = appendStrings(appendName(b, "aud"), c.Audience)
	}
	if c.ExpiresAt != nil {
		b = appendDate(appendName(b, "exp"), c.ExpiresAt)
	}
	if c.NotBefore != nil {
		b = appendDate(appendName(b, "nbf"), c.NotBefore)
	}
	if c.IssuedAt != nil {
		b = appendDate(appendName(b, "iat"), c.IssuedAt)
	}
	if c.ID != "" {
		b = appendString(appendName(b, "jti"), c.ID)
	}
	return b
}

// appendName begins a member. Its name is one of ours and needs no escaping.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), `":`...)
}

// appendDate writes the whole seconds that [seconds] leaves of a time.
func appendDate(b []byte, d *jwt.NumericDate) []byte { return strconv.AppendInt(b, d.Unix(), 10) }

func appendStrings(b []byte, all []string) []byte {
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain(s[i]) {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // no string fails to encode
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// plain reports whether encoding/json leaves a byte as it is.
func plain(c byte) bool {
	return ' ' <= c && c <= '~' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

// parser reads one text that it knows but for the values.
type parser struct {
	rest string
	ok   bool
}

func (p *parser) text(want string) {
	rest, ok := strings.CutPrefix(p.rest, want)
	p.rest, p.ok = rest, p.ok && ok
}

// str reads a string in which nothing is escaped.
func (p *parser) str() string {
	p.text(`"`)
	for i := range len(p.rest) {
		switch c := p.rest[i]; {
		case c == '"':
			s := p.rest[:i]
			p.rest = p.rest[i+1:]
			return s
		case !plain(c):
			p.ok = false
			return ""
		}
	}
	p.ok = false
	return ""
}

// number reads a whole number as strconv writes it.
func (p *parser) number() uint64 {
	i := 0
	for i < len(p.rest) && '0' <= p.rest[i] && p.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(p.rest[:i], 10, 64)
	p.ok = p.ok && err == nil && (p.rest[0] != '0' || i == 1)
	p.rest = p.rest[i:]
	return n
}

func (p *parser) date() *jwt.NumericDate {
	n := p.number()
	if n > 1<<40 { // far beyond what encoding/json reads of it without loss
		p.ok = false
	}
	return jwt.NewNumericDate(time.Unix(int64(n), 0))
}
