package passwords

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// RefusedError says why a password may not be set, in words for the person who
// chose it. It never repeats the password.
type RefusedError struct{ Reasons []string }

func (e *RefusedError) Error() string {
	return "the password is refused: " + strings.Join(e.Reasons, "; ")
}

// normalise brings a password to NFC, the same on setting and verifying, so
// that "é" is one password however the keyboard composes it. Nothing is
// trimmed or folded. The reason is empty unless no password can look so.
func normalise(password string) (normal, reason string) {
	const tooLong = "too long: at most 1024 characters"
	if len(password) > maxBytes {
		return "", tooLong
	}
	if !utf8.ValidString(password) {
		return "", "not valid UTF-8 text"
	}
	normal = norm.NFC.String(password)
	if utf8.RuneCountInString(normal) > maxLength || len(normal) > maxBytes {
		return "", tooLong
	}
	return normal, ""
}

// Check applies the rules to a new password of the user: length, and that it
// is not among the first that are guessed. There are no rules about kinds of
// characters. What is refused comes as a [*RefusedError] with all reasons.
func (p *Passwords) Check(username, password string) error {
	normal, reason := normalise(password)
	if reason != "" {
		return &RefusedError{Reasons: []string{reason}}
	}
	var reasons []string
	if n := utf8.RuneCountInString(normal); n < p.minLength {
		reasons = append(reasons, fmt.Sprintf("too short: %d of at least %d characters", n, p.minLength))
	}
	// No login field lets a person type a tab or a newline: in a password they
	// come from a slip in a script or a file, and would lock the user out.
	// Verify takes them, for hashes that were imported.
	if strings.ContainsFunc(normal, unicode.IsControl) {
		reasons = append(reasons, "a control character, such as a tab or a line break, is in it")
	}
	if p.refused.has(normal) {
		reasons = append(reasons, "it is on the list of passwords that are known to others")
	}
	if reason := guessable(normal, username, p.service); reason != "" {
		reasons = append(reasons, reason)
	}
	if len(reasons) > 0 {
		return &RefusedError{Reasons: reasons}
	}
	return nil
}
