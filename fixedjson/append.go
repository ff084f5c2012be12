// Package fixedjson writes and reads JSON objects of one known shape, without
// reflection: the members in the order of a struct, no space between them. It
// is for the few texts that every request writes or reads.
//
// What the Append functions write is byte for byte what encoding/json writes of
// the same value. A [Reader] takes such text and gives up on any other, which
// is then for encoding/json to read: so these texts stay plain JSON, open to
// members that a later version adds, and to people who look.
package fixedjson

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
)

// AppendName begins a member, the comma before it included. The name must need
// no escaping.
func AppendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), `":`...)
}

// AppendString writes a string.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain(s[i]) {
			return appendMarshal(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// plain reports whether encoding/json leaves a byte as it is.
func plain(c byte) bool {
	return ' ' <= c && c <= '~' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

func appendMarshal(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, and times between the years 0 and 9999, all encode
	}
	return append(b, text...)
}

// AppendStrings writes an array of strings, or null.
func AppendStrings(b []byte, all []string) []byte {
	if all == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, s)
	}
	return append(b, ']')
}

// AppendBytes writes bytes as base64, or null.
func AppendBytes(b, p []byte) []byte {
	if p == nil {
		return append(b, "null"...)
	}
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), p), '"')
}

// AppendTime writes a time.
func AppendTime(b []byte, t time.Time) []byte {
	if y := t.Year(); t.Location() != time.UTC || y < 1 || y > 9999 {
		return appendMarshal(b, t)
	}
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// AppendUint writes a number.
func AppendUint(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

// AppendInt writes a number.
func AppendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
