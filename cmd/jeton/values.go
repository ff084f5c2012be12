package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"jeton/storage"
)

// The kinds of values that settings and flags have. Each is a pflag.Value, so
// that a text is read the same way wherever it stood.

// text is any string.
type text string

func (t *text) Set(s string) error { *t = text(s); return nil }
func (t *text) String() string     { return string(*t) }
func (t *text) Type() string       { return "text" }

// path is the name of a file.
type path string

func (p *path) Set(s string) error { *p = path(s); return nil }
func (p *path) String() string     { return string(*p) }
func (p *path) Type() string       { return "file" }

// yesno is a switch.
type yesno bool

func (b *yesno) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*b = yesno(v)
	return nil
}
func (b *yesno) String() string { return strconv.FormatBool(bool(*b)) }
func (b *yesno) Type() string   { return "bool" }

// IsBoolFlag lets the flag stand without a value.
func (b *yesno) IsBoolFlag() bool { return true }

// number is a count.
type number int

func (n *number) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	*n = number(v)
	return nil
}
func (n *number) String() string { return strconv.Itoa(int(*n)) }
func (n *number) Type() string   { return "number" }

// choice is one of a few words.
type choice struct {
	word string
	of   []string
}

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(c.of, ", "))
	}
	c.word = s
	return nil
}
func (c *choice) String() string { return c.word }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }

// list is words separated by commas; a flag may also be repeated.
type list []string

func (l *list) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}
func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Type() string   { return "list" }

// networks is a list of address ranges; a bare address is a range of one.
type networks []netip.Prefix

func (n *networks) Set(s string) error {
	var words list
	_ = words.Set(s) // any text is a list
	for _, word := range words {
		p, err := netip.ParsePrefix(word)
		if addr, errAddr := netip.ParseAddr(word); errAddr == nil && addr.Zone() == "" {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return fmt.Errorf("%q is not an address range such as 10.0.0.0/8 or 2001:db8::/32", word)
		}
		if p != p.Masked() {
			return fmt.Errorf("%q has bits set beyond its length: write %s", word, p.Masked())
		}
		*n = append(*n, p)
	}
	return nil
}

func (n *networks) String() string {
	words := make([]string, len(*n))
	for i, p := range *n {
		words[i] = p.String()
	}
	return strings.Join(words, ",")
}
func (n *networks) Type() string { return "networks" }

// wording says in words what scopes mean: "read=Read your notes; write=Change
// them".
type wording map[string]string

func (w *wording) Set(s string) error {
	*w = wording{}
	for one := range strings.SplitSeq(s, ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		scope, words, ok := strings.Cut(one, "=")
		scope, words = strings.TrimSpace(scope), strings.TrimSpace(words)
		if !ok || scope == "" || words == "" || strings.ContainsAny(scope, " \"\\") {
			return fmt.Errorf("%q is not a scope and its meaning, such as read=Read your notes", strings.TrimSpace(one))
		}
		(*w)[scope] = words
	}
	return nil
}

func (w *wording) String() string {
	var parts []string
	for _, scope := range slices.Sorted(maps.Keys(*w)) {
		parts = append(parts, scope+"="+(*w)[scope])
	}
	return strings.Join(parts, "; ")
}
func (w *wording) Type() string { return "words" }

// separator is what stands between the values of a flag that may be repeated,
// and of a list in the file; "" for a kind that has one value.
func separator(v pflag.Value) string {
	switch v.(type) {
	case *list, *networks:
		return ","
	case *wording:
		return ";"
	}
	return ""
}

// raw is a flag that only remembers what was typed. Settings are read from it
// later, so that all faults of flags, environment and file are told together.
type raw struct {
	typed *string
	of    pflag.Value
}

func (r *raw) Set(s string) error {
	if sep := separator(r.of); sep != "" && r.typed != nil {
		s = *r.typed + sep + s
	}
	r.typed = &s
	return nil
}

func (r *raw) String() string {
	if r.typed == nil {
		return ""
	}
	return *r.typed
}

func (r *raw) Type() string { return r.of.Type() }

var _ pflag.Value = (*storage.Duration)(nil)
