package verify

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// Token is an access token that was checked.
type Token struct {
	Issuer   string
	Subject  string // the user; the client itself where Subject == ClientID
	ClientID string
	Audience []string
	Scope    []string
	Roles    []string
	ID       string // jti
	Session  string // sid: one login on one device; empty for a client's own token
	Issued   time.Time
	Expires  time.Time
	AuthTime time.Time // when the user logged in; zero for a client's own token
	AMR      []string  // how (RFC 8176)

	// Thumbprint is that of the key (RFC 7638) that the token is bound to and the
	// client has proved to have (RFC 9449); empty for a bearer token.
	Thumbprint string

	// Stale is how old the knowledge was by which [Options.WhenStale] let the
	// token pass; usually 0.
	Stale time.Duration

	claims []byte
}

// HasScope reports whether the token has a scope.
func (t *Token) HasScope(scope string) bool { return slices.Contains(t.Scope, scope) }

// HasRole reports whether the user has a role, as of when the token was made.
func (t *Token) HasRole(role string) bool { return slices.Contains(t.Roles, role) }

// Claims decodes all claims, for those that have no field.
func (t *Token) Claims(into any) error { return json.Unmarshal(t.claims, into) }

// place is where the bit of a token is.
type place struct {
	Index *int64 `json:"idx"`
	URI   string `json:"uri"`
}

// claims are those of RFC 9068 §2.2 and of Jeton.
type claims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience audience        `json:"aud"`
	ClientID string          `json:"client_id"`
	Scope    string          `json:"scope"`
	Roles    []string        `json:"roles"`
	ID       string          `json:"jti"`
	Session  string          `json:"sid"`
	AMR      []string        `json:"amr"`
	Issued   *float64        `json:"iat"`
	Expires  *float64        `json:"exp"`
	Before   *float64        `json:"nbf"`
	AuthTime *float64        `json:"auth_time"`
	Binding  json.RawMessage `json:"cnf"`
	Status   *struct {
		List *place `json:"status_list"`
	} `json:"status"`
}

// thumbprint is that of the key that a token is bound to. A token that is bound
// by other means, which are not known here, is worth nothing here.
func (c *claims) thumbprint() (string, error) {
	if c.Binding == nil {
		return "", nil
	}
	var by map[string]string
	if err := json.Unmarshal(c.Binding, &by); err != nil || len(by) != 1 || by["jkt"] == "" {
		return "", ErrClaims.because("it is bound by something (cnf) that is not checked here")
	}
	return by["jkt"], nil
}

// audience is one string or an array of them (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(text, &(*a)[0])
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// check holds the claims to RFC 9068 §4.
func (v *Verifier) check(c *claims, now time.Time) error {
	if c.Issuer != v.o.Issuer {
		return ErrIssuer.because("iss is not %s: Options.Issuer has to be as it stands in tokens, byte for byte, or the token is of another server", v.o.Issuer)
	}
	if !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.o.Audience, a) }) {
		return ErrAudience.because("aud names none of %s: the client needs this audience (jeton client set ID --audience), or the token is for another API", strings.Join(v.o.Audience, ", "))
	}
	for name, value := range map[string]string{"sub": c.Subject, "client_id": c.ClientID, "jti": c.ID} {
		if value == "" {
			return ErrClaims.because("%s is missing", name)
		}
	}
	return v.checkTimes(c.Issued, c.Expires, c.Before, now)
}

// checkTimes checks iat and exp, which have to be there, and nbf.
func (v *Verifier) checkTimes(issued, expires, before *float64, now time.Time) error {
	if issued == nil || expires == nil || !plausible(*issued) || !plausible(*expires) || before != nil && !plausible(*before) {
		return ErrClaims.because("iat or exp is missing, or a time is none")
	}
	at, leeway := seconds(now), v.o.Leeway.Seconds()
	if at >= *expires+leeway {
		return ErrExpired.because("exp was %.0f s ago", at-*expires)
	}
	if *issued > at+leeway || before != nil && *before > at+leeway {
		return ErrNotYet.because("iat or nbf lie in the future: the clock here or at the issuer is wrong")
	}
	return nil
}

// plausible reports whether a NumericDate is one before the year 10000.
func plausible(t float64) bool { return t >= 0 && t < 253402300800 }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func timeOf(t *float64) time.Time {
	if t == nil || !plausible(*t) {
		return time.Time{}
	}
	whole, part := math.Modf(*t)
	return time.Unix(int64(whole), int64(part*1e9))
}

func (c *claims) token(text []byte) *Token {
	return &Token{
		Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, Audience: c.Audience,
		Scope: strings.Fields(c.Scope), Roles: c.Roles, ID: c.ID, Session: c.Session, AMR: c.AMR,
		Issued: timeOf(c.Issued), Expires: timeOf(c.Expires), AuthTime: timeOf(c.AuthTime), claims: text,
	}
}
