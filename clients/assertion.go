package clients

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"jeton/keys"
	"jeton/storage"
)

// AssertionType is the client_assertion_type of private_key_jwt (RFC 7523
// §2.2). There is no other.
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Clocks of clients are wrong by seconds: an assertion may come from up to
// maxAhead in the future, and counts for expLeeway after it has expired.
const (
	maxAhead  = time.Minute
	expLeeway = 10 * time.Second
)

// assertion is a client_assertion of which nothing has been proved yet.
type assertion struct {
	token    string
	header   keys.Header
	claims   map[string]any
	clientID string
}

// readAssertion checks all that needs neither key nor time, so that what
// cannot be an assertion costs no look into the store.
func (a *Authenticator) readAssertion(c Credentials) (assertion, error) {
	as := assertion{token: c.Assertion}
	if c.AssertionType != AssertionType {
		return as, refuse("the client_assertion_type is not the one of JWTs")
	}
	if c.Secret != "" {
		return as, refuse("a secret beside an assertion")
	}
	header, err := keys.CheckCompact(c.Assertion)
	if err != nil {
		return as, &InvalidClientError{fmt.Errorf("client_assertion: %w", err)}
	}
	as.header = header
	// RFC 10070: an explicit type keeps other JWTs of the same key, such as a
	// request object, from passing as an authentication.
	if t := header.Type; t != "" && t != "jwt" && t != "client-authentication+jwt" {
		return as, refuse("the assertion is a JWT of another type")
	}
	if !slices.Contains(keys.AssertionAlgs(), header.Alg) {
		return as, refuse("the assertion's alg is not one that is taken")
	}
	if as.claims, err = unverifiedClaims(as.token); err != nil {
		return as, &InvalidClientError{err}
	}
	iss, _ := as.claims["iss"].(string)
	sub, _ := as.claims["sub"].(string)
	jti, _ := as.claims["jti"].(string)
	switch {
	case iss == "" || iss != sub: // RFC 7523 §3
		return as, refuse("iss and sub of the assertion are not one client_id")
	case c.ClientID != "" && c.ClientID != sub:
		return as, refuse("client_id is not the one of the assertion")
	case jti == "":
		return as, refuse("the assertion has no jti")
	case !a.meant(as.claims["aud"]):
		return as, refuse("aud of the assertion is not the issuer identifier alone")
	}
	as.clientID = sub
	return as, nil
}

// ClaimedID is the client that a request says it comes from, of which nothing
// has been proved.
func (c Credentials) ClaimedID() string {
	if c.ClientID != "" || c.Assertion == "" {
		return c.ClientID
	}
	if _, err := keys.CheckCompact(c.Assertion); err != nil {
		return ""
	}
	claims, _ := unverifiedClaims(c.Assertion)
	sub, _ := claims["sub"].(string)
	return sub
}

// unverifiedClaims reads the claims of a token that CheckCompact has passed.
// They name the client whose keys decide whether they are true. A map and not
// a struct: encoding/json would read "EXP" into exp.
func unverifiedClaims(token string) (claims map[string]any, err error) {
	_, rest, _ := strings.Cut(token, ".")
	part, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	return claims, err
}

// meant reports whether the issuer is the only audience (RFC 10070 §4): an
// assertion for two servers can be passed on by one of them to the other, and
// one for an endpoint's URL can be had by whoever tells a client of that URL.
func (a *Authenticator) meant(aud any) bool {
	if list, ok := aud.([]any); ok && len(list) == 1 {
		aud = list[0]
	}
	s, ok := aud.(string)
	return ok && s == a.issuer
}

// verify checks the signature with the client's keys.
func (a *Authenticator) verify(ctx context.Context, client storage.Client, as assertion) error {
	set, err := a.keySet(ctx, client, as.header)
	if err != nil {
		return err
	}
	key, ok := choose(set, as.header)
	if !ok {
		return refuse("no key of the client fits the assertion's kid and alg")
	}
	if err := key.Verify(as.token, jwt.MapClaims{}); err != nil {
		return &InvalidClientError{fmt.Errorf("client_assertion: %w", err)}
	}
	return nil
}

func (a *Authenticator) keySet(ctx context.Context, client storage.Client, h keys.Header) ([]keys.JWK, error) {
	if client.JWKSURI != "" {
		return a.fetched.get(ctx, client.ID, client.JWKSURI, func(set []keys.JWK) bool {
			_, ok := choose(set, h)
			return ok
		})
	}
	set, err := keys.ParseJWKSet([]byte(client.JWKS))
	if err != nil {
		return nil, &InvalidClientError{err}
	}
	return set, nil
}

// choose finds the key that kid names, or without a kid the only key that
// could have signed. Nothing is tried out: trying lets an attacker choose.
func choose(set []keys.JWK, h keys.Header) (key keys.JWK, ok bool) {
	alg := h.Alg
	if alg == "Ed25519" { // RFC 9864
		alg = keys.EdDSA
	}
	for _, k := range set {
		if k.Alg != alg || h.KeyID != "" && k.KeyID != h.KeyID {
			continue
		}
		if ok {
			return keys.JWK{}, false
		}
		key, ok = k, true
	}
	return key, ok
}

// spend holds a verified assertion to the store's time and writes its jti
// down. It is the commit that decides which of two requests with one
// assertion was first, on whichever node.
func (a *Authenticator) spend(ctx context.Context, as assertion) error {
	now, err := a.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("clients: asking the store for the time: %w", err)
	}
	exp, err := a.checkTimes(as.claims, now)
	if err != nil {
		return err
	}
	system, err := a.store.CachedSystem(ctx)
	if err != nil {
		return fmt.Errorf("clients: asking the store whether it was restored: %w", err)
	}
	if a.mayBeSpent(as.claims, exp, system.Value.Restored) {
		return refuse("the assertion may have been used before the store was restored")
	}
	sum := sha256.Sum256([]byte(as.claims["jti"].(string)))
	key := storage.Key{Kind: storage.KindUsedJTI, ID: base64.RawURLEncoding.EncodeToString(sum[:])}
	// Not Store.Commit, which forgets the cached client of the partition: the
	// client's record stays as it is.
	_, err = a.store.Backend.Commit(ctx, storage.Change{
		Partition: storage.ClientPartition(as.clientID),
		Checks:    []storage.Check{{Key: key}},
		Puts:      []storage.Put{{Key: key, Value: []byte("{}"), Expires: exp.Add(maxAhead)}},
	})
	switch {
	case errors.Is(err, storage.ErrConflict):
		return refuse("the assertion has been used already")
	case err != nil:
		return fmt.Errorf("clients: writing down a used assertion: %w", err)
	}
	return nil
}

// checkTimes returns when the assertion expires.
func (a *Authenticator) checkTimes(claims map[string]any, now time.Time) (time.Time, error) {
	exp, ok := numericDate(claims["exp"])
	switch {
	case !ok:
		return exp, refuse("the assertion has no exp")
	case !now.Before(exp.Add(expLeeway)):
		return exp, refuse("the assertion has expired")
	case exp.After(now.Add(a.assertionLife + expLeeway)):
		return exp, refuse("the assertion expires too far ahead")
	}
	for _, name := range []string{"iat", "nbf"} {
		value, there := claims[name]
		if !there {
			continue
		}
		if t, ok := numericDate(value); !ok || t.After(now.Add(maxAhead)) {
			return exp, refuse("the assertion's " + name + " is in the future or no date")
		}
	}
	return exp, nil
}

// mayBeSpent reports whether an assertion is old enough to have been used at a
// time of which a restored store knows nothing.
func (a *Authenticator) mayBeSpent(claims map[string]any, exp time.Time, restored *storage.Restored) bool {
	if restored == nil || exp.After(restored.At.Add(a.assertionLife+2*expLeeway)) {
		return false
	}
	issued, ok := numericDate(claims["iat"])
	return !ok || !issued.After(restored.At)
}

// numericDate reads seconds since 1970 (RFC 7519 §2) within the years that
// time.Time compares rightly.
func numericDate(v any) (time.Time, bool) {
	f, ok := v.(float64)
	if !ok || f < 0 || f > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}
