package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// configCommand shows and checks the settings, without touching anything.
func (a *app) configCommand() *cobra.Command {
	return group(&cobra.Command{Use: "config", Short: "Show and check the settings"},
		a.configPrint(), a.configCheck())
}

func (a *app) configPrint() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Show all settings as a configuration file, and where each comes from",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			if s.JSON {
				return a.printJSON(s)
			}
			return a.printYAML(s)
		},
	}
	addFlags(cmd.Flags(), false)
	return cmd
}

// printed is a setting in JSON.
type printed struct {
	Value  any    `json:"value"`
	Source string `json:"source"`
}

func (a *app) printJSON(s *Settings) error {
	all := map[string]printed{}
	for _, row := range table() {
		from := s.origin[row.name]
		if from == "" {
			from = "default"
		}
		all[row.name] = printed{typedValue(row, s), from}
	}
	return (&output{w: a.stdout, json: true}).writeJSON(all)
}

// typedValue is a setting as JSON and YAML have it.
func typedValue(row setting, s *Settings) any {
	switch v := row.value(s).(type) {
	case *yesno:
		return bool(*v)
	case *number:
		return int(*v)
	case *list, *networks:
		words := strings.Split(v.String(), ",")
		if words[0] == "" {
			return []string{}
		}
		return words
	}
	return row.shown(s)
}

// printYAML writes what could be read again with --config. What belongs to one
// call, or has no value, is a comment.
func (a *app) printYAML(s *Settings) error {
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, row := range table() {
		value := typedValue(row, s)
		text, err := yaml.MarshalWithOptions(value, yaml.Flow(true))
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", row.name, err)
		}
		from := s.origin[row.name]
		if from == "" {
			from = "default"
		}
		lead := ""
		if words, isList := value.([]string); row.name == "config" || value == "" || isList && len(words) == 0 {
			lead = "# "
		}
		fmt.Fprintf(t, "%s%s: %s\t# %s\n", lead, row.name, strings.TrimSpace(string(text)), from)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		entries []entry
	}{{"clients", s.Clients}, {"users", s.Users}, {"webhooks", s.Webhooks}} {
		if len(part.entries) == 0 {
			continue
		}
		fmt.Fprintf(a.stdout, "%s:\n", part.name)
		for _, e := range part.entries {
			b, err := json.Marshal(e.fields) // JSON is YAML, in one line
			if err != nil {
				return fmt.Errorf("cannot write %s %s: %w", e.kind.noun, e.name(), err)
			}
			fmt.Fprintf(a.stdout, "  - %s  # %s\n", b, e.where)
		}
	}
	return nil
}

func (a *app) configCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell everything that is wrong with the settings",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			if err := a.rehearse(cmd.Context(), s); err != nil {
				return err
			}
			out := &output{w: a.stdout, json: bool(s.JSON)}
			return out.act(map[string]bool{"ok": true}, "the settings are sound")
		},
	}
	addFlags(cmd.Flags(), false)
	return cmd
}
