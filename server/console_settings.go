package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"jeton/accounts"
	"jeton/grants"
	"jeton/pages"
	"jeton/storage"
)

// typed is a form of settings: what stands in each field, as it is compared, and
// what is wrong with it, by the setting's name.
type typed struct {
	values map[string]string
	faults map[string]string
	// others are faults of no field.
	others []string
}

// typedOf is the form of a client as it is.
func typedOf(c storage.Client) typed {
	b, err := json.Marshal(showClient(c, ""))
	var members map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(b, &members)
	}
	if err != nil {
		panic(err) // it is our own type
	}
	t := typed{values: make(map[string]string), faults: make(map[string]string)}
	for _, g := range clientGroups {
		for _, s := range g.settings {
			t.values[s.name] = s.text(members[s.name])
		}
	}
	return t
}

// text is what the form has for a member of the admin API.
func (s clientSetting) text(member json.RawMessage) string {
	var line string
	var list []string
	switch {
	case member == nil || s.kind == asTick && string(member) == "false":
		return ""
	case s.kind == asTick, s.kind == asNumber:
		return string(member)
	case s.kind == asJSON:
		var b bytes.Buffer
		_ = json.Indent(&b, member, "", "  ")
		return b.String()
	case json.Unmarshal(member, &list) == nil:
		return strings.Join(list, "\n")
	}
	_ = json.Unmarshal(member, &line)
	return line
}

// typedIn is a form as it was sent.
func typedIn(f form) typed {
	t := typed{values: make(map[string]string), faults: make(map[string]string)}
	for _, g := range clientGroups {
		for _, s := range g.settings {
			t.values[s.name] = s.sent(f)
		}
	}
	return t
}

// sent is what stands in the field of a form, however it is spaced.
func (s clientSetting) sent(f form) string {
	text := strings.TrimSpace(f.get(s.name))
	switch s.kind {
	case asWords:
		return strings.Join(strings.Fields(text), " ")
	case asLines:
		return strings.Join(strings.Fields(text), "\n")
	case asJSON:
		var b bytes.Buffer
		if json.Indent(&b, []byte(text), "", "  ") == nil {
			return b.String()
		}
	case asTicks:
		var list []string
		for _, o := range s.options {
			if f.get(s.name+"."+o.Value) != "" {
				list = append(list, o.Value)
			}
		}
		return strings.Join(list, "\n")
	}
	return text
}

// member is the reverse of text: what a PATCH would say.
func (s clientSetting) member(text string) json.RawMessage {
	var v any = text
	switch {
	case s.kind == asLines || s.kind == asTicks:
		v = strings.Fields(text)
	case s.kind == asTick:
		v = text != ""
	case text == "":
		v = nil
	case s.kind == asNumber || s.kind == asJSON:
		return json.RawMessage(text)
	}
	b, _ := json.Marshal(v)
	return b
}

// settingChange is a setting that a form changes.
type settingChange struct {
	clientSetting
	from, to string
}

// against finds what a form changes of a client, and what of that cannot be read.
func (t *typed) against(was typed, shown func(clientSetting) bool) (s accounts.ClientSettings, changes []settingChange) {
	for _, g := range clientGroups {
		for _, one := range g.settings {
			if t.same(was, one) || !shown(one) {
				continue
			}
			changes = append(changes, settingChange{one, was.values[one.name], t.values[one.name]})
			member, err := json.Marshal(map[string]json.RawMessage{one.name: one.member(t.values[one.name])})
			if err == nil {
				err = json.Unmarshal(member, &s)
			}
			if err != nil {
				t.faults[one.name] = unreadable(one, err)
			}
		}
	}
	return s, changes
}

// same reports whether a setting is as it was. Grants are a set.
func (t *typed) same(was typed, s clientSetting) bool {
	a, b := t.values[s.name], was.values[s.name]
	if s.kind == asTicks {
		return sameValues(strings.Fields(a), strings.Fields(b))
	}
	return a == b
}

func unreadable(s clientSetting, err error) string {
	switch s.kind {
	case asNumber:
		return "Not a number."
	case asJSON:
		return "Not JSON."
	}
	return sentence(strings.TrimPrefix(err.Error(), "storage: "))
}

// blame puts the faults of a refusal beside the fields that they are about, and
// reports whether it was one.
func (t *typed) blame(err error, shown func(clientSetting) bool) bool {
	var invalid *accounts.InvalidError
	faults := []string{}
	switch {
	case errors.As(err, &invalid):
		faults = invalid.Faults
	case errors.Is(err, grants.ErrExists):
		faults = append(faults, "client_id: "+err.Error())
	default:
		return false
	}
	fields := map[string]bool{"client_id": true}
	for _, g := range clientGroups {
		for _, s := range g.settings {
			fields[s.name] = shown(s)
		}
	}
	for _, fault := range faults {
		name, what, _ := strings.Cut(fault, ": ")
		if name == "client_secret" || name == "public" {
			name = "token_endpoint_auth_method"
		}
		switch {
		case !fields[name]:
			t.others = append(t.others, sentence(fault))
		case t.faults[name] == "":
			t.faults[name] = sentence(what)
		default:
			t.faults[name] += " " + sentence(what)
		}
	}
	return true
}

// wrong says in a line above the form that something is.
func (t *typed) wrong() string {
	n := len(t.faults)
	if n == 0 && len(t.others) == 0 {
		return ""
	}
	all := []string{"Nothing was changed."}
	if n > 0 {
		all = append(all, count(int64(n), "field")+" below "+map[bool]string{true: "says", false: "say"}[n == 1]+" what is wrong.")
	}
	return strings.Join(append(all, t.others...), " ")
}

// groups are the fields of the form.
func (t *typed) groups(shown func(clientSetting) bool) (list []pages.Group) {
	usual := typedOf(storage.Client{})
	for _, g := range clientGroups {
		group := pages.Group{Legend: g.legend, Words: g.words, Folded: g.rare}
		for _, s := range g.settings {
			if !shown(s) {
				continue
			}
			if s.kind == asTicks {
				group.Fault = t.faults[s.name]
			}
			group.Open = group.Open || t.faults[s.name] != "" || !t.same(usual, s)
			group.Controls = append(group.Controls, s.controls(t.values[s.name], t.faults[s.name])...)
		}
		if len(group.Controls) > 0 {
			list = append(list, group)
		}
	}
	return list
}

// controls are what a setting is changed with.
func (s clientSetting) controls(value, fault string) (list []pages.Control) {
	switch s.kind {
	case asChoice:
		c := &pages.Choice{Name: s.name, Label: s.label, Hint: s.hint, Fault: fault}
		known := false
		for _, o := range s.options {
			o.Chosen = o.Value == value
			known = known || o.Chosen
			c.Options = append(c.Options, o)
		}
		if !known {
			c.Options = append(c.Options, pages.Option{Value: value, Words: value, Chosen: true})
		}
		return []pages.Control{{Choice: c}}
	case asTick:
		return []pages.Control{{Tick: &pages.Tick{Name: s.name, Label: s.label, Hint: s.hint, Fault: fault, Chosen: value != ""}}}
	case asTicks:
		for _, o := range s.options {
			list = append(list, pages.Control{Tick: &pages.Tick{Name: s.name + "." + o.Value, Label: o.Words, Chosen: containsLine(value, o.Value)}})
		}
		return list
	}
	in := &pages.Input{Name: s.name, Label: s.label, Hint: s.hint, Fault: fault, Value: value, Max: 4096}
	switch s.kind {
	case asLines:
		in.Rows, in.Max = min(max(strings.Count(value, "\n")+2, 2), 12), 0
	case asJSON:
		in.Rows, in.Max = 6, 0
	}
	return []pages.Control{{Input: in}}
}

// hidden carries a form along.
func (t *typed) hidden() (list []pages.Field) {
	for _, g := range clientGroups {
		for _, s := range g.settings {
			value := t.values[s.name]
			if s.kind == asTicks {
				for _, v := range strings.Fields(value) {
					list = append(list, pages.Field{Name: s.name + "." + v, Value: "true"})
				}
			} else if value != "" {
				list = append(list, pages.Field{Name: s.name, Value: value})
			}
		}
	}
	return list
}

func containsLine(text, line string) bool {
	return strings.Contains("\n"+text+"\n", "\n"+line+"\n")
}

// sameValues reports whether two lists have the same members, each once.
func sameValues(a, b []string) bool {
	in := make(map[string]int)
	for _, v := range a {
		in[v]++
	}
	for _, v := range b {
		in[v]--
	}
	for _, n := range in {
		if n != 0 {
			return false
		}
	}
	return true
}
