package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"

	"jeton/storage"
)

// The exit codes, which scripts rely on.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitMissing = 3
	exitExists  = 4
	exitAway    = 5
)

// usageError is a command that was not typed as it should be.
type usageError struct{ words string }

func (e *usageError) Error() string { return e.words }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// awayError is a server or store that cannot be reached.
type awayError struct {
	words string
	cause error
}

func (e *awayError) Error() string {
	if e.cause == nil {
		return e.words
	}
	return e.words + ": " + e.cause.Error()
}
func (e *awayError) Unwrap() error { return e.cause }

// exitCode is the one table from errors to exit codes; name is what the error
// is called in JSON, in the words of the admin API.
func exitCode(err error) (code int, name string) {
	var (
		usage *usageError
		wrong faults
		away  *awayError
		api   *apiError
	)
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &usage), errors.As(err, &wrong):
		return exitUsage, "invalid_request"
	case errors.As(err, &api):
		switch api.Code {
		case "not_found":
			return exitMissing, api.Code
		case "already_exists":
			return exitExists, api.Code
		case "temporarily_unavailable":
			return exitAway, api.Code
		}
		return exitFailed, api.Code
	case errors.Is(err, fs.ErrExist):
		return exitExists, "already_exists"
	case errors.As(err, &away), errors.Is(err, storage.ErrUnavailable), errors.Is(err, storage.ErrUnknown), errors.Is(err, storage.ErrUnconfirmed):
		return exitAway, "temporarily_unavailable"
	}
	return exitFailed, "server_error"
}

// report writes the error for whoever typed the command, and returns the exit
// code.
func report(stderr io.Writer, err error, asJSON bool) int {
	code, name := exitCode(err)
	if err == nil {
		return code
	}
	if asJSON {
		object := map[string]any{"error": name, "error_description": plainWords(err)}
		var wrong faults
		if errors.As(err, &wrong) {
			list := make([]map[string]string, len(wrong))
			for i, f := range wrong {
				list[i] = map[string]string{"source": f.Source, "message": f.Message}
			}
			object["faults"] = list
		}
		b, _ := json.Marshal(object) // strings only
		fmt.Fprintf(stderr, "%s\n", b)
		return code
	}
	fmt.Fprintf(stderr, "jeton: %s\n", plainWords(err))
	return code
}

// packagePrefix is by which our errors name the package they come from.
var packagePrefix = regexp.MustCompile(`(^|: )(accounts|clients|events|grants|keys|passwords|status|storage|wellknown): `)

// plainWords is the error for those who do not read the source.
func plainWords(err error) string { return packagePrefix.ReplaceAllString(err.Error(), "$1") }
