package accounts

import (
	"context"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"jeton/events"
	"jeton/storage"
)

// SetClaims replaces what ID tokens and /userinfo tell of the user. Sessions go
// on; /userinfo has it at once.
func (u *Users) SetClaims(ctx context.Context, name string, claims storage.Claims, act Act) (storage.User, error) {
	if err := checkClaims(claims).err(); err != nil {
		return storage.User{}, err
	}
	user, err := u.Find(ctx, name)
	if err != nil {
		return user, err
	}
	if user, ok, err := u.settled(ctx, user.Subject, func(user storage.User) bool { return user.Claims == claims }); ok || err != nil {
		return user, err
	}
	return u.change(ctx, user.Subject, events.ClaimsChanged, nil, act, func(user *storage.User) {
		user.Claims = claims
	})
}

// checkClaims bounds what every ID token of the user may carry.
func checkClaims(c storage.Claims) faults {
	var wrong faults
	for name, value := range map[string]string{
		"name": c.Name, "given_name": c.GivenName, "family_name": c.FamilyName, "nickname": c.Nickname, "zoneinfo": c.Zoneinfo,
	} {
		if len(value) > 255 || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			wrong.add("%s: not up to 255 bytes of printable text", name)
		}
	}
	for name, value := range map[string]string{"picture": c.Picture, "website": c.Website} {
		if address, err := url.Parse(value); value != "" && (err != nil || len(value) > 2048 || address.Host == "" || address.Scheme != "https" && address.Scheme != "http") {
			wrong.add("%s: not an address such as https://example.com/alice.png", name)
		}
	}
	if len(c.Locale) > 35 || strings.Trim(c.Locale, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		wrong.add("locale: not a language tag such as de-CH")
	}
	if address, err := mail.ParseAddress(c.Email); c.Email != "" && (err != nil || address.Address != c.Email || len(c.Email) > 254) {
		wrong.add("email: not an address such as alice@example.com")
	}
	if c.EmailVerified && c.Email == "" {
		wrong.add("email_verified: there is no email that could be")
	}
	return wrong
}
