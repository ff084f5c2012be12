package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// configFile is the YAML file: a mapping of settings, and the lists.
type configFile struct {
	name    string
	values  map[string]given
	clients []entry
	users   []entry

	webhooks []entry
}

// given is the text of a setting and the line it stands on.
type given struct{ text, where string }

// value is what the file gives a setting; a nil file gives nothing.
func (f *configFile) value(name string) (given, bool) {
	if f == nil {
		return given{}, false
	}
	v, ok := f.values[name]
	return v, ok
}

// at names a place in the file.
func (f *configFile) at(n ast.Node) string {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d", f.name, t.Position.Line)
	}
	return f.name
}

// mostConfig bounds the file, since a wrong name could be a device or a disk.
const mostConfig = 1 << 20

// anExample is what a file may begin as.
const anExample = "one setting a line, such as access-token-ttl: 10m; jeton config print shows a whole file"

// readConfigFile reads the file that source names, and reports what is wrong with it.
func readConfigFile(source, name string, wrong *faults) *configFile {
	f := &configFile{name: filepath.Base(name), values: map[string]given{}}
	b, err := readLimited(name, mostConfig)
	if err != nil {
		remedy := "name a file that this user can read"
		if errors.Is(err, fs.ErrNotExist) {
			remedy = "name one that is there, or make it: " + anExample
		}
		wrong.add(source, "cannot read the configuration file: %v: %s", err, remedy)
		return f
	}
	tree, err := parser.ParseBytes(b, 0)
	if err != nil {
		where, message := f.name, err.Error()
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
			where, message = fmt.Sprintf("%s:%d", f.name, e.GetToken().Position.Line), e.GetMessage()
		}
		wrong.add(where, "this is not YAML: %s; write %s", message, anExample)
		return f
	}
	for i, doc := range tree.Docs {
		switch body := doc.Body.(type) {
		case nil:
		case *ast.MappingNode:
			if i > 0 {
				wrong.add(f.at(body), "the file has a second document: put all settings into one")
				continue
			}
			for _, v := range body.Values {
				f.read(v, filepath.Dir(name), wrong)
			}
		default:
			wrong.add(f.at(body), "the file has to hold settings, %s", anExample)
		}
	}
	return f
}

// read takes one line of the file.
func (f *configFile) read(v *ast.MappingValueNode, dir string, wrong *faults) {
	key := keyText(v)
	where := f.at(v.Key)
	switch {
	case key == "clients":
		f.clients = f.entries(v.Value, dir, clientEntry, wrong)
		return
	case key == "users":
		f.users = f.entries(v.Value, dir, userEntry, wrong)
		return
	case key == "webhooks":
		f.webhooks = f.entries(v.Value, dir, webhookEntry, wrong)
		return
	case key == "config":
		wrong.add(where, "a configuration file cannot name another: use --config or JETON_CONFIG")
		return
	}
	known := []string{"clients", "users", "webhooks"}
	for _, row := range table() {
		known = append(known, row.name)
	}
	if !slices.Contains(known, key) {
		wrong.add(where, "there is no setting %q%s", key, suggest(strings.ReplaceAll(key, "_", "-"), known))
		return
	}
	value, err := plain(v.Value)
	words, isList := value.([]any)
	if _, isMap := value.(map[string]any); err != nil || value == nil || isMap {
		if err == nil {
			err = errors.New("give it a value, or a list of values")
		}
		wrong.add(where, "%s: %v", key, err)
		return
	}
	text := fmt.Sprint(value)
	if isList {
		parts := make([]string, len(words))
		for i, w := range words {
			parts[i] = fmt.Sprint(w)
		}
		text = strings.Join(parts, betweenValues(key))
	}
	f.values[key] = given{text, where}
}

// betweenValues is what joins a list in the file to what a flag would be.
func betweenValues(name string) string {
	for _, row := range table() {
		if row.name == name {
			return cmp.Or(separator(row.value(new(Settings))), ",")
		}
	}
	return ","
}

// readLimited reads a file of at most so many bytes.
func readLimited(name string, most int) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, most+1)
	n := 0
	for n < len(b) {
		m, err := file.Read(b[n:])
		n += m
		if err != nil {
			break
		}
	}
	if n > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return b[:n], nil
}
