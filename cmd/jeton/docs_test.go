package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jeton/events"
)

// docs/OPERATING.md is what an operator goes by, so it has to name everything
// that is there, and nothing else.

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func operating(t *testing.T) string {
	t.Helper()
	return read(t, filepath.Join("..", "..", "docs", "OPERATING.md"))
}

func TestDocsNameEverySetting(t *testing.T) {
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (`JETON_.*)$").FindAllStringSubmatch(operating(t), -1) {
		for cell := range strings.SplitSeq(strings.TrimSuffix(m[2], "|"), "|") {
			rows[m[1]] = append(rows[m[1]], strings.TrimSpace(cell))
		}
	}
	for _, row := range table() {
		cells := rows[row.name]
		delete(rows, row.name)
		if len(cells) != 4 {
			t.Errorf("--%s: found the cells %q, want variable, key, default and meaning", row.name, cells)
			continue
		}
		want := []string{"`" + variable(row.name) + "`", "`" + row.name + "`", "`" + row.def + "`"}
		if row.name == "config" { // a file cannot name another
			want[1] = ""
		}
		if row.def == "" {
			want[2] = ""
		}
		if !slices.Equal(cells[:3], want) {
			t.Errorf("--%s: found %q, want %q", row.name, cells[:3], want)
		}
	}
	for name := range rows {
		t.Errorf("--%s is described and is no setting", name)
	}
}

func TestDocsNameEveryCommand(t *testing.T) {
	doc := operating(t)
	settings := map[string]bool{"help": true}
	for _, row := range table() {
		settings[row.name] = true
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			for _, sub := range cmd.Commands() {
				walk(sub)
			}
			return
		}
		if !regexp.MustCompile("`" + cmd.CommandPath() + "[` ]").MatchString(doc) {
			t.Errorf("%s is not described", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !settings[f.Name] && !strings.Contains(doc, "--"+f.Name) {
				t.Errorf("--%s of %s is not described", f.Name, cmd.CommandPath())
			}
		})
	}
	walk((&app{}).rootCommand())
	for _, m := range regexp.MustCompile("`jeton ((?:user|client|session|key|webhook|config|store) [a-z-]+)").FindAllStringSubmatch(doc, -1) {
		cmd, _, err := (&app{}).rootCommand().Find(strings.Fields(m[1]))
		if err != nil || cmd.CommandPath() != "jeton "+m[1] {
			t.Errorf("jeton %s is described and is no command", m[1])
		}
	}
}

func TestDocsNameEveryEvent(t *testing.T) {
	// In the table, and nowhere else: many of the names are words of other things
	// too.
	doc, _, _ := strings.Cut(section(t, "Events"), "\n### ")
	found := regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([a-z_]+)"`).FindAllStringSubmatch(read(t, filepath.Join("..", "..", "events", "events.go")), -1)
	if len(found) < 20 {
		t.Errorf("found only %q", found)
	}
	for _, m := range found {
		if !strings.Contains(doc, "`"+m[1]+"`") {
			t.Errorf("the event %s is not described", m[1])
		}
	}
	there := events.Types()
	for name := range firstCells(doc) {
		if !slices.Contains(there, name) {
			t.Errorf("%s is described and is no event", name)
		}
	}
	if len(there) != len(found) {
		t.Errorf("%d events in the source, %d types", len(found), len(there))
	}
}

// The messages that the tables explain are those of the program, word for word
// between the places where something is filled in.
func TestDocsQuoteWhatTheProgramSays(t *testing.T) {
	source := programText(t)
	quoted := regexp.MustCompile("`([^`]+)`")
	filled := regexp.MustCompile(`…|%d`)
	checked := 0
	for _, section := range []string{"\n## Logs\n", "\n## What can go wrong\n"} {
		_, rest, ok := strings.Cut(operating(t), section)
		if !ok {
			t.Fatalf("there is no section %q", section)
		}
		rest, _, _ = strings.Cut(rest, "\n## ")
		for line := range strings.SplitSeq(rest, "\n") {
			if !strings.HasPrefix(line, "| ") {
				continue
			}
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				for _, part := range filled.Split(m[1], -1) {
					if part = strings.TrimSpace(part); len(part) < 8 || strings.HasPrefix(part, "--") {
						continue
					}
					checked++
					if !strings.Contains(source, part) {
						t.Errorf("the program nowhere says %q", part)
					}
				}
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d messages were looked for", checked)
	}
}

// programText is the source of the module without tests, with strings that are
// broken over lines put together.
func programText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	root := filepath.Join("..", "..")
	dirs, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.go", "*/*.go", "*/*/*.go"} {
		for _, dir := range dirs {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if !strings.HasSuffix(file, "_test.go") {
					all.WriteString(read(t, file))
				}
			}
		}
	}
	text := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(all.String(), "")
	return strings.ReplaceAll(text, `\"`, `"`)
}
