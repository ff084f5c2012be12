package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

const (
	mostDepth   = 32
	mostMembers = 256
)

var (
	errNotObject = errors.New("not one JSON object in UTF-8")
	errTwice     = errors.New("an object in which a member stands twice")
	errTooMuch   = errors.New("an object of more members or levels than anybody needs")
)

// checkObject reports whether text is one JSON object, in none of whose
// objects, however deep, a member stands twice (RFC 7515 §4, RFC 7519 §4):
// parsers differ in which of the two they take, and what one of them checked
// says nothing about what the next one reads. Names that differ only in case
// count as the same, because encoding/json gives them to one field.
func checkObject(text []byte) error {
	if !utf8.Valid(text) || !json.Valid(text) {
		return errNotObject
	}
	if at := bytes.TrimLeft(text, " \t\r\n"); at[0] != '{' {
		return errNotObject
	}
	// The text is known to be valid, so only quotes and brackets need looking
	// at. The names of the objects that are open lie one behind the other.
	var names [][]byte
	open := make([]int, 0, 8) // where the names of each begin; -1 for an array
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if len(open) == mostDepth {
				return errTooMuch
			}
			from := -1
			if text[i] == '{' {
				from = len(names)
			}
			open = append(open, from)
		case '}', ']':
			if from := open[len(open)-1]; from >= 0 {
				names = names[:from]
			}
			open = open[:len(open)-1]
		case '"':
			from := i
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			mine := open[len(open)-1]
			if mine < 0 || !beforeColon(text[i+1:]) {
				continue
			}
			name, err := unquote(text[from : i+1])
			if err != nil {
				return err
			}
			for _, other := range names[mine:] {
				if bytes.EqualFold(other, name) {
					return errTwice
				}
			}
			if names = append(names, name); len(names)-mine > mostMembers {
				return errTooMuch
			}
		}
	}
	return nil
}

func beforeColon(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// unquote gives a name: what its escapes mean.
func unquote(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		return nil, errNotObject
	}
	return []byte(name), nil
}
