package storage

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxName is the most bytes of a login name, as given and in its normal form.
const MaxName = 255

// The faults of a login name, in words for the operator who chose it.
var (
	errNameEmpty   = errors.New("the user name is empty")
	errNameLong    = errors.New("the user name is longer than 255 bytes")
	errNameUTF8    = errors.New("the user name is not valid UTF-8")
	errNameSpace   = errors.New("the user name begins or ends with a space")
	errNameGraphic = errors.New("the user name has a control, invisible or unassigned character in it")
)

// NormalName is the form of a login name that is compared and claimed: NFC
// over Unicode case folding, so that "Élodie" is one name however it was typed.
// It is idempotent. Names that look alike without being equal under it (the
// Greek and the Latin A) stay different.
func NormalName(name string) (string, error) {
	switch {
	case name == "":
		return "", errNameEmpty
	case len(name) > MaxName:
		return "", errNameLong
	case !utf8.ValidString(name):
		return "", errNameUTF8
	case strings.TrimSpace(name) != name:
		return "", errNameSpace
	}
	for _, r := range name {
		// Beside control characters: the invisible ones (zero-width space,
		// bidi marks), with which two names look the same on every page, and
		// those not yet in Unicode, whose normal form may change.
		if !unicode.IsGraphic(r) {
			return "", errNameGraphic
		}
	}
	// Folding can denormalise and normalising can uncover what folds, hence
	// NFD before and NFC after (Unicode 3.13, D145, in its canonical form).
	folded := norm.NFC.String(strings.Map(foldCherokee, cases.Fold().String(norm.NFD.String(name))))
	if len(folded) > MaxName {
		return "", errNameLong
	}
	return folded, nil
}

// foldCherokee completes the folding of the one script that folds to capitals:
// package cases swaps its two cases where Unicode's CaseFolding.txt maps small
// to capital.
func foldCherokee(r rune) rune {
	switch {
	case 0xab70 <= r && r <= 0xabbf:
		return r - 0xab70 + 0x13a0
	case 0x13f8 <= r && r <= 0x13fd:
		return r - 8
	}
	return r
}
