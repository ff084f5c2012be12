package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"jeton/grants"
)

// userColumns are shown in a table of users.
var userColumns = []string{"username", "sub", "roles", "disabled", "created_at"}

// userCommand administers the people who log in.
func (a *app) userCommand() *cobra.Command {
	return group(&cobra.Command{Use: "user", Short: "Add, change and remove the people who log in"},
		a.userAdd(), a.userList(), a.userShow(), a.userPasswd(), a.userResetLink(), a.userRoles(), a.userClaims(),
		a.userState("disable", "Refuse a user all tokens and end all sessions", "user %s is disabled and all sessions have ended"),
		a.userState("enable", "Let a disabled user log in again", "user %s is enabled"),
		a.userDelete(), a.userImport())
}

func userPath(name string) string { return "/users/" + segment(name) }

// userPassword reads the password that --password-stdin promises.
func (a *app) userPassword(cmd *cobra.Command, fromStdin bool) (string, error) {
	if !fromStdin {
		return "", usagef("give the password on standard input: printf %%s \"$PASSWORD\" | %s … --password-stdin", cmd.CommandPath())
	}
	return readSecret(a.stdin, a.stderr, "password")
}

func (a *app) userAdd() *cobra.Command {
	var sub string
	var roles list
	var claims []string
	var fromStdin bool
	cmd := &cobra.Command{
		Use:     "add NAME [--sub ID] [--role R...] [--claim NAME=VALUE...] --password-stdin",
		Short:   "Add a user",
		Example: "  printf %s \"$PASSWORD\" | jeton user add alice --role ROLE_USER --password-stdin",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.userPassword(cmd, fromStdin)
			if err != nil {
				return err
			}
			body := map[string]any{"username": args[0], "roles": orEmpty(roles), "password": password}
			if cmd.Flags().Changed("sub") {
				body["sub"] = sub
			}
			if len(claims) > 0 {
				if body["claims"], err = claimsOf(claims); err != nil {
					return err
				}
			}
			return a.with(cmd, true, func(ctx context.Context, way *api, out *output) error {
				user, err := way.do(ctx, http.MethodPost, "/users", body)
				if err != nil {
					return err
				}
				return out.act(user, "user %s was added with sub %s", args[0], pick(user, "sub"))
			})
		},
	}
	cmd.Flags().StringVar(&sub, "sub", "", "the stable id that tokens name the user by (default: a random one)")
	cmd.Flags().Var(&roles, "role", "a role such as ROLE_USER; repeat or separate by commas")
	claimFlag(cmd, &claims)
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func (a *app) userList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all users",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				l := &listing{output: out, columns: userColumns}
				if err := way.list(ctx, "/users", pageSize(), l.page); err != nil {
					return err
				}
				return l.end("there are no users yet: jeton user add NAME --role R --password-stdin")
			})
		},
	}
}

func (a *app) userShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a user, by name or as sub:ID",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				user, err := way.do(ctx, http.MethodGet, userPath(args[0]), nil)
				if err != nil {
					return err
				}
				return out.show(user)
			})
		},
	}
}

func (a *app) userPasswd() *cobra.Command {
	var fromStdin bool
	var dry *bool
	var why *string
	cmd := &cobra.Command{
		Use:     "passwd NAME (--password-stdin | --dry-run)",
		Short:   "Set a new password; ends all sessions of the user unless the setting on-password-reset says otherwise",
		Example: "  printf %s \"$PASSWORD\" | jeton user passwd alice --password-stdin",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if *dry {
				return a.preview(cmd, "set_password", map[string]any{"username": args[0]})
			}
			password, err := a.userPassword(cmd, fromStdin)
			if err != nil {
				return err
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				user, err := way.do(ctx, http.MethodPut, userPath(args[0])+"/password", because(*why, map[string]any{"password": password}))
				if err != nil {
					return err
				}
				return out.act(user, "user %s has a new password and %s", args[0], afterPassword(pick(user, "reaction")))
			})
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	dry, why = dryRun(cmd), reasonFlag(cmd)
	return cmd
}

func (a *app) userResetLink() *cobra.Command {
	var why *string
	cmd := &cobra.Command{
		Use:   "reset-link NAME",
		Short: "Make a link, shown once, by which a user sets a new password",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				made, err := way.do(ctx, http.MethodPost, userPath(args[0])+"/reset-link", because(*why, map[string]any{}))
				if err != nil {
					return err
				}
				return out.act(made, "hand this link to %s; it works once, until %s:\n%s", args[0], pick(made, "expires_at"), pick(made, "reset_link"))
			})
		},
	}
	why = reasonFlag(cmd)
	return cmd
}

// afterPassword is what a reaction did, for people.
func afterPassword(reaction string) string {
	switch grants.Reaction(reaction) {
	case grants.DoNothing:
		return "sessions go on, as the setting on-password-reset says"
	case grants.EndOtherSessions:
		return "all other sessions have ended"
	}
	return "all sessions have ended"
}

func (a *app) userRoles() *cobra.Command {
	var roles list
	var dry *bool
	var why *string
	cmd := &cobra.Command{
		Use:   "roles NAME --role R...",
		Short: "Replace the roles of a user; --role '' takes all away",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("role") {
				return usagef("say which roles the user has from now on: %s", cmd.UseLine())
			}
			if *dry {
				return a.preview(cmd, "set_roles", map[string]any{"username": args[0], "roles": orEmpty(roles)})
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				user, err := way.do(ctx, http.MethodPut, userPath(args[0])+"/roles", because(*why, map[string]any{"roles": orEmpty(roles)}))
				if err != nil {
					return err
				}
				return out.act(user, "user %s now has the roles %s", args[0], pick(user, "roles"))
			})
		},
	}
	cmd.Flags().Var(&roles, "role", "a role such as ROLE_USER; repeat or separate by commas")
	dry, why = dryRun(cmd), reasonFlag(cmd)
	return cmd
}

func (a *app) userState(verb, short, done string) *cobra.Command {
	dry := new(bool)
	var why *string
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if *dry {
				return a.preview(cmd, verb, map[string]any{"username": args[0]})
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				user, err := way.do(ctx, http.MethodPost, userPath(args[0])+"/"+verb, because(*why, map[string]any{}))
				if err != nil {
					return err
				}
				return out.act(user, done, args[0])
			})
		},
	}
	if verb == "disable" {
		dry = dryRun(cmd)
	}
	why = reasonFlag(cmd)
	return cmd
}

func (a *app) userDelete() *cobra.Command {
	var dry *bool
	var why *string
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "End all sessions of a user and remove the user",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if *dry {
				return a.preview(cmd, "delete", map[string]any{"username": args[0]})
			}
			return a.with(cmd, false, func(ctx context.Context, way *api, out *output) error {
				if _, err := way.do(ctx, http.MethodDelete, userPath(args[0]), because(*why, nil)); err != nil {
					return err
				}
				return out.act(map[string]any{"username": args[0], "deleted": true}, "user %s was deleted and all sessions have ended", args[0])
			})
		},
	}
	dry, why = dryRun(cmd), reasonFlag(cmd)
	return cmd
}
