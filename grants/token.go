package grants

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/events/status"
	"jeton/storage"
)

// The typ headers of our tokens (RFC 9068 §2.1; the refresh token's is our
// own), which keep each kind from being taken for the other.
const (
	typAccess  = "at+jwt"
	typRefresh = "rt+jwt"
)

// accessClaims are the claims of an access token (RFC 9068 §2.2).
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID  string           `json:"client_id"`
	Scope     string           `json:"scope,omitempty"`
	Roles     []string         `json:"roles,omitempty"`
	SessionID string           `json:"sid,omitempty"`
	AuthTime  *jwt.NumericDate `json:"auth_time,omitempty"`
	AMR       []string         `json:"amr,omitempty"`
	ACR       string           `json:"acr,omitempty"`
	Actor     *Actor           `json:"act,omitempty"`
	Confirm   *confirmation    `json:"cnf,omitempty"`
	Status    *tokenStatus     `json:"status,omitempty"`
}

// confirmation names the key that a token is bound to (RFC 7800 §3.1).
type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// Actor is who acts for the subject of a token, and for whom they act in turn
// (RFC 8693 §4.1).
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// depth is how many have acted for one another.
func (a *Actor) depth() (n int) {
	for ; a != nil; a = a.Actor {
		n++
	}
	return n
}

// tokenStatus says where an API finds whether the token has been revoked (IETF
// Token Status List §6.2).
type tokenStatus struct {
	List struct {
		Index uint32 `json:"idx"`
		URI   string `json:"uri"`
	} `json:"status_list"`
}

// statusOf reads the claim off the token's id, so that it needs no record of
// its own and a retry repeats it.
func (s *Service) statusOf(jti string) *tokenStatus {
	place, ok := status.PlaceOf(jti)
	if !ok {
		return nil
	}
	claim := new(tokenStatus)
	claim.List.Index, claim.List.URI = place.Index, status.URI(s.Settings.Issuer, place.List)
	return claim
}

// refreshClaims are the claims of a refresh token. Only this server reads it.
type refreshClaims struct {
	jwt.RegisteredClaims
	ClientID   string `json:"client_id"`
	SessionID  string `json:"sid"`
	Generation uint64 `json:"gen"`
	// AccessID and AccessExpires are of the access token that was first answered
	// with it.
	AccessID      string           `json:"at_jti,omitempty"`
	AccessExpires *jwt.NumericDate `json:"at_exp,omitempty"`
}

// sessionAccess are the claims of the access token that a session's record
// describes. They follow from the record alone, so that a retry repeats them.
func (s *Service) sessionAccess(ses storage.Session) accessClaims {
	return accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.Settings.Issuer, Subject: ses.Subject, Audience: ses.Audience,
			ExpiresAt: jwt.NewNumericDate(ses.Access.Expires), IssuedAt: jwt.NewNumericDate(ses.Access.Issued),
			ID: ses.Access.ID,
		},
		ClientID: ses.ClientID, Scope: ses.Access.Scope, Roles: ses.Access.Roles, SessionID: ses.ID,
		AuthTime: jwt.NewNumericDate(ses.AuthTime), AMR: ses.AMR, ACR: ses.ACR,
		Confirm: confirmed(ses.Access.Thumbprint), Status: s.statusOf(ses.Access.ID),
	}
}

// sessionRefresh are the claims of the refresh token that a session's record
// describes. secret is the session's, unsealed.
func (s *Service) sessionRefresh(ses storage.Session, secret []byte) refreshClaims {
	c := refreshClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   ses.Subject,
			ExpiresAt: jwt.NewNumericDate(ses.Refresh.Expires), IssuedAt: jwt.NewNumericDate(ses.Refresh.Issued),
			ID: refreshTokenID(secret, ses.ID, ses.Generation, ses.RotID),
		},
		ClientID: ses.ClientID, SessionID: ses.ID, Generation: ses.Generation,
	}
	if ses.Refresh.AccessID != "" { // of a session of before there was none
		c.AccessID, c.AccessExpires = ses.Refresh.AccessID, jwt.NewNumericDate(ses.Refresh.AccessExpires)
	}
	return c
}

// rotIDSize is the size of the random id of a rotation: 128 bits.
const rotIDSize = 16

func newRotID() []byte { return randomBytes(rotIDSize) }

// randomBytes never fails: crypto/rand ends the process where the system has
// no randomness.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// newID is a random name of 127 bits. The bit that is missing keeps it from
// beginning with a dash, which on a command line is a flag.
func newID() string {
	b := randomBytes(16)
	b[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(b)
}

// refreshTokenID is the `jti` of a refresh token: the rotation's id and a MAC
// over it under the session's own secret. So a thief of the refresh key alone
// cannot forge a token, nor can a thief of the database alone.
func refreshTokenID(secret []byte, sid string, gen uint64, rotID []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(sid))
	mac.Write([]byte{0})
	mac.Write(binary.BigEndian.AppendUint64(nil, gen))
	mac.Write(rotID)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(append([]byte(nil), rotID...)))
}

// checkRefreshTokenID checks the inner MAC and returns the rotation's id.
func checkRefreshTokenID(secret []byte, c refreshClaims) (rotID []byte, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(c.ID)
	if err != nil || len(raw) != rotIDSize+sha256.Size {
		return nil, false
	}
	rotID = raw[:rotIDSize]
	want := refreshTokenID(secret, c.SessionID, c.Generation, rotID)
	return rotID, hmac.Equal([]byte(want), []byte(c.ID))
}

// sealSecret and openSecret keep a session's secret under the master key,
// bound to the session it belongs to.
func (s *Service) sealSecret(sid string, secret []byte) []byte {
	return s.Master.Seal(purposeSession, secret, []byte(sid))
}

func (s *Service) openSecret(ses storage.Session) ([]byte, error) {
	return s.Master.Open(purposeSession, ses.Secret, []byte(ses.ID))
}

const purposeSession = "session secret"

// seconds cuts a time to what a NumericDate carries, so that a record and the
// token it describes agree to the last digit.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
