package grants

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"strconv"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// The scopes of OpenID Connect Core §5.4 and §11 that mean something here.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeOffline = "offline_access"
)

// OpenIDScopes lists them.
func OpenIDScopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline}
}

// UserClaims are what a client may know of a user beside `sub` (OpenID Connect
// Core §5.1).
type UserClaims struct {
	Name              string `json:"name,omitempty"`
	GivenName         string `json:"given_name,omitempty"`
	FamilyName        string `json:"family_name,omitempty"`
	Nickname          string `json:"nickname,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`
	Picture           string `json:"picture,omitempty"`
	Website           string `json:"website,omitempty"`
	Locale            string `json:"locale,omitempty"`
	Zoneinfo          string `json:"zoneinfo,omitempty"`
	Updated           int64  `json:"updated_at,omitempty"`
	Email             string `json:"email,omitempty"`
	// EmailVerified is told with every address.
	EmailVerified *bool `json:"email_verified,omitempty"`
}

// ClaimNames lists what may stand in [UserClaims].
func ClaimNames() []string {
	return []string{"sub", "name", "given_name", "family_name", "nickname", "preferred_username", "picture", "website",
		"locale", "zoneinfo", "updated_at", "email", "email_verified"}
}

// ClaimsFor are the claims of a user that a scope opens.
func ClaimsFor(user storage.User, scope string) UserClaims {
	var out UserClaims
	if c := user.Claims; hasScope(scope, ScopeProfile) {
		out = UserClaims{
			Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, Nickname: c.Nickname,
			PreferredUsername: user.Username, Picture: c.Picture, Website: c.Website, Locale: c.Locale, Zoneinfo: c.Zoneinfo,
			Updated: user.Updated.Unix(),
		}
	}
	if hasScope(scope, ScopeEmail) && user.Claims.Email != "" {
		out.Email, out.EmailVerified = user.Claims.Email, new(user.Claims.EmailVerified)
	}
	return out
}

// idClaims are the claims of an ID token.
type idClaims struct {
	jwt.RegisteredClaims
	UserClaims
	Nonce     string           `json:"nonce,omitempty"`
	AuthTime  *jwt.NumericDate `json:"auth_time"`
	ACR       string           `json:"acr,omitempty"`
	AMR       []string         `json:"amr,omitempty"`
	SessionID string           `json:"sid"`
	TokenHash string           `json:"at_hash"`
}

// signID makes the ID token that goes with an access token, under the same key.
// It is as long valid, and for the client alone.
func (s *Service) signID(ctx context.Context, ses storage.Session, user storage.User, nonce, access string) (string, error) {
	h, err := keys.CheckCompact(access)
	if err != nil {
		return "", err
	}
	return s.Keys.SignWith(ctx, ses.Access.KeyID, keys.UseSig, typID, idClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.Settings.Issuer, Subject: ses.Subject, Audience: jwt.ClaimStrings{ses.ClientID},
			ExpiresAt: jwt.NewNumericDate(ses.Access.Expires), IssuedAt: jwt.NewNumericDate(ses.Access.Issued),
		},
		UserClaims: ClaimsFor(user, ses.Access.Scope), Nonce: nonce,
		AuthTime: jwt.NewNumericDate(ses.AuthTime), ACR: ses.ACR, AMR: ses.AMR, SessionID: ses.ID, TokenHash: accessHash(h.Alg, access),
	})
}

// identifies reports whether a session tells its client who the user is: one that
// began at the pages, where the access token of the moment has the scope openid.
func identifies(ses storage.Session) bool {
	return ses.ACR != "" && hasScope(ses.Access.Scope, ScopeOpenID)
}

// refreshedID makes the ID token that goes with a refresh, if there is one
// (OpenID Connect Core §12.2): it tells of the login that was, with the claims of
// now, and has no nonce, since nobody has asked anew. A retry gets it again. It is
// found by the user's record too, from which its claims follow.
func (s *Service) refreshedID(ctx context.Context, ses storage.Session, user storage.Record[storage.User], client storage.Client, access string) (string, error) {
	if client.RefreshWithoutID || !identifies(ses) {
		return "", nil
	}
	k := memoKey{ses.Access.KeyID, "id " + strconv.FormatUint(user.Version, 10) + " " + ses.Access.ID}
	return s.memo.once(k, func() (string, error) {
		return s.signID(context.WithoutCancel(ctx), ses, user.Value, "", access)
	})
}

// accessHash is the left half of the hash that goes with the algorithm (OpenID
// Connect Core §3.1.3.6; Ed25519 hashes with SHA-512).
func accessHash(alg, token string) string {
	var sum []byte
	if alg == keys.EdDSA {
		h := sha512.Sum512([]byte(token))
		sum = h[:]
	} else {
		h := sha256.Sum256([]byte(token))
		sum = h[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
