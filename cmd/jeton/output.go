package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// output writes what a command has to say: JSON as the admin API gave it, or
// text for people.
type output struct {
	w    io.Writer
	json bool
}

// member is one name and value of a JSON object, which keeps its order.
type member struct {
	name  string
	value json.RawMessage
}

// members reads a JSON object without losing the order of its members.
func members(object json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("the server's answer is not an object, is it of another version?")
	}
	var all []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var m member
		m.name = fmt.Sprint(name)
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// pick is the text of one member, empty when it is absent.
func pick(object json.RawMessage, name string) string {
	all, _ := members(object) // what is no object has no members
	for _, m := range all {
		if m.name == name {
			return words(m.value)
		}
	}
	return ""
}

// act tells of something done: the object, or a sentence about it.
func (o *output) act(object any, sentence string, args ...any) error {
	if o.json {
		return o.writeJSON(object)
	}
	_, err := fmt.Fprintf(o.w, sentence+"\n", args...)
	return err
}

// show writes an object, one member a line.
func (o *output) show(object json.RawMessage) error {
	if o.json {
		return o.writeJSON(object)
	}
	all, err := members(object)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	for _, m := range all {
		fmt.Fprintf(t, "%s\t%s\n", m.name, words(m.value))
	}
	return t.Flush()
}

func (o *output) writeJSON(object any) error {
	b, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.w, "%s\n", b)
	return err
}

// listing writes pages of objects: one JSON array, or a table. Text is aligned
// page by page, so that a long listing needs no memory.
type listing struct {
	*output
	columns []string
	begun   bool
}

func (l *listing) page(objects []json.RawMessage) error {
	if l.json {
		for _, object := range objects {
			lead := ",\n  "
			if !l.begun {
				lead = "[\n  "
			}
			l.begun = true
			b, err := json.MarshalIndent(object, "  ", "  ")
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(l.w, "%s%s", lead, b); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(l.w, 0, 0, 2, ' ', 0)
	if !l.begun && len(objects) > 0 {
		l.begun = true
		fmt.Fprintln(t, strings.ToUpper(strings.Join(l.columns, "\t")))
	}
	for _, object := range objects {
		all, err := members(object)
		if err != nil {
			return err
		}
		cells := make([]string, len(l.columns))
		for i, column := range l.columns {
			cells[i] = "-"
			for _, m := range all {
				if m.name == column {
					cells[i] = words(m.value)
				}
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// end closes the array, or says in words that there was nothing.
func (l *listing) end(none string) error {
	var err error
	switch {
	case l.json && l.begun:
		_, err = fmt.Fprint(l.w, "\n]\n")
	case l.json:
		_, err = fmt.Fprintln(l.w, "[]")
	case !l.begun:
		_, err = fmt.Fprintln(l.w, none)
	}
	return err
}

// words is a JSON value for people to read.
func words(value json.RawMessage) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return string(value)
	}
	switch v := v.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC().Format(time.RFC3339) // in whole seconds
		}
		return printable(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = printable(fmt.Sprint(item))
		}
		if len(parts) == 0 {
			return "-"
		}
		return strings.Join(parts, ",")
	case map[string]any:
		all, _ := members(value) // it just decoded to an object
		var parts []string
		for _, m := range all {
			if text := words(m.value); text != "" && text != "-" {
				parts = append(parts, m.name+"="+text)
			}
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}

// printable keeps what others chose, such as a client's name, from speaking to
// the terminal.
func printable(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
