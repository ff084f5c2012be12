package interop

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// styles are the two ways in which golang.org/x/oauth2 sends a secret, and the
// one in which it finds out by itself.
var styles = map[string]oauth2.AuthStyle{
	"Basic": oauth2.AuthStyleInHeader,
	"post":  oauth2.AuthStyleInParams,
	"auto":  oauth2.AuthStyleAutoDetect,
}

// config is the client as golang.org/x/oauth2 wants it described.
func (s *server) config(style oauth2.AuthStyle) *oauth2.Config {
	return &oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret,
		Endpoint: oauth2.Endpoint{TokenURL: s.issuer + "/token", AuthStyle: style},
	}
}

// login is the password grant.
func (s *server) login(t *testing.T, ctx context.Context) *oauth2.Token {
	t.Helper()
	token, err := s.config(oauth2.AuthStyleInHeader).PasswordCredentialsToken(ctx, username, password)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// refused is the error of the token endpoint as golang.org/x/oauth2 read it.
func refused(t *testing.T, err error, code string, status int) {
	t.Helper()
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if answer.ErrorCode != code || answer.Response.StatusCode != status {
		t.Fatalf("got %d %q, want %d %q", answer.Response.StatusCode, answer.ErrorCode, status, code)
	}
}

func TestOAuth2(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			ctx, config := contextOf(t), s.config(style)

			first, err := config.PasswordCredentialsToken(ctx, username, password)
			if err != nil {
				t.Fatal(err)
			}
			if first.Type() != "Bearer" || first.RefreshToken == "" || first.Extra("scope") != "read write" {
				t.Fatalf("type %q, scope %v, refresh token of %d bytes", first.Type(), first.Extra("scope"), len(first.RefreshToken))
			}
			if left := time.Until(first.Expiry); left < 25*time.Minute || left > 31*time.Minute {
				t.Fatalf("expires in %v, want about 30 minutes", left)
			}

			// The token source refreshes by itself once the token has expired.
			spent := *first
			spent.Expiry = time.Unix(1, 0)
			second, err := config.TokenSource(ctx, &spent).Token()
			if err != nil {
				t.Fatal(err)
			}
			if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken || second.RefreshToken == "" {
				t.Fatal("refreshing gave no new pair of tokens")
			}

			// A thief's copy of the first refresh token ends the session.
			_, err = config.TokenSource(ctx, &spent).Token()
			refused(t, err, "invalid_grant", http.StatusBadRequest)
			second.Expiry = time.Unix(1, 0)
			_, err = config.TokenSource(ctx, second).Token()
			refused(t, err, "invalid_grant", http.StatusBadRequest)
		})
	}

	t.Run("wrong password", func(t *testing.T) {
		_, err := s.config(oauth2.AuthStyleInHeader).PasswordCredentialsToken(contextOf(t), username, "a lantern below the harbour")
		refused(t, err, "invalid_grant", http.StatusBadRequest)
	})
	t.Run("wrong secret", func(t *testing.T) {
		config := s.config(oauth2.AuthStyleInHeader)
		config.ClientSecret += "!"
		_, err := config.PasswordCredentialsToken(contextOf(t), username, password)
		refused(t, err, "invalid_client", http.StatusUnauthorized)
	})
}

// A public client has no secret to send. Left to find out by itself, the
// library tries Basic with an empty one first.
func TestOAuth2PublicClient(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, name := range []string{"post", "auto"} {
		t.Run(name, func(t *testing.T) {
			ctx, config := contextOf(t), s.config(styles[name])
			config.ClientID, config.ClientSecret = publicID, ""
			first, err := config.PasswordCredentialsToken(ctx, username, password)
			if err != nil {
				t.Fatal(err)
			}
			first.Expiry = time.Unix(1, 0)
			second, err := config.TokenSource(ctx, first).Token()
			if err != nil {
				t.Fatal(err)
			}
			if second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
				t.Fatal("refreshing gave no new refresh token")
			}
		})
	}
}

func TestOAuth2ClientCredentials(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			config := clientcredentials.Config{
				ClientID: clientID, ClientSecret: clientSecret, TokenURL: s.issuer + "/token",
				Scopes: []string{"read"}, AuthStyle: style,
			}
			token, err := config.Token(contextOf(t))
			if err != nil {
				t.Fatal(err)
			}
			if token.Type() != "Bearer" || token.RefreshToken != "" || token.Extra("scope") != "read" {
				t.Fatalf("type %q, scope %v, refresh token of %d bytes", token.Type(), token.Extra("scope"), len(token.RefreshToken))
			}
		})
	}
}
