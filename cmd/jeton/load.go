package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// fault is one thing wrong with the settings, and where it stands.
type fault struct{ Source, Message string }

func (f fault) String() string { return f.Source + ": " + f.Message }

// faults is what is wrong with the settings, all of it at once.
type faults []fault

func (f faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	if len(lines) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%d settings are wrong:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

func (f *faults) add(source, format string, args ...any) {
	*f = append(*f, fault{source, fmt.Sprintf(format, args...)})
}

// addFlags gives a command the flags of the settings it takes. What is typed
// is only remembered; [load] reads it.
func addFlags(flags *pflag.FlagSet, everywhere bool) {
	var kinds Settings
	for _, row := range table() {
		if row.everywhere != everywhere {
			continue
		}
		kind := row.value(&kinds)
		help := row.help
		if row.def != "" && row.def != "false" && row.def != "0" {
			help += " (default " + row.def + ")"
		}
		flag := flags.VarPF(&raw{of: kind}, row.name, "", help)
		if kind.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// load reads all settings: flag over environment over file over default. The
// error is [faults], with everything that is wrong.
func load(flags *pflag.FlagSet, environ []string) (*Settings, error) {
	s := &Settings{origin: map[string]string{}, flags: flags}
	var wrong faults
	env := readEnv(environ, s, &wrong)
	var file *configFile
	if name := cmp.Or(typed(flags, "config"), env["config"]); name != nil && *name != "" {
		source := "--config"
		if typed(flags, "config") == nil {
			source = variable("config")
		}
		file = readConfigFile(source, *name, &wrong)
		s.Clients, s.Users, s.Webhooks = file.clients, file.users, file.webhooks
	}
	for _, row := range table() {
		given, inFile := file.value(row.name)
		switch {
		case typed(flags, row.name) != nil:
			s.set(row, "--"+row.name, *typed(flags, row.name), &wrong)
		case env[row.name] != nil:
			s.set(row, variable(row.name), *env[row.name], &wrong)
		case inFile:
			s.set(row, given.where, given.text, &wrong)
		case row.def != "":
			if err := row.value(s).Set(row.def); err != nil {
				panic("the default of " + row.name + " is wrong: " + err.Error())
			}
		}
	}
	s.check(&wrong)
	if flags.Lookup("listen") != nil {
		s.checkServing(&wrong)
	}
	if len(wrong) > 0 {
		slices.SortStableFunc(wrong, func(a, b fault) int { return cmp.Compare(a.rank(), b.rank()) })
		return s, wrong
	}
	return s, nil
}

// typed is what was typed for a setting, nil when nothing was.
func typed(flags *pflag.FlagSet, name string) *string {
	if flag := flags.Lookup(name); flag != nil {
		if r, ok := flag.Value.(*raw); ok {
			return r.typed
		}
	}
	return nil
}

// set reads one setting from where it was given.
func (s *Settings) set(row setting, source, value string, wrong *faults) {
	s.origin[row.name] = source
	if err := row.value(s).Set(value); err != nil {
		wrong.add(source, "%v", err)
		_ = row.value(s).Set(row.def) // so that no other fault follows from this one
	}
}

// rank puts the faults of flags first, then those of variables, then those of
// the file in its order.
func (f fault) rank() int {
	switch {
	case strings.HasPrefix(f.Source, "--"):
		return 0
	case strings.HasPrefix(f.Source, "JETON_"):
		return 1
	}
	_, line, _ := strings.Cut(f.Source, ":")
	n, _ := strconv.Atoi(line) // 0 for the file as a whole
	return 2 + n
}

// source is where a setting was given, or how to give it.
func (s *Settings) source(name string) string {
	if from := s.origin[name]; from != "" {
		return from
	}
	return "--" + name
}

// variable is the name of a setting in the environment.
func variable(name string) string {
	return "JETON_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// serviceLink matches what Kubernetes puts into every container's environment
// for a service that is named jeton: not settings, and not to be refused.
var serviceLink = regexp.MustCompile(`^JETON_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)?)$`)

// readEnv picks the settings out of the environment, by their names.
func readEnv(environ []string, s *Settings, wrong *faults) map[string]*string {
	names := map[string]string{}
	for _, row := range table() {
		names[variable(row.name)] = row.name
	}
	env := map[string]*string{}
	for _, line := range environ {
		key, value, _ := strings.Cut(line, "=")
		switch name, ok := names[key]; {
		case value == "": // as if unset, which is how compose files leave things out
		case ok:
			env[name] = &value
		case key == "JETON_MASTER_KEY":
			s.masterKey = value
		case !strings.HasPrefix(key, "JETON_"):
		case serviceLink.MatchString(key) && (key != "JETON_PORT" || strings.Contains(value, "://")):
		default:
			known := append(slices.Sorted(maps.Keys(names)), "JETON_MASTER_KEY")
			wrong.add(key, "there is no such setting%s", suggest(key, known))
		}
	}
	return env
}
