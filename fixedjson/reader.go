package fixedjson

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Reader reads a text from its front. After the first thing that is not as
// expected all that it returns means nothing, and [Reader.Done] says so.
type Reader struct {
	rest string
	bad  bool
	// begun says that a member of the object has been read, so that a comma
	// stands before the next.
	begun bool
}

// NewReader begins an object.
func NewReader(text []byte) *Reader {
	r := &Reader{rest: string(text)}
	r.Open()
	return r
}

// Done reports whether the object, the whole text and nothing but it was read.
func (r *Reader) Done() bool {
	r.Close()
	return !r.bad && r.rest == ""
}

// Bad reports whether there is no use in reading on.
func (r *Reader) Bad() bool { return r.bad }

// Open begins an object, Close ends it.
func (r *Reader) Open() {
	r.Text("{")
	r.begun = false
}

// Close ends the object.
func (r *Reader) Close() {
	r.Text("}")
	r.begun = true
}

// Text expects a text.
func (r *Reader) Text(want string) {
	if !r.has(want) {
		r.bad = true
	}
}

func (r *Reader) has(want string) bool {
	rest, ok := strings.CutPrefix(r.rest, want)
	r.rest = rest
	return ok
}

// Next reports whether the next member has this name, and passes the name.
func (r *Reader) Next(name string) bool {
	s := r.rest
	if r.begun {
		if len(s) == 0 || s[0] != ',' {
			return false
		}
		s = s[1:]
	}
	n := len(name)
	if len(s) < n+3 || s[0] != '"' || s[1:n+1] != name || s[n+1] != '"' || s[n+2] != ':' {
		return false
	}
	r.rest, r.begun = s[n+3:], true
	return true
}

// Member expects a member of this name.
func (r *Reader) Member(name string) {
	if !r.Next(name) {
		r.bad = true
	}
}

// Str reads a string in which nothing is escaped.
func (r *Reader) Str() string {
	if r.has(`"`) {
		for i := range len(r.rest) {
			if c := r.rest[i]; c == '"' {
				s := r.rest[:i]
				r.rest = r.rest[i+1:]
				return s
			} else if !plain(c) {
				break
			}
		}
	}
	r.bad = true
	return ""
}

// Strs reads an array of strings.
func (r *Reader) Strs() []string {
	if r.has("null") {
		return nil
	}
	all := []string{}
	for r.Text("["); !r.bad && !r.has("]"); {
		if len(all) > 0 {
			r.Text(",")
		}
		all = append(all, r.Str())
	}
	return all
}

// Bytes reads bytes.
func (r *Reader) Bytes() []byte {
	if r.has("null") {
		return nil
	}
	p, err := base64.StdEncoding.Strict().DecodeString(r.Str())
	r.bad = r.bad || err != nil
	return p
}

// Time reads a time of UTC.
func (r *Reader) Time() time.Time {
	s := r.Str()
	if !strings.HasSuffix(s, "Z") {
		r.bad = true
		return time.Time{}
	}
	var t time.Time
	r.bad = r.bad || t.UnmarshalText([]byte(s)) != nil
	return t
}

// Uint reads a whole number as strconv writes it.
func (r *Reader) Uint() uint64 {
	i := 0
	for i < len(r.rest) && '0' <= r.rest[i] && r.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(r.rest[:i], 10, 64)
	r.bad = r.bad || err != nil || r.rest[0] == '0' && i > 1
	r.rest = r.rest[i:]
	return n
}

// Int reads a whole number that is not negative.
func (r *Reader) Int() int64 {
	n := r.Uint()
	r.bad = r.bad || int64(n) < 0
	return int64(n)
}

// True reads true: a false is left out.
func (r *Reader) True() bool {
	r.Text("true")
	return true
}

// Last reports whether this text comes next, and passes it: the end of a list.
func (r *Reader) Last(text string) bool { return r.has(text) }
