package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Whoever asks a command for help is told what it does, what to write after it,
// and what each flag means.
func TestHelpExplainsEveryCommand(t *testing.T) {
	unused := map[string]bool{}
	for path := range long {
		unused[path] = true
	}
	argument := regexp.MustCompile(`^[A-Z]+$`)
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "jeton ")
		delete(unused, path)
		if len(cmd.Long) < 40 && path != "user list" && path != "client list" {
			t.Errorf("%s: the help is %q", path, cmd.Long)
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if len(line) > 85 {
				t.Errorf("%s: %q is too long for a terminal", path, line)
			}
		}
		words := strings.Fields(cmd.Use)[1:]
		for _, word := range words {
			if !argument.MatchString(word) {
				break // flags say themselves what they are
			}
			if !regexp.MustCompile(`\b` + word + `\b`).MatchString(cmd.Long) {
				t.Errorf("%s: what %s is, is not said in %q", path, word, cmd.Long)
			}
		}
		for _, name := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(cmd.Long, -1) {
			if cmd.Flags().Lookup(name[1]) == nil && cmd.InheritedFlags().Lookup(name[1]) == nil && !strings.Contains("listen json now role claim", name[1]) {
				t.Errorf("%s: there is no --%s", path, name[1])
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	root := (&app{}).rootCommand()
	for _, sub := range root.Commands() {
		walk(sub)
	}
	for path := range unused {
		t.Errorf("%s is explained and is no command", path)
	}
	var b strings.Builder
	root.SetOut(&b)
	root.SetArgs([]string{"user", "--help"})
	if err := root.Execute(); err != nil || strings.Contains(b.String(), "jeton user [flags]") || !strings.Contains(b.String(), "jeton user [command]") || !strings.Contains(b.String(), "sub:248289761001") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
