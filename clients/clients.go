// Package clients says what a registered client may be and how it proves who
// it is.
//
// [Validate] is the one place with the rules of a client's record, whichever
// way the record came in: command line, admin API, file or import. An
// [Authenticator] checks what a client presents at /token, /revoke and
// /introspect: a secret ([NewSecret]), an assertion signed with its own key
// (private_key_jwt), or nothing, for a public client.
//
// The package knows storage and keys. Reading the Authorization header and the
// form is left to package server; what an authenticated client may ask for, to
// package grants; counting failures, to package server as well.
package clients

import (
	"errors"
	"strings"
)

// ErrInvalidClient is what [Authenticator.Authenticate] answers to everyone
// that it does not let in: the wire's invalid_client. Its text is the same
// whatever the reason, so that nobody learns from it which clients exist.
var ErrInvalidClient = errors.New("client authentication failed")

// InvalidClientError is ErrInvalidClient with its reason.
type InvalidClientError struct {
	// Cause is for the log, never for the caller.
	Cause error
}

func (e *InvalidClientError) Error() string { return ErrInvalidClient.Error() }

// Is makes it ErrInvalidClient. The cause is not unwrapped: an error of the
// store that a client's own jwks_uri brought about must not look like ours.
func (e *InvalidClientError) Is(target error) bool { return target == ErrInvalidClient }

func refuse(cause string) error { return &InvalidClientError{errors.New(cause)} }

// MetadataError lists all that is wrong with a client's record, in words for
// the operator.
type MetadataError struct{ Faults []string }

func (e *MetadataError) Error() string { return strings.Join(e.Faults, "; ") }
