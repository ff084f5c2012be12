package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is the command and the outside world it works in.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

// rootCommand is the tree of all commands.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "jeton",
		Short: "An OAuth 2 authorization server",
		Long: "Jeton trades credentials for tokens, lets APIs verify them locally, and lets\n" +
			"whoever owns a token take it back. Start with: jeton serve --demo\n\n" +
			"With a server running a command speaks to it, else it opens the store itself.\n" +
			"What jeton config print shows can be set by flag, by variable (JETON_STORE for\n" +
			"--store) and in the file of --config.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 typed wrongly or a setting is wrong, 3 not found,\n" +
			"4 exists already, 5 server or store out of reach.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	addFlags(root.PersistentFlags(), true)
	root.AddCommand(a.serveCommand(), a.userCommand(), a.clientCommand(), a.sessionCommand(), a.consentCommand(),
		a.keyCommand(), a.webhookCommand(), a.storeCommand(), a.configCommand(), a.versionCommand())
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(wrongFlag)
	group(root)
	explain(root)
	return root
}

// wrongFlag says what is wrong with the flags that were typed, and which one may
// have been meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usagef("%v; see %s --help (a name that begins with a dash comes last, after --)", err, cmd.CommandPath())
	}
	if before := cmd.Flags().Args(); cmd.HasSubCommands() && len(before) > 0 {
		return cmd.RunE(cmd, before) // a mistyped command has none of the flags of the one that was meant
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	name := strings.ToLower(strings.ReplaceAll(unknown.GetSpecifiedName(), "_", "-"))
	if meant := nearest(name, known); meant != "" && unknown.GetSpecifiedShortnames() == "" {
		return usagef("%v, did you mean --%s? See %s --help", err, meant, cmd.CommandPath())
	}
	return usagef("%v; see %s --help (a name that begins with a dash comes last, after --)", err, cmd.CommandPath())
}

// group makes a command that only holds others refuse to run by itself, with
// their names.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.Args = cobra.ArbitraryArgs // so that RunE tells what is wrong
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		if len(args) == 0 {
			return usagef("say what to do: %[1]s %[2]s; or see %[1]s --help", cmd.CommandPath(), strings.Join(names, "|"))
		}
		return usagef("there is no command %q%s: %s %s", cmd.CommandPath()+" "+args[0], suggest(args[0], names),
			cmd.CommandPath(), strings.Join(names, "|"))
	}
	return cmd
}

// exactly refuses any other number of arguments than those named.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			for i, arg := range args {
				if arg == "" {
					return usagef("%s is empty: %s", names[i], cmd.UseLine())
				}
			}
			return nil
		}
		if len(names) == 0 {
			return usagef("%s takes no argument, but got %s", cmd.CommandPath(), strconv.Quote(args[0]))
		}
		return usagef("%s takes %s, but got %d arguments: %s", cmd.CommandPath(), strings.Join(names, " "), len(args), cmd.UseLine())
	}
}

// wantsJSON reports whether errors are to be JSON, also when the arguments did
// not get as far as being read.
func wantsJSON(args, environ []string) bool {
	on := func(s string) bool { v, err := strconv.ParseBool(s); return err == nil && v }
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	for _, arg := range slices.Backward(args) {
		if v, ok := strings.CutPrefix(arg, "--json="); ok {
			return on(v)
		}
		if arg == "--json" {
			return true
		}
	}
	for _, line := range environ {
		if v, ok := strings.CutPrefix(line, "JETON_JSON="); ok {
			return on(v)
		}
	}
	return false
}

// with runs an act on the admin API, by whichever way there is. create says
// that the act may begin a new store.
func (a *app) with(cmd *cobra.Command, create bool, act func(context.Context, *api, *output) error) error {
	s, err := load(cmd.Flags(), a.environ)
	if err != nil {
		return err
	}
	way, err := a.open(cmd.Context(), s, create)
	if err != nil {
		return err
	}
	defer way.close()
	return act(cmd.Context(), way, &output{w: a.stdout, json: bool(s.JSON)})
}
