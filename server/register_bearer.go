package server

import (
	"net/http"
	"strings"
)

// registrationBearer reads an initial or a registration access token (RFC 7591
// §3, RFC 7592 §2). They are bearer tokens and nothing else: no key is known by
// which they could be bound.
func registrationBearer(r *http.Request, needs string) (string, error) {
	sent := r.Header.Values("Authorization")
	switch {
	case tokenInQuery(r.URL.RawQuery):
		return "", registrationChallenge(http.StatusBadRequest, "invalid_request", "a token is taken only in the Authorization header, never in a URI; this one may have been logged")
	case len(sent) == 0:
		return "", registrationChallenge(http.StatusUnauthorized, "", needs)
	case len(sent) > 1:
		return "", registrationChallenge(http.StatusBadRequest, "invalid_request", "there is more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if !strings.EqualFold(scheme, schemeBearer) {
		return "", registrationChallenge(http.StatusUnauthorized, "", needs)
	}
	if token = strings.TrimLeft(token, " "); !b64token(token) {
		return "", registrationChallenge(http.StatusBadRequest, "invalid_request", "the Authorization header is not Bearer and one token")
	}
	return token, nil
}

// registrationChallenge is a refusal of RFC 6750 §3. Who sent no token is told
// nothing but how to come in.
func registrationChallenge(status int, code, description string) error {
	value := schemeBearer + ` realm="jeton"`
	if code == "" {
		code = "invalid_token" // of the body, where each error has a code
	} else {
		value += `, error="` + code + `", error_description="` + described(description) + `"`
	}
	return refusal{problem{status: status, code: code, description: description, header: http.Header{"Www-Authenticate": {value}}}}
}
