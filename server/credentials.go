package server

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"jeton/clients"
	"jeton/grants"
	"jeton/storage"
)

// credentials finds how the client authenticates (RFC 6749 §2.3). A client uses
// one way at a time; whether it is the right one is for package clients to say.
func credentials(r *http.Request, f form) (clients.Credentials, error) {
	c := clients.Credentials{
		ClientID: f.get("client_id"), Secret: f.get("client_secret"),
		Assertion: f.get("client_assertion"), AssertionType: f.get("client_assertion_type"),
	}
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) > 1:
		return c, badRequest("there is more than one Authorization header")
	case len(headers) == 1:
		return basicCredentials(headers[0], c)
	case c.Assertion != "" || c.AssertionType != "":
		if c.Secret != "" {
			return c, badRequest("the client authenticates in two ways at once")
		}
		c.Method = storage.AuthPrivateKeyJWT
	case c.Secret != "":
		c.Method = storage.AuthPost
	default:
		c.Method = storage.AuthNone
	}
	if c.ClientID == "" && c.Method != storage.AuthPrivateKeyJWT {
		return c, invalidClient(errors.New("no client_id"))
	}
	return c, nil
}

// basicCredentials reads the Authorization header. Id and secret in it are
// form-encoded each (RFC 6749 §2.3.1).
func basicCredentials(header string, c clients.Credentials) (clients.Credentials, error) {
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return c, invalidClient(errors.New("unsupported scheme in the Authorization header"))
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return c, invalidClient(errors.New("the Basic header is not base64"))
	}
	user, pass, ok := strings.Cut(string(raw), ":")
	if !ok || strings.ContainsRune(string(raw), 0) {
		return c, invalidClient(errors.New("the Basic header has no colon"))
	}
	id, idErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(pass)
	if idErr != nil || secretErr != nil || id == "" {
		return c, invalidClient(errors.New("the Basic header is not form-encoded"))
	}
	if c.Secret != "" || c.Assertion != "" {
		return c, badRequest("the client authenticates in two ways at once")
	}
	if c.ClientID != "" && c.ClientID != id {
		return c, badRequest("client_id differs from the Authorization header")
	}
	c.Method, c.ClientID, c.Secret = storage.AuthBasic, id, secret
	return c, nil
}

func invalidClient(cause error) error {
	return grants.Refuse(grants.InvalidClient, "client authentication failed", cause)
}
