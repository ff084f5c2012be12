package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errNotObject = errors.New("not a JSON object in UTF-8")
	errTwice     = errors.New("a member name stands twice in one object")
)

// CheckObject reports whether text is one JSON object, in none of whose
// objects, however deep, a member stands twice (RFC 7515 §4, RFC 7519 §4).
// Parsers differ in which of two they take, and a check made by one that takes
// the first says nothing about a reader that takes the last.
//
// Names that differ only in case count as the same, because encoding/json
// matches them to the same field.
func CheckObject(text []byte) error {
	if !utf8.Valid(text) || !json.Valid(text) {
		return errNotObject
	}
	s := scanner{text: text}
	if s.skipSpace(); s.text[s.at] != '{' {
		return errNotObject
	}
	return s.run()
}

// scanner walks text that is known to be valid JSON, so that only quotes and
// brackets need looking at.
type scanner struct {
	text []byte
	at   int
	// open holds the names seen in each enclosing object, nil for an array.
	open []map[string]bool
}

func (s *scanner) run() error {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '{':
			s.open = append(s.open, make(map[string]bool))
		case '[':
			s.open = append(s.open, nil)
		case '}', ']':
			s.open = s.open[:len(s.open)-1]
		case '"':
			if err := s.str(); err != nil {
				return err
			}
		}
	}
	return nil
}

// str passes one string, and notes it if it is a member's name.
func (s *scanner) str() error {
	from := s.at
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	quoted := s.text[from : s.at+1]
	names := s.open[len(s.open)-1]
	if names == nil || !s.beforeColon() {
		return nil
	}
	name := string(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(quoted, '\\') >= 0 { // names are what their escapes mean
		if err := json.Unmarshal(quoted, &name); err != nil {
			return errNotObject
		}
	}
	name = fold(name)
	if names[name] {
		return errTwice
	}
	names[name] = true
	return nil
}

// beforeColon looks past the string that ends here, without moving.
func (s *scanner) beforeColon() bool {
	ahead := scanner{text: s.text, at: s.at + 1}
	ahead.skipSpace()
	return ahead.at < len(ahead.text) && ahead.text[ahead.at] == ':'
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

// fold gives names that encoding/json holds for equal one form.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}
