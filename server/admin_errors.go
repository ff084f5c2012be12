package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
)

// refusal is an error that carries its answer.
type refusal struct{ problem }

func (r refusal) Error() string { return r.code + ": " + r.description }

func adminRefusal(status int, code, format string, args ...any) error {
	return refusal{problem{status: status, code: code, description: fmt.Sprintf(format, args...)}}
}

func badBody(format string, args ...any) error {
	return adminRefusal(http.StatusBadRequest, "invalid_request", format, args...)
}

// adminProblemOf says more than [problemOf]: who administers may know what is
// there, and is told what to do next.
func adminProblemOf(err error) problem {
	var own refusal
	var invalid *accounts.InvalidError
	var misfit *unfit
	switch {
	case errors.As(err, &own):
		return own.problem
	case errors.As(err, &misfit):
		return problem{status: http.StatusBadRequest, code: "invalid_request", description: misfit.Error()}
	case errors.As(err, &invalid):
		return problem{status: http.StatusBadRequest, code: "invalid_request", description: invalid.Error()}
	case errors.Is(err, keys.ErrImport):
		return problem{status: http.StatusBadRequest, code: "invalid_request", description: err.Error()}
	case errors.Is(err, keys.ErrKeyExists):
		return problem{status: http.StatusConflict, code: "already_exists", description: err.Error()}
	case errors.Is(err, keys.ErrLastKey), errors.Is(err, keys.ErrRewrap), errors.Is(err, keys.ErrOldMaster):
		return problem{status: http.StatusConflict, code: "invalid_request", description: err.Error()}
	case errors.Is(err, keys.ErrUnknownKey):
		return problem{status: http.StatusNotFound, code: "not_found", description: "there is no such key in the ring"}
	case errors.Is(err, grants.ErrNotFound):
		return problem{status: http.StatusNotFound, code: "not_found", description: err.Error()}
	case errors.Is(err, grants.ErrExists):
		return problem{status: http.StatusConflict, code: "already_exists", description: err.Error()}
	case hasChanged(err):
		return problem{status: http.StatusPreconditionFailed, code: "precondition_failed", description: err.Error()}
	case errors.Is(err, accounts.ErrOperatorOnly):
		return problem{status: http.StatusForbidden, code: "access_denied", description: "clients that administer are changed only on the machine itself: use the jeton command there"}
	case errors.Is(err, storage.ErrCursor):
		return problem{status: http.StatusBadRequest, code: "invalid_request", description: "after: the cursor is not one that this listing returned: begin without it"}
	case errors.Is(err, storage.ErrDamaged):
		return problem{status: http.StatusInternalServerError, code: "server_error", description: strings.TrimPrefix(err.Error(), "storage: ") + ": jeton store check names all that cannot be read"}
	case errors.Is(err, storage.ErrUnconfirmed):
		return unavailable("the change is made, but the store's replicas have not confirmed it: ask again once they are back")
	case errors.Is(err, storage.ErrUnknown):
		return unavailable("the store did not say whether it made the change: look before you ask again")
	}
	return problemOf(err)
}

// hasChanged reports whether something was left alone because it is not what the
// act was decided on.
func hasChanged(err error) bool {
	return errors.Is(err, accounts.ErrChanged) || errors.Is(err, keys.ErrChanged)
}

func writeAdminProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := adminProblemOf(err)
	noteError(r.Context(), p, err)
	p.setHeader(w, r)
	writeJSON(w, p.status, map[string]any{"error": p.code, "error_description": described(p.description)})
}

// described leaves the characters that an error_description may have (RFC 6749
// §5.2), whatever name or value is quoted in it.
func described(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}
