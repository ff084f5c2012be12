package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"jeton/grants"
)

// What a form may cost. A stranger sends it before anything is known of him.
const (
	mostFormBytes  = 64 << 10
	mostFormFields = 200
)

// form is the body of a request: each parameter at most once, empty ones left
// out (RFC 6749 §3.2).
type form url.Values

func (f form) get(name string) string { return url.Values(f).Get(name) }

// repeatable are the parameters that may be sent more than once (RFC 8707 §2,
// RFC 8693 §2.1).
var repeatable = []string{"resource", "audience"}

// bodyOnly are the parameters that must not travel in a URI, where logs and
// histories keep them (RFC 6749 §2.3.1).
var bodyOnly = []string{
	"client_secret", "client_assertion", "password", "username", "refresh_token", "code", "token", "grant_type",
	"subject_token", "actor_token", "device_code",
}

var errTooLarge = errors.New("server: the body is too large")

// parseForm reads the form in the body of a POST. Nothing is read from the URI.
func parseForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.URL.RawQuery != "" {
		query := r.URL.Query()
		if slices.ContainsFunc(bodyOnly, query.Has) {
			return nil, badRequest("parameters belong in the body, not in the URI")
		}
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, badRequest("the Content-Type must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostFormBytes))
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return nil, errTooLarge
		}
		return nil, badRequest("the body could not be read")
	}
	if strings.Count(string(body), "&") >= mostFormFields {
		return nil, badRequest("the form has too many parameters")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("the form is malformed")
	}
	for name, sent := range values {
		if len(sent) > 1 && !slices.Contains(repeatable, name) {
			return nil, badRequest("a parameter was sent more than once")
		}
		for _, v := range sent {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return nil, badRequest("a parameter is not UTF-8 text")
			}
		}
		if values[name] = slices.DeleteFunc(sent, func(v string) bool { return v == "" }); len(values[name]) == 0 {
			delete(values, name)
		}
	}
	return form(values), nil
}

func badRequest(description string) error {
	return grants.Refuse(grants.InvalidRequest, description, nil)
}
