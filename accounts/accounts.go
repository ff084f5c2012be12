// Package accounts administers users and clients: who exists, under which name,
// with which rights. It is what the admin API, the command line and imports
// stand on, so that all of them keep the same rules.
//
// A change of a record goes through package grants, because it may have to end
// sessions and must not race with a login. What is only here: that a login name
// belongs to one user ([Users.Add]), that no client id is a user's `sub`
// (RFC 9068 §5), how some settings of a client are changed and the others left
// ([ClientSettings]), and what only those may do who reach the machine itself
// ([Act.Operator]).
//
// Passwords are judged and hashed by package passwords; what a client may be,
// and its secrets, by package clients. Who may call at all is decided in
// package server.
package accounts

import (
	"errors"
	"fmt"
	"strings"

	"jeton/grants"
	"jeton/storage"
)

// ErrOperatorOnly refuses what only [Act.Operator] may do.
var ErrOperatorOnly = errors.New("this needs the machine itself: use the jeton command there")

// Act says who does something, for the events that tell of it.
type Act struct {
	// By is `sub` of a user, `client:ID` or `operator`.
	By string
	// Note is the reason given in words, Source the address it came from.
	Note, Source string
	// Session is the one through which a user acts, Browser the one in which a
	// user acts at the pages; empty for all others.
	Session, Browser string
	// Operator is set for who reached the machine (its socket, its store), not
	// merely the network. Only an operator touches clients that administer: a
	// stolen administrator's token must not be able to outlive itself.
	Operator bool
	// Seen is what the act was decided on, the [ClientTag] of a client or, for other
	// roles, the [RolesTag] of a user: what has changed since is left alone. An
	// empty one is that of any.
	Seen string
}

func (a Act) ending(reason string) *grants.Ending {
	e := a.endingOf(reason)
	return &e
}

func (a Act) endingOf(reason string) grants.Ending {
	return grants.Ending{Reason: reason, By: a.By, Note: a.Note, Source: a.Source}
}

// InvalidError lists all that is wrong with what was asked for. Nothing has
// been changed.
type InvalidError struct{ Faults []string }

func (e *InvalidError) Error() string { return strings.Join(e.Faults, "; ") }

// faults collects what is wrong.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &InvalidError{f}
}

// allFaults makes one error of several that may be an [InvalidError].
func allFaults(errs ...error) error {
	var all faults
	for _, err := range errs {
		var invalid *InvalidError
		switch {
		case errors.As(err, &invalid):
			all = append(all, invalid.Faults...)
		case err != nil:
			return err
		}
	}
	return all.err()
}

func notFound(what, id string) error {
	return fmt.Errorf("%s %q: %w", what, id, grants.ErrNotFound)
}

func exists(what, id, hint string) error {
	return fmt.Errorf("%s %q %w: %s", what, id, grants.ErrExists, hint)
}

// printable reports whether s is 1 to most bytes of printable ASCII, the space
// excluded, without any of the bytes in not.
func printable(s string, most int, not string) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(not, r)
	})
}

// mostTries bounds how often a commit that found the truth changed is decided
// again; each time somebody else's has got through.
const mostTries = 100

var errContended = fmt.Errorf("accounts: too many changes to one record at once: %w", storage.ErrUnavailable)
