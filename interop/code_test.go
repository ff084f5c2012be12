package interop

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// walk goes through the pages as a browser without JavaScript, says yes to
// everything, and returns what came back to the client.
func (s *server) walk(t *testing.T, address string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(s.browse(t, jar, address))
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

// browse walks from an address to wherever the server sends the browser away, or
// to a page that asks nothing.
func (s *server) browse(t *testing.T, jar http.CookieJar, address string) string {
	t.Helper()
	// Redirects stop where they leave the server.
	client := &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(next.URL.String(), s.issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	response, err := client.Get(address)
	for range 5 {
		if err != nil {
			t.Fatal(err)
		}
		body, readErr := io.ReadAll(response.Body)
		response.Body.Close()
		if readErr != nil {
			t.Fatal(readErr)
		}
		if back := response.Header.Get("Location"); back != "" {
			return back
		}
		if response.StatusCode == http.StatusOK && !actionOf.Match(body) && heading.Match(body) {
			return response.Request.URL.String()
		}
		action, form := pageForm(t, string(body))
		response, err = client.PostForm(s.issuer+action, form)
	}
	t.Fatal("the pages have no end")
	return ""
}

var (
	actionOf = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenOf = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	buttonOf = regexp.MustCompile(`<button name="decision" value="([^"]*)"`)
)

// pageForm is the form of a page, filled in.
func pageForm(t *testing.T, page string) (action string, form url.Values) {
	t.Helper()
	m := actionOf.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no form on the page: %s", page)
	}
	form = url.Values{"decision": {buttonOf.FindStringSubmatch(page)[1]}}
	for _, field := range hiddenOf.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	if strings.Contains(page, `type="password"`) {
		form.Set("username", username)
		form.Set("password", password)
	}
	return html.UnescapeString(m[1]), form
}

const redirect = "http://127.0.0.1:3999/cb"

func TestOAuth2Code(t *testing.T) {
	t.Parallel()
	s := codeServer(t)
	for name, style := range styles {
		for _, public := range []bool{false, true} {
			config := s.config(style)
			config.RedirectURL, config.Scopes, config.Endpoint.AuthURL = redirect, []string{"read"}, s.issuer+"/authorize"
			if public {
				config.ClientID, config.ClientSecret = publicID, ""
				if name == "Basic" {
					continue
				}
			}
			verifier := oauth2.GenerateVerifier()
			back := s.walk(t, config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
			if back.Get("state") != "state" || back.Get("iss") != s.issuer {
				t.Fatalf("%s: came back with %v", name, back)
			}
			token, err := config.Exchange(contextOf(t), back.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if token.Type() != "Bearer" || token.RefreshToken == "" || token.Extra("scope") != "read" {
				t.Errorf("%s: %v", name, token)
			}
			// The token source refreshes by itself once the token has expired.
			token.Expiry = time.Unix(1, 0)
			next, err := config.TokenSource(contextOf(t), token).Token()
			if err != nil || next.RefreshToken == token.RefreshToken || next.AccessToken == token.AccessToken {
				t.Fatalf("%s: refreshed: %v, %v", name, next, err)
			}
			// The code once more ends all that came of it.
			_, err = config.Exchange(contextOf(t), back.Get("code"), oauth2.VerifierOption(verifier))
			refused(t, err, "invalid_grant", http.StatusBadRequest)
			next.Expiry = time.Unix(1, 0)
			_, err = config.TokenSource(contextOf(t), next).Token()
			refused(t, err, "invalid_grant", http.StatusBadRequest)
		}
	}
}

func TestOIDCLogin(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			s := codeServer(t, "JETON_SIGNING_ALG="+alg)
			ctx := contextOf(t)
			provider, err := oidc.NewProvider(ctx, s.issuer)
			if err != nil {
				t.Fatal(err)
			}
			config := s.config(oauth2.AuthStyleInHeader)
			config.Endpoint, config.RedirectURL, config.Scopes = provider.Endpoint(), redirect, []string{oidc.ScopeOpenID, "profile", "email"}
			verifier := oauth2.GenerateVerifier()
			back := s.walk(t, config.AuthCodeURL("state", oidc.Nonce("a nonce"), oauth2.S256ChallengeOption(verifier)))
			token, err := config.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			s.checkIDToken(t, ctx, provider, token)
			s.checkRefreshed(t, ctx, provider, config, token)
		})
	}
}

// checkRefreshed holds the ID token of a refresh against the one of the login
// (OpenID Connect Core §12.2).
func (s *server) checkRefreshed(t *testing.T, ctx context.Context, provider *oidc.Provider, config *oauth2.Config, token *oauth2.Token) {
	t.Helper()
	verifier := provider.Verifier(&oidc.Config{ClientID: clientID})
	first, _ := token.Extra("id_token").(string)
	was, err := verifier.Verify(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := fresh.Extra("id_token").(string)
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(fresh.AccessToken); err != nil {
		t.Error(err)
	}
	if id.Subject != was.Subject || id.Issuer != was.Issuer || id.Nonce != "" {
		t.Errorf("refreshed: %+v", id)
	}
}

func (s *server) checkIDToken(t *testing.T, ctx context.Context, provider *oidc.Provider, token *oauth2.Token) {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Error(err)
	}
	var claims struct {
		Name string `json:"preferred_username"`
	}
	if err := id.Claims(&claims); err != nil || claims.Name != username || id.Nonce != "a nonce" {
		t.Errorf("%v, %v", claims, err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != id.Subject {
		t.Errorf("userinfo: %v, %v", info, err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: publicID}).Verify(ctx, raw); err == nil {
		t.Error("the ID token passes for another client")
	}
}
