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

	"golang.org/x/oauth2"
)

// deviceServer is a server whose clients may be devices without a browser.
func deviceServer(t *testing.T) *server {
	s := newServer(t, "JETON_DEVICE_INTERVAL=1s")
	s.run(t, "", "client", "set", clientID, "--grant", "device_code,refresh_token", "--scope", "openid,profile,read,write")
	s.run(t, "", "client", "set", publicID, "--grant", "urn:ietf:params:oauth:grant-type:device_code,refresh_token", "--scope", "openid,read", "--name", "Living room TV")
	return s
}

// answer goes through the pages of a device as a browser without JavaScript, and
// returns what the last one is called.
func (s *server) answer(t *testing.T, address, decision string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	response, err := browser.Get(address)
	for range 5 {
		if err != nil {
			t.Fatal(err)
		}
		body, readErr := io.ReadAll(response.Body)
		response.Body.Close()
		if readErr != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%d %v %s", response.StatusCode, readErr, body)
		}
		page := string(body)
		switch {
		case actionOf.MatchString(page):
			action, form := pageForm(t, page)
			if !strings.Contains(page, `type="password"`) {
				form.Set("decision", decision)
			}
			response, err = browser.PostForm(s.issuer+action, form)
		case strings.Contains(page, `name="user_code"`): // the address came without the code
			t.Fatal("the page asks for a code")
		default:
			return html.UnescapeString(heading.FindStringSubmatch(page)[1])
		}
	}
	t.Fatal("the pages have no end")
	return ""
}

var heading = regexp.MustCompile(`<h1>([^<]*)</h1>`)

func TestOAuth2Device(t *testing.T) {
	t.Parallel()
	s := deviceServer(t)
	for name, style := range styles {
		for _, public := range []bool{false, true} {
			config := s.config(style)
			config.Scopes, config.Endpoint.DeviceAuthURL = []string{"read"}, s.issuer+"/device_authorization"
			if public {
				if config.ClientID, config.ClientSecret = publicID, ""; name == "Basic" {
					continue
				}
			}
			t.Run(name+" "+config.ClientID, func(t *testing.T) { s.logInOnDevice(t, config) })
		}
	}
	t.Run("declined", func(t *testing.T) {
		ctx, config := contextOf(t), s.config(oauth2.AuthStyleInHeader)
		config.Endpoint.DeviceAuthURL = s.issuer + "/device_authorization"
		asked, err := config.DeviceAuth(ctx, proof(config)...)
		if err != nil {
			t.Fatal(err)
		}
		if end := s.answer(t, asked.VerificationURIComplete, "deny"); end != "Nothing was allowed" {
			t.Errorf("the pages end with %q", end)
		}
		_, err = config.DeviceAccessToken(ctx, asked)
		refused(t, err, "access_denied", http.StatusBadRequest)
	})
}

// proof is what golang.org/x/oauth2 has to be told to send at the device
// authorization endpoint, where by itself it says no more than the client_id.
func proof(config *oauth2.Config) []oauth2.AuthCodeOption {
	if config.ClientSecret == "" {
		return nil
	}
	return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("client_secret", config.ClientSecret)}
}

// logInOnDevice is the whole of it as golang.org/x/oauth2 does it: it waits while
// the user goes through the pages.
func (s *server) logInOnDevice(t *testing.T, config *oauth2.Config) {
	ctx := contextOf(t)
	asked, err := config.DeviceAuth(ctx, proof(config)...)
	if err != nil {
		t.Fatal(err)
	}
	if asked.VerificationURI != s.issuer+"/device" || asked.Interval != 1 || asked.Expiry.IsZero() ||
		asked.VerificationURIComplete != asked.VerificationURI+"?user_code="+url.QueryEscape(asked.UserCode) {
		t.Errorf("%+v", asked)
	}
	type outcome struct {
		token *oauth2.Token
		err   error
	}
	done := make(chan outcome, 1)
	polled := make(chan struct{}, 100)
	waiting := context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: telling(polled)})
	go func() {
		token, err := config.DeviceAccessToken(waiting, asked)
		done <- outcome{token, err}
	}()
	<-polled // once for nothing
	if end := s.answer(t, asked.VerificationURIComplete, "allow"); end != "Your device is connected" {
		t.Errorf("the pages end with %q", end)
	}
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	if token := got.token; token.Type() != "Bearer" || token.RefreshToken == "" || token.Extra("scope") != "read" {
		t.Errorf("%v", token)
	}
	_, err = config.DeviceAccessToken(ctx, asked)
	refused(t, err, "invalid_grant", http.StatusBadRequest)
}

// telling is a transport that says when a request is answered.
type telling chan<- struct{}

func (c telling) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	c <- struct{}{}
	return response, err
}

func TestNodeDevice(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	deviceServer(t).runNode(t, "device-openid-client.test.mjs")
}

func TestDevicePagesInChromium(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	chromium := needChromium(t)
	deviceServer(t).runNode(t, "device-pages.test.mjs", "INTEROP_CHROMIUM="+chromium)
}
